#!/bin/sh
# Downloads a wheel of each package of tests/popular_packages/packages.txt, for the Python and platform named there, and opens
# and verifies all of them with pyoci: none may be refused. Needs the network, pip and 4 GB below TMPDIR.
# Usage: tests/popular_wheels.sh; WHEELS=DIRECTORY keeps the wheels.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${WHEELS:-}" ]; then
    WHEELS=$(mktemp -d)
    trap 'rm -rf "$WHEELS"' EXIT
fi
steps="2_39 2_38 2_37 2_36 2_35 2_34 2_31 2_28 2_27 2_26 2_24 2_17 2014 2_12 2010 2_5 1"
grep -v '^#' "$here/popular_packages/packages.txt" | while read -r line; do
    version=3.13 machine=x86_64 package=
    for word in $line; do
        case $word in
        --*) ;;
        3.*) version=$word ;;
        linux/arm64) machine=aarch64 ;;
        sdist:*) continue 2 ;;
        *) package=${word%%\[*} ;;
        esac
    done
    set --
    for step in $steps; do
        case $step in
        *_*) set -- "$@" --platform "manylinux_${step}_$machine" ;;
        *) set -- "$@" --platform "manylinux${step}_$machine" ;;
        esac
    done
    pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp \
        --python-version "$version" "$@" -d "$WHEELS/$version-$machine" "$package"
done
cd "$here/.."
PYOCI_WHEELS=$WHEELS cargo test --locked --test capabilities no_wheel_that_is_right_is_refused -- --nocapture
