//! Closures: what a tag names and everything that it refers to, byte by byte as it is.

use oci_spec::image::Descriptor as OciDescriptor;

use super::{Error, Index};
use crate::blob::Blob;
use crate::digest::Digest;

/// A manifest or an index, and all that can be reached from it. What sinks write: an image that was built and one that
/// is copied are the same to them.
#[derive(Clone, Debug)]
pub struct Closure {
    /// What an `index.json` lists (image-spec image-layout.md): the root's descriptor, with its platform if that is known.
    pub descriptor: OciDescriptor,
    /// Manifests and indexes, each after those that it refers to; the last is the root. Never empty.
    pub documents: Vec<Blob>,
    /// Configs and layers, each once.
    pub blobs: Vec<Blob>,
}

impl Closure {
    /// The manifest or index that a tag names.
    pub fn root(&self) -> &Blob {
        &self.documents[self.documents.len() - 1]
    }

    /// The digest that a tag stands for.
    pub fn digest(&self) -> &Digest {
        &self.root().descriptor.digest
    }

    /// Every blob, what refers to others after what it refers to.
    pub fn all(&self) -> impl Iterator<Item = &Blob> {
        self.blobs.iter().chain(&self.documents)
    }

    /// Adds a config or layer, unless it is there already.
    pub fn add_blob(&mut self, blob: Blob) {
        let digest = &blob.descriptor.digest;
        if self.blobs.iter().all(|known| known.descriptor.digest != *digest) {
            self.blobs.push(blob);
        }
    }
}

impl TryFrom<&Index> for Closure {
    type Error = Error;

    fn try_from(index: &Index) -> Result<Self, Error> {
        let mut closure = Self {
            descriptor: index.root_descriptor()?,
            documents: Vec::new(),
            blobs: Vec::new(),
        };
        for image in &index.images {
            for layer in &image.layers {
                closure.add_blob(layer.blob.clone());
            }
            closure.add_blob(image.config.clone());
            closure.documents.push(image.manifest.clone());
        }
        closure.documents.extend(index.index.clone());
        Ok(closure)
    }
}
