#!/usr/bin/env bash
# Compares pyoci with uv + umoci and with pip + tar + gzip, on local wheels, side by side; prints a table in Markdown.
#
#   benches/compare.sh [DIRECTORY]     wheels are taken from DIRECTORY/wheels, or downloaded to it
#
# RUNS (5) runs of each, in turn; medians. Needs python3 and pip. uv (from PyPI) and umoci (from Debian) are installed
# where they are missing. PYOCI names the program (target/release/pyoci). Everything is written below DIRECTORY.
set -euo pipefail

repository=$(cd "$(dirname "$0")/.." && pwd)
work=$(mkdir -p "${1:-$repository/target/compare}" && cd "${1:-$repository/target/compare}" && pwd)
runs=${RUNS:-5}
pyoci=${PYOCI:-$repository/target/release/pyoci}
wheels=$work/wheels
platforms=(manylinux2014_x86_64)
for minor in 5 12 17 24 27 28; do platforms+=("manylinux_2_${minor}_x86_64"); done
python_options=(--python-version 3.13 --implementation cp --only-binary=:all: "${platforms[@]/#/--platform=}")

prepare() {
    [ -x "$pyoci" ] || cargo build --release --manifest-path "$repository/Cargo.toml"
    command -v umoci >/dev/null || apt-get install --yes --no-install-recommends umoci >&2
    if [ ! -x "$work/uv/bin/uv" ]; then
        python3 -m venv "$work/uv"
        "$work/uv/bin/pip" install --quiet uv
    fi
    if ! ls "$wheels"/*.whl >/dev/null 2>&1; then
        python3 -m pip download --quiet "${python_options[@]}" --dest "$wheels" \
            numpy pandas sqlalchemy fastapi 'uvicorn[standard]' flask requests
    fi
    rm -rf "$work/run" && mkdir -p "$work/run/project" "$work/run/times" && cd "$work/run"
    echo 'print("hello")' >project/main.py
    python3 - "$wheels" >project/pylock.toml <<'PYTHON'
import hashlib, pathlib, sys
print('lock-version = "1.0"\ncreated-by = "compare"')
for wheel in sorted(pathlib.Path(sys.argv[1]).glob("*.whl")):
    name, version = wheel.name.split("-")[:2]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    print(f'\n[[packages]]\nname = "{name.replace("_", "-").lower()}"\nversion = "{version}"')
    print(f'wheels = [{{ name = "{wheel.name}", path = "{wheel}", hashes = {{ sha256 = "{digest}" }} }}]')
PYTHON
    # The base, resolved and assembled; nothing else is in this cache. Its image is what umoci adds a layer to.
    mkdir bare && cp project/main.py bare/
    XDG_CACHE_HOME=$work/run/clean "$pyoci" build bare -o base -q >/dev/null
    cat "$wheels"/*.whl base/blobs/sha256/* >/dev/null
}

# Runs a command and appends its wall seconds, processor seconds and peak memory in MB to a file of times.
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
    print(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, file=times)
PYTHON
}

build() { measure "$1" "$pyoci" build "$work/run/project" -o "$work/run/out" -q --format json; }

run_pyoci() {
    export XDG_CACHE_HOME=$work/run/cache
    rm -rf cache out && cp -a clean cache
    measure pyoci "$pyoci" build project -o out -q
    # The dependencies alone, as pyoci itself reports it: fetched, verified, installed, compressed, in the store.
    rm -rf cache out && cp -a clean cache
    "$pyoci" build project -o out -q --format json >report.json
    python3 -c 'import json
for step in json.load(open("report.json"))["timings"]:
    if step["step"] == "dependencies": print(step["seconds"], 0, 0)' >>times/pyoci-layer
    build pyoci-unchanged
    echo 'print("changed")' >>project/main.py
    build pyoci-changed
}

# $1: where uv's cache is.
run_uv() {
    rm -rf deps out && cp -a base out
    measure "uv-$2" env UV_CACHE_DIR="$1" "$work/uv/bin/uv" pip install --quiet --no-config --no-index --no-deps \
        --python-version 3.13 --python-platform x86_64-manylinux_2_28 --target deps "$wheels"/*.whl
    measure "umoci-$2" umoci insert --rootless --image out:latest deps /deps
}

run_pip() {
    rm -rf deps
    measure pip python3 -m pip install --quiet --ignore-requires-python --disable-pip-version-check --no-index --no-deps --no-compile \
        "${python_options[@]}" --target deps "$wheels"/*.whl
    measure gzip sh -c 'tar --create --sort=name deps | gzip -6 >deps.tar.gz'
}

table() {
    echo "$(nproc) processors, load $(cut -d' ' -f1 /proc/loadavg), $(uname -m), $(ls "$wheels"/*.whl | wc -l) wheels of" \
        "$(cat "$wheels"/*.whl | wc -c) bytes, medians of $runs runs"
    "$work/uv/bin/uv" --version
    umoci --version
    openssl speed -seconds 1 -bytes 131072 -evp sha256 2>/dev/null | tail -1
    python3 - "$work/run/times" <<'PYTHON'
import pathlib, statistics, sys
def column(names, at):
    # Steps of one job are added run by run.
    files = [[list(map(float, l.split())) for l in (pathlib.Path(sys.argv[1]) / n).open()] for n in names]
    rows = zip(*([row[at] for row in rows] for rows in files))
    return statistics.median((max if at == 2 else sum)(row) for row in rows)
own = column(["pyoci"], 0)
print("\n| | wall (ms) | processor (ms) | peak memory (MB) | wall, against pyoci |\n|---|---|---|---|---|")
for title, names in {
    "pyoci build, empty store: the whole image": ["pyoci"],
    "uv, cold cache + umoci insert": ["uv-cold", "umoci-cold"],
    "uv, warm cache + umoci insert": ["uv-warm", "umoci-warm"],
    "pip + tar + gzip -6, no image": ["pip", "gzip"],
    "pyoci: the layer alone, as its report says": ["pyoci-layer"],
    "pyoci build, one file of the app changed": ["pyoci-changed"],
    "pyoci build, nothing changed": ["pyoci-unchanged"],
}.items():
    wall, processor, memory = (column(names, at) for at in range(3))
    shown = [f"{wall * 1000:.0f}", f"{processor * 1000:.0f}", f"{memory:.0f}", f"{wall / own:.1f}x"]
    print("|", " | ".join([title] + (shown if memory else [shown[0], "", "", shown[3]])), "|")
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
    run_pip
done
table
