//! Everything that a source's image refers to, for an exact copy.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document::Document;
use super::{Error, Source};
use crate::blob::Blob;
use crate::digest::Digest;
use crate::image::media_type::{is_index, is_manifest};
use crate::image::{Closure, to_oci};

/// Indexes in indexes: nobody goes deeper.
pub(super) const DEPTH: usize = 4;
/// More manifests than any index of real images lists.
pub(super) const MANIFESTS: usize = 1024;

/// Reads all documents of an image, and lists the configs and layers without opening them. Nothing is changed and nothing
/// left out: attestations of buildkit are copied like images.
pub fn closure(source: &dyn Source) -> Result<Closure, Error> {
    let root = source.root(None)?;
    let mut descriptor = to_oci(&root.document.descriptor)?;
    let platform = root.platform.map(serde_json::from_value).transpose();
    descriptor.set_platform(platform.map_err(|cause| Error::Document {
        place: source.place(),
        what: "a platform".to_owned(),
        source: Some(cause),
    })?);
    let mut collector = Collector {
        source,
        closure: Closure {
            descriptor,
            documents: Vec::new(),
            blobs: Vec::new(),
        },
        documents: BTreeSet::new(),
        blobs: BTreeSet::new(),
    };
    collector.collect(root.document, 0)?;
    Ok(collector.closure)
}

struct Collector<'s> {
    source: &'s dyn Source,
    closure: Closure,
    /// What is listed: documents say how many there are, so nothing is looked for among all of them.
    documents: BTreeSet<Digest>,
    blobs: BTreeSet<Digest>,
}

impl Collector<'_> {
    fn collect(&mut self, blob: Blob, depth: usize) -> Result<(), Error> {
        let source = self.source;
        let document = Document::read(source, &blob, "manifest")?;
        let media_type = blob.descriptor.media_type.as_str();
        if is_index(media_type) {
            if depth == DEPTH {
                return Err(document.malformed("indexes are nested too deep"));
            }
            for entry in document.list("manifests")? {
                let descriptor = document.descriptor(entry)?;
                if !self.documents.insert(descriptor.digest.clone()) {
                    continue;
                }
                if self.documents.len() > MANIFESTS {
                    return Err(document.malformed(format!("more than {MANIFESTS} manifests")));
                }
                self.collect(source.document(&descriptor)?, depth + 1)?;
            }
        } else if is_manifest(media_type) {
            let config = document.value.get("config").unwrap_or(&Value::Null);
            for part in document.list("layers")?.iter().chain([config]) {
                refuse_foreign(source, part)?;
                let descriptor = document.descriptor(part)?;
                if self.blobs.insert(descriptor.digest.clone()) {
                    self.closure.blobs.push(source.blob(&descriptor)?);
                }
            }
        } else {
            return Err(Error::MediaType {
                place: source.place(),
                media_type: media_type.to_owned(),
            });
        }
        self.closure.documents.push(blob);
        Ok(())
    }
}

/// A layer with `urls` is to be fetched from there and may be missing here.
pub(super) fn refuse_foreign(source: &dyn Source, descriptor: &Value) -> Result<(), Error> {
    let urls = descriptor.get("urls").and_then(Value::as_array);
    let media_type = descriptor
        .get("mediaType")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let foreign = media_type.contains("foreign") || media_type.contains("nondistributable");
    if foreign || urls.is_some_and(|urls| !urls.is_empty()) {
        return Err(Error::Foreign {
            place: source.place(),
            media_type: media_type.to_owned(),
        });
    }
    Ok(())
}
