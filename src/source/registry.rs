//! Registry references: an image in a repository, by tag or digest.

use std::sync::Arc;

use super::{Error, Keep, Remote, Root, Source};
use crate::blob::{Blob, Descriptor, Open};
use crate::digest::Digest;
use crate::image::CONFIG;
use crate::image::media_type::DOCKER_CONFIG;
use crate::platform::Platform;
use crate::reference::{RegistryReference, Repository};
use crate::registry::{Client, RegistryBlob};
use crate::store::{self, Kind, Store};

/// An image in a registry.
#[derive(Debug)]
pub struct RegistrySource {
    client: Client,
    reference: RegistryReference,
    /// Where manifests and configs are kept.
    documents: Option<Store>,
    /// Where layers are kept.
    layers: Option<Store>,
}

impl RegistrySource {
    /// An image in a registry, which is not asked yet.
    pub fn new(reference: &RegistryReference, client: &Client, store: &Store, keep: Keep) -> Self {
        Self {
            client: client.clone(),
            reference: reference.clone(),
            documents: (keep != Keep::Nowhere).then(|| store.clone()),
            layers: (keep == Keep::InStore).then(|| store.clone()),
        }
    }

    /// The manifest or index with a digest, from the store or the registry.
    fn manifest(&self, digest: &Digest) -> Result<Blob, Error> {
        if let Some(kept) = self.kept(digest) {
            return Ok(kept);
        }
        let found = self
            .client
            .manifest_by_digest(&self.reference.repository, digest)?;
        self.keep(&found)?;
        Ok(found)
    }

    fn kept(&self, digest: &Digest) -> Option<Blob> {
        let path = self.documents.as_ref()?.find(Kind::Blob, digest).ok()??;
        let bytes = fs_err::read(path).ok()?;
        let document: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        // One that does not say its type itself is asked for again: the registry says it beside it.
        let media_type = document.get("mediaType")?.as_str()?;
        Some(Blob::from_bytes(media_type, bytes)).filter(|blob| blob.descriptor.digest == *digest)
    }

    /// What the store refuses to keep is asked for again.
    fn keep(&self, document: &Blob) -> Result<(), Error> {
        let (Some(store), Ok(mut bytes)) = (&self.documents, document.open_verified()) else {
            return Ok(());
        };
        match store.add(Kind::Blob, Some(&document.descriptor.digest), &mut bytes) {
            Ok(_) | Err(store::Error::Leak(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Source for RegistrySource {
    fn place(&self) -> String {
        self.reference.qualified()
    }

    fn tag(&self) -> Option<String> {
        self.reference.tag.clone()
    }

    fn root(&self, _: Option<Platform>) -> Result<Root, Error> {
        let repository = &self.reference.repository;
        let document = match (&self.reference.digest, &self.reference.tag) {
            (Some(digest), _) => self.manifest(digest)?,
            (None, tag) => {
                let tag = tag.as_deref().unwrap_or("latest");
                let found = self.client.manifest_by_tag(repository, tag)?;
                self.keep(&found)?;
                found
            }
        };
        Ok(Root {
            document,
            platform: None,
        })
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        let found = self.manifest(&descriptor.digest)?;
        // What refers to it says what it is; size and digest are checked by whoever reads it.
        Ok(Blob {
            descriptor: descriptor.clone(),
            content: found.content,
        })
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        let repository = &self.reference.repository;
        let store = match descriptor.media_type.as_str() {
            CONFIG | DOCKER_CONFIG => &self.documents,
            _ => &self.layers,
        };
        Ok(RegistryBlob::new(&self.client, repository, descriptor, store.as_ref()).blob())
    }
}

/// Registries, for layouts that left blobs there.
#[derive(Debug)]
pub struct RegistryRemote {
    client: Client,
    keep: Option<Store>,
}

impl RegistryRemote {
    /// Blobs are kept as those of a [`RegistrySource`] are.
    pub fn new(client: &Client, keep: Option<&Store>) -> Self {
        Self {
            client: client.clone(),
            keep: keep.cloned(),
        }
    }
}

impl Remote for RegistryRemote {
    fn content(&self, repository: &Repository, descriptor: &Descriptor) -> Arc<dyn Open> {
        Arc::new(RegistryBlob::new(
            &self.client,
            repository,
            descriptor,
            self.keep.as_ref(),
        ))
    }
}
