//! `docker-archive:FILE[:REF|:@INDEX]`: what `docker save` writes, in the forms that it has had since Docker 1.10.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::archive::{Archive, compression_of};
use super::closure::MANIFESTS;
use super::document::{descriptor, malformed, parse, read};
use super::{Error, Root, Source};
use crate::blob::{Blob, Descriptor, FilePart, Open as _};
use crate::digest::{Digest, Hasher};
use crate::image::media_type::{is_index, is_manifest};
use crate::image::{CONFIG, DOCUMENT_LIMIT, LAYER_GZIP, LAYER_TAR, LAYER_ZSTD, MANIFEST, canonical_json};
use crate::layer::{Compression, decompress_foreign};
use crate::platform::Platform;
use crate::reference::{LayoutReference, RegistryReference};
use crate::store::Store;

/// An image of a `docker save` archive. Its blobs are read there, and verified whenever they are.
#[derive(Debug)]
pub struct DockerArchiveSource {
    archive: Archive,
    manifest: Blob,
    /// What the config says of it.
    platform: Option<Value>,
    /// Where the config and the layers are.
    parts: BTreeMap<Digest, FilePart>,
}

/// An image in `manifest.json` (moby, image-spec v1.2 "Combined Image JSON + Filesystem Changeset Format").
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl DockerArchiveSource {
    /// Reads the headers of the archive, its `manifest.json` and the config, and hashes layers whose digest no document
    /// states: those that are compressed.
    pub fn open(reference: &LayoutReference, store: &Store) -> Result<Self, Error> {
        let place = format!("docker-archive:{}", reference.path.display());
        let archive = Archive::open(place.clone(), &reference.path, store)?;
        let entries = serde_json::from_slice(&archive.read("manifest.json")?);
        let entries: Vec<Entry> = entries.map_err(|source| Error::Document {
            place: place.clone(),
            what: "manifest.json".to_owned(),
            source: Some(source),
        })?;
        let entry = choose(&place, &entries, reference.tag.as_deref())?;
        let bytes = archive.read(&entry.config)?;
        let document = parse(&place, &bytes, &entry.config)?;
        let config = Blob::from_bytes(CONFIG, bytes);
        let found = find_manifest(&archive, entry, &config.descriptor.digest);
        let (manifest, parts) = match found {
            Some(manifest) => (manifest, BTreeMap::new()),
            None => make_manifest(&archive, entry, &config.descriptor, &document)?,
        };
        Ok(Self {
            archive,
            manifest,
            platform: platform(&document),
            parts,
        })
    }
}

impl Source for DockerArchiveSource {
    fn place(&self) -> String {
        self.archive.place.clone()
    }

    fn root(&self, _: Option<Platform>) -> Result<Root, Error> {
        Ok(Root {
            document: self.manifest.clone(),
            platform: self.platform.clone(),
        })
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        read(&self.archive.place, &self.blob(descriptor)?)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        match self.parts.get(&descriptor.digest) {
            Some(part) => Ok(Blob {
                descriptor: descriptor.clone(),
                content: Arc::new(part.clone()),
            }),
            None => self.archive.blob(descriptor),
        }
    }
}

/// The image that a name or `@INDEX` stands for; without either the only one.
fn choose<'e>(place: &str, entries: &'e [Entry], asked: Option<&str>) -> Result<&'e Entry, Error> {
    let found = match (asked, entries) {
        (_, []) => return Err(malformed(place, "it holds no image")),
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(asked), _) => match asked.strip_prefix('@') {
            Some(index) => index.parse().ok().and_then(|at: usize| entries.get(at)),
            None => entries
                .iter()
                .find(|e| e.repo_tags.iter().flatten().any(|tag| is_same(tag, asked))),
        },
    };
    let names = || {
        let name = |(at, entry): (usize, &Entry)| match entry.repo_tags.as_deref() {
            None | Some([]) => vec![format!("@{at}")],
            Some(tags) => tags.to_vec(),
        };
        entries.iter().enumerate().flat_map(name).collect()
    };
    found.ok_or_else(|| Error::Tag {
        place: place.to_owned(),
        asked: asked.map(str::to_owned),
        tags: names(),
    })
}

/// Whether two names are of one image: `app:1` is `docker.io/library/app:1`.
fn is_same(tag: &str, asked: &str) -> bool {
    let qualified = |name: &str| name.parse::<RegistryReference>().map(|r| r.qualified()).ok();
    tag == asked || qualified(tag).is_some_and(|tag| Some(tag) == qualified(asked))
}

