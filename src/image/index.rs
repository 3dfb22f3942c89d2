//! Several platforms: one index over one image each.

use oci_spec::image::{ImageIndexBuilder, MediaType, PlatformBuilder, SCHEMA_VERSION};

use super::descriptor::{canonical_json, to_oci, unordered};
use super::{Error, INDEX, Image};
use crate::blob::Blob;

/// What one tag names: an image, or an index over images of several platforms.
#[derive(Clone, Debug)]
pub struct Index {
    /// The images, in the order in which their platforms were asked for.
    pub images: Vec<Image>,
    /// The index (image-spec image-index.md), where there is more than one platform.
    pub index: Option<Blob>,
}

impl Index {
    /// An index over images; one image alone needs none and is named by its own manifest.
    pub fn of(images: Vec<Image>) -> Result<Self, Error> {
        if images.len() == 1 {
            return Ok(Self { images, index: None });
        }
        let mut manifests = Vec::new();
        for image in &images {
            manifests.push(platform_descriptor(image)?);
        }
        let annotations = images.first().map(|i| i.annotations.clone()).unwrap_or_default();
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests(manifests)
            .annotations(unordered(&annotations))
            .build()?;
        Ok(Self {
            images,
            index: Some(Blob::from_bytes(INDEX, canonical_json(&index)?)),
        })
    }

    /// The blob that a tag names: the index, or the manifest of the only image.
    pub fn root(&self) -> &Blob {
        // `of` makes an index whenever there is not exactly one image.
        self.index.as_ref().unwrap_or_else(|| &self.images[0].manifest)
    }

    /// The descriptor that an `index.json` has for it: a single image's names its platform.
    pub fn root_descriptor(&self) -> Result<oci_spec::image::Descriptor, Error> {
        match &self.index {
            Some(index) => to_oci(&index.descriptor),
            None => platform_descriptor(&self.images[0]),
        }
    }
}

fn platform_descriptor(image: &Image) -> Result<oci_spec::image::Descriptor, Error> {
    let mut descriptor = to_oci(&image.manifest.descriptor)?;
    let platform = PlatformBuilder::default()
        .os(image.platform.os())
        .architecture(image.platform.architecture.oci())
        .build()?;
    descriptor.set_platform(Some(platform));
    Ok(descriptor)
}
