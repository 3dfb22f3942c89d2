//! Debian archives: signed release files, package indexes, dependency closure, `.deb` files as trees. Nothing is run.

mod closure;
mod contents;
mod deb;
mod deb822;
mod error;
mod fetch;
mod list;
mod packages;
mod relation;
mod release;
mod signature;
mod snapshot;
mod unpack;
mod version;

use std::collections::BTreeSet;

use url::Url;

pub use deb::{Deb, Leave, MERGED};
pub use deb822::{Stanza, Stanzas};
pub use error::Error;
pub use fetch::{Archives, Reuse};
pub use list::{ListedPackage, ListedPackageError, PackageList};
pub use packages::{Index, Package};
pub use relation::{Relation, parse_all as relations};
pub use release::Release;
pub use signature::{Error as SignatureError, Keyring};
pub use snapshot::DEFAULT_SNAPSHOT;
pub use unpack::Unpacked;
pub use version::Version;

/// The mirror that is used unless another is set.
pub const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";

/// Where the archives are. Plain http is enough: all that comes over it is verified by signature and hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrors {
    debian: Url,
    security: Url,
    /// Debian's own if `None`.
    snapshot: Option<Url>,
}

impl Mirrors {
    /// A mirror of the archive `debian`; `debian-security` is expected beside it, as on Debian's own servers.
    pub fn new(debian: &Url) -> Self {
        let mut debian = debian.clone();
        let trimmed = debian.path().trim_end_matches('/').to_owned();
        let parent = trimmed
            .rsplit_once('/')
            .map_or("", |(parent, _)| parent)
            .to_owned();
        debian.set_path(&format!("{trimmed}/"));
        let mut security = debian.clone();
        security.set_path(&format!("{parent}/debian-security/"));
        Self {
            debian,
            security,
            snapshot: None,
        }
    }

    /// The same, with another snapshot service than Debian's.
    #[must_use]
    pub fn with_snapshot(self, snapshot: &Url) -> Self {
        Self {
            snapshot: Some(snapshot.clone()),
            ..self
        }
    }

    /// The root of an archive, ending in `/`.
    fn root(&self, archive: &str) -> Result<&Url, Error> {
        match archive {
            "debian" => Ok(&self.debian),
            "debian-security" => Ok(&self.security),
            _ => Err(Error::Archive(archive.to_owned())),
        }
    }
}

/// A suite of an archive, e.g. `trixie-updates` of `debian`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// `debian` or `debian-security`.
    pub archive: String,
    /// The suite's directory below `dists/`.
    pub name: String,
}

/// Which packages are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Wanted {
    /// Where to look; of several versions the newest is taken.
    pub suites: Vec<Suite>,
    /// Components of the suites, e.g. `main`.
    pub components: Vec<String>,
    /// Relations, e.g. `python3.13` or `libc6 (>= 2.38)`; what they need comes too.
    pub packages: Vec<String>,
    /// Packages that count as there and are never taken.
    pub exclude: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_security_archive_is_beside_the_main_one() {
        for (mirror, security) in [
            (DEFAULT_MIRROR, "http://deb.debian.org/debian-security/"),
            (
                "http://localhost:1/a/debian/",
                "http://localhost:1/a/debian-security/",
            ),
            ("http://localhost:1", "http://localhost:1/debian-security/"),
        ] {
            let mirrors = Mirrors::new(&mirror.parse().unwrap());
            assert_eq!(mirrors.root("debian-security").unwrap().as_str(), security);
            assert!(mirrors.root("debian").unwrap().as_str().ends_with('/'));
            assert!(mirrors.root("other").is_err());
        }
    }
}
