# shellcheck shell=bash
# Shared by the scripts beside it, which source it: where things are, how commands are
# measured, and what is installed to compare with.
#
# RUNS (5) runs of each, in turn; medians. SLOW_RUNS (at most 2) of what takes tens of seconds. PYOCI names the program
# (target/release/pyoci). Everything is written below BENCH (target/bench); wheels stay there for the next time.
set -euo pipefail

benches=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(dirname "$benches")
work=${BENCH:-$repository/target/bench}
work=$(mkdir -p "$work" && cd "$work" && pwd)
runs=${RUNS:-5}
# shellcheck disable=SC2034 # for those that source this
slow_runs=${SLOW_RUNS:-$((runs < 2 ? runs : 2))}
pyoci=${PYOCI:-$repository/target/release/pyoci}
run=$work/run/$(basename "$0" .sh)
uv=$work/uv/bin/uv

platforms=(manylinux2014_x86_64)
for minor in 5 12 17 24 27 28; do platforms+=("manylinux_2_${minor}_x86_64"); done
# How pip is told of Python 3.13 on glibc 2.28 and later, whatever runs it.
target_options=(--python-version 3.13 --implementation cp --only-binary=:all: --no-deps "${platforms[@]/#/--platform=}")

# An empty directory to work in; no cache but its own.
begin() {
    [ -x "$pyoci" ] || cargo build --release --locked --manifest-path "$repository/Cargo.toml"
    rm -rf "$run" && mkdir -p "$run/times" && cd "$run"
    export XDG_CACHE_HOME=$run/cache
}

# What to compare with: umoci, buildah, skopeo of Debian, uv of PyPI.
need() {
    local missing=() program
    for program in "$@"; do
        if [ "$program" = uv ]; then
            [ -x "$uv" ] || { python3 -m venv "$work/uv" && "$work/uv/bin/pip" install --quiet uv; }
        elif ! command -v "$program" >/dev/null; then
            missing+=("$program")
        fi
    done
    [ ${#missing[@]} -eq 0 ] || apt-get install --yes --no-install-recommends "${missing[@]}" >&2
}

# The wheels of a list (web, big) in $work/NAME, downloaded the first time.
wheels_of() {
    local count
    count=$(grep -c == "$benches/$1.txt")
    [ "$(find "$work/$1" -name '*.whl' 2>/dev/null | wc -l)" = "$count" ] ||
        python3 -m pip download --quiet "${target_options[@]}" --dest "$work/$1" --requirement "$benches/$1.txt" >&2
}

# A project in $1 with 20 files whose lock names the wheels of the directories that follow; at URL, if that is set.
project_of() {
    mkdir -p "$1"
    local number
    for number in $(seq 19); do printf 'NUMBER = %s\n' "$number" >"$1/module_$number.py"; done
    echo 'print("hello")' >"$1/main.py"
    python3 "$benches/lock.py" "${@:2}" >"$1/pylock.toml"
}

# The default base, assembled: nothing else is in the cache `clean`, and `base` is its image, to which others add layers.
base_of_all() {
    mkdir bare && echo 'print("hello")' >bare/main.py
    XDG_CACHE_HOME=$run/clean "$pyoci" build bare -o base -q >/dev/null
}

# The cache as it was when only the base was in it.
clean_cache() { rm -rf cache && cp -a clean cache; }

# Runs a command and keeps what it took under a name.
measure() { python3 "$benches/measure.py" run "$run/times/$1" "${@:2}"; }

# Keeps the seconds of a step of a JSON report under a name.
keep_step() {
    python3 -c 'import json, sys
steps = json.load(open(sys.argv[1]))["timings"]
print(sum(step["seconds"] for step in steps if step["step"] == sys.argv[2]), 0, 0)' "$1" "$2" >>"$run/times/$3"
}

# Begins a table with a heading; $2 names the column of ratios.
table() {
    printf '\n**%s**\n\n' "$1"
    echo "| | wall (ms) | processor (ms) | peak memory (MB) | ${2:-against pyoci} | runs |"
    echo "|---|---|---|---|---|---|"
}

# row TITLE BASE NAME[+NAME]: the medians of what was kept under names.
row() { (cd times && python3 "$benches/measure.py" row "$@"); }

# The machine, for the head of a series.
machine() {
    echo "$(uname -m), $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg)," \
        "SHA-256 $(openssl speed -seconds 1 -bytes 131072 -evp sha256 2>/dev/null | tail -1 | awk '{print $2}') on one," \
        "$("$pyoci" --version), $(date +%Y-%m-%d)"
}

# Starts the file server of this directory, compiled the first time; the URL is in $served. Options as in file_server.rs.
served=
server=
serve() {
    local program=$work/file_server
    [ "$program" -nt "$benches/file_server.rs" ] ||
        rustc --edition 2024 -C opt-level=3 -o "$program" "$benches/file_server.rs"
    coproc SERVER { exec "$program" "$@"; }
    server=$SERVER_PID
    # shellcheck disable=SC2034 # for those that source this
    read -r served <&"${SERVER[0]}"
}

stop_server() {
    if [ -n "$server" ]; then
        kill "$server"
        wait "$server" || true
    fi
    server=
}
trap stop_server EXIT
