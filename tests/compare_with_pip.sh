#!/bin/sh
# Compares pyoci's tree with pip's for packages from the index: each alone, then all together in groups of ten.
# Needs the network, and python3 with pip. Usage: tests/compare_with_pip.sh [REQUIREMENT...]
set -eu
here=$(dirname "$0")/compare_with_pip
wheels=${WHEELS:-$(mktemp -d)} # set WHEELS to keep the downloads
[ $# -gt 0 ] || set -- $(cat "$here/requirements.txt")
cargo build --quiet --example wheel_tree
tool=${CARGO_TARGET_DIR:-target}/debug/examples/wheel_tree
python=$(python3 -c 'import sys; print(sys.executable)')
version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
listing=$(mktemp)
trap 'rm -f "$listing"' EXIT
equal=0 different=0

compare() {
    names=$(for wheel; do basename "$wheel" | cut -d- -f1; done | paste -sd, -)
    if "$tool" "$python" "$version" "$names" "$@" >"$listing" 2>"$listing.err" &&
        python3 "$here/compare.py" "$listing" "$@"; then
        equal=$((equal + 1))
    else
        different=$((different + 1))
        echo "DIFFERENT: $names"
        cat "$listing.err"
    fi
    rm -f "$listing.err"
}

for requirement; do
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$wheels" "$requirement" ||
        echo "no wheel of $requirement for this machine"
done
for wheel in "$wheels"/*.whl; do
    compare "$wheel"
done
set -- "$wheels"/*.whl
while [ $# -ge 10 ]; do
    compare "$1" "$2" "$3" "$4" "$5" "$6" "$7" "$8" "$9" "${10}"
    shift 10
done
echo "$equal equal, $different different"
[ "$different" -eq 0 ]
