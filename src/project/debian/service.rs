//! The systemd unit of a project, and the maintainer scripts that it needs.

use std::collections::BTreeMap;

/// What a unit is made of.
#[derive(Clone, Debug)]
pub struct Service<'a> {
    /// The package, which the unit is named after.
    pub package: &'a str,
    /// What it is.
    pub description: &'a str,
    /// The directory of the package, absolute.
    pub prefix: &'a str,
    /// Whether it starts in the app's directory; its state directory otherwise.
    pub in_app: bool,
}

/// The text of the unit (`systemd.service(5)`, `systemd.exec(5)`).
///
/// What a Python app may need is left to it: executable memory (ctypes, JIT), devices (GPUs), sockets of all families,
/// user namespaces (headless browsers).
pub fn unit(service: &Service<'_>) -> String {
    let Service {
        package,
        description,
        prefix,
        in_app,
    } = service;
    // > "%": specifiers; a backslash at the end continues the line
    let description = description
        .replace(char::is_control, " ")
        .replace('%', "%%")
        .replace('\\', "/");
    let directory = if *in_app {
        format!("{prefix}/app")
    } else {
        format!("%S/{package}")
    };
    include_str!("unit.service")
        .replace("@PACKAGE@", package)
        .replace("@DESCRIPTION@", &description)
        .replace("@DIRECTORY@", &directory.replace(' ', "\\x20"))
        .replace("@PREFIX@", prefix)
}

/// The maintainer scripts: what debhelper's `dh_installsystemd` would make them do, and nothing else.
pub fn scripts(package: &str) -> BTreeMap<&'static str, String> {
    [
        ("postinst", include_str!("postinst.sh")),
        ("prerm", include_str!("prerm.sh")),
        ("postrm", include_str!("postrm.sh")),
    ]
    .into_iter()
    .map(|(name, text)| (name, text.replace("@PACKAGE@", package)))
    .collect()
}
