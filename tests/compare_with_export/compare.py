"""What a tool's export says a target installs, against what pyoci selects of the same lock.

usage: compare.py SELECTION EXPORT: the output of the example `selection`, and requirements in pip's format.
Needs the package `packaging`. Exits with 1 on any difference."""
import sys

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


def exported(path):
    text = open(path).read().replace("\\\n", " ")
    for line in text.splitlines():
        line = line.split(" --hash")[0].strip()
        if line and not line.startswith(("#", "-")):
            yield Requirement(line)


def environment(machine, python):
    return {
        "python_version": python, "python_full_version": python + ".0", "implementation_version": python + ".0",
        "implementation_name": "cpython", "platform_python_implementation": "CPython", "os_name": "posix",
        "sys_platform": "linux", "platform_system": "Linux", "platform_machine": machine,
        "platform_release": "", "platform_version": "", "extra": "",
    }


def main(selection, export):
    requirements, own = list(exported(export)), {}
    # pipenv exports what it has not locked at all (packages for other machines) without version and marker.
    loose = [r.name for r in requirements if not r.specifier and not r.url]
    requirements = [r for r in requirements if r.specifier or r.url]
    if loose:
        print("exported without a version, left out:", ", ".join(loose))
    for line in open(selection):
        machine, python, package = line.split()
        name, version = package.split("==")
        own.setdefault((machine, python), set()).add((name, Version(version) if version else None))
    differences = 0
    for machine in ("x86_64", "aarch64"):
        for python in ("3.11", "3.13"):
            theirs = set()
            for requirement in requirements:
                if requirement.marker is None or requirement.marker.evaluate(environment(machine, python)):
                    pins = [s.version for s in requirement.specifier if s.operator == "=="]
                    theirs.add((canonicalize_name(requirement.name), Version(pins[0]) if pins else None))
            mine = own.get((machine, python), set())
            differences += len(theirs ^ mine)
            only = lambda a, b: ", ".join(sorted(f"{n} {v}" for n, v in a - b))
            print(f"{machine} {python}: {len(mine)} packages, only pyoci: [{only(mine, theirs)}], only the tool: [{only(theirs, mine)}]")
    return differences


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1], sys.argv[2]) else 0)
