//! Platforms in the terms of the OCI image spec: operating system, architecture, variant.

use std::fmt;
use std::str::FromStr;

/// A CPU architecture, by its OCI (Go `GOARCH`) name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// 64-bit x86: `amd64` in OCI and Debian, `x86_64` in Python.
    Amd64,
    /// 64-bit ARM: `arm64` in OCI and Debian, `aarch64` in Python.
    Arm64,
}

impl Architecture {
    /// All that pyoci can build for.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The OCI name (`amd64`); Debian uses the same.
    pub fn oci(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The name that Python's `platform.machine()` gives on Linux, also used in wheel tags (`x86_64`).
    pub fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The multiarch triplet of glibc systems (`x86_64-linux-gnu`).
    pub fn multiarch(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }

    /// The `e_machine` of ELF files for it.
    pub fn elf_machine(self) -> u16 {
        match self {
            Self::Amd64 => 62,
            Self::Arm64 => 183,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.oci())
    }
}

/// A platform, `linux/amd64` or `linux/arm64` (OCI image-spec, image-index.md, `platform`).
///
/// The default variant of arm64, `v8`, is accepted when parsing and left out when written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// The CPU; the operating system is always Linux.
    pub architecture: Architecture,
}

/// Why a text is not a platform that pyoci can build for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a supported platform (linux/amd64 or linux/arm64)")]
pub struct PlatformError(pub String);

impl Platform {
    /// The platform for an architecture.
    pub fn linux(architecture: Architecture) -> Self {
        Self { architecture }
    }

    /// The platform of this machine, where it is one that pyoci can build for; else `linux/amd64`.
    pub fn host() -> Self {
        Self::linux(if cfg!(target_arch = "aarch64") {
            Architecture::Arm64
        } else {
            Architecture::Amd64
        })
    }

    /// The OCI operating system name: always `linux`.
    pub fn os(self) -> &'static str {
        "linux"
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        match text {
            "linux/amd64" | "linux/x86_64" => Ok(Self::linux(Architecture::Amd64)),
            "linux/arm64" | "linux/arm64/v8" | "linux/aarch64" => Ok(Self::linux(Architecture::Arm64)),
            _ => Err(PlatformError(text.to_owned())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os(), self.architecture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_round_trip() {
        for architecture in Architecture::ALL {
            let platform = Platform::linux(architecture);
            assert_eq!(platform.to_string().parse::<Platform>().unwrap(), platform);
        }
        assert_eq!(
            "linux/arm64/v8".parse::<Platform>().unwrap().to_string(),
            "linux/arm64"
        );
    }

    #[test]
    fn others_are_refused_by_name() {
        for bad in [
            "",
            "amd64",
            "windows/amd64",
            "linux/riscv64",
            "linux/arm/v7",
            "linux/amd64/",
        ] {
            assert_eq!(bad.parse::<Platform>(), Err(PlatformError(bad.to_owned())));
        }
    }
}
