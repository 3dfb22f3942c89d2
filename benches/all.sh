#!/usr/bin/env bash
# Runs all comparisons one after another and prints their tables: those of the README. Some ten minutes with RUNS=5 on two
# processors, which nothing else should want meanwhile. --pypi: also what needs PyPI.
set -euo pipefail
benches=$(cd "$(dirname "$0")" && pwd)
for section in compare cold bytecode growth base; do
    if [ -x "$benches/$section.sh" ]; then
        printf '\n## %s\n\n' "$section"
        "$benches/$section.sh" "$@"
    fi
done
