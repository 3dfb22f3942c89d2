//! What can go wrong between a recipe's package names and their files.

use super::{closure, deb, packages, release, signature};
use crate::paths::TreePath;
use crate::{http, store};

/// Why packages could not be resolved, fetched or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A download failed.
    #[error("cannot fetch {what}")]
    Download {
        /// What was wanted: a release file, an index, a package.
        what: String,
        /// Why.
        #[source]
        source: http::Error,
    },
    /// A download broke off or is not what was signed; or the cache cannot be used.
    #[error("{what} from {url} was not kept")]
    Keep {
        /// What was wanted.
        what: String,
        /// Where from.
        url: String,
        /// Why.
        #[source]
        source: store::Error,
    },
    /// Nobody is there to fetch anything.
    #[error("cannot fetch the Debian packages")]
    Threads(#[source] std::io::Error),
    /// The cache cannot be used.
    #[error("the package list could not be remembered")]
    Store(#[from] store::Error),
    /// A package is neither on the mirror nor at the snapshot service.
    #[error("the mirror no longer has {what}, and the snapshot service did not give it")]
    Gone {
        /// The package, with its version.
        what: String,
        /// Why.
        #[source]
        source: http::Error,
    },
    /// The snapshot service does not know a package.
    #[error("the mirror no longer has {what}, and the snapshot service at {url} does not know it")]
    Unknown {
        /// The package, with its version.
        what: String,
        /// The service.
        url: String,
    },
    /// An archive name that has no mirror.
    #[error("archive `{0}` is not known (`debian` and `debian-security` are)")]
    Archive(String),
    /// The keyring cannot be used.
    #[error("the Debian keyring cannot be used")]
    Keyring(#[source] signature::Error),
    /// The release file is not taken.
    #[error("suite {suite} at {url}")]
    Release {
        /// The suite.
        suite: String,
        /// Where the release file is.
        url: String,
        /// Why.
        #[source]
        source: release::Error,
    },
    /// The suite has no such index.
    #[error("suite {suite} has no packages for {component}/{architecture}")]
    NoIndex {
        /// The suite.
        suite: String,
        /// The component, e.g. `main`.
        component: String,
        /// The architecture, e.g. `amd64`.
        architecture: String,
    },
    /// The index cannot be read.
    #[error("package index of suite {suite}")]
    Packages {
        /// The suite.
        suite: String,
        /// Why.
        #[source]
        source: packages::Error,
    },
    /// The list of files cannot be read.
    #[error("list of files of suite {suite}")]
    Contents {
        /// The suite.
        suite: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file in the cache could not be opened.
    #[error("cannot open {what}")]
    Open {
        /// What it is.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The dependencies have no solution.
    #[error("the packages cannot be installed together")]
    Closure(#[from] closure::Error),
    /// A package cannot be read.
    #[error("package {package}")]
    Deb {
        /// The package, with its version.
        package: String,
        /// Why.
        #[source]
        source: deb::Error,
    },
    /// Two packages own one path with different content.
    #[error("{path} is in {first} and in {second}, and not the same")]
    FileConflict {
        /// The path.
        path: TreePath,
        /// The package that had it first.
        first: String,
        /// The other.
        second: String,
    },
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Download { source: http::Error::Offline { .. }, .. } => {
                Some("build once without --offline: packages and their list are then kept".to_owned())
            }
            Self::Download { source: http::Error::Status { status: 404, .. }, .. } => {
                Some("check the Debian mirror (--debian-mirror), or ask for a fresh package list with --pull".to_owned())
            }
            Self::Gone { .. } | Self::Unknown { .. } => Some(
                "another snapshot service can be set with --debian-snapshot; `pyoci lock --upgrade` locks what the mirror has now".to_owned()
            ),
            Self::Download { .. } => Some("another Debian mirror can be set with --debian-mirror".to_owned()),
            Self::Keep { source: store::Error::Mismatch { .. }, .. } => {
                Some("the mirror may be in the middle of an update: try again later, or another one with --debian-mirror".to_owned())
            }
            Self::Keep { source, .. } | Self::Store(source) => source.hint(),
            Self::Release { source: release::Error::Expired(_), .. } => {
                Some("check this machine's clock; if it is right, the mirror is out of date: use another one with --debian-mirror".to_owned())
            }
            Self::Release { source: release::Error::Signature(_), .. } => {
                Some("do not use this mirror: only what Debian's archive keys have signed is taken".to_owned())
            }
            Self::Closure(closure::Error::Older { .. }) => {
                Some("take the base of today: --pull".to_owned())
            }
            Self::FileConflict { .. } => Some("leave one of the packages out of the recipe".to_owned()),
            _ => None,
        }
    }
}
