//! Documents of sources: JSON from outside, each field checked when it is taken.

use serde_json::Value;

use super::{Error, Source};
use crate::blob::{Blob, Descriptor};
use crate::image::DOCUMENT_LIMIT;

/// JSON and the place that it came from.
pub(super) struct Document<'a> {
    source: &'a dyn Source,
    /// The parsed document.
    pub value: Value,
}

impl<'a> Document<'a> {
    /// Parses a blob, verified, of at most [`DOCUMENT_LIMIT`] bytes; `what` names it in messages.
    pub fn read(source: &'a dyn Source, blob: &Blob, what: &str) -> Result<Self, Error> {
        let bytes = blob.read_verified(DOCUMENT_LIMIT).map_err(|cause| Error::Blob {
            place: source.place(),
            what: what.to_owned(),
            source: cause,
        })?;
        let value = parse(&source.place(), &bytes, what)?;
        Ok(Self { source, value })
    }

    /// What is wrong with the document, as an error.
    pub fn malformed(&self, what: impl Into<String>) -> Error {
        malformed(&self.source.place(), what)
    }

    /// The descriptors in a list.
    pub fn list(&self, name: &str) -> Result<&[Value], Error> {
        let list = self.value.get(name).and_then(Value::as_array);
        list.map(Vec::as_slice)
            .ok_or_else(|| self.malformed(format!("a document has no list of {name}")))
    }

    /// A descriptor of the document (image-spec descriptor.md).
    pub fn descriptor(&self, value: &Value) -> Result<Descriptor, Error> {
        descriptor(&self.source.place(), value)
    }
}

/// Takes a manifest or index into memory, verified.
pub(super) fn read(place: &str, blob: &Blob) -> Result<Blob, Error> {
    let bytes = blob.read_verified(DOCUMENT_LIMIT).map_err(|source| Error::Blob {
        place: place.to_owned(),
        what: blob.descriptor.digest.to_string(),
        source,
    })?;
    Ok(Blob::from_bytes(&blob.descriptor.media_type, bytes))
}

/// Parses JSON.
pub(super) fn parse(place: &str, bytes: &[u8], what: &str) -> Result<Value, Error> {
    serde_json::from_slice(bytes).map_err(|source| Error::Document {
        place: place.to_owned(),
        what: what.to_owned(),
        source: Some(source),
    })
}

/// What is wrong with a document, as an error.
pub(super) fn malformed(place: &str, what: impl Into<String>) -> Error {
    Error::Document {
        place: place.to_owned(),
        what: what.into(),
        source: None,
    }
}

/// A descriptor (image-spec descriptor.md): media type, digest and size must be there and right. Annotations are not taken.
pub(super) fn descriptor(place: &str, value: &Value) -> Result<Descriptor, Error> {
    let field = |name: &str| {
        value
            .get(name)
            .ok_or_else(|| malformed(place, format!("a descriptor has no {name}")))
    };
    let text = |name: &str| {
        field(name)?
            .as_str()
            .ok_or_else(|| malformed(place, format!("a descriptor's {name} is not text")))
    };
    Ok(Descriptor {
        media_type: text("mediaType")?.to_owned(),
        digest: text("digest")?.parse().map_err(crate::image::Error::Digest)?,
        size: field("size")?
            .as_u64()
            .ok_or_else(|| malformed(place, "a descriptor's size is not a number of bytes"))?,
        annotations: std::collections::BTreeMap::new(),
    })
}
