//! Images: a base, layers over it and how to run them become manifest and config. Pure: no file, network or clock.

mod assemble;
pub mod base;
mod config;
mod descriptor;
mod index;
mod run;
#[cfg(test)]
pub(crate) mod testing;
mod validate;

pub use assemble::{Image, assemble};
pub use base::{Base, BaseOrigin};
pub use config::rfc3339;
pub use descriptor::{canonical_json, from_oci, to_oci};
pub use index::Index;
pub use run::{Run, UserChoice};
pub use validate::{Invalid, validate};

use crate::paths::PathError;

/// Media type of image manifests.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of image indexes.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of image configs.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of gzip-compressed layers.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Media type of zstd-compressed layers.
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Media type of layers that are not compressed.
pub const LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";

/// Manifests, configs and indexes larger than this many bytes are refused (distribution-spec, "Pushing Manifests").
pub const DOCUMENT_LIMIT: u64 = 4 * 1024 * 1024;

/// Why an image cannot be assembled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base's config is not what the OCI image spec asks for.
    #[error("the base's config is not valid: {0}")]
    BaseConfig(String),
    /// A document could not be written as JSON.
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
    /// An OCI document is malformed.
    #[error("malformed OCI document")]
    Document(#[from] oci_spec::OciSpecError),
    /// A digest in a document is malformed.
    #[error("malformed digest in an OCI document")]
    Digest(#[from] crate::digest::DigestError),
    /// A user that is neither numeric nor known to the base.
    #[error("user `{0}` is not in the base's /etc/passwd")]
    User(String),
    /// The working directory is not an absolute path in normal form.
    #[error("working directory `{0}` is not an absolute path")]
    WorkingDirectory(String, #[source] Option<PathError>),
    /// An environment variable's name is malformed.
    #[error("`{0}` is not a valid environment variable name")]
    Variable(String),
    /// The time of creation is out of range.
    #[error("{0} seconds since 1970 is not a time that can be written")]
    Time(u64),
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::User(_) => Some("give a numeric UID or UID:GID".to_owned()),
            _ => None,
        }
    }
}
