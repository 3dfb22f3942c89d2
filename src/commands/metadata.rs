//! `--metadata-file` and `--iidfile`: what was built, for scripts, in the forms of docker buildx.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::destination::Written;
use crate::image::{Closure, Index};
use crate::secrets::Secrets;
use crate::sink::file::replace_file;

/// Files that tell what was built. Written last, and only if all went well.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// `--metadata-file`, absolute.
    pub metadata: Option<PathBuf>,
    /// `--iidfile`, absolute.
    pub image_id: Option<PathBuf>,
    /// `--timings=FILE`, absolute; written by whoever prints the report.
    pub trace: Option<PathBuf>,
}

impl Files {
    /// The paths, so that they stay out of the image.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.metadata.iter().chain(&self.image_id).chain(&self.trace)
    }

    /// Writes the files that were asked for.
    pub fn write(
        &self,
        index: &Index,
        image: &Closure,
        written: &[Written],
        secrets: &Secrets,
    ) -> anyhow::Result<()> {
        if let Some(path) = &self.metadata {
            let text = format!("{:#}\n", metadata(index, image, written));
            secrets.check("the metadata file", text.as_bytes())?;
            replace(path, &text)?;
        }
        if let Some(path) = &self.image_id {
            replace(path, &image_id(index, image))?;
        }
        Ok(())
    }
}

/// The keys of docker buildx' `--metadata-file`.
fn metadata(index: &Index, image: &Closure, written: &[Written]) -> Value {
    let root = &image.root().descriptor;
    let mut metadata = json!({
        "containerimage.digest": root.digest,
        "containerimage.descriptor": image.descriptor,
    });
    if let [only] = &index.images[..] {
        metadata["containerimage.config.digest"] = json!(only.config.descriptor.digest);
    }
    let names: Vec<String> = written.iter().flat_map(Written::tagged).collect();
    if !names.is_empty() {
        metadata["image.name"] = json!(names.join(","));
    }
    metadata
}

/// podman's and docker's image ID: the digest of the config; where there are several platforms the digest of the index.
fn image_id(index: &Index, image: &Closure) -> String {
    match &index.images[..] {
        [only] => only.config.descriptor.digest.to_string(),
        _ => image.digest().to_string(),
    }
}

fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    replace_file(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}
