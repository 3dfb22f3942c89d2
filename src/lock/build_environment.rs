//! The environment of a build: search path, network, index settings, one time, and what is meant for builds; no secret
//! of the user's.

use std::collections::BTreeMap;
use std::path::Path;

use super::gateway::Gateway;
use super::indexes::Indexes;
use super::process::pick;
use crate::environment::Environment;
use crate::tools::Tools;

/// Variables that tell a backend the version, where git cannot: of the one project that is built.
const VERSION_OF_ONE: [&str; 4] = [
    "SETUPTOOLS_SCM_PRETEND_VERSION",
    "VCS_VERSIONING_PRETEND_VERSION",
    "PBR_VERSION",
    "PDM_BUILD_SCM_VERSION",
];
/// The same with the name of a project at the end, or settings that name no version.
const OF_BUILDS: [&str; 9] = [
    "SETUPTOOLS_SCM_",
    "VCS_VERSIONING_",
    "POETRY_DYNAMIC_VERSIONING_",
    "UV_DYNAMIC_VERSIONING_",
    "PDM_BUILD_",
    "HATCH_BUILD_",
    "MATURIN_",
    "SKBUILD_",
    "CMAKE_",
];
/// Compilers.
const COMPILERS: [&str; 6] = ["CC", "CXX", "AR", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];

/// Variables of the user's that a build of a source directory gets. They are part of what its wheel is kept by.
pub(super) fn of_directory(environment: &Environment) -> BTreeMap<String, String> {
    pick(environment, |name| {
        is_of_builds(name) || VERSION_OF_ONE.contains(&name)
    })
}

fn is_of_builds(name: &str) -> bool {
    let meant = OF_BUILDS.iter().any(|start| name.starts_with(start)) || COMPILERS.contains(&name);
    // A version without a name would become that of every dependency that asks git.
    meant && !VERSION_OF_ONE.contains(&name)
}

/// The same for an archive or repository of others: nothing that names a version without a name.
pub(super) fn of_others(environment: &Environment) -> BTreeMap<String, String> {
    pick(environment, is_of_builds)
}

/// The environment of a build: search path, network, indexes and one time; no secret of the user's.
pub(super) fn of_every_build(home: &Path, indexes: &Indexes, gateway: &Gateway) -> BTreeMap<String, String> {
    let mut variables = indexes.for_uv.clone();
    variables.retain(|name, _| !name.contains("INDEX") && name != "SSL_CLIENT_CERT");
    let first: Vec<String> = indexes.first.iter().map(|url| gateway.index(url)).collect();
    let links: Vec<String> = indexes
        .find_links
        .iter()
        .map(|link| gateway.links(link))
        .collect();
    let home = home.display().to_string();
    for (name, value) in [
        ("HOME", home.as_str()),
        ("TMPDIR", home.as_str()),
        ("UV_DEFAULT_INDEX", &gateway.index(&indexes.default)),
        ("UV_INDEX", &first.join(" ")),
        ("UV_FIND_LINKS", &links.join(",")),
        ("UV_NO_INDEX", if indexes.no_index { "1" } else { "" }),
        // 1980-01-01, the first time that a zip file can hold.
        ("SOURCE_DATE_EPOCH", "315532800"),
        ("PYTHONHASHSEED", "0"),
        // Debug information would name the temporary directory.
        ("CFLAGS", "-g0"),
        ("CXXFLAGS", "-g0"),
    ] {
        if !value.is_empty() {
            variables.insert(name.to_owned(), value.to_owned());
        }
    }
    variables
}

/// Whether a variable is one for builds. The package's own code runs with it: it holds no credential, and changes nothing
/// of what is built. Only a proxy keeps its password, as nothing would reach the network without.
pub(super) fn is_for_builds(name: &str, value: &str, tools: &Tools<'_>) -> bool {
    let is_index = name.starts_with("UV_") && (name.contains("INDEX") || name == "UV_FIND_LINKS");
    let ends = ["_PASSWORD", "_USERNAME", "_TOKEN"];
    let is_secret = ends.iter().any(|end| name.ends_with(end)) || name.starts_with("UV_PUBLISH_");
    let other = [
        "UV_CONFIG_FILE",
        "UV_NO_BUILD",
        "UV_OFFLINE",
        "NETRC",
        "SSL_CLIENT_CERT",
    ];
    let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
    !is_index
        && !is_secret
        && !other.contains(&name)
        && (is_proxy || tools.environment.secrets.check(name, value.as_bytes()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_without_a_name_is_for_the_project_and_not_for_its_dependencies() {
        let variables = [
            "SETUPTOOLS_SCM_PRETEND_VERSION",
            "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_DEMO",
            "CC",
            "AWS_SECRET_ACCESS_KEY",
        ];
        let pairs = variables.map(|name| (name.to_owned(), "1".to_owned()));
        let environment = Environment::new(pairs, "/".into(), std::time::SystemTime::UNIX_EPOCH);
        let own: Vec<_> = of_directory(&environment).into_keys().collect();
        assert_eq!(own, ["CC", variables[0], variables[1]]);
        assert!(!is_of_builds(variables[0]) && is_of_builds(variables[1]));
    }
}
