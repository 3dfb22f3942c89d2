"""A Flask application; pyoci finds the `app` object and starts gunicorn, which is in requirements.txt."""

from flask import Flask, jsonify

app = Flask(__name__)


@app.get("/")
def index():
    return jsonify(hello="flask")
