//! `pyoci build`: a Python project becomes an image.

mod app;
pub mod bundle;
mod compile;
pub(super) mod data;
mod dependencies;
mod exposed;
mod gate;
mod layers;
pub mod lock;
mod making;
mod native;
mod outputs;
mod own_lock;
mod packages;
mod plan;
mod run;
mod shared_cache;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use super::destination::{Destination, Written};
use super::report::{PlatformReport, Report};
use crate::base::{LockedBase, LockedPackages};
use crate::environment::Environment;
use crate::http::Client;
use crate::image::{Closure, Image, Index, LayerKind, Record, assemble, record};
use crate::layer::Options as LayerOptions;
use crate::lock::Parsed;
use crate::platform::{Architecture, Platform};
use crate::progress::Progress;
use crate::project::Project;
use crate::project::settings::Settings;
use crate::registry;
use crate::source::Keep;
use crate::store::Store;
use crate::timings::Timings;
use crate::tools::Tools;
use outputs::{destinations, keep};
use own_lock::OwnLock;
pub use plan::{Plan, Planned, plans};
use shared_cache::SharedCache;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// The project's directory, absolute.
    pub path: PathBuf,
    /// What the flags say.
    pub settings: Settings,
    /// Whether remembered resolutions and package lists are passed over.
    pub upgrade: bool,
    /// How many threads may work.
    pub threads: usize,
    /// Whether the image is handed to podman or docker, and under which name; the project's if it is empty.
    pub load: Option<String>,
    /// How registries are talked to.
    pub registries: registry::Settings,
    /// Files that tell what was built.
    pub files: super::metadata::Files,
}

/// Everything that the steps of a build share.
struct Build<'a> {
    project: Project,
    store: Store,
    http: Client,
    registries: registry::Client,
    environment: &'a Environment,
    progress: &'a Progress,
    timings: Timings,
    layers: LayerOptions,
    upgrade: bool,
    /// What the build writes: never part of the app.
    outputs: Vec<PathBuf>,
    /// What becomes of what is downloaded of the base.
    keep: Keep,
    /// The lock that `pyoci lock` made.
    own_lock: Option<OwnLock>,
    /// The base that it holds fast.
    locked_base: Option<LockedBase>,
    /// The Debian packages over that base.
    locked_packages: Option<LockedPackages>,
    /// The lock file that was read.
    parsed: Parsed,
    /// Whether decisions are only explained: then nothing of the project is run, not even its build backend.
    explains: bool,
}

/// Builds an image and writes it to its destination.
pub fn run(order: &Order, environment: &Environment, progress: &Progress) -> anyhow::Result<Report> {
    let project = project(order, environment)?;
    let environment = &project.settings.indexes.apply(environment);
    let destinations = destinations(order, &project, environment)?;
    let build = Build::new(order, project, &destinations, environment, progress)?;
    build.hold_destinations(&destinations)?;
    let made = super::cache::mending(&build.store, progress, || build.written(&destinations))?;
    let Made {
        index,
        closure,
        reports,
        written,
    } = made;
    if let Some(place) = &build.project.settings.cache_to {
        let publish = || shared_cache::publish(place, &written, &build.tools());
        // The image is where it should be; the cache costs later builds time, not this one its success.
        if let Err(error) = build.timings.step("cache", "", publish) {
            progress.warn(format!(
                "the cache in {} was not written: {error:#}",
                place.repository
            ));
        }
    }
    order
        .files
        .write(&index, &closure, &written, &environment.secrets)?;
    Ok(Report {
        digest: closure.digest().clone(),
        written,
        platforms: reports,
        timings: build.timings,
    })
}

/// An image, and what became of it at its destinations.
struct Made {
    index: Index,
    closure: Closure,
    reports: Vec<PlatformReport>,
    written: Vec<Written>,
}

/// The project that an order names, with all that is said about it.
fn project(order: &Order, environment: &Environment) -> anyhow::Result<Project> {
    let given = order
        .settings
        .clone()
        .over(Settings::from_environment(environment)?);
    let project = Project::discover(&order.path, given)?;
    dependencies::excluded(&project.settings.exclude)?;
    Ok(project)
}

impl<'a> Build<'a> {
    fn new(
        order: &Order,
        project: Project,
        destinations: &[Destination],
        environment: &'a Environment,
        progress: &'a Progress,
    ) -> anyhow::Result<Self> {
        let own_lock = OwnLock::of(&project, environment)?;
        let locked_base = own_lock
            .as_ref()
            .and_then(|lock| lock.base_for(&project, progress));
        // What is added to a base is not what is added to another one.
        let locked_packages = own_lock.as_ref().filter(|_| locked_base.is_some());
        let offline = project.settings.offline.unwrap_or(false);
        let registries = registry::Settings {
            offline,
            ..order.registries.clone()
        };
        let registries = registry::Client::new(environment, registries);
        let mut store = Store::open_telling(&super::cache::directory(environment)?, progress)?
            .guarded_by(&environment.secrets);
        let cache_from = &project.settings.cache_from;
        if !cache_from.is_empty() {
            let shared = SharedCache::new(cache_from.clone(), &registries, &store, progress);
            store = store.with_remote(Arc::new(shared));
        }
        let mut build = Self {
            store,
            http: Client::new(environment, offline),
            keep: keep(destinations, &project.settings),
            registries,
            environment,
            progress,
            timings: progress.timings().clone(),
            layers: layer_options(order, &project.settings, environment)?,
            upgrade: order.upgrade,
            outputs: destinations
                .iter()
                .filter_map(Destination::path)
                .chain(order.files.paths())
                .cloned()
                .collect(),
            locked_packages: locked_packages.and_then(|lock| lock.packages.clone()),
            locked_base,
            own_lock,
            project,
            parsed: Parsed::default(),
            explains: false,
        };
        build.http = build.http.clone().with_access(build.access()?, environment)?;
        Ok(build)
    }
}

