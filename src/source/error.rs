//! Why an image cannot be read where it is.

use std::io;

use crate::platform::Platform;
use crate::{image, store};

/// Why an image cannot be read where it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A recipe is no image.
    #[error("`{0}` is a recipe for a base, not an image")]
    Recipe(String),
    /// There is no image layout.
    #[error("{place} is not an OCI image layout")]
    NoLayout {
        /// The place.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A tar file cannot be read, or is none.
    #[error("cannot read the archive {place}")]
    Archive {
        /// The place.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An archive lacks a file that it must have.
    #[error("the archive {place} has no {name}")]
    Missing {
        /// The place.
        place: String,
        /// The file.
        name: String,
    },
    /// The cache has no room for an archive that must be decompressed.
    #[error("an archive cannot be decompressed into the cache")]
    Store(#[from] store::Error),
    /// A blob is missing, too large or not what its digest says.
    #[error("the image in {place} is damaged: {what}")]
    Blob {
        /// The place.
        place: String,
        /// Which document.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A document is not JSON of the right form.
    #[error("the image in {place} is malformed: {what}")]
    Document {
        /// The place.
        place: String,
        /// What is wrong.
        what: String,
        /// Why, where JSON says so.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// A manifest of a type that is no image.
    #[error("{place} holds a document of type `{media_type}`, which is no image manifest or index")]
    MediaType {
        /// The place.
        place: String,
        /// The type.
        media_type: String,
    },
    /// A layer of an unknown type.
    #[error("{place} has a layer of type `{media_type}`, which is none that a base can have")]
    LayerType {
        /// The place.
        place: String,
        /// The type.
        media_type: String,
    },
    /// A layer that is to be fetched from elsewhere and may not be distributed.
    #[error("{place} has a foreign layer (`{media_type}`), which may not be copied")]
    Foreign {
        /// The place.
        place: String,
        /// The type.
        media_type: String,
    },
    /// The tag is not there, or is needed.
    #[error("{}", tag_message(.place, .asked.as_deref()))]
    Tag {
        /// The place.
        place: String,
        /// The tag that was asked for.
        asked: Option<String>,
        /// The tags that are there.
        tags: Vec<String>,
    },
    /// The image is not there for the platform.
    #[error("the image is not there for {platform}")]
    Platform {
        /// What was asked for.
        platform: Platform,
        /// What is there.
        available: Vec<String>,
    },
    /// The registry.
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
    /// A digest or document is not what the OCI specs ask for.
    #[error(transparent)]
    Image(#[from] image::Error),
}

fn tag_message(place: &str, asked: Option<&str>) -> String {
    match asked {
        Some(tag) => format!("{place} has no tag `{tag}`"),
        None => format!("{place} has several images: a tag is needed"),
    }
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { place, name } => other_kind(place, name),
            Self::Store(e) => e.hint(),
            Self::Registry(e) => e.hint(),
            Self::Image(e) => e.hint(),
            Self::Tag { tags, place, .. } if !tags.is_empty() => {
                let first = &tags[0];
                Some(format!(
                    "its tags: {}; for example {place}:{first}",
                    tags.join(", ")
                ))
            }
            Self::Platform { available, .. } if !available.is_empty() => {
                Some(format!("there is {}", available.join(", ")))
            }
            _ => None,
        }
    }
}

/// The transport to use where an archive is of the other kind.
fn other_kind(place: &str, name: &str) -> Option<String> {
    let other = match (name, place.split_once(':')?) {
        ("oci-layout", ("oci-archive", file)) => format!("docker-archive:{file}"),
        ("manifest.json", ("docker-archive", file)) => format!("oci-archive:{file}"),
        _ => return None,
    };
    Some(format!("if it is an archive of the other kind: {other}"))
}
