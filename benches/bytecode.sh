#!/usr/bin/env bash
# What byte-code costs and brings: builds with --compile beside uv + umoci, then how long imports take in a container that
# may write nothing, beside byte-code that was made in place. Prints tables in Markdown. Needs root, for podman.
#
#   benches/bytecode.sh
#
# PYTHON is the interpreter that uv compiles with (/usr/bin/python3); IMPORTS (9) how often each import is timed. What else
# it takes from the environment, and where it writes: measure.sh.
# shellcheck source-path=SCRIPTDIR source=measure.sh
. "$(dirname "$0")/measure.sh"

python=${PYTHON:-/usr/bin/python3}
imports=${IMPORTS:-9}
pandas=(pandas)
web=(fastapi sqlalchemy flask uvicorn)

# A program that imports what it is told and prints how long that took, or compiles what is below directories.
write_program() {
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
}

# Nothing kept but the base (clean), or the base and the byte-code of its standard library (library).
pyoci_cold() {
    rm -rf cache out && cp -a "$1" cache
    measure "$1" "$pyoci" build project -o out -q --compile
}

# One small dependency in another version; then nothing.
pyoci_warm() {
    rm -rf cache out && cp -a compiled cache
    measure "other$1" "$pyoci" build other -o out -q --compile "${@:2}"
    measure "unchanged$1" "$pyoci" build other -o out -q --compile "${@:2}"
}

# By uv and umoci; $1: cold or warm.
uv_compiled() {
    [ "$1" = warm ] || rm -rf uv-cold
    rm -rf deps out && cp -a base out
    measure "uv-$1" env UV_CACHE_DIR="$run/uv-$1" "$uv" pip install --quiet --no-config --no-index --no-deps \
        --compile-bytecode --python "$python" --python-version 3.13 --python-platform x86_64-manylinux_2_28 \
        --target deps "$work"/web/*.whl
    measure "umoci-$1" umoci insert --rootless --image out:latest deps /deps
}

section_builds() {
    local number
    mkdir wheels && cp "$work"/web/*.whl wheels/ && rm wheels/idna-*
    ls "$work"/idna/idna-*.whl >/dev/null 2>&1 ||
        python3 -m pip download --quiet --no-deps --dest "$work/idna" idna==3.10 >&2
    project_of other wheels "$work/idna"
    cp -a clean library
    XDG_CACHE_HOME=$run/library "$pyoci" build bare -o out -q --compile >/dev/null
    cp -a library compiled
    for number in single groups; do
        XDG_CACHE_HOME=$run/compiled "$pyoci" build project -o out -q --compile --layers "$number" >/dev/null
    done
    uv_compiled warm
    rm times/uv-warm times/umoci-warm
    for number in $(seq "$runs"); do
        pyoci_cold library
        uv_compiled cold
        pyoci_cold clean
        uv_compiled warm
        pyoci_warm "" --layers single
        pyoci_warm -groups --layers groups
        clean_cache && rm -rf out
        measure without "$pyoci" build project -o out -q
    done
    table "Dependencies with byte-code from $(find "$work/web" -name '*.whl' | wc -l) local wheels"
    row "pyoci build --compile: the base and its byte-code are there" "" library
    row "pyoci build --compile: the base is there, the byte-code of its library is made too" library clean
    row "pyoci build without byte-code" library without
    row "uv --compile-bytecode, cold cache + umoci insert" library uv-cold+umoci-cold
    row "uv --compile-bytecode, warm cache + umoci insert" library uv-warm+umoci-warm
    row "pyoci build --compile: one small dependency (idna) in another version" library other
    row "the same with layers = \"groups\"" library other-groups
    row "pyoci build --compile: nothing changed" library unchanged
}

in_podman() {
    CONTAINERS_CONF=$repository/tests/containers.conf podman --root "$run/s" --runroot "$run/r" "$@"
}

# The images that are compared: without byte-code, with it, and with all that compileall makes in the image itself.
images() {
    local kind
    rm -rf cache && cp -a compiled cache
    "$pyoci" build project -o plain-image -t plain -q >/dev/null
    "$pyoci" build project -o compiled-image -t compiled -q --compile >/dev/null
    for kind in plain compiled; do
        in_podman pull --quiet "oci:$run/$kind-image:$kind" >"$kind.id"
    done
    in_podman run --name made --user 0:0 "$(cat plain.id)" compile /deps /usr/lib/python3.13
    in_podman commit --quiet made >in-place.id
    in_podman rm made >/dev/null
}

# Imports modules in a container of an image; keeps the seconds of the imports alone, and what the whole command took.
import() {
    local start end seconds
    start=$(date +%s.%N)
    seconds=$(in_podman run --rm --read-only --user 65532:65532 "$(cat "$1.id")" "${@:3}")
    end=$(date +%s.%N)
    echo "$seconds 0 0" >>"$run/times/import-$2-$1"
    awk "BEGIN { print $end - $start, 0, 0 }" >>"$run/times/run-$2-$1"
}

import_all() {
    local kind
    for kind in plain in-place compiled; do import "$kind" pandas "${pandas[@]}"; done
    for kind in plain in-place compiled; do import "$kind" web "${web[@]}"; done
}

section_imports() {
    local number stack what
    images
    # Nobody's first time counts.
    import_all && rm times/import-* times/run-*
    for number in $(seq "$imports"); do import_all; done
    table "Imports in podman run --read-only" "against in place"
    for stack in pandas web; do
        for what in import run; do
            local title="$stack: $what"
            [ $what = run ] && title="$stack: the whole podman run"
            row "$title, no byte-code" "$what-$stack-in-place" "$what-$stack-plain"
            row "$title, made in place" "" "$what-$stack-in-place"
            row "$title, --compile" "$what-$stack-in-place" "$what-$stack-compiled"
        done
    done
}

begin
need umoci podman uv
base_of_all
wheels_of web
project_of project "$work/web"
write_program
cat "$work"/web/*.whl base/blobs/sha256/* >/dev/null
machine
echo "$("$uv" --version) with $("$python" --version), $(umoci --version | head -1), $(podman --version)"
section_builds
section_imports
