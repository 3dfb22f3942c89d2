"""Prints a pylock.toml (PEP 751) of the wheels in directories: `lock.py DIRECTORY...`; with URL set, at that URL."""

import hashlib
import os
import pathlib
import sys
import urllib.parse

print('lock-version = "1.0"\ncreated-by = "benches"')
url = os.environ.get("URL")
wheels = [wheel for directory in sys.argv[1:] for wheel in pathlib.Path(directory).resolve().glob("*.whl")]
for wheel in sorted(wheels, key=lambda wheel: wheel.name):
    content = wheel.read_bytes()
    name, version = wheel.name.split("-")[:2]
    name = name.replace("_", "-").replace(".", "-").lower()
    place = f'url = "{url}/{urllib.parse.quote(wheel.name)}"' if url else f'path = "{wheel}"'
    digest = hashlib.sha256(content).hexdigest()
    print(f'\n[[packages]]\nname = "{name}"\nversion = "{version}"')
    print(f'wheels = [{{ name = "{wheel.name}", {place}, size = {len(content)}, hashes = {{ sha256 = "{digest}" }} }}]')
