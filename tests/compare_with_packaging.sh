#!/bin/sh
# Compares versions, specifiers, markers, requirements and names with what `packaging` says: generated strings, and
# every string that the tests of `packaging` itself use.
#
# usage: tests/compare_with_packaging.sh [COUNT [SEED]]
#   COUNT   generated strings [default: 100000]
#   SEED    of the generator [default: 1]
# Fetches `packaging` and its sdist from PyPI; needs python3 with venv.
set -eu
here=$(dirname "$0")
version=26.3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
pip="$scratch/venv/bin/pip --quiet --disable-pip-version-check"
$pip install "packaging==$version" pytest pretend hypothesis tomli_w
$pip download --no-deps --no-binary :all: --dest "$scratch" "packaging==$version"
tar -xf "$scratch/packaging-$version.tar.gz" -C "$scratch"
cp "$here/compare_with_packaging/vectors.py" "$scratch/packaging-$version/"
(
    cd "$scratch/packaging-$version"
    # A test that fails is none of our business; what it asked is.
    VECTORS="$scratch/vectors.json" "$scratch/venv/bin/python" -m pytest -q -p vectors --no-header tests >"$scratch/pytest" 2>&1 || true
    tail -n 1 "$scratch/pytest"
)
"$scratch/venv/bin/python" "$here/compare_with_packaging/compare.py" questions \
    "$scratch/vectors.json" "${1:-100000}" "${2:-1}" >"$scratch/questions"
cargo run --quiet --example specifiers <"$scratch/questions" >"$scratch/answers"
"$scratch/venv/bin/python" "$here/compare_with_packaging/compare.py" judge "$scratch/questions" "$scratch/answers"
