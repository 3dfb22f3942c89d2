//! Validation: recomputes everything that an image states. The oracle of every sink's tests.

use std::io::Read as _;

use oci_spec::image::{ImageConfiguration, ImageManifest};

use super::{DOCUMENT_LIMIT, Error, Image, LAYER_GZIP, LAYER_TAR, LAYER_ZSTD, from_oci};
use crate::blob::{Blob, Descriptor};
use crate::digest::Digest;
use crate::layer::Layer;

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// A blob is not what its descriptor says.
    #[error("blob {0} cannot be verified")]
    Blob(Digest, #[source] std::io::Error),
    /// A document is malformed.
    #[error("malformed document")]
    Document(#[from] Error),
    /// Manifest, config and layers disagree.
    #[error("{0}")]
    Disagreement(String),
}

fn disagree(what: impl Into<String>) -> Invalid {
    Invalid::Disagreement(what.into())
}

/// Reads every byte of an image and checks digests, sizes, `diff_id`s, history and media types against each other.
pub fn validate(image: &Image) -> Result<(), Invalid> {
    let manifest = document(&image.manifest)?;
    let manifest = ImageManifest::from_reader(&manifest[..]).map_err(Error::from)?;
    if from_oci(manifest.config())? != image.config.descriptor {
        return Err(disagree("the manifest names another config"));
    }
    let listed = manifest
        .layers()
        .iter()
        .map(from_oci)
        .collect::<Result<Vec<Descriptor>, _>>()?;
    let actual: Vec<_> = image.layers.iter().map(|l| l.blob.descriptor.clone()).collect();
    if listed != actual {
        return Err(disagree("the manifest lists other layers"));
    }
    let config = document(&image.config)?;
    let config = ImageConfiguration::from_reader(&config[..]).map_err(Error::from)?;
    if config.architecture().to_string() != image.platform.architecture.oci()
        || config.os().to_string() != "linux"
    {
        return Err(disagree("the config is for another platform"));
    }
    let diff_ids: Vec<_> = image.layers.iter().map(|l| l.diff_id.to_string()).collect();
    if *config.rootfs().diff_ids() != diff_ids {
        return Err(disagree("the config lists other diff_ids"));
    }
    let history = config
        .history()
        .iter()
        .flatten()
        .filter(|h| h.empty_layer() != Some(true))
        .count();
    if history != image.layers.len() {
        return Err(disagree(format!(
            "history describes {history} of {} layers",
            image.layers.len()
        )));
    }
    image.layers.iter().try_for_each(check_layer)
}

fn document(blob: &Blob) -> Result<Vec<u8>, Invalid> {
    blob.read_verified(DOCUMENT_LIMIT)
        .map_err(|e| Invalid::Blob(blob.descriptor.digest.clone(), e))
}

fn check_layer(layer: &Layer) -> Result<(), Invalid> {
    let descriptor = &layer.blob.descriptor;
    let fault = |e| Invalid::Blob(descriptor.digest.clone(), e);
    let mut bytes = layer.blob.open_verified().map_err(fault)?;
    let diff_id = match descriptor.media_type.as_str() {
        LAYER_GZIP => Digest::of_reader(flate2::read::MultiGzDecoder::new(&mut bytes)),
        LAYER_ZSTD => zstd::Decoder::new(&mut bytes).and_then(Digest::of_reader),
        LAYER_TAR => Digest::of_reader(&mut bytes),
        other => return Err(disagree(format!("layer of unknown type {other}"))),
    };
    let (diff_id, _) = diff_id.map_err(fault)?;
    // The decoder may stop before the end of the blob; its digest counts all of it.
    let trailing = bytes.read_to_end(&mut Vec::new()).map_err(fault)?;
    if diff_id != layer.diff_id {
        return Err(disagree(format!(
            "layer {} has diff_id {diff_id}, not {}",
            descriptor.digest, layer.diff_id
        )));
    }
    if trailing > 0 {
        return Err(disagree(format!(
            "layer {} has {trailing} bytes after its end",
            descriptor.digest
        )));
    }
    Ok(())
}
