//! The image of a source for one platform: manifest, config and layers, checked against each other.

use serde_json::Value;

use super::closure::{DEPTH, refuse_foreign};
use super::document::Document;
use super::{Error, Source};
use crate::blob::Blob;
use crate::digest::Digest;
use crate::image::media_type::{is_index, is_manifest, oci_layer};
use crate::layer::Layer;
use crate::platform::Platform;

/// An image of a source, for one platform.
#[derive(Clone, Debug)]
pub struct SourceImage {
    /// What the source's name stands for: the digest of the index if there is one, else of the manifest.
    pub root: Digest,
    /// The manifest, as it is.
    pub manifest: Value,
    /// The config, as it is.
    pub config: Value,
    /// The layers, lowest first: bytes as they are, media types OCI's.
    pub layers: Vec<Layer>,
}

/// Finds the image for a platform. Layers that cannot be carried over are refused.
pub fn image(source: &dyn Source, platform: Platform) -> Result<SourceImage, Error> {
    let root = source.root(Some(platform))?.document;
    let digest = root.descriptor.digest.clone();
    let manifest = manifest(source, root, platform)?;
    let config = manifest.descriptor(manifest.value.get("config").unwrap_or(&Value::Null))?;
    let config = Document::read(source, &source.blob(&config)?, "config")?;
    check_platform(&config, platform)?;
    let layers = layers(source, &manifest, &config)?;
    Ok(SourceImage {
        root: digest,
        manifest: manifest.value,
        config: config.value,
        layers,
    })
}

/// The platforms that a source has images for, in its order; those that pyoci does not know are passed over.
pub fn platforms(source: &dyn Source) -> Result<Vec<Platform>, Error> {
    let root = source.root(None)?.document;
    let document = Document::read(source, &root, "manifest")?;
    let texts = if is_index(&root.descriptor.media_type) {
        document
            .list("manifests")?
            .iter()
            .filter_map(platform_of)
            .collect()
    } else {
        let config = document.descriptor(document.value.get("config").unwrap_or(&Value::Null))?;
        let config = Document::read(source, &source.blob(&config)?, "config")?.value;
        let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
        vec![format!("{}/{}", text("os"), text("architecture"))]
    };
    Ok(texts.iter().filter_map(|text| text.parse().ok()).collect())
}

/// The manifest that a document leads to, through indexes, for a platform.
fn manifest(source: &dyn Source, root: Blob, platform: Platform) -> Result<Document<'_>, Error> {
    let mut blob = root;
    for _ in 0..=DEPTH {
        let document = Document::read(source, &blob, "manifest")?;
        let media_type = blob.descriptor.media_type.as_str();
        if is_manifest(media_type) {
            return Ok(document);
        }
        if !is_index(media_type) {
            return Err(Error::MediaType {
                place: source.place(),
                media_type: media_type.to_owned(),
            });
        }
        let entries = document.list("manifests")?;
        let entry = entries.iter().find(|e| is_for(e, platform));
        // An entry that is itself an index need not say its platform.
        let nested = entries.iter().find(|e| e.get("platform").is_none());
        let missing = || Error::Platform {
            platform,
            available: entries.iter().filter_map(platform_of).collect(),
        };
        let descriptor = document.descriptor(entry.or(nested).ok_or_else(missing)?)?;
        blob = source.document(&descriptor)?;
    }
    Err(super::document::malformed(
        &source.place(),
        "indexes are nested too deep",
    ))
}

fn check_platform(config: &Document, platform: Platform) -> Result<(), Error> {
    let text = |name: &str| config.value.get(name).and_then(Value::as_str).unwrap_or_default();
    let (os, architecture) = (text("os"), text("architecture"));
    if os.is_empty() || architecture.is_empty() {
        return Err(config.malformed("the config does not say its platform"));
    }
    if os != platform.os() || architecture != platform.architecture.oci() {
        return Err(Error::Platform {
            platform,
            available: vec![format!("{os}/{architecture}")],
        });
    }
    Ok(())
}

fn layers(source: &dyn Source, manifest: &Document, config: &Document) -> Result<Vec<Layer>, Error> {
    let descriptors = manifest.list("layers")?;
    let list = |path: &str| config.value.pointer(path).and_then(Value::as_array);
    let diff_ids = list("/rootfs/diff_ids").map_or(&[][..], Vec::as_slice);
    if descriptors.len() != diff_ids.len() {
        let (layers, ids) = (descriptors.len(), diff_ids.len());
        return Err(manifest.malformed(format!("{layers} layers and {ids} diff_ids")));
    }
    let history = list("/history").map_or(&[][..], Vec::as_slice);
    let mut makers = history
        .iter()
        .filter(|h| h.get("empty_layer") != Some(&Value::Bool(true)));
    let layer = |(value, diff_id): (&Value, &Value)| {
        let maker = makers.next().and_then(|h| h.get("created_by")?.as_str());
        refuse_foreign(source, value)?;
        let mut descriptor = manifest.descriptor(value)?;
        let Some(media_type) = oci_layer(&descriptor.media_type) else {
            return Err(Error::LayerType {
                place: source.place(),
                media_type: descriptor.media_type,
            });
        };
        media_type.clone_into(&mut descriptor.media_type);
        let diff_id = diff_id.as_str().unwrap_or_default();
        Ok(Layer {
            blob: source.blob(&descriptor)?,
            diff_id: diff_id.parse().map_err(crate::image::Error::Digest)?,
            created_by: maker.unwrap_or_default().to_owned(),
        })
    };
    descriptors.iter().zip(diff_ids).map(layer).collect()
}

/// The platform of an index's entry, as `os/architecture`.
pub(super) fn platform_of(entry: &Value) -> Option<String> {
    let text = |name: &str| entry.get("platform")?.get(name)?.as_str();
    let platform = format!("{}/{}", text("os")?, text("architecture")?);
    // Attestations of buildkit are listed as of `unknown/unknown`.
    (platform != "unknown/unknown").then_some(platform)
}

/// Whether an index's entry is for a platform.
pub(super) fn is_for(entry: &Value, platform: Platform) -> bool {
    platform_of(entry).is_some_and(|p| p == platform.to_string())
}
