//! `oci:DIR[:TAG]`: a base from an OCI image layout on disk (image-spec image-layout.md).

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::{Error, Tools, target};
use crate::blob::{Blob, Descriptor, PathBlob};
use crate::image::{Base, BaseOrigin, DOCUMENT_LIMIT};
use crate::layer::Layer;
use crate::platform::Platform;
use crate::reference::LayoutReference;

const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// An index in an index in an index: nobody goes deeper.
const DEPTH: usize = 4;

/// Loads a base from a layout. Its blobs are read there, and verified whenever they are.
pub fn load(place: &LayoutReference, platform: Platform, tools: &Tools) -> Result<Base, Error> {
    let layout = Layout { path: &place.path };
    let index = layout.index()?;
    let entry = layout.choose(&index, place.tag.as_deref(), platform)?;
    let manifest = layout.manifest(entry, platform)?;
    let digest = manifest.descriptor.digest.clone();
    let manifest = layout.json(&manifest, "manifest")?;
    let config = layout.blob(manifest.get("config").unwrap_or(&Value::Null))?;
    let config = layout.json(&config, "config")?;
    layout.check_platform(&config, platform)?;
    let layers = layout.layers(&manifest, &config)?;
    let findings = target::findings(&layers, &config, platform, tools.store)?;
    Ok(Base {
        layers,
        config,
        platform,
        origin: BaseOrigin::Local {
            reference: crate::reference::ImageReference::Layout(place.clone()).to_string(),
            digest,
        },
        target: findings.target,
        directory_links: findings.directory_links,
        users: findings.users,
    })
}

struct Layout<'a> {
    path: &'a Path,
}

