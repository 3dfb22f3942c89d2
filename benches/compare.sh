#!/usr/bin/env bash
# Compares pyoci with uv + umoci, pip + tar + gzip and buildah on local wheels: the layer of the dependencies, then builds
# in which little or nothing has changed. Prints tables in Markdown. The network is needed the first time only.
#
#   benches/compare.sh [SECTION...]    web, big: their dependencies from nothing; changes; dependency. All by default
#
# What it takes from the environment, and where it writes: measure.sh.
# shellcheck source-path=SCRIPTDIR source=measure.sh
. "$(dirname "$0")/measure.sh"

# Root's storage in a directory of its own, no mounts, no network.
in_buildah() { buildah --root "$run/buildah" --runroot "$run/buildah-run" --storage-driver vfs "$@"; }
export -f in_buildah
export run PIP_ROOT_USER_ACTION=ignore

# By pyoci: the whole image, with nothing but the base in the cache; and what it reports of the layer alone.
pyoci_layer() {
    clean_cache
    rm -rf out
    measure "$1-pyoci" "$pyoci" build "project-$1" -o out -q
    clean_cache
    rm -rf out
    "$pyoci" build "project-$1" -o out -q --format json >report.json
    keep_step report.json dependencies "$1-pyoci-layer"
}

# By uv and umoci; $2: cold or warm.
uv_layer() {
    [ "$2" = warm ] || rm -rf uv-cold
    rm -rf deps out && cp -a base out
    measure "$1-uv-$2" env UV_CACHE_DIR="$run/uv-$2" "$uv" pip install --quiet --no-config --no-index --no-deps \
        --python-version 3.13 --python-platform x86_64-manylinux_2_28 --target deps "$work/$1"/*.whl
    measure "$1-umoci-$2" umoci insert --rootless --image out:latest deps /deps
}

# By pip, tar and gzip: no image yet. $2 names it; $3: an option of pip's, or none, and it makes byte-code.
pip_layer() {
    rm -rf deps
    measure "$1-$2" python3 -m pip install --quiet --ignore-requires-python --disable-pip-version-check --no-index \
        "${@:3}" "${target_options[@]}" --target deps "$work/$1"/*.whl
    measure "$1-$2-gzip" sh -c 'tar --create --sort=name deps | gzip -6 >deps.tar.gz'
}

# What a Dockerfile does (FROM, RUN pip install --target, COPY) with the host's pip, as the base has none.
buildah_layer() {
    rm -rf deps out buildah buildah-run && cp -a base out
    in_buildah pull --quiet oci:out:latest >/dev/null
    measure "$1-buildah-pip" python3 -m pip install --quiet --ignore-requires-python --disable-pip-version-check \
        --no-index --no-compile "${target_options[@]}" --target deps "$work/$1"/*.whl
    # shellcheck disable=SC2016 # for the shell within
    measure "$1-buildah" bash -c 'set -e
        image=$(in_buildah images --quiet | head -1)
        container=$(in_buildah from --pull-never "$image")
        in_buildah copy --quiet "$container" deps /deps
        in_buildah commit --quiet "$container" oci:out:new'
}

# How much larger the layer is than the same tar by gzip -6.
size_of_layer() {
    local blob ours theirs
    blob=$(python3 -c 'import json, sys
for layer in json.load(open("report.json"))["platforms"][0]["layers"]:
    if layer["kind"] == "dependencies": print(layer["digest"].split(":")[1])')
    ours=$(stat -c %s "out/blobs/sha256/$blob")
    theirs=$(gunzip <"out/blobs/sha256/$blob" | gzip -6 | wc -c)
    echo "Its size: $ours bytes; gzip -6 of the same tar: $theirs; $(awk "BEGIN { printf \"%+.1f\", ($ours / $theirs - 1) * 100 }")%."
}

# A list's wheels, in the page cache and in uv's cache, and the project that is locked to them.
prepare() {
    wheels_of "$1"
    project_of "project-$1" "$work/$1"
    cat "$work/$1"/*.whl base/blobs/sha256/* >/dev/null
    uv_layer "$1" warm
    rm "times/$1-uv-warm" "times/$1-umoci-warm"
}

# The dependencies of a list, by everybody in turn.
section_layer() {
    local set=$1 number
    prepare "$set"
    for number in $(seq "$runs"); do
        pyoci_layer "$set"
        uv_layer "$set" cold
        uv_layer "$set" warm
        [ "$number" -gt "$slow_runs" ] || pip_layer "$set" pip --no-compile
        [ "$number" -gt "$slow_runs" ] || pip_layer "$set" pip-compile
        [ "$number" -gt "$slow_runs" ] || [ "$set" != web ] || buildah_layer "$set"
    done
    table "Dependencies from $(find "$work/$set" -name '*.whl' | wc -l) local wheels ($set), $(cat "$work/$set"/*.whl | wc -c) bytes, nothing kept but the base"
    row "pyoci build: the whole image, synced" "" "$set-pyoci"
    row "of that the layer: fetch, verify, install, compress, native libraries" "$set-pyoci" "$set-pyoci-layer"
    row "uv, cold cache + umoci insert" "$set-pyoci" "$set-uv-cold+$set-umoci-cold"
    row "uv, warm cache + umoci insert" "$set-pyoci" "$set-uv-warm+$set-umoci-warm"
    row "pip + tar + gzip -6, no image, byte-code as pip makes by default" "$set-pyoci" "$set-pip-compile+$set-pip-compile-gzip"
    row "pip --no-compile + tar + gzip -6, no image" "$set-pyoci" "$set-pip+$set-pip-gzip"
    [ "$set" != web ] || row "pip + buildah copy + commit to a layout" "$set-pyoci" "$set-buildah-pip+$set-buildah"
    rm -rf out && clean_cache && "$pyoci" build "project-$set" -o out -q --format json >report.json
    echo && size_of_layer
}

# Nothing, then one file of 20, has changed; the dependencies are there.
section_changes() {
    local number
    prepare web
    clean_cache
    rm -rf out out-umoci buildah buildah-run deps
    "$pyoci" build project-web -o out -q >/dev/null
    cp -a base out-umoci && cp -a out out-buildah
    in_buildah pull --quiet oci:out-buildah:latest >/dev/null
    for number in $(seq "$runs"); do
        measure unchanged "$pyoci" build project-web -o out -q
        echo "print('changed $number')" >project-web/main.py
        measure changed "$pyoci" build project-web -o out -q
        rm -rf out-umoci && cp -a base out-umoci
        measure changed-umoci umoci insert --rootless --image out-umoci:latest project-web /app
        [ "$number" -gt "$slow_runs" ] && continue
        # shellcheck disable=SC2016 # for the shell within
        measure changed-buildah bash -c 'set -e
            container=$(in_buildah from --pull-never "$(in_buildah images --quiet | tail -1)")
            in_buildah copy --quiet "$container" project-web /app >/dev/null
            in_buildah commit --quiet "$container" changed
            in_buildah rm "$container"'
        measure changed-push bash -c 'in_buildah push --quiet changed oci:out-buildah:new'
    done
    table "Locked project of 20 files and the web wheels, all built before"
    row "pyoci build, nothing changed" changed unchanged
    row "pyoci build, one file changed, output synced" "" changed
    row "umoci insert of the app (no entrypoint, nothing else looked at)" changed changed-umoci
    row "buildah copy + commit, in its own storage" changed changed-buildah
    row "buildah copy + commit + push to a layout" changed changed-buildah+changed-push
}

# One small dependency in another version: a layer among groups.
section_dependency() {
    local number
    prepare web
    mkdir other && cp "$work"/web/*.whl other/ && rm other/idna-*
    ls "$work"/idna/idna-*.whl >/dev/null 2>&1 ||
        python3 -m pip download --quiet --no-deps --dest "$work/idna" idna==3.10 >&2
    project_of project-other other "$work/idna"
    clean_cache
    rm -rf out
    "$pyoci" build project-web -o out --layers groups -q >/dev/null
    cp project-other/pylock.toml project-web/pylock.toml
    mv cache before && mv out out-before
    for number in $(seq "$runs"); do
        rm -rf cache out && cp -a before cache && cp -a out-before out
        measure dependency "$pyoci" build project-web -o out --layers groups -q
        rm -rf deps out && cp -a base out
        measure dependency-uv env UV_CACHE_DIR="$run/uv-warm" "$uv" pip install --quiet --no-config --no-index --no-deps \
            --python-version 3.13 --python-platform x86_64-manylinux_2_28 --target deps other/*.whl "$work"/idna/*.whl
        measure dependency-umoci umoci insert --rootless --image out:latest deps /deps
    done
    table "One small dependency (idna) in another version, layers = \"groups\""
    row "pyoci build" "" dependency
    row "uv, warm cache + umoci insert" dependency dependency-uv+dependency-umoci
}

begin
need umoci buildah uv
base_of_all
machine
echo "$("$uv" --version), $(umoci --version | head -1), $(buildah --version), $(python3 -m pip --version | cut -d' ' -f1-2)"
[ $# -gt 0 ] || set -- web big changes dependency
for section in "$@"; do
    case $section in
        web | big) section_layer "$section" ;;
        changes | dependency) "section_$section" ;;
    esac
done
