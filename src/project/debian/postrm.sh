#!/bin/sh
set -e

if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
fi

if [ "$1" = remove ] && command -v deb-systemd-helper >/dev/null; then
    deb-systemd-helper mask '@PACKAGE@.service' >/dev/null || true
fi

if [ "$1" = purge ]; then
    if command -v deb-systemd-helper >/dev/null; then
        deb-systemd-helper purge '@PACKAGE@.service' >/dev/null || true
        deb-systemd-helper unmask '@PACKAGE@.service' >/dev/null || true
    fi
    # What systemd made for StateDirectory= of a dynamic user.
    rm -rf '/var/lib/private/@PACKAGE@'
    if [ -L '/var/lib/@PACKAGE@' ]; then
        rm -f '/var/lib/@PACKAGE@'
    fi
fi
