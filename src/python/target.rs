//! The Target: what the image runs. Wheels, markers and byte-code are chosen for it, never for the host.

use std::fmt;

use crate::platform::Platform;

/// What the image runs, read from the base's own files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Target {
    /// Operating system and CPU.
    #[serde(with = "platform_text")]
    pub platform: Platform,
    /// The C library and its version.
    pub libc: Libc,
    /// CPython's major and minor version, e.g. `(3, 13)`; no other implementation is supported.
    pub python: (u32, u32),
    /// The full version, e.g. `3.13.5`, where the base's files tell it.
    pub python_full: Option<String>,
    /// Absolute path of the interpreter in the image, e.g. `/usr/bin/python3.13`: scripts name it in their first line.
    pub interpreter: String,
}

/// A C library and its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Libc {
    /// GNU libc: wheels tagged `manylinux*`.
    Glibc {
        /// Major version.
        major: u32,
        /// Minor version.
        minor: u32,
    },
    /// musl: wheels tagged `musllinux*`.
    Musl {
        /// Major version.
        major: u32,
        /// Minor version.
        minor: u32,
    },
}

impl Target {
    /// `3.13`
    pub fn python_minor(&self) -> String {
        format!("{}.{}", self.python.0, self.python.1)
    }

    /// The full version, `3.13.0` where the base's files do not tell the patch level.
    pub fn python_full_version(&self) -> String {
        self.python_full
            .clone()
            .unwrap_or_else(|| format!("{}.0", self.python_minor()))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CPython {} on {} with {}",
            self.python_minor(),
            self.platform,
            self.libc
        )
    }
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glibc { major, minor } => write!(f, "glibc {major}.{minor}"),
            Self::Musl { major, minor } => write!(f, "musl {major}.{minor}"),
        }
    }
}

/// Platforms are written as `linux/amd64` in JSON too.
mod platform_text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::platform::Platform;

    #[allow(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde's `with` passes references"
    )]
    pub fn serialize<S: Serializer>(platform: &Platform, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(platform)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Platform, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
