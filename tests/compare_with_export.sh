#!/bin/sh
# Compares what pyoci selects of a lock with what the tool's own export gives, for linux/amd64 and linux/arm64 and Python
# 3.11 and 3.13.
#
# usage: tests/compare_with_export.sh LOCK EXPORT [EXTRAS [GROUPS]]
#   LOCK    poetry.lock, pdm.lock or Pipfile.lock
#   EXPORT  `poetry export -f requirements.txt`, `pdm export --prod` or `pipenv requirements` of it
# Needs python3 with the package `packaging`.
set -eu
here=$(dirname "$0")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cargo run --quiet --example selection -- "$1" "${3:-}" "${4:-}" >"$scratch/selection"
python3 "$here/compare_with_export/compare.py" "$scratch/selection" "$2"
