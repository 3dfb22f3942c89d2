#!/bin/sh
# Makes locks of 50 packages and more with uv and compares what pyoci takes of them with `uv export`.
# Needs the network, uv, and a python3 (3.11 or newer) with pip. Takes a minute or two.
# Usage: tests/uv_locks.sh [UV]
set -eu
here=$(cd "$(dirname "$0")" && pwd)/uv_locks
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 "$here/make.py" "${1:-uv}" "$work" large
PYOCI_UV_LOCKS=$work cargo test --test capabilities uv_locks::what_is_taken
