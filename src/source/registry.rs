//! Registry references: an image in a repository, by tag or digest.

use std::sync::Arc;

use super::{Error, Remote, Root, Source};
use crate::blob::{Blob, Descriptor, Open};
use crate::platform::Platform;
use crate::reference::{RegistryReference, Repository};
use crate::registry::{Client, RegistryBlob};
use crate::store::Store;

/// An image in a registry.
#[derive(Debug)]
pub struct RegistrySource {
    client: Client,
    reference: RegistryReference,
    keep: Option<Store>,
}

impl RegistrySource {
    /// An image in a registry, which is not asked yet. With a store, configs and layers are kept there when they are
    /// opened; without, they are downloaded whenever they are.
    pub fn new(reference: &RegistryReference, client: &Client, keep: Option<&Store>) -> Self {
        Self {
            client: client.clone(),
            reference: reference.clone(),
            keep: keep.cloned(),
        }
    }
}

impl Source for RegistrySource {
    fn place(&self) -> String {
        self.reference.qualified()
    }

    fn root(&self, _: Option<Platform>) -> Result<Root, Error> {
        let repository = &self.reference.repository;
        let document = match (&self.reference.digest, &self.reference.tag) {
            (Some(digest), _) => self.client.manifest_by_digest(repository, digest)?,
            (None, Some(tag)) => self.client.manifest_by_tag(repository, tag)?,
            (None, None) => self.client.manifest_by_tag(repository, "latest")?,
        };
        Ok(Root {
            document,
            platform: None,
        })
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        let repository = &self.reference.repository;
        let found = self.client.manifest_by_digest(repository, &descriptor.digest)?;
        // What refers to it says what it is; size and digest are checked by whoever reads it.
        Ok(Blob {
            descriptor: descriptor.clone(),
            content: found.content,
        })
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        let repository = &self.reference.repository;
        Ok(RegistryBlob::new(&self.client, repository, descriptor, self.keep.as_ref()).blob())
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
