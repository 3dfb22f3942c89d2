#!/usr/bin/env bash
# Runs all comparisons one after another and prints their tables: those of the README. Nothing else should want the
# processors meanwhile.
#
#   benches/all.sh [--pypi]     --pypi: also what needs PyPI
set -euo pipefail
benches=$(cd "$(dirname "$0")" && pwd)
for section in compare cold bytecode growth base; do
    [ -x "$benches/$section.sh" ] || continue
    printf '\n## %s\n\n' "$section"
    if [ "$section" = cold ]; then "$benches/cold.sh" "$@"; else "$benches/$section.sh"; fi
done
