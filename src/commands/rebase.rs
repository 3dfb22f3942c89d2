//! `pyoci rebase`: the dependencies and the app of an image on another base, nothing built again.

use anyhow::Context as _;

use super::base::Asked;
use super::copy;
use super::destination::Destination;
use crate::environment::Environment;
use crate::http::Client;
use crate::image::{Built, Closure, Image, Index, LayerKind, Record};
use crate::platform::Platform;
use crate::progress::Progress;
use crate::reference::ImageReference;
use crate::registry;
use crate::source::{self, Keep, Source};
use crate::store::Store;
use crate::tools::Tools;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// The image that pyoci built, and where its copy on the new base goes.
    pub copy: copy::Order,
    /// The new base.
    pub base: String,
    /// The Debian mirror of recipes.
    pub mirror: Option<String>,
    /// The service that keeps what mirrors no longer have.
    pub snapshot: Option<String>,
    /// Whether what was resolved before is resolved again.
    pub upgrade: bool,
    /// How many threads may work.
    pub threads: usize,
}

/// Puts an image on another base, for each of its platforms.
pub fn run(order: &Order, environment: &Environment, progress: &Progress) -> anyhow::Result<copy::Report> {
    let mut base: ImageReference = order.base.parse()?;
    base.anchor(&environment.working_directory);
    let reference = copy::source_reference(&order.copy.source, environment)?;
    let store = Store::open_telling(&super::cache::directory(environment)?, progress)?;
    let http = Client::new(environment, order.copy.registries.offline);
    let registries = registry::Client::new(environment, order.copy.registries.clone());
    let tools = Tools {
        store: &store,
        http: &http,
        registries: &registries,
        environment,
        progress,
    };
    let source = source::open(&reference, &store, &registries, Keep::Nowhere)?;
    let naming = copy::naming(&reference, source.as_ref(), &order.copy);
    let destinations = copy::destinations(&order.copy, &naming, environment)?;
    let asked = Asked {
        mirror: order.mirror.as_deref(),
        snapshot: order.snapshot.as_deref(),
        locked: None,
        added: None,
        offline: order.copy.registries.offline,
        upgrade: order.upgrade,
        mtime: super::base::source_date_epoch(environment)?,
        threads: order.threads,
        keep: keep(&destinations),
    };
    super::cache::mending(&store, progress, || {
        let mut images = Vec::new();
        for platform in source::platforms(source.as_ref())? {
            images.push(rebased(source.as_ref(), platform, &base, &asked, &tools)?);
        }
        let closure = Closure::try_from(&Index::of(images)?)?;
        let written = destinations.iter().map(|d| d.write(&closure, None, &tools));
        Ok(copy::Report {
            written: written.collect::<anyhow::Result<_>>()?,
            digest: closure.digest().clone(),
        })
    })
}

/// The new base's blobs are kept if they are written somewhere on this machine.
fn keep(destinations: &[Destination]) -> Keep {
    if destinations.iter().all(Destination::is_registry) {
        Keep::Documents
    } else {
        Keep::InStore
    }
}

fn rebased(
    source: &dyn Source,
    platform: Platform,
    reference: &ImageReference,
    asked: &Asked,
    tools: &Tools,
) -> anyhow::Result<Image> {
    let image = source::image(source, platform)?;
    let record = Record::of(&image.config)?;
    let load = || super::base::load(reference, platform, asked, tools);
    let timings = tools.progress.timings();
    let base = timings
        .step("base", &platform.to_string(), load)
        .with_context(|| format!("cannot load the base {reference}"))?;
    tools
        .progress
        .choice("Base", format!("{reference}: {}", base.target));
    if record.layers.contains(&LayerKind::StandardLibrary) {
        let note = "byte-code of the standard library was the old base's: left out, build again to have it";
        tools.progress.warn(note);
    }
    let packages = match &record.packages[..] {
        [] => None,
        packages => super::base::add_packages(reference, &base, packages, asked, tools)?,
    };
    let built = Built {
        manifest: &image.manifest,
        config: &image.config,
        layers: &image.layers,
    };
    crate::image::rebase(built, &record, &base, packages.map(|added| added.layer))
        .with_context(|| format!("{} cannot be put on {reference}", source.place()))
}
