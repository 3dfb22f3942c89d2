//! A resolved list of packages: enough to fetch and verify each again, with no index and no dependency left to follow.

use super::packages::Package;
use crate::digest::Digest;

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
