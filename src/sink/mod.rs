//! Sinks: an image goes somewhere. A sink knows nothing of Python.

mod archive;
pub mod deb;
pub mod docker_archive;
pub mod file;
pub mod layout;
pub mod oci_archive;
pub mod registry;

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::source::ArchiveKind;

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The destination is something else than a directory.
    #[error("output {path} is not a directory", path = .0.display())]
    NotDirectory(PathBuf),
    /// The destination has files that are no layout.
    #[error("output {path} is not empty and not an OCI image layout", path = .0.display())]
    NotLayout(PathBuf),
    /// The destination is something else than an archive of the kind that was asked for.
    #[error("output {path} is there and not {}", kind_name(*.kind), path = .path.display())]
    NotArchive {
        /// The destination.
        path: PathBuf,
        /// The kind that was asked for.
        kind: ArchiveKind,
    },
    /// A format for one image was asked for several.
    #[error("an archive of Docker's holds an image for one platform, and this one is for {}", .0.join(", "))]
    Platforms(Vec<String>),
    /// A name that Docker cannot give to an image.
    #[error("`{0}` is not a name for an image in an archive of Docker's")]
    Name(String, #[source] Option<crate::reference::ReferenceError>),
    /// An image that Docker's format cannot hold.
    #[error("the image cannot be written as an archive of Docker's: {0}")]
    NotDocker(String),
    /// The destination is a layout whose documents cannot be read.
    #[error("the image layout in {path} is damaged", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Writing failed.
    #[error("cannot write to {path}", path = .path.display())]
    Write {
        /// The destination.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A blob's bytes are not what they should be: the cache, or a base on disk, is damaged.
    #[error("blob {digest} cannot be read")]
    Blob {
        /// The blob.
        digest: Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The reference has a digest, and the image another.
    #[error("{reference} names another image: this one has digest {digest}")]
    OtherDigest {
        /// The reference.
        reference: String,
        /// The image's digest.
        digest: Digest,
    },
    /// The registry.
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
    /// A document could not be made.
    #[error("cannot write the index")]
    Document(#[from] crate::image::Error),
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotDirectory(_) | Self::NotLayout(_) => {
                Some("name a new or empty directory, or an image layout, with -o".to_owned())
            }
            Self::NotArchive { .. } => {
                Some("name a new file with -o, or remove the one that is there".to_owned())
            }
            Self::Platforms(platforms) => platforms.first().map(|first| {
                format!("choose one with --platform, e.g. --platform {first}; or use oci-archive:")
            }),
            Self::Name(..) => Some("give it as NAME:TAG, e.g. me/app:1".to_owned()),
            Self::Damaged { path, .. } => {
                let layout = path.parent().unwrap_or(path);
                Some(format!("remove {} and build again", layout.display()))
            }
            Self::Blob { .. } => {
                Some("build again: what was damaged in the cache is not in it any more".to_owned())
            }
            Self::Registry(e) => e.hint(),
            _ => None,
        }
    }
}

fn kind_name(kind: ArchiveKind) -> &'static str {
    match kind {
        ArchiveKind::Oci => "an archive of an OCI image layout (oci-archive)",
        ArchiveKind::Docker => "an archive of Docker's (docker-archive)",
    }
}
