#!/bin/sh
set -e

case "$1" in
configure | abort-upgrade | abort-deconfigure | abort-remove)
    if command -v deb-systemd-helper >/dev/null; then
        # A removal without purge has masked it.
        deb-systemd-helper unmask '@PACKAGE@.service' >/dev/null || true
        # Enabled unless the administrator has disabled it.
        if deb-systemd-helper --quiet was-enabled '@PACKAGE@.service'; then
            deb-systemd-helper enable '@PACKAGE@.service' >/dev/null || true
        else
            deb-systemd-helper update-state '@PACKAGE@.service' >/dev/null || true
        fi
    fi
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
        if [ -n "$2" ]; then
            deb-systemd-invoke restart '@PACKAGE@.service' >/dev/null || true
        else
            deb-systemd-invoke start '@PACKAGE@.service' >/dev/null || true
        fi
    fi
    ;;
esac
