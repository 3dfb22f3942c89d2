//! `oci-archive:FILE[:TAG]`: an OCI image layout in a tar file (image-spec image-layout.md).

use serde_json::Value;

use super::archive::Archive;
use super::document::{descriptor, read};
use super::layout::{choose, only_tag};
use super::{Error, Root, Source};
use crate::blob::{Blob, Descriptor};
use crate::platform::Platform;
use crate::reference::LayoutReference;
use crate::store::Store;

/// A layout in a tar file, and the tag that was asked for. Its blobs are read there, and verified whenever they are.
#[derive(Debug)]
pub struct OciArchiveSource {
    archive: Archive,
    tag: Option<String>,
    index: Value,
}

impl OciArchiveSource {
    /// Reads the headers of the archive and its `index.json`.
    pub fn open(reference: &LayoutReference, store: &Store) -> Result<Self, Error> {
        let place = format!("oci-archive:{}", reference.path.display());
        let archive = Archive::open(place, &reference.path, store)?;
        // > The oci-layout file MUST exist
        archive.need("oci-layout")?;
        Ok(Self {
            index: archive.json("index.json")?,
            archive,
            tag: reference.tag.clone(),
        })
    }
}

impl Source for OciArchiveSource {
    fn place(&self) -> String {
        self.archive.place.clone()
    }

    fn tag(&self) -> Option<String> {
        self.tag.clone().or_else(|| only_tag(&self.index))
    }

    fn root(&self, platform: Option<Platform>) -> Result<Root, Error> {
        let entry = choose(&self.archive.place, &self.index, self.tag.as_deref(), platform)?;
        Ok(Root {
            document: self.document(&descriptor(&self.archive.place, entry)?)?,
            platform: entry.get("platform").cloned(),
        })
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        read(&self.archive.place, &self.blob(descriptor)?)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        self.archive.blob(descriptor)
    }
}
