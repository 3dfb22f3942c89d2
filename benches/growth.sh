#!/usr/bin/env bash
# How time and memory grow: 1, 10 and 100 copies of a set of wheels under names of their own, then 100,000 small files.
# Prints a table in Markdown. What it takes from the environment, and where it writes: measure.sh.
# shellcheck source-path=SCRIPTDIR source=measure.sh
. "$(dirname "$0")/measure.sh"

# A project of synthetic wheels, built with nothing but the base in the cache.
section() {
    local name=$1
    project_of "project-$name" "wheels-$name"
    cat "wheels-$name"/*.whl >/dev/null
    for _ in $(seq "$runs"); do
        clean_cache
        rm -rf out
        measure "$name" "$pyoci" build "project-$name" -o out -q --format json
        clean_cache
        rm -rf out
        "$pyoci" build "project-$name" -o out -q --format json >report.json
        keep_step report.json dependencies "$name-layer"
    done
}

# | title | wheels | files | bytes of wheels | wall | layer | per byte or file | memory |
line() {
    python3 - "$benches" "$1" "wheels-$2" "times/$2" "times/$2-layer" "$3" <<'PYTHON'
import pathlib, sys, zipfile
sys.path.insert(0, sys.argv[1])
import measure
title, wheels, whole, layer, unit = sys.argv[2:]
wheels = list(pathlib.Path(wheels).glob("*.whl"))
size = sum(wheel.stat().st_size for wheel in wheels)
files = sum(len(zipfile.ZipFile(wheel).infolist()) for wheel in wheels)
wall, _, memory = measure.medians(whole)
alone = measure.medians(layer)[0]
each = f"{alone * 1e9 / size:.2f} ns a byte" if unit == "byte" else f"{alone * 1e6 / files:.1f} µs a file"
print(f"| {title} | {len(wheels)} | {files} | {size / 1e6:.1f} | {wall * 1000:.0f} | {alone * 1000:.0f} | {each} | {memory:.0f} |")
PYTHON
}

begin
base_of_all
wheels_of web
machine
for copies in 1 10 100; do
    python3 "$benches/wheels.py" copies "$copies" "wheels-$copies" "$work/web"
    section "$copies"
    [ "$copies" != 100 ] || rm -rf out cache
done
python3 "$benches/wheels.py" small 100000 wheels-small
section small
printf '\n**Growth: synthetic wheels, nothing kept but the base, medians of %s**\n\n' "$runs"
echo "| | wheels | files | MB | wall (ms) | of that the layer (ms) | the layer | peak memory (MB) |"
echo "|---|---|---|---|---|---|---|---|"
for copies in 1 10 100; do line "$copies x the web set without numpy and pandas" "$copies" byte; done
line "small files" small file
