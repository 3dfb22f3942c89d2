//! Between our descriptors and those of oci-spec, and JSON with one spelling only.

use std::collections::BTreeMap;

use oci_spec::image::{Descriptor as OciDescriptor, DescriptorBuilder, MediaType};

use super::Error;
use crate::blob::Descriptor;

/// A descriptor in oci-spec's type.
pub fn to_oci(descriptor: &Descriptor) -> Result<OciDescriptor, Error> {
    let digest: oci_spec::image::Digest = descriptor.digest.to_string().parse()?;
    let builder = DescriptorBuilder::default()
        .media_type(MediaType::from(descriptor.media_type.as_str()))
        .digest(digest)
        .size(descriptor.size);
    let annotations = &descriptor.annotations;
    let builder = if annotations.is_empty() {
        builder
    } else {
        builder.annotations(unordered(annotations))
    };
    Ok(builder.build()?)
}

/// Annotations in oci-spec's type; [`canonical_json`] puts them in order again.
#[allow(clippy::disallowed_types, reason = "oci-spec asks for it")]
pub(super) fn unordered(annotations: &BTreeMap<String, String>) -> std::collections::HashMap<String, String> {
    annotations.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// A descriptor from oci-spec's type; refuses digests that are malformed or prove nothing.
pub fn from_oci(descriptor: &OciDescriptor) -> Result<Descriptor, Error> {
    Ok(Descriptor {
        media_type: descriptor.media_type().to_string(),
        digest: descriptor.digest().to_string().parse()?,
        size: descriptor.size(),
        annotations: descriptor
            .annotations()
            .iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect::<BTreeMap<_, _>>(),
    })
}

/// JSON with sorted keys and no white space: the same value is always the same bytes. oci-spec keeps annotations in
/// maps without order, so nothing of it may be hashed before it went through here.
pub fn canonical_json(value: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    let mut value = serde_json::to_value(value)?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value)?)
}
