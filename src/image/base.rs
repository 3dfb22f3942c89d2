//! The Base: what an image is built on.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::layer::Layer;
use crate::paths::TreePath;
use crate::platform::Platform;
use crate::python::Target;
use crate::tree::Owner;

/// Ordered layers, the raw config, and where they came from, for one platform.
#[derive(Clone, Debug)]
pub struct Base {
    /// The layers, lowest first; their bytes stay where they are until opened.
    pub layers: Vec<Layer>,
    /// The image config exactly as it was (image-spec config.md); unknown fields are kept.
    pub config: serde_json::Value,
    /// The platform that was asked for.
    pub platform: Platform,
    /// Where it came from.
    pub origin: BaseOrigin,
    /// Python, libc and CPU, read from its files.
    pub target: Target,
    /// Symbolic links of the base that lead to directories, path to the absolute path of the directory: trees laid over the
    /// base follow them.
    pub directory_links: BTreeMap<TreePath, String>,
    /// `/etc/passwd` of the base: user name to ids and home.
    pub users: BTreeMap<String, User>,
    /// Whether it has a `/bin/sh`.
    pub has_shell: bool,
}

/// A user that the base's `/etc/passwd` names.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct User {
    /// Numeric user and group.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Home directory, absolute.
    pub home: String,
}

impl User {
    /// The ids as an owner of files.
    pub fn owner(&self) -> Owner {
        Owner {
            uid: self.uid,
            gid: self.gid,
        }
    }
}

/// Where a base came from, for annotations, output and caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseOrigin {
    /// From a registry: the fully qualified name and the digest of the manifest (or index) that the name gave.
    Registry {
        /// e.g. `docker.io/library/python:3.12-slim`
        name: String,
        /// What goes into `org.opencontainers.image.base.digest`.
        digest: Digest,
    },
    /// From a layout or an archive on disk: no name that means anything elsewhere.
    Local {
        /// As it was asked for, e.g. `oci:dir:tag`.
        reference: String,
        /// The digest of the manifest.
        digest: Digest,
    },
    /// Assembled from a recipe.
    Recipe {
        /// The recipe's name, e.g. `trixie`.
        name: String,
        /// Digest of the list of packages (name, version, architecture, SHA-256 of each `.deb`).
        packages: Digest,
    },
}
