#!/usr/bin/env bash
# The recipe base: assembled with an empty cache from a Debian mirror on loopback, then again with what is kept. Prints a
# table in Markdown. The mirror is filled by its first use: that needs the network, and nothing later does.
#
# MIRROR (http://deb.debian.org/debian): what it is filled from. What else it takes from the environment, and where it
# writes: measure.sh. `rm -r target/bench/mirror` takes new packages.
# shellcheck source-path=SCRIPTDIR source=measure.sh
. "$(dirname "$0")/measure.sh"
upstream=${MIRROR:-http://deb.debian.org/debian}

begin
mkdir bare && echo 'print("hello")' >bare/main.py
mkdir -p "$work/mirror"
serve "$work/mirror" --upstream "${upstream%/debian}"
build() { "$pyoci" build bare -o out -q --format json --debian-mirror "$served/debian"; }
build >report.json
find "$work/mirror" -type f -exec cat {} + >/dev/null
for _ in $(seq "$runs"); do
    rm -rf cache out
    measure cold "$pyoci" build bare -o out -q --debian-mirror "$served/debian"
    measure warm "$pyoci" build bare -o out -q --debian-mirror "$served/debian"
    measure upgrade "$pyoci" build bare -o out -q --debian-mirror "$served/debian" --upgrade
done
machine
packages=$(find "$work/mirror" -name '*.deb' | wc -l)
table "The default base (recipe:trixie) of $packages Debian packages, from a mirror on loopback"
row "pyoci build of a program without dependencies, empty cache" "" cold
row "the same again" "" warm
row "the same with --upgrade: the mirror's indexes are read anew" "" upgrade
