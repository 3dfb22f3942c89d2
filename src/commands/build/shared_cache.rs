//! `--cache-from` and `--cache-to`: what a store knows, kept in a repository of a registry for other machines.
//!
//! Every key is a tag of the repository, after the tag of the reference if that has one. Its manifest has the note as its config, and the layer that the note tells of,
//! if it tells of one, as its only layer.

use std::collections::{BTreeMap, BTreeSet};
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
    places: Vec<RegistryReference>,
    client: Client,
    store: Store,
    progress: Progress,
    /// Where each key was found.
    found: Mutex<BTreeMap<Digest, Repository>>,
    /// Repositories that could not be asked: once is enough.
    away: Mutex<BTreeSet<Repository>>,
}

impl SharedCache {
    /// A cache that is read from several places, the first that knows a key wins. Layers are kept in the store once they are
    /// opened.
    pub fn new(places: Vec<RegistryReference>, client: &Client, store: &Store, progress: &Progress) -> Self {
        Self {
            places,
            client: client.clone(),
            store: store.clone(),
            progress: progress.clone(),
            found: Mutex::default(),
            away: Mutex::default(),
        }
    }

    fn ask(&self, place: &RegistryReference, key: &Digest) -> Option<Vec<u8>> {
        let (repository, tag) = (&place.repository, tag(place, key));
        if self.away.lock().ok()?.contains(repository) {
            return None;
        }
        let manifest = match self.client.find_tag(repository, &tag) {
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
                .warn(format!("{repository}:{tag} is no entry of a cache"));
        }
        note
    }

    fn unreachable(&self, repository: &Repository, error: &dyn fmt::Display) {
        if let Ok(mut away) = self.away.lock() {
            away.insert(repository.clone());
        }
        self.progress
            .warn(format!("the cache in {repository} is not asked: {error}"));
    }
}

/// The tag that stands for a key.
fn tag(place: &RegistryReference, key: &Digest) -> String {
    match &place.tag {
        Some(tag) => format!("{tag}-{}", key.hex()),
        None => key.hex(),
    }
}

impl Remote for SharedCache {
    fn memo(&self, key: &Digest) -> Option<Vec<u8>> {
        let (place, note) = self
            .places
            .iter()
            .find_map(|place| Some((place, self.ask(place, key)?)))?;
        if let Ok(mut found) = self.found.lock() {
            found.insert(key.clone(), place.repository.clone());
        }
        Some(note)
    }

    fn blob(&self, key: &Digest, descriptor: &Descriptor) -> Option<Blob> {
        let found = self.found.lock().ok()?.get(key).cloned();
        // A note of an earlier build, whose layer has left the store: any of the repositories may have it.
        let all = || self.places.iter().map(|place| place.repository.clone()).collect();
        let repositories: Vec<_> = found.map_or_else(all, |repository| vec![repository]);
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
pub(super) fn publish(place: &RegistryReference, written: &[Written], tools: &Tools) -> anyhow::Result<()> {
    let Tools {
        store,
        registries: client,
        progress,
        ..
    } = tools;
    let repository = &place.repository;
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
        let tag = tag(place, key);
        let there = client.tag_digest(repository, &tag)?;
        if there.as_ref() == Some(entry.digest()) {
            continue;
        }
        let reference = RegistryReference {
            repository: repository.clone(),
            tag: Some(tag),
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
