# Sourced: makes sure that there are a C compiler and a recent enough Rust, and puts cargo on PATH.

say() { printf '%s\n' "$*" >&2; }

# Installs Debian packages, as root or by sudo; without either it says what to install.
install_packages() {
    if ! command -v apt-get >/dev/null; then
        say "error: please install what these Debian packages hold: $*"
        exit 1
    fi
    as_root=
    if [ "$(id -u)" != 0 ]; then
        if ! sudo -n true 2>/dev/null; then
            say "error: packages are missing; please run: sudo apt-get install $*"
            exit 1
        fi
        as_root="sudo -n"
    fi
    say "Installing $*"
    $as_root apt-get update -q >&2
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >&2
}

# Whether cargo is there and its Rust is at least the `rust-version` of Cargo.toml.
rust_is_new_enough() {
    command -v cargo >/dev/null && command -v rustc >/dev/null || return 1
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
    found=$(rustc --version | cut -d' ' -f2)
    [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n1)" = "$wanted" ]
}

ensure_toolchain() {
    [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
    missing=
    command -v cc >/dev/null || missing="$missing gcc libc6-dev"
    rust_is_new_enough || command -v curl >/dev/null || missing="$missing curl ca-certificates"
    # shellcheck disable=SC2086 # a list of words
    [ -z "$missing" ] || install_packages $missing
    if ! rust_is_new_enough; then
        if command -v rustup >/dev/null; then
            say "Updating Rust"
            rustup update stable >&2 && rustup default stable >&2
        else
            say "Installing Rust for this user (https://rustup.rs)"
            curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
                sh -s -- -y --profile minimal --component clippy,rustfmt >&2
            . "$HOME/.cargo/env"
        fi
    fi
}
