#!/bin/sh
# Builds images of popular packages, one at a time and in groups, compares them with pip's tree and imports them under podman.
# Needs the network, podman, and pip of Python 3.13 and 3.11 (python3.13, python3.11 on PATH). Takes about an hour on two cores.
# Usage: tests/popular_packages.sh [FILE...]; RESULTS=FILE keeps the results, and what has one there is not built again.
set -eu
here=$(cd "$(dirname "$0")" && pwd)/popular_packages
[ $# -gt 0 ] || set -- "$here/packages.txt" "$here/groups.txt"
work=$(mktemp -d)
trap 'podman unshare rm -rf "$work" 2>/dev/null || rm -rf "$work"' EXIT
cargo build --quiet
python3 "$here/check.py" "${CARGO_TARGET_DIR:-target}/debug/pyoci" "$work" "${RESULTS:-$work/results.jsonl}" "$@"
