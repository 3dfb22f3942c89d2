"""Builds images of popular packages with the command line, and compares them with pip.

    check.py PYOCI WORK RESULTS FILE...

Each line of a FILE is one project: its requirements, with `--python X.Y` or `--platform P` before them and `sdist:` before a requirement of which there is no wheel. For each project:
- the dependencies layer holds what `pip install --target` leaves, docs/differences-from-pip.md applied;
- every top-level module of the packages can be imported in the container (read-only, as its own user), or fails in the same way with pip's tree in the same base.
RESULTS gets one line of JSON for each project; projects that have one already are not built again.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "compare_with_pip"))
from compare import differences, mend  # noqa: E402

PODMAN = ["podman"]
ENVIRONMENT = {**os.environ, "CONTAINERS_CONF": str(HERE.parent / "containers.conf")}
# What the default bases' C library runs: glibc 2.41 of trixie, 2.36 of bookworm.
GLIBC = {"3.13": 41, "3.11": 36}
LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


# Soname and Debian package of a library that the native-library check misses.
MISSING = re.compile(r"^warning: .* needs? (\S+): no wheel has it, nor the base(?:; Debian's (\S+) does)?", re.MULTILINE)


class Project:
    """One line of the list."""

    def __init__(self, line):
        self.line = line
        words = line.split()
        self.python, self.platform, self.sdists, self.requirements = "3.13", "linux/amd64", set(), []
        while words:
            word = words.pop(0)
            if word == "--python":
                self.python = words.pop(0)
            elif word == "--platform":
                self.platform = words.pop(0)
            else:
                requirement = word.removeprefix("sdist:")
                if requirement != word:
                    self.sdists.add(normalized(requirement))
                self.requirements.append(requirement)
        self.names = [normalized(requirement) for requirement in self.requirements]
        self.id = hashlib.sha256(line.encode()).hexdigest()[:12]


def normalized(requirement):
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def run(command, **options):
    return subprocess.run(command, text=True, capture_output=True, **options)


def last_lines(text, count=6):
    return "\n".join(text.strip().splitlines()[-count:])


def build(pyoci, project, directory):
    """Builds the image; its report, or raises."""
    source = directory / "project"
    source.mkdir(parents=True)
    shutil.copy(HERE / "imports.py", source / "main.py")
    (source / "names.txt").write_text("\n".join(project.names))
    (source / "requirements.txt").write_text("\n".join(project.requirements))
    # Whatever starts: this is about dependencies.
    command = [pyoci, "build", source, "-o", directory / "image", "--format", "json", "--entrypoint", "python3 main.py"]
    command += ["--python", project.python, "--platform", project.platform]
    done = run(command, env=ENVIRONMENT)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    (report,) = json.loads(done.stdout)["platforms"]
    report["missing"] = sorted(MISSING.findall(done.stderr))
    return report


def read_layer(directory, report):
    """pyoci's tree: path below /deps -> (mode, sha256 or None for a directory, text of a RECORD)."""
    (layer,) = [layer for layer in report["layers"] if layer["kind"] == "dependencies"]
    tree = {}
    with tarfile.open(directory / "image/blobs" / layer["digest"].replace(":", "/"), "r|gz") as tar:
        for member in tar:
            path = member.name.rstrip("/").removeprefix("deps").removeprefix("/")
            if not path:
                continue
            if not (member.isfile() or member.isdir()):
                raise RuntimeError(f"{path} is neither a file nor a directory")
            content = tar.extractfile(member).read() if member.isfile() else None
            text = content.decode() if path.endswith(".dist-info/RECORD") else None
            tree[path] = (member.mode, None if content is None else hashlib.sha256(content).hexdigest(), text)
    return tree, {package["name"]: package["version"] for package in layer["packages"]}


def pip_install(project, pins, directory):
    """Runs the pip of the same Python version, without resolving."""
    python = shutil.which(f"python{project.python}") or sys.executable
    common = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--root-user-action=ignore"]
    common += ["--disable-pip-version-check", "--target", directory / "pip"]
    machine = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}[project.platform]
    foreign = ["--only-binary", ":all:", "--python-version", project.python, "--implementation", "cp"]
    for minor in range(GLIBC[project.python], 4, -1):
        foreign += ["--platform", f"manylinux_2_{minor}_{machine}"]
        if minor in LEGACY:
            foreign += ["--platform", f"{LEGACY[minor]}_{machine}"]
    foreign += ["--platform", f"linux_{machine}"]
    for abi in ("cp" + project.python.replace(".", ""), "abi3", "none"):
        foreign += ["--abi", abi]
    # An archive without a wheel is built by pip: it must not take options about platforms.
    options = ["--no-binary", ",".join(sorted(project.sdists))] if project.sdists else foreign
    environment = {**ENVIRONMENT, "PIP_NO_WARN_SCRIPT_LOCATION": "1"}
    done = run(common + options + [f"{name}=={version}" for name, version in pins.items()], env=environment, umask=0o022)
    if done.returncode != 0:
        raise RuntimeError("pip: " + last_lines(done.stderr))


def read_pip(directory, project):
    """pip's tree with the documented differences applied: path -> (mode, bytes or None for a directory)."""
    tree = {}
    top = directory / "pip"
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        content = None if path.is_dir() else path.read_bytes()
        if name.startswith("bin/") and content is not None:
            # The image's interpreter.
            content = re.sub(rb"\A#!/.*python[0-9.]*\n", f"#!/usr/bin/python{project.python}\n".encode(), content)
        tree[name] = (path.stat().st_mode & 0o7777, content)
    for name in [name for name in tree if name.endswith(".dist-info/REQUESTED") and name.count("/") == 1]:
        del tree[name]
    mend(tree)
    return tree


