//! Why a base cannot be loaded.

use std::io;
use std::path::PathBuf;

use super::recipe;
use super::target::TargetError;
use crate::platform::Platform;
use crate::{debian, image, layer, store};

/// Why a base cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A transport that is not built yet.
    #[error("bases from `{0}` are not supported yet")]
    Unsupported(String),
    /// No base is known that brings a fitting Python.
    #[error("no base is known whose Python fits {0}")]
    NoDefault(String),
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] recipe::Error),
    /// The packages of the recipe.
    #[error("the base's packages could not be had")]
    Debian(#[from] debian::Error),
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
    /// There is no image layout.
    #[error("{path} is not an OCI image layout", path = .path.display())]
    NoLayout {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A blob is missing, too large or not what its digest says.
    #[error("the image layout {path} is damaged: {what}", path = .path.display())]
    Blob {
        /// The layout.
        path: PathBuf,
        /// Which document.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A document is not JSON of the right form.
    #[error("the image layout {path} is malformed: {what}", path = .path.display())]
    Document {
        /// The layout.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// Why, where JSON says so.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// The tag is not there, or is needed.
    #[error("{}", tag_message(.path, .asked.as_deref()))]
    Tag {
        /// The layout.
        path: PathBuf,
        /// The tag that was asked for.
        asked: Option<String>,
        /// The tags that are there.
        tags: Vec<String>,
    },
    /// The image is not there for the platform.
    #[error("the base is not there for {platform}")]
    Platform {
        /// What was asked for.
        platform: Platform,
        /// What is there.
        available: Vec<String>,
    },
}

fn tag_message(path: &std::path::Path, asked: Option<&str>) -> String {
    match asked {
        Some(tag) => format!("the image layout {} has no tag `{tag}`", path.display()),
        None => format!(
            "the image layout {} has several images: a tag is needed",
            path.display()
        ),
    }
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unsupported(reference) => {
                let archive =
                    reference.starts_with("oci-archive:") || reference.starts_with("docker-archive:");
                let transport = if archive { "" } else { "docker://" };
                Some(format!(
                    "copy it to a layout: `skopeo copy {transport}{reference} oci:base:latest`, then `--base oci:base:latest`"
                ))
            }
            Self::NoDefault(_) => Some("name one with --base".to_owned()),
            Self::Recipe(e) => e.hint(),
            Self::Debian(e) => e.hint(),
            Self::Store(e) => e.hint(),
            Self::Image(e) => e.hint(),
            Self::Target(e) => e.hint(),
            Self::Tag { tags, path, .. } if !tags.is_empty() => {
                let first = &tags[0];
                Some(format!(
                    "its tags: {}; for example --base oci:{}:{first}",
                    tags.join(", "),
                    path.display()
                ))
            }
            Self::Platform { available, .. } if !available.is_empty() => {
                Some(format!("there is {}", available.join(", ")))
            }
            _ => None,
        }
    }
}
