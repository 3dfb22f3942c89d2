"""Makes locks with real uv and notes what `uv export` selects from each, for two Pythons and two platforms.

Usage: make.py UV OUT [large|small]. Markers are evaluated with `packaging` as pip carries it.
"""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from pip._vendor.packaging.markers import Marker
from pip._vendor.packaging.specifiers import SpecifierSet

TARGETS = [(m, p) for m in ("x86_64", "aarch64") for p in ("3.11.2", "3.13.5")]


def project(name, dependencies, extra="", requires=">=3.11", build=False):
    text = f'[project]\nname = "{name}"\nversion = "1.0"\nrequires-python = "{requires}"\n'
    text += f"dependencies = {json.dumps(dependencies)}\n{extra}"
    if build:
        text += '\n[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    return text


def wheel(directory, name, version, requires=()):
    """A wheel of nothing, for indexes that are directories."""
    directory.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"version = '{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + "".join(f"Requires-Dist: {r}\n" for r in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(directory / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), text)


def indexes(directory):
    """Two indexes as torch has them: the same version, built for different machines."""
    for kind, requires in (("cpu", ()), ("cu", ("packaging<25",))):
        wheel(directory / kind, "tensors", f"2.0+{kind}", requires)
    return "\n".join(
        f'[[tool.uv.index]]\nname = "{kind}"\nurl = "../indexes/{kind}"\nformat = "flat"\nexplicit = true'
        for kind in ("cpu", "cu")
    )


BY_PLATFORM = """
[tool.uv.sources]
tensors = [
    { index = "cpu", marker = "platform_machine == 'aarch64'" },
    { index = "cu", marker = "platform_machine != 'aarch64'" },
]
"""
BY_EXTRA = """
[tool.uv]
conflicts = [[{ extra = "cpu" }, { extra = "cu" }]]
[tool.uv.sources]
tensors = [{ index = "cpu", extra = "cpu" }, { index = "cu", extra = "cu" }]
"""
WEB = ["fastapi[standard]", "sqlalchemy[asyncio]", "alembic", "celery[redis]", "boto3", "sentry-sdk[fastapi]", "jinja2"]
DATA = ["seaborn", "statsmodels", "xarray", "pandas", "pyarrow", "scikit-learn", "matplotlib", "polars; platform_machine == 'x86_64'", "dask[complete]"]


def small(out):
    """Small locks with everything that the format has, to be committed."""
    rows = indexes(out / "indexes")
    yield "forks", {
        "pyproject.toml": project(
            "forks",
            ["tensors", "idna<3.10; python_version < '3.12'", "idna>=3.10; python_version >= '3.12'", "colorama; os_name == 'nt'"],
            BY_PLATFORM + rows,
        )
    }, [[]]
    yield "conflicts", {
        "pyproject.toml": project(
            "conflicts",
            ["requests[socks]"],
            '[project.optional-dependencies]\ncpu = ["tensors", "idna==3.9"]\ncu = ["tensors"]\nall = ["conflicts[web]", "six"]\n'
            'web = ["markupsafe"]\n[dependency-groups]\ndev = ["iniconfig"]\ndocs = [{ include-group = "dev" }, "pluggy"]\n'
            + BY_EXTRA
            + rows,
        )
    }, [[], ["--extra", "cpu"], ["--extra", "cu"], ["--extra", "all", "--group", "docs"], ["--group", "dev", "--extra", "cu"]]
    yield "workspace", {
        "pyproject.toml": project(
            "app",
            ["core[fast]", "util", "iniconfig", "tree"],
            '[dependency-groups]\ndev = ["pluggy"]\n[tool.uv]\nenvironments = ["sys_platform == \'linux\'"]\n'
            'constraint-dependencies = ["six<1.17"]\noverride-dependencies = ["idna==3.9"]\n'
            "[tool.uv.sources]\ncore = { workspace = true }\nutil = { workspace = true }\nvirt = { workspace = true }\n"
            'tree = { path = "../outside" }\niniconfig = { path = "../indexes/cpu/tensors-2.0+cpu-py3-none-any.whl" }\n'
            .replace('iniconfig = { path = "../indexes/cpu/tensors-2.0+cpu-py3-none-any.whl" }\n', "")
            + '[tool.uv.workspace]\nmembers = ["libs/*"]\n',
            build=True,
        ),
        "libs/core/pyproject.toml": project(
            "core", ["virt"], '[project.optional-dependencies]\nfast = ["idna"]\n', build=True
        ),
        "libs/util/pyproject.toml": project(
            "util", ["six"], '[dependency-groups]\nextra = ["markupsafe"]\n', requires=">=3.10", build=True
        ),
        "libs/virt/pyproject.toml": project("virt", ["certifi"], "[tool.uv]\npackage = false\n"),
        "../outside/pyproject.toml": project("tree", ["click"], build=True),
    }, [[], ["--group", "dev"], ["@libs/core", "--extra", "fast"], ["@libs/util", "--group", "extra", "--group", "dev"]]
    yield "virtual", {
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["a", "b"]\n[dependency-groups]\nlint = ["six"]\ndev = ["idna"]\n',
        "a/pyproject.toml": project("a", ["certifi"], '[project.optional-dependencies]\nx = ["click"]\n', build=True),
        "b/pyproject.toml": project("b", ["markupsafe"]),
    }, [[], ["--group", "lint"], ["@b", "--group", "lint"]]
    yield "files", {
        "pyproject.toml": project(
            "files",
            ["tensors", "iniconfig"],
            '[tool.uv.sources]\ntensors = { path = "../indexes/cpu/tensors-2.0+cpu-py3-none-any.whl" }\niniconfig = { url = "'
            "https://files.pythonhosted.org/packages/ef/a6/62565a6e1cf69e10f5727360368e451d4b7f58beeac6173dc9db836a5b46/"
            'iniconfig-2.0.0-py3-none-any.whl" }\n',
        )
    }, [[]]


