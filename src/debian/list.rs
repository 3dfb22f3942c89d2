//! A resolved list of packages: enough to fetch and verify each again, with no index and no dependency left to follow.

use std::fmt;
use std::str::FromStr;

use super::Version;
use super::packages::Package;
use crate::digest::{Algorithm, Digest};

/// One package of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ListedPackage {
    /// Its name.
    pub name: String,
    /// Its version, as Debian writes it.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// SHA-256 of the `.deb`.
    pub sha256: Digest,
    /// Size of the `.deb` in bytes.
    pub size: u64,
    /// The archive it is in, the last part of its mirror's URL: `debian` or `debian-security`.
    pub archive: String,
    /// Where the `.deb` is, below the root of its archive.
    pub filename: String,
}

/// A text that is no listed package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not `NAME VERSION ARCHITECTURE ARCHIVE PATH SIZE SHA256`", .0.escape_debug())]
pub struct ListedPackageError(pub String);

impl fmt::Display for ListedPackage {
    /// One line, as it is in lock files.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            version,
            architecture,
            archive,
            filename,
            size,
            sha256,
        } = self;
        write!(
            f,
            "{name} {version} {architecture} {archive} {filename} {size} {sha256}"
        )
    }
}

impl FromStr for ListedPackage {
    type Err = ListedPackageError;

    fn from_str(text: &str) -> Result<Self, ListedPackageError> {
        let fault = || ListedPackageError(text.to_owned());
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let [name, version, architecture, archive, filename, size, sha256] = words[..] else {
            return Err(fault());
        };
        let sha256: Digest = sha256.parse().map_err(|_| fault())?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let is_right = name.chars().all(is_name)
            && Version::parse(version).is_some()
            && matches!(architecture, "amd64" | "arm64" | "all")
            && sha256.algorithm() == Algorithm::Sha256
            && !filename.split('/').any(|part| matches!(part, "" | "." | ".."));
        if !is_right {
            return Err(fault());
        }
        Ok(Self {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: architecture.to_owned(),
            sha256,
            size: size.parse().map_err(|_| fault())?,
            archive: archive.to_owned(),
            filename: filename.to_owned(),
        })
    }
}

/// Resolved packages, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PackageList {
    packages: Vec<ListedPackage>,
}

impl PackageList {
    /// A list from its packages, in any order.
    pub fn new(mut packages: Vec<ListedPackage>) -> Self {
        packages.sort();
        Self { packages }
    }

    /// The packages.
    pub fn packages(&self) -> &[ListedPackage] {
        &self.packages
    }

    /// The sum of the sizes of the `.deb` files, in bytes.
    pub fn size(&self) -> u64 {
        self.packages.iter().map(|p| p.size).sum()
    }

    /// The digest of name, version, architecture and SHA-256 of each package: the same list from any mirror has the same.
    pub fn digest(&self) -> Digest {
        let line = |p: &ListedPackage| format!("{} {} {} {}\n", p.name, p.version, p.architecture, p.sha256);
        Digest::of(self.packages.iter().map(line).collect::<String>().as_bytes())
    }
}

impl From<&Package> for ListedPackage {
    fn from(package: &Package) -> Self {
        Self {
            name: package.name.clone(),
            version: package.version.to_string(),
            architecture: package.architecture.clone(),
            sha256: package.sha256.clone(),
            size: package.size,
            archive: package.archive.clone(),
            filename: package.filename.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_package_is_one_line_and_nothing_else_is_one() {
        let hash = Digest::of(b"x");
        let line =
            format!("libc6 2.41-12+deb13u1 amd64 debian pool/main/g/glibc/libc6_2.41-12_amd64.deb 12 {hash}");
        let package: ListedPackage = line.parse().unwrap();
        assert_eq!((package.to_string(), package.size), (line.clone(), 12));
        for (from, to) in [
            ("libc6 ", "../x "),
            ("amd64 debian", "sparc debian"),
            (" 12 ", " many "),
            (" 12 ", " 12 12 "),
            ("pool/main", "pool/../main"),
            ("sha256:", "sha512:"),
            ("2.41-12+deb13u1", "2.41_12"),
        ] {
            let wrong = line.replacen(from, to, 1);
            assert!(wrong.parse::<ListedPackage>().is_err(), "{wrong}");
        }
    }
}
