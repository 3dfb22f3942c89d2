import os

DEBUG = False
# A site that signs cookies must be given its own key: `podman run -e SECRET_KEY=...`.
SECRET_KEY = os.environ.get("SECRET_KEY", "nothing-is-signed-with-this")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "greetings.urls"
WSGI_APPLICATION = "greetings.wsgi.application"