def large(out):
    """Locks of more than fifty packages each."""
    rows = indexes(out / "indexes")
    yield "web", {"pyproject.toml": project("web", WEB)}, [[]]
    yield "data", {"pyproject.toml": project("data", DATA + ["numpy<2; python_version < '3.12'"])}, [[]]
    yield "jupyter", {"pyproject.toml": project("jup", ["jupyterlab", "ipywidgets", "nbconvert[webpdf]"], requires=">=3.10")}, [[]]
    yield "forks", {
        "pyproject.toml": project(
            "forks",
            WEB
            + ["tensors", "numpy<2; python_version < '3.12'", "numpy>=2; python_version >= '3.12'"]
            + ["pandas<2.2; platform_machine == 'aarch64' and python_version < '3.13'"]
            + ["pandas>=2.2; platform_machine != 'aarch64' or python_version >= '3.13'"],
            BY_PLATFORM + rows,
        )
    }, [[]]
    yield "conflicts", {
        "pyproject.toml": project(
            "conflicts",
            WEB + ["scikit-learn"],
            '[project.optional-dependencies]\ncpu = ["tensors", "pandas<2.3"]\ncu = ["tensors", "pandas>=2.3"]\n'
            'all = ["conflicts[web]", "httpx[http2,brotli]"]\nweb = ["flask[async]", "gunicorn[gevent]"]\n'
            '[dependency-groups]\ndev = ["pytest", "mypy"]\ndocs = ["sphinx<8", { include-group = "dev" }]\n'
            + BY_EXTRA
            + rows,
        )
    }, [[], ["--extra", "cpu"], ["--extra", "cu"], ["--extra", "all", "--group", "docs"], ["--all-groups", "--extra", "cu"]]
    yield "groups", {
        "pyproject.toml": project(
            "groups",
            ["django[argon2]", "djangorestframework", "psycopg[binary,pool]", "channels[daphne]"],
            '[dependency-groups]\nold = ["django-stubs", "sphinx<7", "docutils<0.20"]\nnew = ["sphinx>=7.4", "docutils>=0.20", "nox"]\n'
            'test = ["pytest-django", "pytest-xdist[psutil]", "coverage[toml]", "hypothesis[cli]", "ipython"]\n'
            'dev = [{ include-group = "test" }, "ruff", "black[jupyter]"]\n'
            '[tool.uv]\nconflicts = [[{ group = "old" }, { group = "new" }]]\ndefault-groups = ["dev"]\n',
        )
    }, [[], ["--group", "old"], ["--group", "new", "--group", "dev"], ["--group", "test"]]
    yield "torch", {
        "pyproject.toml": project(
            "ml",
            ["transformers[torch]", "datasets", "accelerate", "gradio"],
            '[project.optional-dependencies]\nfast = ["onnxruntime; platform_machine == \'x86_64\'", "sentencepiece"]\n',
        )
    }, [[], ["--extra", "fast"]]
    yield "airflow", {"pyproject.toml": project("flow", ["apache-airflow[celery,postgres]>=2.10,<3"], requires=">=3.11,<3.13")}, [[]]
    yield "linux", {
        "pyproject.toml": project(
            "linux",
            DATA + ["jupyter-server", "pywin32; sys_platform == 'win32'", "uvloop; implementation_name == 'cpython'"],
            '[tool.uv]\nenvironments = ["sys_platform == \'linux\' and platform_machine == \'x86_64\'", '
            '"sys_platform == \'linux\' and platform_machine == \'aarch64\'"]\n'
            'constraint-dependencies = ["numpy<2.3"]\noverride-dependencies = ["tornado<6.5"]\n',
        )
    }, [[]]
    members = ["api", "jobs", "shared"]
    yield "workspace", {
        "pyproject.toml": project(
            "mono",
            ["api[prod]", "jobs", "typer"],
            "[tool.uv.sources]\napi = { workspace = true }\njobs = { workspace = true }\nshared = { workspace = true }\n"
            '[tool.uv.workspace]\nmembers = ["packages/*"]\n[dependency-groups]\nlint = ["ruff", "mypy"]\ndev = ["nox"]\n',
            build=True,
        ),
        "packages/api/pyproject.toml": project(
            "api", WEB + ["shared[aws]"], '[project.optional-dependencies]\nprod = ["gunicorn[gevent]", "uvicorn[standard]"]\n', build=True
        ),
        "packages/jobs/pyproject.toml": project(
            "jobs", ["prefect", "shared", "numpy<2; python_version < '3.12'"], '[dependency-groups]\ndev = ["pytest"]\n', build=True
        ),
        "packages/shared/pyproject.toml": project(
            "shared", ["pydantic-settings"], '[project.optional-dependencies]\naws = ["aioboto3"]\n', requires=">=3.10", build=True
        ),
    }, [[], *([f"@packages/{m}"] for m in members), ["@packages/api", "--extra", "prod"], ["@packages/jobs", "--group", "dev"], ["@packages/api", "--group", "lint"]]
    yield "members", {
        "pyproject.toml": project(
            "two",
            [],
            '[tool.uv]\nconflicts = [[{ package = "one", extra = "x" }, { package = "other", extra = "y" }]]\n'
            "[tool.uv.sources]\none = { workspace = true }\nother = { workspace = true }\n"
            '[tool.uv.workspace]\nmembers = ["one", "other"]\n',
        ),
        "one/pyproject.toml": project("one", DATA, '[project.optional-dependencies]\nx = ["pydantic<2"]\n', build=True),
        "other/pyproject.toml": project("other", WEB, '[project.optional-dependencies]\ny = ["pydantic>=2.10"]\n', build=True),
    }, [[], ["@one"], ["@one", "--extra", "x"], ["@other", "--extra", "y"], ["@other"]]
    yield "nested", {
        "pyproject.toml": project(
            "nested",
            ["nested-lib[all]", "kedro", "mlflow-skinny"],
            '[project.optional-dependencies]\na = ["nested[b]", "great-expectations"]\nb = ["nested[c]", "streamlit"]\nc = ["dagster"]\n'
            '[tool.uv.sources]\nnested-lib = { path = "lib", editable = true }\n',
        ),
        "lib/pyproject.toml": project(
            "nested-lib",
            ["rich"],
            '[project.optional-dependencies]\nall = ["nested-lib[one,two]"]\none = ["textual"]\ntwo = ["typer-slim[standard]", "pandas[excel,html]"]\n',
            build=True,
        ),
    }, [[], ["--extra", "a"], ["--extra", "b"], ["--all-extras"]]


