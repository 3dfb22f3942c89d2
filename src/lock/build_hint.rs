//! What a user can do about a build that failed, from what the backend said.

/// Words that backends and compilers say, and what helps.
const KNOWN: [(&str, &str); 16] = [
    (
        "git, which fetches it, is not installed",
        "install git, or require a release that the package index has",
    ),
    (
        "unable to detect version",
        "its version is asked of git: build where .git and git are, or say it: SETUPTOOLS_SCM_PRETEND_VERSION=1.2.3",
    ),
    (
        "Cannot find the version from SCM",
        "its version is asked of git: build where .git and git are, or say it: PDM_BUILD_SCM_VERSION=1.2.3",
    ),
    (
        "Versioning for this project requires either an sdist tarball",
        "its version is asked of git: build where .git and git are, or say it: PBR_VERSION=1.2.3",
    ),
    (
        "This does not appear to be a Git project",
        "its version is asked of git: build where .git and git are",
    ),
    (
        "Rust not found",
        "it is written in Rust: install Rust (https://rustup.rs)",
    ),
    (
        "Cargo, the Rust package manager, is not installed",
        "it is written in Rust: install Rust (https://rustup.rs)",
    ),
    (
        "can't find Rust compiler",
        "it is written in Rust: install Rust (https://rustup.rs)",
    ),
    (
        "cargo metadata",
        "it is written in Rust: install Rust (https://rustup.rs)",
    ),
    (
        "Python.h: No such file",
        "install the headers of this machine's Python (Debian: python3-dev)",
    ),
    (
        "CMAKE_C_COMPILER",
        "it has parts in C: install a C and C++ compiler (Debian: build-essential)",
    ),
    (
        "CMAKE_CXX_COMPILER",
        "it has parts in C++: install a C++ compiler (Debian: build-essential)",
    ),
    (
        "No CMake",
        "install CMake, or declare cmake in [build-system] requires",
    ),
    (
        "Unknown compiler(s)",
        "it has parts in C: install a C and C++ compiler (Debian: build-essential)",
    ),
    (
        "network was disabled",
        "what its build requires was never fetched: run once without --offline",
    ),
    (
        "Network connectivity is disabled",
        "what its build requires was never fetched: run once without --offline",
    ),
];

/// The hint for what a build said, if it is known.
pub(super) fn hint(said: &str) -> Option<String> {
    if let Some((_, hint)) = KNOWN.iter().find(|(words, _)| said.contains(words)) {
        return Some((*hint).to_owned());
    }
    let no_compiler = said.lines().any(|line| {
        ["gcc", "'cc'", "g++", "clang"]
            .iter()
            .any(|name| line.contains(name))
            && (line.contains("No such file or directory") || line.contains("not found"))
    });
    if no_compiler {
        return Some("it has parts in C: install a C compiler (Debian: build-essential)".to_owned());
    }
    let module = undeclared_module(said)?;
    Some(format!(
        "its build uses {module}: it must be named in `[build-system] requires` of its pyproject.toml"
    ))
}

/// The module that a build imported and did not find.
///
/// > `ModuleNotFoundError: No module named 'numpy'`
pub(super) fn undeclared_module(said: &str) -> Option<&str> {
    let (_, module) = said.rsplit_once("No module named '")?;
    module.split(['\'', '.']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_backends_say_has_a_way_out() {
        for (said, expected) in [
            (
                "LookupError: setuptools-scm was unable to detect version for /tmp/x.",
                "PRETEND_VERSION",
            ),
            (
                "error: command 'gcc' failed: No such file or directory",
                "compiler",
            ),
            (
                "ModuleNotFoundError: No module named 'numpy.distutils'",
                "uses numpy:",
            ),
        ] {
            assert!(hint(said).unwrap().contains(expected), "{said}");
        }
        assert_eq!(hint("something else"), None);
    }
}
