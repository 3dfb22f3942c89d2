//! What lintian finds in every package of this kind, and why it is meant so.

use std::fmt::Write as _;

/// Tags for what wheels hold: stripped, linked and laid out as their makers did it, outside of Debian.
const OF_WHEELS: [&str; 12] = [
    "arch-dependent-file-not-in-arch-specific-directory",
    "arch-independent-package-contains-binary-or-object",
    "binary-from-other-architecture",
    "custom-library-search-path",
    "embedded-library",
    "library-not-linked-against-libc",
    "package-installs-python-bytecode",
    "package-installs-python-pycache-dir",
    "privacy-breach-generic",
    "shared-library-is-executable",
    "statically-linked-binary",
    "unstripped-binary-or-object",
];

/// `/usr/share/lintian/overrides/NAME`; `dependencies` is the directory of the wheels, absolute.
pub fn lintian_overrides(package: &str, prefix: &str, dependencies: &str) -> String {
    let mut text = String::new();
    if prefix.starts_with("/opt/") {
        // > /opt is reserved for the installation of add-on application software packages. (FHS 3.13)
        let _ = writeln!(
            text,
            "# The package is not for Debian's archive: add-on software belongs there (FHS 3.13).\n\
             {package}: dir-or-file-in-opt"
        );
    }
    let place = dependencies.trim_start_matches('/');
    text.push_str("# The wheels of the Python Package Index are installed as their makers built them.\n");
    for tag in OF_WHEELS {
        let _ = writeln!(text, "{package}: {tag} *[{place}/*]");
    }
    text
}
