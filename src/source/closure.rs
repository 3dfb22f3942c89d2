//! Everything that a source's image refers to, for an exact copy.

use serde_json::Value;

use super::document::Document;
use super::{Error, Source};
use crate::blob::Blob;
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
    let mut closure = Closure {
        descriptor,
        documents: Vec::new(),
        blobs: Vec::new(),
    };
    collect(source, root.document, &mut closure, 0)?;
    Ok(closure)
}

fn collect(source: &dyn Source, blob: Blob, closure: &mut Closure, depth: usize) -> Result<(), Error> {
    let document = Document::read(source, &blob, "manifest")?;
    let media_type = blob.descriptor.media_type.as_str();
    if is_index(media_type) {
        if depth == DEPTH {
            return Err(document.malformed("indexes are nested too deep"));
        }
        for entry in document.list("manifests")? {
            let descriptor = document.descriptor(entry)?;
            if closure
                .documents
                .iter()
                .any(|d| d.descriptor.digest == descriptor.digest)
            {
                continue;
            }
            if closure.documents.len() == MANIFESTS {
                return Err(document.malformed(format!("more than {MANIFESTS} manifests")));
            }
            collect(source, source.document(&descriptor)?, closure, depth + 1)?;
        }
    } else if is_manifest(media_type) {
        let config = document.value.get("config").unwrap_or(&Value::Null);
        for part in document.list("layers")?.iter().chain([config]) {
            refuse_foreign(source, part)?;
            closure.add_blob(source.blob(&document.descriptor(part)?)?);
        }
    } else {
        return Err(Error::MediaType {
            place: source.place(),
            media_type: media_type.to_owned(),
        });
    }
    closure.documents.push(blob);
    Ok(())
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