/// The manifest with that config that the archive's own `index.json` leads to, if all that it names is there: since
/// Docker 25 archives are image layouts too, and so keep the manifest's digest.
fn find_manifest(archive: &Archive, entry: &Entry, config: &Digest) -> Option<Blob> {
    archive.find("oci-layout")?;
    let mut index = archive.json("index.json").ok()?;
    let (mut open, mut seen) = (VecDeque::new(), BTreeSet::new());
    loop {
        for value in index.get("manifests")?.as_array()? {
            let found = descriptor(&archive.place, value).ok()?;
            if seen.insert(found.digest.clone()) {
                open.push_back(found);
            }
            if seen.len() > MANIFESTS {
                return None;
            }
        }
        index = loop {
            let found = open.pop_front()?;
            // Of an index for several platforms the archive need not have all.
            let Ok(blob) = archive.blob(&found).and_then(|blob| read(&archive.place, &blob)) else {
                continue;
            };
            let bytes = blob.read_verified(DOCUMENT_LIMIT).ok()?;
            let document = parse(&archive.place, &bytes, "manifest").ok()?;
            if is_index(&found.media_type) {
                break document;
            }
            if is_manifest(&found.media_type) && is_of(archive, &document, entry, config) {
                return Some(blob);
            }
        };
    }
}

fn is_of(archive: &Archive, manifest: &Value, entry: &Entry, config: &Digest) -> bool {
    let there = |value: &Value| {
        let descriptor = descriptor(&archive.place, value).ok()?;
        let part = archive.find(&descriptor.digest.layout_name())?;
        (part.size == descriptor.size).then_some(descriptor.digest)
    };
    let layers = manifest.get("layers").and_then(Value::as_array);
    manifest.get("config").and_then(there).as_ref() == Some(config)
        && layers.is_some_and(|layers| {
            layers.len() == entry.layers.len() && layers.iter().all(|layer| there(layer).is_some())
        })
}

/// The platform that a config states (image-spec image-index.md, `platform`).
fn platform(config: &Value) -> Option<Value> {
    let (architecture, os) = (config.get("architecture")?, config.get("os")?);
    let mut platform = json!({ "architecture": architecture, "os": os });
    if let Some(variant) = config.get("variant") {
        platform["variant"] = variant.clone();
    }
    Some(platform)
}

/// A manifest for a config and layers that have none, and where they are.
fn make_manifest(
    archive: &Archive,
    entry: &Entry,
    config: &Descriptor,
    document: &Value,
) -> Result<(Blob, BTreeMap<Digest, FilePart>), Error> {
    let ids = document.pointer("/rootfs/diff_ids").and_then(Value::as_array);
    let ids = ids.map_or(&[][..], Vec::as_slice);
    if ids.len() != entry.layers.len() {
        let (layers, ids) = (entry.layers.len(), ids.len());
        return Err(malformed(
            &archive.place,
            format!("{layers} layers and {ids} diff_ids"),
        ));
    }
    let mut parts = BTreeMap::new();
    let mut layers = Vec::new();
    for (name, id) in entry.layers.iter().zip(ids) {
        let part = archive.need(name)?;
        let id = id.as_str().unwrap_or_default().parse();
        let id: Digest = id.map_err(crate::image::Error::Digest)?;
        let (media_type, digest) = layer(part, id).map_err(|source| Error::Blob {
            place: archive.place.clone(),
            what: name.clone(),
            source,
        })?;
        layers.push(json!({ "mediaType": media_type, "digest": digest, "size": part.size }));
        parts.insert(digest, part.clone());
    }
    parts.insert(config.digest.clone(), archive.need(&entry.config)?.clone());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": CONFIG,
            "digest": config.digest,
            "size": config.size,
        },
        "layers": layers,
    });
    Ok((Blob::from_bytes(MANIFEST, canonical_json(&manifest)?), parts))
}

/// The media type and digest of a layer. A plain tar is what its `diff_id` says, or whoever reads it finds that out; one
/// that is compressed is read here, and checked against it.
fn layer(part: &FilePart, diff_id: Digest) -> io::Result<(&'static str, Digest)> {
    let media_type = match compression_of(part)? {
        None => return Ok((LAYER_TAR, diff_id)),
        Some(Compression::Gzip) => LAYER_GZIP,
        Some(Compression::Zstd) => LAYER_ZSTD,
    };
    let (digest, _) = Digest::of_reader(part.open()?)?;
    let mut hasher = Hasher::new(diff_id.algorithm());
    io::copy(&mut decompress_foreign(part.open()?)?, &mut hasher)?;
    let actual = hasher.finish();
    if actual != diff_id {
        let message = format!("its tar has digest {actual}, and the config says {diff_id}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok((media_type, digest))
}
