#!/bin/sh
# Installs what the tests need and is missing: the toolchain, and the tools that read and run the images.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tests/toolchain.sh"

ensure_toolchain
missing=
# Each program, and the Debian package that it is in.
while read -r program package; do
    PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || missing="$missing $package"
done <<LIST
podman podman
runc runc
conmon conmon
skopeo skopeo
umoci umoci
docker-registry docker-registry
htpasswd apache2-utils
openssl openssl
lintian lintian
systemd-analyze systemd
bsdtar libarchive-tools
zstd zstd
xz xz-utils
jq jq
strace strace
mmdebstrap mmdebstrap
busybox busybox
bwrap bubblewrap
shellcheck shellcheck
python3 python3
LIST
# The JSON schemas that the OCI image-spec publishes.
[ -f /usr/share/gocode/src/github.com/opencontainers/image-spec/schema/config-schema.json ] ||
    missing="$missing golang-github-opencontainers-image-spec-dev"
python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
# shellcheck disable=SC2086 # a list of words
[ -z "$missing" ] || install_packages $missing
cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 ||
    rustup component add rustfmt clippy >&2
