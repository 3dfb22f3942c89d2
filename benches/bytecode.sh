#!/usr/bin/env bash
# What byte-code costs and brings: builds with --compile beside uv + umoci, and how long imports take in a container that
# may write nothing, beside byte-code that was made in place; prints tables in Markdown.
#
#   benches/bytecode.sh [DIRECTORY]     wheels are taken from DIRECTORY/wheels, or downloaded to it
#
# RUNS (9) runs of each, in turn; medians. Needs python3, pip, root and podman. uv (from PyPI) and umoci (from Debian) are
# installed where they are missing. PYOCI names the program (target/release/pyoci), PYTHON the interpreter that uv compiles
# with (/usr/bin/python3). Everything is written below DIRECTORY.
set -euo pipefail

repository=$(cd "$(dirname "$0")/.." && pwd)
work=$(mkdir -p "${1:-$repository/target/bytecode}" && cd "${1:-$repository/target/bytecode}" && pwd)
runs=${RUNS:-9}
pyoci=${PYOCI:-$repository/target/release/pyoci}
python=${PYTHON:-/usr/bin/python3}
wheels=$work/wheels
platforms=(manylinux2014_x86_64)
for minor in 5 12 17 24 27 28; do platforms+=("manylinux_2_${minor}_x86_64"); done
python_options=(--python-version 3.13 --implementation cp --only-binary=:all: "${platforms[@]/#/--platform=}")
declare -A stacks=([pandas]="pandas" [web]="fastapi sqlalchemy flask uvicorn")

