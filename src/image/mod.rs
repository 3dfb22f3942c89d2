//! Images: a base, layers over it and how to run them become manifest and config. Pure: no file, network or clock.

mod assemble;
pub mod base;
mod closure;
mod config;
mod descriptor;
mod index;
pub mod media_type;
mod rebase;
pub mod record;
mod run;
#[cfg(test)]
pub(crate) mod testing;
mod validate;

pub use assemble::{Image, assemble};
pub use base::{Base, BaseOrigin};
pub use closure::Closure;
pub use config::rfc3339;
pub use descriptor::{canonical_json, from_oci, to_oci};
pub use index::Index;
pub use media_type::{CONFIG, INDEX, LAYER_GZIP, LAYER_TAR, LAYER_ZSTD, MANIFEST};
pub use rebase::{Built, Misfit, rebase};
pub use record::{LayerKind, Record};
pub use run::{Run, UserChoice};
pub use validate::{Invalid, validate};

use crate::paths::PathError;

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
    #[error("user `{0}` is not in the base's /etc/passwd, nor numbers below 2147483648")]
    User(String),
    /// The working directory is not an absolute path in normal form.
    #[error("working directory `{0}` is not an absolute path")]
    WorkingDirectory(String, #[source] Option<PathError>),
    /// An environment variable's name is malformed.
    #[error("`{0}` is not a valid environment variable name")]
    Variable(String),
    /// An image that does not say how it was made.
    #[error("the image was not built by pyoci: it has no label `{label}`", label = record::LABEL)]
    NoRecord,
    /// The record is malformed.
    #[error("the image's label `{label}` is malformed", label = record::LABEL)]
    Record(#[source] serde_json::Error),
    /// Layers do not fit another base.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// The time of creation is out of range.
    #[error("{0} seconds since 1970 is not a time that can be written")]
    Time(u64),
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::User(_) => Some("give a numeric UID or UID:GID: --user 1000:1000".to_owned()),
            Self::NoRecord => Some("only images that pyoci built can be rebased; build it again".to_owned()),
            Self::Misfit(_) => Some("build the image again on the new base: pyoci build --base".to_owned()),
            _ => None,
        }
    }
}
