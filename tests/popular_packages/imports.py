"""Imports every top-level module of the distributions named in names.txt; prints one line of JSON: what was imported, and what failed with which error.

Each module is imported in a process of its own, so that a crash or an endless loop is seen, and none helps another."""

import importlib
import json
import os
import pathlib
import re
import signal
import sys
from importlib.metadata import distribution


def modules(name):
    """The shallowest modules of a distribution, from its RECORD."""
    files = [pathlib.PurePosixPath(str(file)) for file in distribution(name).files or ()]
    packages = {file.parent for file in files if file.name == "__init__.py" or file.name.startswith("__init__.cpython")}
    found = set()
    for file in files:
        if file.name.startswith("__init__."):
            path = file.parent
        elif len(file.parts) == 1 and re.fullmatch(r"\w+(\.py|(\.cpython-\w+-[\w-]+|\.abi3)?\.so)", file.name):
            path = pathlib.PurePosixPath(file.name.split(".")[0])
        else:
            continue
        outer = [parent for parent in path.parents if parent in packages]
        if not outer and all(part.isidentifier() for part in path.parts):
            found.add(".".join(path.parts))
    return sorted(found)


def attempt(module):
    """None, or the error of importing the module."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)  # what a module prints is not the answer
        signal.alarm(300)
        error = b""
        try:
            importlib.import_module(module)
        except BaseException as raised:
            error = f"{type(raised).__name__}: {raised}".encode(errors="replace")[:500]
        os.write(writing, error or b"imported")
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return None if answer == "imported" else answer or f"ended with status {status}"


def main():
    names = (pathlib.Path(__file__).parent / "names.txt").read_text().split()
    imported, failed = [], {}
    for name in names:
        for module in modules(name):
            error = attempt(module)
            if error is None:
                imported.append(module)
            else:
                failed[module] = error
    print(json.dumps({"imported": imported, "failed": failed}))


if __name__ == "__main__":
    sys.exit(main())
