"""Compares pyoci's tree of wheels with the tree that `pip install --target --no-compile` leaves.

    compare.py LISTING WHEEL...

LISTING is what `wheel_tree` printed for these wheels and this interpreter. Every difference is reported, except for those that docs/differences-from-pip.md lists: these are applied to pip's
tree before the two are compared.
"""

import base64
import csv
import hashlib
import io
import json
import os
import re
import stat
import subprocess
import sys
import tempfile


def run_pip(wheels, directory):
    """pip's tree: path -> (mode, bytes or None for a directory)."""
    temporary = os.path.join(directory, "tmp")
    os.mkdir(temporary)
    environment = {**os.environ, "TMPDIR": temporary, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_WARN_SCRIPT_LOCATION": "1"}
    target = os.path.join(directory, "target")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    command += ["--ignore-requires-python", "--root-user-action=ignore", "--target", target]
    for wheel in wheels:
        # By name, as from an index: a path would be a direct URL.
        name, version = os.path.basename(wheel).split("-")[:2]
        command += ["--find-links", os.path.dirname(wheel), f"{name.replace('_', '-')}=={version}"]
    subprocess.run(command, check=True, env=environment, umask=0o022)
    tree = {}
    for top, directories, files in os.walk(target):
        for name in directories + files:
            path = os.path.join(top, name)
            status = os.lstat(path)
            content = None
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            tree[os.path.relpath(path, target)] = (stat.S_IMODE(status.st_mode), content)
    return tree


def older_script(content):
    """The script of an entry point as pip 10 to 24 write it, if this is one that a later pip wrote."""
    later = rb"(#!.*\n)import sys\n(from .+ import .+\n)if __name__ == '__main__':\n(?:    (?:    )?.*argv.*\n)+(    sys\.exit\(.+\)\n)"
    match = re.fullmatch(later, content)
    if not match:
        return content
    body = b"if __name__ == '__main__':\n    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n"
    return match[1] + b"# -*- coding: utf-8 -*-\nimport re\nimport sys\n" + match[2] + body + match[3]


def mend(tree):
    """Applies the documented differences to pip's tree."""
    for path, (mode, content) in list(tree.items()):
        if path.startswith("bin/") and content is not None:
            tree[path] = (0o755, older_script(content))  # a script can be executed
        if not path.endswith(".dist-info/RECORD") or path.count("/") != 1:
            continue
        info = os.path.dirname(path)
        rows = set()
        for name, hash_, size in csv.reader(io.StringIO(content.decode(), newline="")):
            name = name.removeprefix("../../")
            if name not in tree:
                continue  # a wrapper that was made anew
            if hash_ and name.startswith("bin/"):
                mended = tree[name][1]
                digest = base64.urlsafe_b64encode(hashlib.sha256(mended).digest()).decode().rstrip("=")
                hash_, size = "sha256=" + digest, str(len(mended))
            rows.add((name, hash_, size))
        text = io.StringIO(newline="")
        csv.writer(text).writerows(sorted(rows))
        tree[path] = (mode, text.getvalue().encode())


def read_pyoci(path):
    """pyoci's tree: path -> (mode, sha256 or None for a directory, text of a RECORD)."""
    with open(path) as file:
        entries = [json.loads(line) for line in file]
    return {e["path"]: (e["mode"], e.get("sha256"), e.get("text")) for e in entries}


def differences(pip, pyoci):
    for path in sorted(pip.keys() | pyoci.keys()):
        if path not in pyoci:
            yield f"only pip has {path}"
        elif path not in pip:
            yield f"only pyoci has {path}"
        else:
            mode, content = pip[path]
            digest = None if content is None else hashlib.sha256(content).hexdigest()
            if mode != pyoci[path][0]:
                yield f"{path} has mode {mode:o} from pip, {pyoci[path][0]:o} from pyoci"
            if digest != pyoci[path][1]:
                yield f"{path} has other contents"
                if pyoci[path][2] is not None:
                    ours, theirs = set(pyoci[path][2].splitlines()), set(content.decode().splitlines())
                    yield from (f"    pip:   {line}" for line in sorted(theirs - ours)[:5])
                    yield from (f"    pyoci: {line}" for line in sorted(ours - theirs)[:5])


def main():
    listing, *wheels = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="compare-with-pip-") as directory:
        pip = run_pip(wheels, directory)
    mend(pip)
    found = list(differences(pip, read_pyoci(listing)))
    for line in found[:50]:
        print("  " + line)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
