//! Assembly: base + layers + run -> image.

use std::collections::BTreeMap;

use oci_spec::image::{
    ANNOTATION_BASE_IMAGE_DIGEST, ANNOTATION_BASE_IMAGE_NAME, ImageManifestBuilder, MediaType, SCHEMA_VERSION,
};

use super::config::config;
use super::descriptor::{canonical_json, to_oci, unordered};
use super::{Base, BaseOrigin, CONFIG, Error, MANIFEST, Run};
use crate::blob::Blob;
use crate::layer::Layer;
use crate::platform::Platform;

/// An image for one platform: every byte decided.
#[derive(Clone, Debug)]
pub struct Image {
    /// The platform it runs on.
    pub platform: Platform,
    /// The manifest (image-spec manifest.md).
    pub manifest: Blob,
    /// The config (image-spec config.md).
    pub config: Blob,
    /// All layers, the base's first.
    pub layers: Vec<Layer>,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Puts layers on a base. `created` is in seconds since 1970; nothing else of the result depends on time.
pub fn assemble(base: &Base, layers: Vec<Layer>, run: &Run, created: u64) -> Result<Image, Error> {
    let config = Blob::from_bytes(CONFIG, config(base, &layers, run, created)?);
    let mut annotations = origin_annotations(&base.origin);
    annotations.extend(run.annotations.clone());
    let all: Vec<Layer> = base.layers.iter().cloned().chain(layers).collect();
    let descriptors = all
        .iter()
        .map(|l| to_oci(&l.blob.descriptor))
        .collect::<Result<Vec<_>, _>>()?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(to_oci(&config.descriptor)?)
        .layers(descriptors)
        .annotations(unordered(&annotations))
        .build()?;
    let manifest = Blob::from_bytes(MANIFEST, canonical_json(&manifest)?);
    Ok(Image {
        platform: base.platform,
        manifest,
        config,
        layers: all,
        annotations,
    })
}

/// What the image says of its base: only names that mean the same elsewhere, so no paths of this machine.
fn origin_annotations(origin: &BaseOrigin) -> BTreeMap<String, String> {
    let pairs = match origin {
        BaseOrigin::Registry { name, digest } => vec![
            (ANNOTATION_BASE_IMAGE_NAME, name.clone()),
            (ANNOTATION_BASE_IMAGE_DIGEST, digest.to_string()),
        ],
        BaseOrigin::Local { digest, .. } => vec![(ANNOTATION_BASE_IMAGE_DIGEST, digest.to_string())],
        BaseOrigin::Recipe { name, packages } => vec![
            ("io.pyoci.base.recipe", name.clone()),
            ("io.pyoci.base.packages", packages.to_string()),
        ],
    };
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// Whether an annotation tells of the base.
pub(super) fn is_of_base(annotation: &str) -> bool {
    annotation.starts_with("io.pyoci.base.")
        || matches!(
            annotation,
            ANNOTATION_BASE_IMAGE_NAME | ANNOTATION_BASE_IMAGE_DIGEST
        )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{tiny_base, tiny_image, tiny_layer, tiny_run};
    use super::super::{Index, validate};
    use super::*;

    fn config_of(image: &Image) -> Value {
        serde_json::from_slice(&image.config.read_verified(100_000).unwrap()).unwrap()
    }

    #[test]
    fn an_assembled_image_is_valid_and_always_the_same() {
        let image = &tiny_image("x").images[0];
        validate(image).unwrap();
        assert_eq!(
            image.manifest.descriptor,
            tiny_image("x").images[0].manifest.descriptor
        );
    }

    #[test]
    fn the_base_is_kept_and_extended() {
        let config = config_of(&tiny_image("app").images[0]);
        assert_eq!(config["x-unknown"], json!([1, 2]));
        assert_eq!(config["created"], "1970-01-01T00:00:00Z");
        let settings = &config["config"];
        assert_eq!(
            settings["Env"],
            json!(["PATH=/deps/bin:/usr/bin", "LANG=C.UTF-8", "A=1"])
        );
        assert_eq!(settings["Labels"], json!({ "kept": "yes" }));
        assert_eq!(settings.get("Cmd"), None);
        let by: Vec<_> = config["history"]
            .as_array()
            .unwrap()
            .iter()
            .map(|h| h["created_by"].clone())
            .collect();
        assert_eq!(by, ["ENV", "first", "base two", "app"]);
    }

    #[test]
    fn a_base_whose_config_nobody_could_read_is_refused() {
        for (key, value) in [("Labels", json!({ "a": {} })), ("Volumes", json!("x"))] {
            let mut base = tiny_base();
            base.config["config"][key] = value;
            let error = assemble(&base, vec![], &tiny_run(), 0).unwrap_err();
            assert!(matches!(error, Error::BaseConfig(_)), "{key}: {error}");
        }
    }

    #[test]
    fn a_working_directory_must_be_absolute() {
        let run = Run {
            working_directory: "app".to_owned(),
            ..tiny_run()
        };
        assert!(matches!(
            assemble(&tiny_base(), vec![], &run, 0),
            Err(Error::WorkingDirectory(..))
        ));
    }

    #[test]
    fn several_platforms_make_an_index() {
        let [one, two] =
            ["one", "two"].map(|t| assemble(&tiny_base(), vec![tiny_layer(t)], &tiny_run(), 0).unwrap());
        let index = Index::of(vec![one, two]).unwrap();
        assert_eq!(index.root().descriptor.media_type, crate::image::INDEX);
        let document: Value = serde_json::from_slice(&index.root().read_verified(100_000).unwrap()).unwrap();
        assert_eq!(
            document["manifests"][0]["platform"],
            json!({ "architecture": "amd64", "os": "linux" })
        );
    }

    #[test]
    fn validation_finds_a_layer_that_is_another() {
        let mut image = tiny_image("x").images.remove(0);
        image.layers[2].diff_id = crate::digest::Digest::of(b"y");
        assert!(validate(&image).is_err());
    }
}
