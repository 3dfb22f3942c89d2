"""The first start of a thin bundle: installs the packages with pip into python_deps/, once, or not at all.

Called as `install.py NAME STAMP`, with the name that messages begin with and what python_deps/ will say of itself.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "site"))

import _pyoci_bundle as bundle  # noqa: E402

# Beginnings of pip's words where the network is not there.
NETWORK = (
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
    "ProxyError",
    "Network is unreachable",
    "name resolution",
)


def fail(reason):
    name = sys.argv[1]
    os.write(2, os.fsencode("%s: %s\n" % (name, reason.replace("\n", "\\n"))))
    os._exit(1)


def stamp():
    """What the packages that are there say of themselves."""
    try:
        with open(os.path.join(bundle.DEPS, ".pyoci")) as file:
            return file.read().strip()
    except OSError:
        return ""


def reason_of(output, status):
    """Why pip failed, in one line."""
    if any(word in output for word in NETWORK):
        return "the package index cannot be reached"
    lines = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    if lines:
        return "pip: " + lines[-1][len("ERROR: ") :]
    return "pip ended with status %d" % status


def run_pip(target):
    import subprocess

    command = [sys.executable, "-m", "pip", "install", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    command += ["--target", target, "--requirement", "requirements.txt", "--retries", "1"]
    command += ["--no-input", "--disable-pip-version-check", "--quiet"]
    pip = subprocess.Popen(command, cwd=bundle.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = pip.communicate()[0].decode("utf-8", "replace")
    if pip.returncode:
        return reason_of(output, pip.returncode)
    return None


def wanted():
    """How many packages pip has to install."""
    with open(os.path.join(bundle.ROOT, "requirements.txt")) as file:
        return sum("--hash=" in line for line in file)


def install(count):
    """Beside its place first, then renamed: python_deps/ is there whole or not at all."""
    import shutil
    import tempfile

    words = "%s: first start: installing %d package%s with pip into %s\n"
    os.write(2, os.fsencode(words % (sys.argv[1], count, "" if count == 1 else "s", bundle.DEPS)))
    for name in os.listdir(bundle.ROOT):
        # What starts that were killed have left.
        if name.startswith(".python_deps."):
            shutil.rmtree(os.path.join(bundle.ROOT, name), ignore_errors=True)
    beside = tempfile.mkdtemp(prefix=".python_deps.", dir=bundle.ROOT)
    try:
        fresh = os.path.join(beside, "python_deps")
        reason = run_pip(fresh) if count else None
        if reason is not None:
            return reason
        # What no index has is in the bundle.
        os.makedirs(fresh, exist_ok=True)
        built = os.path.join(bundle.ROOT, "built")
        if os.path.isdir(built):
            shutil.copytree(built, fresh, symlinks=True, dirs_exist_ok=True)
        with open(os.path.join(fresh, ".pyoci"), "w") as file:
            file.write(sys.argv[2] + "\n")
        if os.path.isdir(bundle.DEPS):
            os.rename(bundle.DEPS, os.path.join(beside, "old"))
        os.rename(fresh, bundle.DEPS)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return None


def main():
    bundle.check(sys.argv[1])
    if not os.access(bundle.ROOT, os.W_OK):
        fail("cannot install the packages: no permission to write to " + bundle.ROOT)
    count = wanted()
    try:
        # shutil: Debian's python3-minimal lacks it, as much else that pip needs.
        import shutil  # noqa: F401

        if count:
            import pip  # noqa: F401
    except ImportError as error:
        words = "cannot install the packages: %s has no %s: install pip (Debian: python3-pip)"
        fail(words % (sys.executable, error.name))
    import fcntl

    try:
        # The directory itself is locked: no file is left behind, and the lock goes with the process.
        directory = os.open(bundle.ROOT, os.O_RDONLY)
        fcntl.flock(directory, fcntl.LOCK_EX)
        reason = None if stamp() == sys.argv[2] else install(count)
    except KeyboardInterrupt:
        os._exit(130)
    except OSError as error:
        reason = "%s: %s" % (bundle.ROOT, error.strerror or error)
    if reason is not None:
        fail("cannot install the packages: " + reason)


main()
