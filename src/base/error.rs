//! Why a base cannot be loaded.

use std::io;

use super::recipe;
use super::target::TargetError;
use crate::digest::Digest;
use crate::{debian, image, layer, source, store};

/// Why a base cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No base is known that brings a fitting Python.
    #[error("no base is known whose Python fits {0}")]
    NoDefault(String),
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] recipe::Error),
    /// The packages of the recipe.
    #[error("the base's packages could not be had")]
    Debian(#[from] debian::Error),
    /// Debian packages over something else.
    #[error("the base {0} is not Debian, or has no list of its packages: none can be added")]
    NotDebian(String),
    /// A Debian release that no recipe is of.
    #[error("no recipe is of Debian {0}: its packages cannot be added")]
    UnknownDebian(String),
    /// What packages lack could not be added.
    #[error("the added packages could not be completed")]
    Packages(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What packages lack could not be added.
    #[error("the base of recipe {recipe} could not be completed")]
    Finish {
        /// The recipe.
        recipe: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The layer could not be written.
    #[error("the base's layer could not be made")]
    Write(#[from] layer::Error),
    /// The cache.
    #[error("the base could not be kept in the cache")]
    Store(#[from] store::Error),
    /// A document could not be made or read.
    #[error("the base's documents")]
    Image(#[from] image::Error),
    /// A layer of the base could not be read.
    #[error("a layer of the base cannot be read")]
    Layer(#[source] io::Error),
    /// What the base runs.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The base is another one than that of the lock.
    #[error("{reference} is not the base that was locked: expected {locked}, found {actual}")]
    NotLocked {
        /// The base.
        reference: String,
        /// The digest in the lock.
        locked: Digest,
        /// The digest of what is there.
        actual: Digest,
    },
    /// The image that is the base.
    #[error(transparent)]
    Source(#[from] source::Error),
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoDefault(_) => Some("name one with --base".to_owned()),
            Self::NotLocked { .. } => {
                Some("put the locked image back, or run `pyoci lock --upgrade`".to_owned())
            }
            Self::NotDebian(_) | Self::UnknownDebian(_) => {
                Some("take a recipe as the base, or a base that has the libraries".to_owned())
            }
            Self::Recipe(e) => e.hint(),
            Self::Debian(e) => e.hint(),
            Self::Store(e) => e.hint(),
            Self::Image(e) => e.hint(),
            Self::Target(e) => e.hint(),
            Self::Source(e) => e.hint(),
            _ => None,
        }
    }
}
