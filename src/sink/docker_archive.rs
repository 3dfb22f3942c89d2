//! `docker-archive:FILE`: an image as `docker save` writes it since Docker 25, for `docker load` and `podman load`: an
//! image layout and `manifest.json` in one tar file.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::layout::LAYOUT_FILE;
use super::{ArchiveKind, Error, archive};
use crate::blob::{Blob, Descriptor, Open};
use crate::digest::Digest;
use crate::image::media_type::{is_manifest, oci_layer};
use crate::image::{Closure, DOCUMENT_LIMIT, INDEX, LAYER_TAR, LAYER_ZSTD, canonical_json};
use crate::layer::decompress;
use crate::reference::RegistryReference;

/// Fails if something is there that is no archive of Docker's: a cheap look before the work begins.
pub fn check(file: &Path) -> Result<(), Error> {
    archive::check(file, ArchiveKind::Docker)
}

/// Writes an image for one platform under its names (`me/app:1`, `ghcr.io/me/app:1`); without names it is known by the
/// digest of its config only. Replaces the archive that was there, whole.
///
/// Layers of zstd are written decompressed, because Docker before 23 takes none; the manifest is then another.
pub fn write(image: &Closure, file: &Path, names: &[String]) -> Result<(), Error> {
    check(file)?;
    let names = names.iter().map(|n| name(n)).collect::<Result<Vec<_>, _>>()?;
    let single = Single::of(image)?;
    let tags: Vec<_> = names.iter().map(RegistryReference::familiar).collect();
    let path = |blob: &Blob| blob.descriptor.digest.layout_name();
    let docker = json!([{
        "Config": path(&single.config),
        "RepoTags": tags,
        "Layers": single.layers.iter().map(path).collect::<Vec<_>>(),
    }]);
    let documents = [
        ("oci-layout", LAYOUT_FILE.to_vec()),
        ("index.json", canonical_json(&index(&single.manifest, &names))?),
        ("manifest.json", canonical_json(&docker)?),
    ];
    let mut blobs: Vec<&Blob> = Vec::new();
    for blob in [&single.manifest, &single.config]
        .into_iter()
        .chain(&single.layers)
    {
        if blobs
            .iter()
            .all(|b| b.descriptor.digest != blob.descriptor.digest)
        {
            blobs.push(blob);
        }
    }
    archive::write(file, &documents, blobs.into_iter())
}

/// A name with a tag, `latest` if it has none; a digest cannot be given to an image.
fn name(text: &str) -> Result<RegistryReference, Error> {
    let mut name: RegistryReference = text
        .parse()
        .map_err(|source| Error::Name(text.to_owned(), Some(source)))?;
    if name.digest.is_some() {
        return Err(Error::Name(text.to_owned(), None));
    }
    name.tag.get_or_insert_with(|| "latest".to_owned());
    Ok(name)
}

/// The `index.json`, with the names where containerd looks for them (containerd, `core/images/annotations.go`).
fn index(manifest: &Blob, names: &[RegistryReference]) -> Value {
    let Descriptor {
        media_type,
        digest,
        size,
        ..
    } = &manifest.descriptor;
    let mut entries = Vec::new();
    for name in names {
        let annotations = json!({
            "io.containerd.image.name": name.qualified(),
            "org.opencontainers.image.ref.name": name.tag,
        });
        entries.push(json!({
            "mediaType": media_type, "digest": digest, "size": size, "annotations": annotations,
        }));
    }
    if names.is_empty() {
        entries.push(json!({ "mediaType": media_type, "digest": digest, "size": size }));
    }
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })
}

/// The one image of a closure, with layers that every Docker takes.
struct Single {
    manifest: Blob,
    config: Blob,
    layers: Vec<Blob>,
}

