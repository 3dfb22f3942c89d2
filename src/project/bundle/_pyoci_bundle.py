"""What differs in a bundle: where it is, and that Python and machine are checked when it starts.

`run` sets _PYOCI_BUNDLE to its name. Only the first Python checks: what the app starts afterwards is its own matter.
"""

import os
import sys

from _pyoci_needs import LIBC, MACHINE, PYTHON

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
DEPS = os.path.join(ROOT, "python_deps")


def of_libc():
    """Name and version of the C library, e.g. ("glibc", (2, 41)); musl does not tell its version."""
    try:
        name, version = os.confstr("CS_GNU_LIBC_VERSION").split()
        return name, tuple(int(part) for part in version.split(".")[:2])
    except (AttributeError, OSError, ValueError):
        return "musl", ()


def minor(version):
    return "%d.%d" % version


def pythons():
    """The versions that will do, in words."""
    first, last = PYTHON
    if last is None:
        return minor(first) + " or later"
    return minor(first) if first == last else "%s to %s" % (minor(first), minor(last))


def fault():
    """What keeps the app from running here, in one line; None if nothing does."""
    first, last = PYTHON
    found = sys.version_info[:2]
    if found < first or (last is not None and found > last):
        return "%s is Python %s, but the packages are for Python %s" % (sys.executable, minor(found), pythons())
    if MACHINE is not None:
        if sys.implementation.name != "cpython":
            return "%s is %s, but the packages are for CPython" % (sys.executable, sys.implementation.name)
        if os.uname().machine != MACHINE:
            return "this machine is %s, but the packages are for %s" % (os.uname().machine, MACHINE)
        if sys.maxsize < 2**32:
            return "%s is a 32-bit program, but the packages are for 64 bits" % sys.executable
    if LIBC is not None:
        name, version = of_libc()
        if name != LIBC[0]:
            return "%s runs on %s, but the packages are for %s" % (sys.executable, name, LIBC[0])
        if version and version < LIBC[1]:
            return "this machine has %s %s, but the packages need %s or later" % (name, minor(version), minor(LIBC[1]))
    return None


def check(name):
    """Ends the process with one line if the app cannot run here."""
    reason = fault()
    if reason is not None:
        os.write(2, os.fsencode("%s: %s\n" % (name, reason.replace("\n", "\\n"))))
        os._exit(1)


def start():
    name = os.environ.pop("_PYOCI_BUNDLE", None)
    if name is not None:
        check(name)


start()
