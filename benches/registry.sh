#!/usr/bin/env bash
# Pushes an image of about 300 MB to docker-registry on loopback, by pyoci and by skopeo, side by side; then a change of
# the app. Prints medians in Markdown.
#
#   benches/registry.sh [DIRECTORY]    everything is written below DIRECTORY (target/registry)
#
# RUNS (5) runs of each, in turn, each into an empty registry. Needs docker-registry, skopeo, python3 and, the first time,
# PyPI. PYOCI names the program (target/release/pyoci). Look at the load that it prints: both programs and the registry
# want a processor each.
set -euo pipefail

repository=$(cd "$(dirname "$0")/.." && pwd)
work=$(mkdir -p "${1:-$repository/target/registry}" && cd "${1:-$repository/target/registry}" && pwd)
runs=${RUNS:-5}
pyoci=${PYOCI:-$repository/target/release/pyoci}
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
place=127.0.0.1:$port/bench/app
export XDG_CACHE_HOME=$work/cache
registry=

prepare() {
    [ -x "$pyoci" ] || cargo build --release --manifest-path "$repository/Cargo.toml"
    rm -rf "$work/run" && mkdir -p "$work/run/project" && cd "$work/run"
    # Wheels that are large: some 300 MB of layer as it is pushed.
    printf '%s\n' numpy==2.3.4 scipy==1.16.2 pandas==2.3.3 scikit-learn==1.7.2 matplotlib==3.10.7 pyarrow==21.0.0 \
        polars==1.33.1 duckdb==1.4.1 llvmlite==0.45.1 numba==0.62.1 \
        onnxruntime==1.23.1 sympy==1.14.0 pillow==11.3.0 >project/requirements.txt
    echo 'print("hello")' >project/main.py
    "$pyoci" build project -o image -t 1 -q >/dev/null
    cat image/blobs/sha256/* >/dev/null
}

# An empty registry.
start() {
    rm -rf "$work/run/data"
    cat >registry.yml <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/run/data}}
http: {addr: 127.0.0.1:$port}
YAML
    docker-registry serve registry.yml >/dev/null 2>&1 &
    registry=$!
    until python3 -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null; do
        kill -0 "$registry"
        sleep 0.05
    done
}

stop() {
    if [ -n "$registry" ]; then kill "$registry" && wait "$registry" || true; fi
    registry=
}
trap stop EXIT

# Runs a command and appends its wall and processor seconds to a file of times.
measure() {
    python3 - "$work/run/$1.times" "${@:2}" <<'PYTHON'
import os, sys, time
start = time.monotonic()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ,
                      file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY | os.O_CREAT, 0),
                                    (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)])
_, status, usage = os.wait4(pid, 0)
wall = time.monotonic() - start
if status:
    sys.exit(f"{sys.argv[2:]}: failed")
with open(sys.argv[1], "a") as times:
    print(wall, usage.ru_utime + usage.ru_stime, file=times)
PYTHON
}

# A line of the table: medians of a file of times.
row() {
    python3 - "$work/run/$1.times" "$2" <<'PYTHON'
import statistics, sys
rows = [list(map(float, line.split())) for line in open(sys.argv[1])]
wall, busy = (statistics.median(column) for column in zip(*rows))
print(f"| {sys.argv[2]} | {wall:.2f} s | {busy:.2f} s |")
PYTHON
}

by_pyoci() { measure "$1" "$pyoci" push image "$place:1" -q; }
by_skopeo() { measure "$1" skopeo copy --quiet --dest-tls-verify=false oci:image:1 "docker://$place:1"; }
build_and_push() { measure "$1" "$pyoci" build project --push "$place:1" -q; }

# What a push of the image as it is now moves, in bytes, as pyoci reports it.
moved() {
    "$pyoci" push image "$place:1" --format json -q |
        python3 -c 'import json, sys; d = json.load(sys.stdin)["destinations"][0]; print(json.dumps(d))'
}

prepare
echo "image: $(du -sm image | cut -f1) MB; load: $(cut -d' ' -f1-3 /proc/loadavg)" >&2
for run in $(seq "$runs"); do
    for program in pyoci skopeo; do
        start
        "by_$program" "$program-first"
        # Nothing has changed.
        "by_$program" "$program-again"
        # The app changes; the image is there already, only the push is measured.
        echo "print('$program $run')" >project/main.py
        "$pyoci" build project -o image -t 1 -q >/dev/null
        "by_$program" "$program-change"
        if [ "$program" = pyoci ]; then
            echo "print('built $run')" >project/main.py
            build_and_push build-change
            echo "print('moved $run')" >project/main.py
            "$pyoci" build project -o image -t 1 -q >/dev/null
            moved >moved.json
        fi
        stop
    done
done
echo "load after: $(cut -d' ' -f1-3 /proc/loadavg)" >&2
echo "| | wall | processor |"
echo "|---|---|---|"
row pyoci-first "\`pyoci push\`, empty registry"
row skopeo-first "\`skopeo copy\`, empty registry"
row pyoci-again "\`pyoci push\`, nothing changed"
row skopeo-again "\`skopeo copy\`, nothing changed"
row pyoci-change "\`pyoci push\`, app changed"
row skopeo-change "\`skopeo copy\`, app changed"
row build-change "\`pyoci build --push\`, app changed"
echo
echo "A push of a changed app, as pyoci reports it: $(cat moved.json)"
