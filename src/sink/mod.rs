//! Sinks: an image goes somewhere. A sink knows nothing of Python.

pub mod layout;

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The destination is something else than a directory.
    #[error("output {path} is not a directory", path = .0.display())]
    NotDirectory(PathBuf),
    /// The destination has files that are no layout.
    #[error("output {path} is not empty and not an OCI image layout", path = .0.display())]
    NotLayout(PathBuf),
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
            Self::Damaged { path, .. } => {
                let layout = path.parent().unwrap_or(path);
                Some(format!("remove {} and build again", layout.display()))
            }
            _ => None,
        }
    }
}