prepare() {
    [ -x "$pyoci" ] || cargo build --release --manifest-path "$repository/Cargo.toml"
    for program in umoci podman; do
        command -v "$program" >/dev/null || apt-get install --yes --no-install-recommends "$program" >&2
    done
    if [ ! -x "$work/uv/bin/uv" ]; then
        python3 -m venv "$work/uv"
        "$work/uv/bin/pip" install --quiet uv
    fi
    if ! ls "$wheels"/*.whl >/dev/null 2>&1; then
        python3 -m pip download --quiet "${python_options[@]}" --dest "$wheels" \
            numpy pandas sqlalchemy fastapi 'uvicorn[standard]' flask requests
    fi
    rm -rf "$work/run" && mkdir -p "$work/run/project" "$work/run/times" && cd "$work/run"
    cat >project/main.py <<'PYTHON'
import compileall, importlib, sys, time
if sys.argv[1] == "compile":
    for directory in sys.argv[2:]:
        compileall.compile_dir(directory, quiet=2, force=True)
else:
    start = time.perf_counter()
    for name in sys.argv[1:]:
        importlib.import_module(name)
    print(time.perf_counter() - start)
PYTHON
    lock >project/pylock.toml
    mkdir bare && cp project/main.py bare/
    # The base, resolved and assembled, and nothing else; then with the byte-code of its standard library.
    export XDG_CACHE_HOME=$work/run/clean
    "$pyoci" build bare -o base -q >/dev/null
    cp -a clean library
    XDG_CACHE_HOME=$work/run/library "$pyoci" build bare -o base-compiled -q --compile >/dev/null
    cat "$wheels"/*.whl base/blobs/sha256/* >/dev/null
}

# The lock of all wheels, and of those that are named.
lock() {
    python3 - "$wheels" "$@" <<'PYTHON'
import hashlib, pathlib, sys
print('lock-version = "1.0"\ncreated-by = "compare"')
for wheel in sorted(pathlib.Path(sys.argv[1]).glob("*.whl")) + [pathlib.Path(p) for p in sys.argv[2:]]:
    name, version = wheel.name.split("-")[:2]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    print(f'\n[[packages]]\nname = "{name.replace("_", "-").lower()}"\nversion = "{version}"')
    print(f'wheels = [{{ name = "{wheel.name}", path = "{wheel}", hashes = {{ sha256 = "{digest}" }} }}]')
PYTHON
}

# Writes a wheel of ten modules, no two the same.
one_more_wheel() {
    python3 - "$1" <<'PYTHON'
import base64, hashlib, sys, uuid, zipfile
files = {f"more/m{n}.py": f"def f(a): return a\n\n\nNAME = {uuid.uuid4().hex!r}\n" for n in range(10)}
info = "more-1.0.dist-info/"
files[info + "METADATA"] = "Metadata-Version: 2.1\nName: more\nVersion: 1.0\n"
files[info + "WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
def row(name, text):
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
    return f"{name},sha256={digest},{len(text)}\n"
files[info + "RECORD"] = "".join(row(*file) for file in files.items()) + info + "RECORD,,\n"
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as archive:
    for name, text in files.items():
        archive.writestr(name, text)
PYTHON
}

# Runs a command and appends its wall seconds and processor seconds to a file of times.
measure() {
    python3 - "$work/run/times/$1" "${@:2}" <<'PYTHON'
import os, sys, time
start = time.monotonic()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ,
                      file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
_, status, usage = os.wait4(pid, 0)
wall = time.monotonic() - start
if status:
    sys.exit(f"{sys.argv[2:]}: failed")
with open(sys.argv[1], "a") as times:
    print(wall, usage.ru_utime + usage.ru_stime, file=times)
PYTHON
}

run_pyoci() {
    export XDG_CACHE_HOME=$work/run/cache
    local kind
    for kind in clean library; do
        rm -rf cache out && cp -a "$kind" cache
        measure "pyoci-$kind" "$pyoci" build project -o out -q --compile
    done
    measure pyoci-unchanged "$pyoci" build project -o out -q --compile
    rm -rf changed && cp -a project changed
    one_more_wheel "$work/run/changed/more-1.0-py3-none-any.whl"
    lock "$work/run/changed/more-1.0-py3-none-any.whl" >changed/pylock.toml
    measure pyoci-one-more "$pyoci" build changed -o out -q --compile
    rm -rf cache out && cp -a clean cache
    measure pyoci-without "$pyoci" build project -o out -q
}

# $1: where uv's cache is.
run_uv() {
    rm -rf deps out && cp -a base out
    measure "uv-$2" env UV_CACHE_DIR="$1" "$work/uv/bin/uv" pip install --quiet --no-config --no-index --no-deps \
        --compile-bytecode --python "$python" --python-version 3.13 --python-platform x86_64-manylinux_2_28 \
        --target deps "$wheels"/*.whl
    measure "umoci-$2" umoci insert --rootless --image out:latest deps /deps
}

podman() {
    CONTAINERS_CONF=$repository/tests/containers.conf command podman --root "$work/run/s" --runroot "$work/run/r" "$@"
}

# The images that are compared: without byte-code, with it, and with all that compileall makes in the image itself.
images() {
    export XDG_CACHE_HOME=$work/run/cache
    rm -rf cache && cp -a library cache
    "$pyoci" build project -o plain-image -t plain -q >/dev/null
    "$pyoci" build project -o compiled-image -t compiled -q --compile >/dev/null
    local kind
    for kind in plain compiled; do
        podman pull --quiet "oci:$work/run/$kind-image:$kind" >"$kind.id"
    done
    podman run --name made --user 0:0 "$(cat plain.id)" compile /deps /usr/lib/python3.13
    podman commit --quiet made >in-place.id
    podman rm made >/dev/null
}

# Imports a stack in a container of an image: seconds that the imports take, and the whole command.
import() {
    local start end seconds
    start=$(date +%s.%N)
    # shellcheck disable=SC2086 # names of modules
    seconds=$(podman run --rm --read-only --user 65532:65532 "$(cat "$1.id")" ${stacks[$2]})
    end=$(date +%s.%N)
    echo "$seconds $start $end" | awk '{ print $1, $3 - $2 }' >>"$3"
}

import_all() {
    local kind stack
    for stack in "${!stacks[@]}"; do
        for kind in plain compiled in-place; do
            import "$kind" "$stack" "$1$kind-$stack"
        done
    done
}

table() {
    echo "$(nproc) processors, load $(cut -d' ' -f1 /proc/loadavg), $(uname -m), $(ls "$wheels"/*.whl | wc -l) wheels of" \
        "$(cat "$wheels"/*.whl | wc -c) bytes, medians of $runs runs; $("$work/uv/bin/uv" --version) with" \
        "$("$python" --version), $(umoci --version | head -1), $(command podman --version)"
    python3 - "$work/run/times" "${!stacks[@]}" <<'PYTHON'
import pathlib, statistics, sys
def rows(name):
    return [list(map(float, line.split())) for line in (pathlib.Path(sys.argv[1]) / name).open()]
def column(names, at):
    # Steps of one job are added run by run.
    return statistics.median(sum(row) for row in zip(*([row[at] for row in rows(name)] for name in names)))
own = column(["pyoci-library"], 0)
print("\n| | wall (ms) | processor (ms) | wall, against pyoci |\n|---|---|---|---|")
for title, names in {
    "pyoci build --compile, the base and its byte-code at hand": ["pyoci-library"],
    "pyoci build --compile, the base at hand, its byte-code made too": ["pyoci-clean"],
    "pyoci build --compile, one more wheel": ["pyoci-one-more"],
    "pyoci build --compile, nothing changed": ["pyoci-unchanged"],
    "pyoci build, without byte-code": ["pyoci-without"],
    "uv --compile-bytecode, cold cache + umoci insert": ["uv-cold", "umoci-cold"],
    "uv --compile-bytecode, warm cache + umoci insert": ["uv-warm", "umoci-warm"],
}.items():
    wall, processor = (column(names, at) for at in range(2))
    print(f"| {title} | {wall * 1000:.0f} | {processor * 1000:.0f} | {wall / own:.2f}x |")
print("\n| import in a read-only container | no byte-code (ms) | made in place (ms) | --compile (ms) | against in place |"
      "\n|---|---|---|---|---|")
for stack in sorted(sys.argv[2:]):
    for at, what in enumerate(["the imports alone", "the whole podman run"]):
        plain, place, own = (column([f"{kind}-{stack}"], at) * 1000 for kind in ("plain", "in-place", "compiled"))
        print(f"| {stack}, {what} | {plain:.0f} | {place:.0f} | {own:.0f} | {own / place - 1:+.1%} |")
PYTHON
}

prepare
mkdir -p "$work/run/uv-warm"
run_uv "$work/run/uv-warm" ignored
for _ in $(seq "$runs"); do
    run_pyoci
    rm -rf "$work/run/uv-cold"
    run_uv "$work/run/uv-cold" cold
    run_uv "$work/run/uv-warm" warm
done
images
import_all "$work/run/first-"
for _ in $(seq "$runs"); do
    import_all "$work/run/times/"
done
table