def environment(machine, full):
    return {
        "python_version": full.rsplit(".", 1)[0],
        "python_full_version": full,
        "implementation_version": full,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": machine,
        "platform_release": "",
        "platform_version": "",
        "extra": "",
    }


def selected(export, machine, full, root, directory):
    """One line for each package: `name==version`, or `name @ directory`; nothing where the lock does not hold."""
    lock = tomllib.loads(export)
    if full not in SpecifierSet(lock.get("requires-python", "")):
        return None
    lines = []
    for package in lock.get("packages", []):
        marker = package.get("marker")
        if marker and not Marker(marker).evaluate(environment(machine, full)):
            continue
        if "directory" in package:
            path = os.path.normpath(directory / package["directory"]["path"])
            lines.append(f"{package['name']} @ {os.path.relpath(path, root)}")
        else:
            lines.append(f"{package['name']}=={package['version']}")
    return sorted(lines)


def main(uv, out, size):
    out = Path(out).resolve()
    for name, files, requests in (small if size == "small" else large)(out):
        root = out / name
        for file, text in files.items():
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        subprocess.run([uv, "lock", "--quiet", "--python", "3.11"], cwd=root, check=True)
        text = (root / "uv.lock").read_text()
        count = text.count("[[package]]")
        # Of an index that is a directory uv notes the absolute path too, beside the relative one.
        (root / "uv.lock").write_text(text.replace(out.as_uri(), "file://"))
        cases = []
        for arguments in requests:
            member = [a[1:] for a in arguments if a.startswith("@")]
            arguments = [a for a in arguments if not a.startswith("@")]
            directory = root.joinpath(*member)
            command = [uv, "export", "--quiet", "--frozen", "--no-default-groups", "--no-emit-project", "--format", "pylock.toml"]
            export = subprocess.run([*command, *arguments], cwd=directory, check=True, capture_output=True, text=True).stdout
            table = tomllib.loads((directory / "pyproject.toml").read_text())
            asked = {
                "extras": [b for a, b in zip(arguments, arguments[1:]) if a == "--extra"],
                "groups": [b for a, b in zip(arguments, arguments[1:]) if a == "--group"],
            }
            if "--all-extras" in arguments:
                asked["extras"] = list(table["project"]["optional-dependencies"])
            if "--all-groups" in arguments:
                asked["groups"] = list(table["dependency-groups"])
            for machine, full in TARGETS:
                case = {"member": "".join(member), **asked, "machine": machine, "python": full}
                cases.append({**case, "selected": selected(export, machine, full, root, directory)})
        (root / "expected.json").write_text(json.dumps(cases, indent=1) + "\n")
        print(f"{name}: {count} packages, {len(cases)} selections", flush=True)


main(*sys.argv[1:3], *(sys.argv[3:] or ["large"]))
