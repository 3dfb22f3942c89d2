//! Sources: places that images are read from. What they hold is read in one way, wherever it is.

mod archive;
mod closure;
mod docker_archive;
mod document;
mod error;
mod layout;
mod oci_archive;
mod registry;
mod select;

use std::fmt;
use std::sync::Arc;

use crate::blob::{Blob, Descriptor, Open};
use crate::platform::Platform;
use crate::reference::{ImageReference, Repository};
use crate::registry::Client;
use crate::store::Store;

pub use archive::{ArchiveKind, archive_kind};
pub use closure::closure;
pub use docker_archive::DockerArchiveSource;
pub use error::Error;
pub use layout::{BASE_REPOSITORY, LayoutSource};
pub use oci_archive::OciArchiveSource;
pub use registry::{RegistryRemote, RegistrySource};
pub use select::{SourceImage, image, platforms};

/// A place that holds an image under the name by which it was asked for. Documents are small and read at once, verified;
/// configs and layers stay where they are until they are opened.
pub trait Source: Send + Sync + fmt::Debug {
    /// The place, as messages name it.
    fn place(&self) -> String;

    /// The tag by which the image is known there, if it has just one.
    fn tag(&self) -> Option<String> {
        None
    }

    /// The manifest or index that was asked for. `platform` decides only where a place without tags holds one image for
    /// each platform and no index over them.
    fn root(&self, platform: Option<Platform>) -> Result<Root, Error>;

    /// A manifest or index that another document refers to.
    fn document(&self, descriptor: &Descriptor) -> Result<Blob, Error>;

    /// A config or layer. Whoever opens it must verify it.
    fn blob(&self, descriptor: &Descriptor) -> Result<Blob, Error>;
}

/// Registries, for layouts that left blobs there.
pub trait Remote: Send + Sync + fmt::Debug {
    /// The content of a blob in a repository, fetched when it is opened.
    fn content(&self, repository: &Repository, descriptor: &Descriptor) -> Arc<dyn Open>;
}

/// What a source was asked for.
#[derive(Clone, Debug)]
pub struct Root {
    /// The manifest or index; in memory and verified.
    pub document: Blob,
    /// Its platform (image-spec image-index.md, `platform`), if the place says so.
    pub platform: Option<serde_json::Value>,
}

/// What becomes of configs and layers that are downloaded from registries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// They are kept in the store when they are first opened, and read from there.
    InStore,
    /// Manifests and configs are; layers are passed on, and downloaded again if they are opened again.
    Documents,
    /// Nothing is kept.
    Nowhere,
}

/// Opens the source that a reference names. Archives that are compressed are decompressed into the store.
pub fn open(
    reference: &ImageReference,
    store: &Store,
    registries: &Client,
    keep: Keep,
) -> Result<Box<dyn Source>, Error> {
    match reference {
        ImageReference::Layout(place) => {
            let layers = (keep == Keep::InStore).then_some(store);
            let remote = Arc::new(RegistryRemote::new(registries, layers));
            Ok(Box::new(LayoutSource::open(place)?.with_remote(remote)))
        }
        ImageReference::OciArchive(place) => Ok(Box::new(OciArchiveSource::open(place, store)?)),
        ImageReference::DockerArchive(place) => Ok(Box::new(DockerArchiveSource::open(place, store)?)),
        ImageReference::Registry(name) => Ok(Box::new(RegistrySource::new(name, registries, store, keep))),
        ImageReference::Recipe(_) => Err(Error::Recipe(reference.to_string())),
    }
}