impl Build<'_> {
    /// The image, for all platforms, at its destinations.
    fn written(&self, destinations: &[Destination]) -> anyhow::Result<Made> {
        let mut images = Vec::new();
        let mut reports = Vec::new();
        let platforms = platforms(&self.project.settings)?;
        for platform in &platforms {
            let result = self.platform(*platform);
            // One platform alone needs no naming: the cause is then the error.
            let (image, report) = match platforms.len() {
                1 => result?,
                _ => result.with_context(|| format!("cannot build for {platform}"))?,
            };
            images.push(image);
            reports.push(report);
        }
        let index = Index::of(images)?;
        let closure = Closure::try_from(&index)?;
        gate::check_documents(&index, &self.environment.secrets)?;
        let left_out = self.left_out(&reports);
        let mut written = Vec::new();
        for destination in destinations {
            written.push(destination.write(&closure, left_out.as_ref(), &self.tools())?);
        }
        Ok(Made {
            index,
            closure,
            reports,
            written,
        })
    }

    /// The way of one build, for one platform.
    fn platform(&self, platform: Platform) -> anyhow::Result<(Image, PlatformReport)> {
        let plan = self.plan(platform)?;
        self.parsed.forget();
        self.make(plan)
    }

    /// What a plan says becomes an image.
    fn make(&self, plan: Plan) -> anyhow::Result<(Image, PlatformReport)> {
        let Plan {
            base,
            selected,
            request,
            distribution,
            start,
            user,
            files,
            ..
        } = plan;
        let platform = base.platform;
        let name = platform.to_string();
        let added = self.packages(&plan.reference, &base)?;
        let maker = self.maker(&base)?;
        let library = self.standard_library(&base, maker.as_ref())?;
        let dependencies = self.timings.step("dependencies", &name, || {
            self.dependencies(
                &selected,
                &request,
                (&base, maker.as_ref()),
                added.as_ref().map(|added| &added.layer),
            )
        })?;
        let (data, app) = self.timings.step("app", &name, || {
            self.app(files, distribution.as_ref(), &start, &base)
        })?;
        let mut run = self.run(&base, distribution.as_ref(), &start, user);
        let packages = added
            .iter()
            .map(|added| (LayerKind::Packages, added.layer.clone()));
        let library = library
            .into_iter()
            .map(|layer| (LayerKind::StandardLibrary, layer));
        let vendored = dependencies
            .iter()
            .map(|d| (LayerKind::Dependencies, d.layer.clone()));
        let ours: Vec<_> = packages
            .chain(library)
            .chain(vendored)
            .chain(data.map(|layer| (LayerKind::AppData, layer)))
            .chain([(LayerKind::App, app)])
            .collect();
        let (kinds, layers) = ours.iter().cloned().unzip();
        let mut record = Record::new(&run, &base.target, kinds);
        record.packages.clone_from(&self.project.settings.packages);
        run.labels.insert(record::LABEL.to_owned(), record.label()?);
        let image = self.timings.step("assemble", &name, || {
            assemble(&base, layers, &run, self.layers.mtime)
        })?;
        let of_base = base.layers.iter().map(|layer| (LayerKind::Base, layer.clone()));
        let report = PlatformReport {
            platform,
            digest: image.manifest.descriptor.digest.clone(),
            base: plan.reference.to_string(),
            origin: base.origin.clone(),
            python: base.target.python_full_version(),
            layers: of_base.chain(ours).collect(),
            packages: dependencies.into_iter().map(|d| d.packages).collect(),
            debian: added.map(|added| added.packages).unwrap_or_default(),
            command: start.command,
            reason: start.reason,
            user: run.user,
        };
        Ok((image, report))
    }

    /// What the outside is worked with.
    fn tools(&self) -> Tools<'_> {
        Tools {
            store: &self.store,
            http: &self.http,
            registries: &self.registries,
            environment: self.environment,
            progress: self.progress,
        }
    }
}

fn layer_options(
    order: &Order,
    settings: &Settings,
    environment: &Environment,
) -> anyhow::Result<LayerOptions> {
    Ok(LayerOptions {
        mtime: super::base::source_date_epoch(environment)?,
        compression: settings.compression.unwrap_or_default(),
        threads: order.threads,
    })
}

/// The platforms that were asked for; one alone, `linux/amd64`, if none was: the same on every machine.
fn platforms(settings: &Settings) -> Result<Vec<Platform>, super::Error> {
    let mut platforms = settings.platforms.clone();
    if platforms.is_empty() {
        platforms.push(Platform::linux(Architecture::Amd64));
    }
    for (at, platform) in platforms.iter().enumerate() {
        if platforms[..at].contains(platform) {
            return Err(super::Error::PlatformTwice(*platform));
        }
    }
    Ok(platforms)
}
