//! `pyoci push` and `pyoci pull`: an image is copied as it is, from anywhere to anywhere.

use serde_json::{Value, json};

use super::destination::{Destination, Naming, Written};
use crate::digest::Digest;
use crate::environment::Environment;
use crate::http::Client;
use crate::progress::Progress;
use crate::reference::{ImageReference, LayoutReference, check_tag, has_transport};
use crate::registry;
use crate::source::{self, Keep, Source};
use crate::store::Store;
use crate::tools::Tools;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// The source, as it was said.
    pub source: String,
    /// Registry references to push to.
    pub push: Vec<String>,
    /// Other destinations, in the forms of `-o`.
    pub outputs: Vec<String>,
    /// Tags at the destinations; the source's own where none are given.
    pub tags: Vec<String>,
    /// How registries are talked to.
    pub registries: registry::Settings,
}

/// What was copied.
#[derive(Debug)]
pub struct Report {
    /// The digest of the manifest or index: the same everywhere.
    pub digest: Digest,
    /// What became of it at each destination.
    pub written: Vec<Written>,
}

/// Copies an image with all that it refers to. Not one byte is changed.
pub fn run(order: &Order, environment: &Environment, progress: &Progress) -> anyhow::Result<Report> {
    let reference = source_reference(&order.source, environment)?;
    let tools = Tools {
        store: &Store::open_telling(&super::cache::directory(environment)?, progress)?,
        http: &Client::new(environment, order.registries.offline),
        registries: &registry::Client::new(environment, order.registries.clone()),
        environment,
        progress,
    };
    let source = source::open(&reference, tools.store, tools.registries, Keep::Nowhere)?;
    let destinations = destinations(order, &naming(&reference, source.as_ref(), order), environment)?;
    let read = || source::closure(source.as_ref());
    let image = progress.timings().step("manifest", &source.place(), read)?;
    let mut written = Vec::new();
    for destination in &destinations {
        written.push(destination.write(&image, None, &tools)?);
    }
    Ok(Report {
        digest: image.digest().clone(),
        written,
    })
}

/// All destinations, each looked at before the work begins.
pub(super) fn destinations(
    order: &Order,
    naming: &Naming,
    environment: &Environment,
) -> anyhow::Result<Vec<Destination>> {
    let mut destinations = Vec::new();
    for text in &order.push {
        destinations.push(Destination::push(text, naming)?);
    }
    for text in &order.outputs {
        destinations.push(Destination::output(text, naming, environment)?);
    }
    destinations.iter().try_for_each(Destination::check)?;
    Ok(destinations)
}

/// The source: a transport and a place, a layout or archive that is there, else a registry reference.
pub(super) fn source_reference(text: &str, environment: &Environment) -> anyhow::Result<ImageReference> {
    let here = environment.working_directory.join(text);
    if !text.is_empty() && !has_transport(text) && here.is_dir() {
        return Ok(ImageReference::Layout(LayoutReference::at(&here)));
    }
    let mut reference: ImageReference = text.parse()?;
    reference.anchor(&environment.working_directory);
    Ok(reference)
}

/// Without tags of its own the copy is called as the source is.
pub(super) fn naming(reference: &ImageReference, source: &dyn Source, order: &Order) -> Naming {
    let name = match reference {
        ImageReference::Registry(reference) => {
            let name = reference.repository.name.rsplit('/').next();
            name.unwrap_or_default().to_owned()
        }
        ImageReference::Layout(place)
        | ImageReference::OciArchive(place)
        | ImageReference::DockerArchive(place) => {
            let name = place.path.file_stem().unwrap_or_default();
            name.to_string_lossy().into_owned()
        }
        ImageReference::Recipe(name) => name.clone(),
    };
    // A name in a layout may be more than a tag: then it cannot be one elsewhere.
    let own = source.tag().filter(|tag| check_tag(tag).is_ok());
    let tags = if order.tags.is_empty() {
        own.into_iter().collect()
    } else {
        order.tags.clone()
    };
    Naming { name, tags }
}

impl Report {
    /// What is printed on stdout: where the image can be had by its digest.
    pub fn lines(&self) -> Vec<String> {
        super::report::digest_lines(&self.digest, &self.written)
    }

    /// As `--format json` tells it.
    pub fn json(&self) -> Value {
        json!({
            "digest": self.digest,
            "destinations": self.written.iter().map(Written::json).collect::<Vec<_>>(),
        })
    }
}