impl Single {
    fn of(image: &Closure) -> Result<Self, Error> {
        let manifest = only_manifest(image)?;
        let mut document = json(manifest)?;
        let config = blob(image, &document["config"])?;
        let ids = json(&config)?;
        let ids = ids.pointer("/rootfs/diff_ids").and_then(Value::as_array);
        let listed = document.get("layers").and_then(Value::as_array);
        let (Some(ids), Some(listed)) = (ids, listed) else {
            return Err(Error::NotDocker("it has no layers".to_owned()));
        };
        if ids.len() != listed.len() {
            let (layers, ids) = (listed.len(), ids.len());
            return Err(Error::NotDocker(format!("{layers} layers and {ids} diff_ids")));
        }
        let (mut layers, mut descriptors) = (Vec::new(), Vec::new());
        for (value, id) in listed.iter().zip(ids) {
            let mut layer = blob(image, value)?;
            let mut value = value.clone();
            if oci_layer(value["mediaType"].as_str().unwrap_or_default()) == Some(LAYER_ZSTD) {
                layer = decompressed(&layer, id)?;
                value["mediaType"] = json!(LAYER_TAR);
                value["digest"] = json!(layer.descriptor.digest);
                value["size"] = json!(layer.descriptor.size);
            }
            layers.push(layer);
            descriptors.push(value);
        }
        let mut manifest = manifest.clone();
        if document["layers"] != Value::Array(descriptors.clone()) {
            document["layers"] = Value::Array(descriptors);
            manifest = Blob::from_bytes(&manifest.descriptor.media_type, canonical_json(&document)?);
        }
        Ok(Self {
            manifest,
            config,
            layers,
        })
    }
}

/// The manifest of the only image; attestations, which are for no platform, do not count.
fn only_manifest(image: &Closure) -> Result<&Blob, Error> {
    let root = image.root();
    if is_manifest(&root.descriptor.media_type) {
        return Ok(root);
    }
    let index = json(root)?;
    let platform = |entry: &Value| {
        let text = |name: &str| entry.get("platform")?.get(name)?.as_str();
        Some(format!("{}/{}", text("os")?, text("architecture")?))
    };
    let entries = index.get("manifests").and_then(Value::as_array);
    let images: Vec<_> = entries
        .into_iter()
        .flatten()
        .map(|entry| (platform(entry).unwrap_or_default(), &entry["digest"]))
        .filter(|(platform, _)| platform != "unknown/unknown")
        .collect();
    if let [(_, digest)] = images[..] {
        let found = |d: &&Blob| Some(&*d.descriptor.digest.to_string()) == digest.as_str();
        let found = image.documents.iter().find(found);
        if let Some(manifest) = found.filter(|m| is_manifest(&m.descriptor.media_type)) {
            return Ok(manifest);
        }
    }
    Err(Error::Platforms(images.into_iter().map(|(p, _)| p).collect()))
}

fn json(blob: &Blob) -> Result<Value, Error> {
    let digest = &blob.descriptor.digest;
    let bytes = blob.read_verified(DOCUMENT_LIMIT).map_err(|source| Error::Blob {
        digest: digest.clone(),
        source,
    })?;
    serde_json::from_slice(&bytes).map_err(|e| Error::NotDocker(format!("{digest}: {e}")))
}

/// The config or layer that a descriptor names.
fn blob(image: &Closure, descriptor: &Value) -> Result<Blob, Error> {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    let found = image
        .blobs
        .iter()
        .find(|b| b.descriptor.digest.to_string() == digest);
    found
        .cloned()
        .ok_or_else(|| Error::NotDocker(format!("it does not have blob {digest}")))
}

/// A layer as a plain tar: it is read once to learn its size.
fn decompressed(layer: &Blob, diff_id: &Value) -> Result<Blob, Error> {
    let fault = |source| Error::Blob {
        digest: layer.descriptor.digest.clone(),
        source,
    };
    let digest: Digest = diff_id
        .as_str()
        .unwrap_or_default()
        .parse()
        .map_err(crate::image::Error::Digest)?;
    let verified = Box::new(layer.open_verified().map_err(fault)?);
    let size = decompress(verified).and_then(|mut tar| io::copy(&mut tar, &mut io::sink()));
    Ok(Blob {
        descriptor: Descriptor {
            media_type: LAYER_TAR.to_owned(),
            digest,
            size: size.map_err(fault)?,
            annotations: layer.descriptor.annotations.clone(),
        },
        content: Arc::new(Decompressed(layer.clone())),
    })
}

/// What a compressed blob holds.
#[derive(Debug)]
struct Decompressed(Blob);

impl Open for Decompressed {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        decompress(Box::new(self.0.open_verified()?))
    }
}