impl Layout<'_> {
    fn malformed(&self, what: impl Into<String>) -> Error {
        Error::Document {
            path: self.path.to_owned(),
            what: what.into(),
            source: None,
        }
    }

    fn index(&self) -> Result<Value, Error> {
        let path = self.path.to_owned();
        let no_layout = |source| Error::NoLayout {
            path: path.clone(),
            source,
        };
        // > The oci-layout file MUST exist
        fs_err::metadata(self.path.join("oci-layout")).map_err(no_layout)?;
        let index = self.path.join("index.json");
        let size = fs_err::metadata(&index).map_err(no_layout)?.len();
        if size > DOCUMENT_LIMIT {
            return Err(self.malformed("index.json is too large"));
        }
        let bytes = fs_err::read(&index).map_err(no_layout)?;
        self.parse(&bytes, "index.json")
    }

    fn parse(&self, bytes: &[u8], what: &str) -> Result<Value, Error> {
        serde_json::from_slice(bytes).map_err(|source| Error::Document {
            path: self.path.to_owned(),
            what: what.to_owned(),
            source: Some(source),
        })
    }

    /// A blob of the layout from its descriptor (image-spec descriptor.md).
    fn blob(&self, descriptor: &Value) -> Result<Blob, Error> {
        let field = |name: &str| {
            descriptor
                .get(name)
                .ok_or_else(|| self.malformed(format!("a descriptor has no {name}")))
        };
        let text = |name: &str| {
            field(name)?
                .as_str()
                .ok_or_else(|| self.malformed(format!("a descriptor's {name} is not text")))
        };
        let digest: crate::digest::Digest = text("digest")?.parse().map_err(crate::image::Error::Digest)?;
        let size = field("size")?
            .as_u64()
            .ok_or_else(|| self.malformed("a descriptor's size is not a number"))?;
        let file = self
            .path
            .join("blobs")
            .join(digest.algorithm().name())
            .join(digest.hex());
        Ok(Blob {
            descriptor: Descriptor {
                media_type: text("mediaType")?.to_owned(),
                digest,
                size,
                annotations: std::collections::BTreeMap::new(),
            },
            content: Arc::new(PathBlob(file)),
        })
    }

    fn json(&self, blob: &Blob, what: &str) -> Result<Value, Error> {
        let bytes = blob.read_verified(DOCUMENT_LIMIT).map_err(|source| Error::Blob {
            path: self.path.to_owned(),
            what: what.to_owned(),
            source,
        })?;
        self.parse(&bytes, what)
    }

    fn manifests<'v>(&self, index: &'v Value) -> Result<&'v [Value], Error> {
        let manifests = index.get("manifests").and_then(Value::as_array);
        manifests
            .map(Vec::as_slice)
            .ok_or_else(|| self.malformed("an index has no manifests"))
    }

    /// The entry of `index.json` with that tag; without a tag the only one.
    fn choose<'v>(
        &self,
        index: &'v Value,
        tag: Option<&str>,
        platform: Platform,
    ) -> Result<&'v Value, Error> {
        let entries = self.manifests(index)?;
        let name = |entry: &'v Value| entry.get("annotations")?.get(REF_NAME)?.as_str();
        let found = match (tag, entries) {
            (Some(tag), _) => entries.iter().find(|e| name(e) == Some(tag)),
            (None, [only]) => Some(only),
            // No names at all: entries that only platforms tell apart.
            (None, _) if entries.iter().all(|e| name(e).is_none()) => {
                entries.iter().find(|e| is_for(e, platform))
            }
            _ => None,
        };
        let tags = || entries.iter().filter_map(name).map(str::to_owned).collect();
        found.ok_or_else(|| Error::Tag {
            path: self.path.to_owned(),
            asked: tag.map(str::to_owned),
            tags: tags(),
        })
    }

    /// The manifest that a descriptor leads to, through indexes, for a platform.
    fn manifest(&self, descriptor: &Value, platform: Platform) -> Result<Blob, Error> {
        let mut blob = self.blob(descriptor)?;
        for _ in 0..DEPTH {
            let media_type = blob.descriptor.media_type.as_str();
            if !media_type.contains("image.index") && !media_type.contains("manifest.list") {
                return Ok(blob);
            }
            let index = self.json(&blob, "index")?;
            let entries = self.manifests(&index)?;
            let entry = entries.iter().find(|e| is_for(e, platform));
            // An entry that is itself an index need not say its platform.
            let nested = entries.iter().find(|e| e.get("platform").is_none());
            let missing = || Error::Platform {
                platform,
                available: entries.iter().filter_map(platform_of).collect(),
            };
            blob = self.blob(entry.or(nested).ok_or_else(missing)?)?;
        }
        Err(self.malformed("indexes are nested too deep"))
    }

    fn check_platform(&self, config: &Value, platform: Platform) -> Result<(), Error> {
        let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
        let (os, architecture) = (text("os"), text("architecture"));
        if os.is_empty() || architecture.is_empty() {
            return Err(self.malformed("the config does not say its platform"));
        }
        if os != platform.os() || architecture != platform.architecture.oci() {
            return Err(Error::Platform {
                platform,
                available: vec![format!("{os}/{architecture}")],
            });
        }
        Ok(())
    }

    fn layers(&self, manifest: &Value, config: &Value) -> Result<Vec<Layer>, Error> {
        let descriptors = manifest
            .get("layers")
            .and_then(Value::as_array)
            .ok_or_else(|| self.malformed("the manifest has no layers"))?;
        let diff_ids = config
            .pointer("/rootfs/diff_ids")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        if descriptors.len() != diff_ids.len() {
            return Err(self.malformed(format!(
                "{} layers and {} diff_ids",
                descriptors.len(),
                diff_ids.len()
            )));
        }
        let history = config
            .get("history")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let mut makers = history
            .iter()
            .filter(|h| h.get("empty_layer") != Some(&Value::Bool(true)));
        let layer = |(descriptor, diff_id): (&Value, &Value)| {
            let maker = makers.next().and_then(|h| h.get("created_by")?.as_str());
            let diff_id = diff_id
                .as_str()
                .unwrap_or_default()
                .parse()
                .map_err(crate::image::Error::Digest)?;
            Ok(Layer {
                blob: self.blob(descriptor)?,
                diff_id,
                created_by: maker.unwrap_or_default().to_owned(),
            })
        };
        descriptors.iter().zip(diff_ids).map(layer).collect()
    }
}

fn platform_of(entry: &Value) -> Option<String> {
    let text = |name: &str| entry.get("platform")?.get(name)?.as_str();
    let platform = format!("{}/{}", text("os")?, text("architecture")?);
    // Attestations of buildkit are listed as of `unknown/unknown`.
    (platform != "unknown/unknown").then_some(platform)
}

fn is_for(entry: &Value, platform: Platform) -> bool {
    platform_of(entry).is_some_and(|p| p == platform.to_string())
}