def import_all(project, directory):
    """What the container says, and where imports fail, what it says with pip's tree instead."""
    if project.platform != "linux/amd64":
        return None
    pulled = run([*PODMAN, "pull", "--quiet", f"oci:{directory.name}/image:latest"], env=ENVIRONMENT, cwd=directory.parent)
    if pulled.returncode != 0:
        raise RuntimeError("podman: " + last_lines(pulled.stderr))
    image = pulled.stdout.strip()
    plain = ["-v", f"{directory / 'pip'}:/plain:ro", "-e", "PYTHONPATH=/plain", "--entrypoint", '["/usr/bin/python3", "-P", "main.py"]']
    try:
        answer = run_container([image])
        if answer["failed"]:
            answer["failed with pip"] = run_container([*plain, image])["failed"]
    finally:
        run([*PODMAN, "rmi", "--force", image], env=ENVIRONMENT)
    return answer


def run_container(arguments):
    done = run([*PODMAN, "run", "--rm", "--read-only", *arguments], env=ENVIRONMENT)
    if not done.stdout.strip():
        raise RuntimeError("podman: " + last_lines(done.stderr))
    return json.loads(done.stdout.splitlines()[-1])


def check(pyoci, work, project):
    directory = work / project.id
    shutil.rmtree(directory, ignore_errors=True)
    result = {"project": project.line}
    try:
        report = build(pyoci, project, directory)
        ours, pins = read_layer(directory, report)
        result["packages"], result["files"] = len(pins), len(ours)
        result["missing"] = report["missing"]
        result["pins"] = pins
        pip_install(project, pins, directory)
        result["differences"] = list(differences(read_pip(directory, project), ours))[:40]
        result["imports"] = import_all(project, directory)
    except RuntimeError as error:
        result["error"] = str(error)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return result


def verdict(result):
    """One line for people."""
    if "error" in result:
        return "ERROR " + result["error"]
    words = [f"{result['packages']} packages,", "equal" if not result["differences"] else "DIFFERENT"]
    imports = result["imports"]
    if imports is None:
        words.append("(not run)")
    elif not imports["failed"]:
        words.append(f"{len(imports['imported'])} modules imported")
    else:
        same = imports["failed with pip"].keys() >= imports["failed"].keys()
        words.append(("fails with pip too: " if same else "IMPORT FAILS: ") + json.dumps(imports["failed"]))
    lines = [f"lacks {soname} ({package or 'no Debian package'})" for soname, package in result["missing"]]
    return " ".join(words + ["\n    " + line for line in lines + result["differences"]])


def keep_base(pyoci, work, python):
    """Podman keeps the base's layer while an image has it; so each project unpacks its own layers only."""
    directory = work / f"base-{python}"
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "project").mkdir(parents=True)
    (directory / "project/main.py").touch()
    command = [pyoci, "build", directory / "project", "-o", directory / "image", "--python", python]
    subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
    pull = [*PODMAN, "pull", "--quiet", f"oci:{directory.name}/image:latest"]
    subprocess.run(pull, env=ENVIRONMENT, cwd=work, check=True, capture_output=True)


def summary(results):
    """What became of all projects of RESULTS."""
    found = [json.loads(line) for line in open(results)]
    built = [result for result in found if "error" not in result]
    run_ones = [result for result in built if result["imports"] is not None]
    failed = [result for result in run_ones if result["imports"]["failed"]]
    ours = [r for r in failed if not r["imports"]["failed with pip"].keys() >= r["imports"]["failed"].keys()]
    different = [result for result in built if result["differences"]]
    wheels = {pin for result in built for pin in result["pins"].items()}
    print(f"{len(found)} projects, {len(built)} built of {len(wheels)} packages; {len(built) - len(different)} equal to pip's tree;")
    print(f"{len(run_ones)} run: {len(run_ones) - len(failed)} import everything, {len(failed) - len(ours)} fail as with pip, {len(ours)} fail only in the image")
    return len(built) < len(found) or different or ours


def main():
    pyoci, work, results, *lists = sys.argv[1:]
    work = pathlib.Path(work)
    storage = ["--root", str(work / "storage"), "--runroot", str(work / "run")]
    PODMAN.extend(storage)
    lines = [line.split("#")[0].strip() for name in lists for line in pathlib.Path(name).read_text().splitlines()]
    known = set()
    if os.path.exists(results):
        known = {json.loads(line)["project"] for line in open(results)}
    projects = [Project(line) for line in lines if line and line not in known]
    work.mkdir(parents=True, exist_ok=True)
    for python in sorted({project.python for project in projects if project.platform == "linux/amd64"}):
        keep_base(pyoci, work, python)
    with open(results, "a") as out, concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
        waiting = {pool.submit(check, pyoci, work, project): project for project in projects}
        for done in concurrent.futures.as_completed(waiting):
            result = done.result()
            print(f"{waiting[done].line}: {verdict(result)}", flush=True)
            out.write(json.dumps(result) + "\n")
            out.flush()
    return bool(summary(results))


if __name__ == "__main__":
    sys.exit(main())
