//! Where the image goes.

use std::fmt;
use std::path::PathBuf;

use crate::commands::Error;
use crate::environment::Environment;
use crate::project::Settings;
use crate::reference::{ImageReference, LayoutReference, check_tag};
use crate::sink::layout::Mode;

/// The tag of an image that was given none, as podman and docker have it.
const DEFAULT_TAG: &str = "latest";

/// A layout on disk, and the tags that name the image in it.
pub(super) struct Destination {
    /// As it was said.
    pub text: String,
    /// The layout's directory, absolute.
    pub directory: PathBuf,
    /// The tags; at least one.
    pub tags: Vec<String>,
    /// Whether the layout keeps its other tags.
    pub mode: Mode,
}

impl Destination {
    /// `-o DIR` replaces the layout, `-o oci:DIR[:TAG]` adds or replaces tags.
    pub(super) fn of(settings: &Settings, environment: &Environment) -> anyhow::Result<Self> {
        let text = settings.output.clone().ok_or(Error::NoOutput)?;
        let (place, mode) = match known_transport(&text).then(|| text.parse()).transpose()? {
            None => (LayoutReference::at(text.as_ref()), Mode::Replace),
            Some(ImageReference::Layout(place)) => (place, Mode::Add),
            Some(_) => return Err(Error::Destination(text).into()),
        };
        let mut tags = settings.tags.clone();
        tags.extend(place.tag);
        if tags.is_empty() {
            tags.push(DEFAULT_TAG.to_owned());
        }
        for tag in &tags {
            check_tag(tag)?;
        }
        tags.sort();
        tags.dedup();
        let directory = environment.working_directory.join(place.path);
        Ok(Self {
            text,
            directory,
            tags,
            mode,
        })
    }
}

/// Whether a destination is not simply a directory.
fn known_transport(text: &str) -> bool {
    ["oci:", "oci-archive:", "docker-archive:", "docker://"]
        .iter()
        .any(|transport| text.starts_with(transport))
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.tags.join(", "))
    }
}
