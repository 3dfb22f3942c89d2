//! `--cache-from` and `--cache-to`: what a store knows, kept in a repository of a registry for other machines.
//!
//! Every key is a tag of the repository. Its manifest has the note as its config, and the layer that the note tells of,
//! if it tells of one, as its only layer.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::blob::{Blob, Descriptor, Open};
use crate::commands::destination::Written;
use crate::digest::Digest;
use crate::image::{Closure, DOCUMENT_LIMIT, MANIFEST, canonical_json, to_oci};
use crate::progress::Progress;
use crate::reference::{RegistryReference, Repository};
use crate::registry::{Client, RegistryBlob};
use crate::sink;
use crate::store::{Remote, Store};
use crate::tools::Tools;

/// `artifactType` of the manifests (image-spec manifest.md, "Guidelines for Artifact Usage").
const ARTIFACT: &str = "application/vnd.pyoci.cache.v1";
/// Media type of the notes.
const NOTE: &str = "application/vnd.pyoci.note.v1+json";

/// A repository whose tags are the keys of a store.
#[derive(Debug)]
pub(super) struct SharedCache {
    repositories: Vec<Repository>,
    client: Client,
    store: Store,
    progress: Progress,
    /// Where each key was found.
    found: Mutex<BTreeMap<Digest, Repository>>,
}

impl SharedCache {
    /// A cache that is read from repositories, the first that knows a key wins. Layers are kept in the store once they are
    /// opened.
    pub fn new(repositories: Vec<Repository>, client: &Client, store: &Store, progress: &Progress) -> Self {
        Self {
            repositories,
            client: client.clone(),
            store: store.clone(),
            progress: progress.clone(),
            found: Mutex::default(),
        }
    }

    fn ask(&self, repository: &Repository, key: &Digest) -> Option<Vec<u8>> {
        let manifest = match self.client.find_tag(repository, key.hex()) {
            Ok(manifest) => manifest?,
            Err(error) => {
                self.unreachable(repository, &error);
                return None;
            }
        };
        let read = || -> Option<Vec<u8>> {
            let manifest: Value =
                serde_json::from_slice(&manifest.read_verified(DOCUMENT_LIMIT).ok()?).ok()?;
            if manifest.get("artifactType")?.as_str()? != ARTIFACT {
                return None;
            }
            let note = descriptor(manifest.get("config")?)?;
            let note = RegistryBlob::new(&self.client, repository, &note, None).blob();
            note.read_verified(DOCUMENT_LIMIT).ok()
        };
        let note = read();
        if note.is_none() {
            self.progress
                .warn(format!("{repository}:{} is no entry of a cache", key.hex()));
        }
        note
    }

    fn unreachable(&self, repository: &Repository, error: &dyn fmt::Display) {
        self.progress
            .warn(format!("the cache in {repository} was not asked: {error}"));
    }
}

impl Remote for SharedCache {
    fn memo(&self, key: &Digest) -> Option<Vec<u8>> {
        let (repository, note) = self
            .repositories
            .iter()
            .find_map(|repository| Some((repository, self.ask(repository, key)?)))?;
        if let Ok(mut found) = self.found.lock() {
            found.insert(key.clone(), repository.clone());
        }
        Some(note)
    }

    fn blob(&self, key: &Digest, descriptor: &Descriptor) -> Option<Blob> {
        let found = self.found.lock().ok()?.get(key).cloned();
        // A note of an earlier build, whose layer has left the store: any of the repositories may have it.
        let repositories = found.map_or_else(|| self.repositories.clone(), |repository| vec![repository]);
        let repository = repositories.into_iter().find(|repository| {
            self.client
                .has_blob(repository, &descriptor.digest)
                .unwrap_or(false)
        })?;
        Some(RegistryBlob::new(&self.client, &repository, descriptor, Some(&self.store)).blob())
    }
}

/// Writes all that a build used to a repository. What is there already is not sent, and what the image's own push has
/// brought to the same registry is mounted.
pub(super) fn publish(repository: &Repository, written: &[Written], tools: &Tools) -> anyhow::Result<()> {
    let Tools {
        store,
        registries: client,
        progress,
        ..
    } = tools;
    let neighbour = written
        .iter()
        .filter_map(|w| Some(&w.pushed.as_ref()?.0))
        .find(|pushed| pushed.registry == repository.registry);
    let mut sent = 0;
    let keys = store.used();
    for key in &keys {
        let Some(note) = store.memo(key) else { continue };
        let layer = store.layer(key, "").map(|layer| layer.blob);
        let layer = layer.map(|layer| match neighbour {
            Some(neighbour) if layer.content.repository().is_none() => mountable(layer, neighbour),
            _ => layer,
        });
        let entry = entry(note, layer)?;
        let there = client.tag_digest(repository, key.hex())?;
        if there.as_ref() == Some(entry.digest()) {
            continue;
        }
        let reference = RegistryReference {
            repository: repository.clone(),
            tag: Some(key.hex().to_owned()),
            digest: None,
        };
        sent += sink::registry::write(&entry, &reference, &[], client, progress)?
            .sent
            .bytes;
    }
    let (count, size) = (keys.len(), indicatif::DecimalBytes(sent));
    progress.done("Cached", format!("{count} entries in {repository}, {size} sent"));
    Ok(())
}

/// The manifest of a key, its note and its layer.
fn entry(note: Vec<u8>, layer: Option<Blob>) -> anyhow::Result<Closure> {
    let note = Blob::from_bytes(NOTE, note);
    let layers = layer.iter().map(|layer| to_oci(&layer.descriptor));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": to_oci(&note.descriptor)?,
        "layers": layers.collect::<Result<Vec<_>, _>>()?,
    });
    let manifest = Blob::from_bytes(MANIFEST, canonical_json(&manifest)?);
    Ok(Closure {
        descriptor: to_oci(&manifest.descriptor)?,
        documents: vec![manifest],
        blobs: layer.into_iter().chain([note]).collect(),
    })
}

/// A blob that a repository has too, now that the image was pushed there.
#[derive(Debug)]
struct Mountable {
    content: Arc<dyn Open>,
    repository: Repository,
}

impl Open for Mountable {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        self.content.open()
    }

    fn path(&self) -> Option<&Path> {
        self.content.path()
    }

    fn repository(&self) -> Option<&Repository> {
        Some(&self.repository)
    }
}

fn mountable(blob: Blob, repository: &Repository) -> Blob {
    let content = Mountable {
        content: blob.content,
        repository: repository.clone(),
    };
    Blob {
        descriptor: blob.descriptor,
        content: Arc::new(content),
    }
}

fn descriptor(value: &Value) -> Option<Descriptor> {
    Some(Descriptor {
        media_type: value.get("mediaType")?.as_str()?.to_owned(),
        digest: value.get("digest")?.as_str()?.parse().ok()?,
        size: value.get("size")?.as_u64()?,
        annotations: BTreeMap::new(),
    })
}
