#!/usr/bin/env bash
# Builds with an empty cache (but for the base) from a package host on loopback that gives 100 MB/s, compared with curl of
# the same files over as many connections. Prints tables in Markdown.
#
#   benches/cold.sh [--pypi]     --pypi: also an unlocked project from PyPI, compared with uv + umoci; needs the network
#
# RATE (100) megabytes a second. What else it takes from the environment, and where it writes: measure.sh.
# shellcheck source-path=SCRIPTDIR source=measure.sh
. "$(dirname "$0")/measure.sh"
rate=${RATE:-100}

# Locked: names, hashes and URLs are known.
section_locked() {
    local set=$1 option=$2 name=$1$2
    wheels_of "$set"
    cat "$work/$set"/*.whl >/dev/null
    # shellcheck disable=SC2086 # an option, or none
    serve "$work/$set" --rate "$rate" $option
    URL=$served project_of "project-$name" "$work/$set"
    local urls=()
    while read -r wheel; do urls+=("$served/${wheel//+/%2B}"); done < <(find "$work/$set" -name '*.whl' -printf '%s %f\n' | sort -rn | cut -d' ' -f2)
    for _ in $(seq "$runs"); do
        rm -rf files
        # Beside --parallel, --silent does not silence its meter.
        measure "$name-curl" curl --stderr curl.log --fail --parallel --parallel-immediate --parallel-max 8 --create-dirs \
            --remote-name-all --output-dir files "${urls[@]}"
        clean_cache
        rm -rf out
        measure "$name-pyoci" "$pyoci" build "project-$name" -o out -q
    done
    stop_server
    table "Cold, locked, $(cat "$work/$set"/*.whl | wc -c) bytes in ${#urls[@]} wheels ($set) at $rate MB/s${option:+, server with $option}" "against curl"
    row "curl of the files, 8 connections" "" "$name-curl"
    row "pyoci build, the whole image" "$name-curl" "$name-pyoci"
}

# Unlocked: resolved, downloaded, built. The base is there; pyoci fetches a uv of its own if there is none: it has one here.
section_pypi() {
    mkdir unlocked && echo 'print("hello")' >unlocked/main.py
    printf '%s\n' numpy pandas sqlalchemy fastapi uvicorn flask requests >unlocked/requirements.txt
    for _ in $(seq "$runs"); do
        clean_cache
        rm -rf out
        PATH=$work/uv/bin:$PATH measure pypi-pyoci "$pyoci" build unlocked -o out -q
        rm -rf uv-cache deps out && cp -a base out
        measure pypi-uv env UV_CACHE_DIR="$run/uv-cache" "$uv" pip install --quiet --no-config --only-binary :all: \
            --python-version 3.13 --python-platform x86_64-manylinux_2_28 --target deps --requirement unlocked/requirements.txt
        measure pypi-umoci umoci insert --rootless --image out:latest deps /deps
    done
    table "Cold, unlocked, from PyPI"
    row "pyoci build, the whole image" "" pypi-pyoci
    row "uv, cold cache + umoci insert" pypi-pyoci pypi-uv+pypi-umoci
}

begin
need curl umoci uv
base_of_all
machine
section_locked web ""
section_locked big ""
section_locked web --no-range
[ "${1:-}" != --pypi ] || section_pypi
