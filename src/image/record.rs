//! What an image says of its own making: enough to put it on another base without the project.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Error, Run};
use crate::python::Target;

/// The label of the config that holds the record; labels survive every transport and every engine, annotations do not.
pub const LABEL: &str = "io.pyoci.image";

/// What a layer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerKind {
    /// A layer of the base.
    Base,
    /// Debian packages that were added to the base.
    Packages,
    /// Byte-code of the base's standard library.
    StandardLibrary,
    /// The vendored dependencies.
    Dependencies,
    /// Large files of the project.
    AppData,
    /// The project's own files.
    App,
}

/// What pyoci added to a base, and for which Target: the rest of the config was the base's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What the added layers hold, in their order; all layers below them are the base's.
    pub layers: Vec<LayerKind>,
    /// What the image was built for.
    pub target: Target,
    /// Directories that were put in front of the base's `PATH`.
    pub path: Vec<String>,
    /// Names of the variables that were set over the base's.
    pub env: BTreeSet<String>,
    /// Names of the labels that were set over the base's.
    pub labels: BTreeSet<String>,
    /// Ports that were added to the base's.
    pub ports: BTreeSet<String>,
    /// Debian packages that were asked for beside the base's: what they need is another question on another base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
}

impl Record {
    /// The record of an image that is about to be assembled.
    pub fn new(run: &Run, target: &Target, layers: Vec<LayerKind>) -> Self {
        Self {
            layers,
            target: target.clone(),
            path: run.path.clone(),
            env: run.env.keys().cloned().collect(),
            labels: run.labels.keys().filter(|name| *name != LABEL).cloned().collect(),
            ports: run.ports.clone(),
            packages: Vec::new(),
        }
    }

    /// The record in an image's config; fails if there is none: it was not built by pyoci.
    pub fn of(config: &Value) -> Result<Self, Error> {
        let labels = config.pointer("/config/Labels").and_then(Value::as_object);
        let label = labels
            .and_then(|labels| labels.get(LABEL)?.as_str())
            .ok_or(Error::NoRecord)?;
        serde_json::from_str(label).map_err(Error::Record)
    }

    /// The text of the label.
    pub fn label(&self) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&super::canonical_json(self)?).into_owned())
    }
}
