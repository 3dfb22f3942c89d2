//! The dependencies: lock, wheels, trees, layers; each found again by what went into it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::making::Making;
use super::native::Verdict;
use super::{Build, layers};
use crate::bytecode::{self, Maker};
use crate::commands::Error;
use crate::digest::Digest;
use crate::image::Base;
use crate::layer::{self, Compression, Layer};
use crate::lock::{self, Lock, Request, Selected};
use crate::paths::TreePath;
use crate::project::settings::Layers;
use crate::project::{Packaging, Project, RequirementSource, runtime};
use crate::python::Target;
use crate::store::Store;
use crate::timings::Note;
use crate::tree::Tree;
use crate::wheel::{self, InstallOptions, Installed, Wheel};

/// A layer of dependencies.
#[derive(Clone, Debug)]
pub(super) struct Vendored {
    /// The layer.
    pub layer: Layer,
    /// Name and version of each package in it.
    pub packages: Vec<(String, String)>,
}

impl Build<'_> {
    /// What is asked of the lock: what the project says, and the switches of this build.
    pub(super) fn lock_request(&self) -> Request {
        let Project {
            settings,
            requirements,
            root,
            ..
        } = &self.project;
        let mut request = Request {
            directory: root.clone(),
            extras: settings.extras.iter().cloned().collect(),
            groups: settings.groups.iter().cloned().collect(),
            resolver: settings.resolver.unwrap_or_default(),
            no_build: settings.no_build.unwrap_or(false),
            offline: settings.offline.unwrap_or(false),
            upgrade: self.upgrade,
            locked: settings.locked.unwrap_or(false),
            parsed: self.parsed.clone(),
            ..Request::default()
        };
        if self.own_lock.is_some() {
            // It was made for those that are asked for, and has nothing else.
            (request.extras, request.groups) = Default::default();
        }
        match &requirements.source {
            RequirementSource::Lock(path) => {
                request.lock = Some(path.clone());
                // Its header says where the indexes are.
                request.script = self.project.script.as_ref().map(|script| script.path.clone());
            }
            RequirementSource::Files(files) => request.requirements.clone_from(files),
            RequirementSource::Metadata(path) => request.pyproject = Some(path.clone()),
            RequirementSource::Script(path) => request.script = Some(path.clone()),
            RequirementSource::None => {}
        }
        request
    }

    /// What is installed for a target: a lock file if there is one, else what the resolver answers.
    pub(super) fn select(&self, request: &Request, target: &Target) -> anyhow::Result<Vec<Selected>> {
        self.choose(&self.lock(request, target)?, request, target)
    }

    /// The lock for a target; says where the requirements are.
    pub(super) fn lock(&self, request: &Request, target: &Target) -> anyhow::Result<Lock> {
        let requirements = &self.project.requirements;
        let name = |path: &PathBuf| {
            path.strip_prefix(&self.project.root)
                .unwrap_or(path)
                .display()
                .to_string()
        };
        let source = match &requirements.source {
            RequirementSource::Lock(path)
            | RequirementSource::Metadata(path)
            | RequirementSource::Script(path) => name(path),
            RequirementSource::Files(paths) => paths.iter().map(name).collect::<Vec<_>>().join(", "),
            RequirementSource::None => "none".to_owned(),
        };
        self.progress
            .choice("Requirements", format!("{source}: {}", requirements.reason));
        if let Some(ignored) = &requirements.ignored {
            self.progress
                .choice("Ignored", format!("{}: {source} is there", name(ignored)));
        }
        Ok(lock::of(request, target, &self.tools())?)
    }

    /// What a target takes of a lock.
    pub(super) fn choose(
        &self,
        lock: &Lock,
        request: &Request,
        target: &Target,
    ) -> anyhow::Result<Vec<Selected>> {
        let mut selected = lock.select(target, &request.extras, &request.groups)?;
        // A lock of the project, or `-e .`, names the project too. It is in the app layer already, importable and with
        // its metadata: a second copy among the dependencies would be the one of the day when that layer was made.
        if !matches!(self.project.packaging()?, Packaging::Files) {
            selected.retain(|package| !package.is_directory(&self.project.root));
        }
        Ok(selected)
    }

    /// The layers of the dependencies, on a base to which Debian packages may have been added, with byte-code if somebody
    /// makes it; none if there are none.
    pub(super) fn dependencies(
        &self,
        selected: &[Selected],
        request: &Request,
        (base, maker): (&Base, Option<&Maker<'_>>),
        added: Option<&Layer>,
    ) -> anyhow::Result<Vec<Vendored>> {
        if selected.is_empty() {
            return Ok(Vec::new());
        }
        let mut making = Making {
            build: self,
            request,
            base,
            maker,
            fetched: BTreeMap::new(),
        };
        let layers = self.project.settings.layers.clone().unwrap_or_default();
        if matches!(layers, Layers::Large | Layers::Groups) {
            making.know_sizes(selected)?;
        }
        // The base's, the added packages', the byte-code's; the app's is counted where they are divided.
        let below = base.layers.len() + usize::from(added.is_some()) + usize::from(making.maker.is_some());
        let parts = layers::divide(selected, &layers, below, &self.store)?;
        let keys = making.keys(&parts)?;
        let find = |(part, key): (&layers::Part<'_>, &Digest)| self.kept_layer(key, &part.created_by);
        let found: Vec<_> = parts.iter().zip(&keys).map(find).collect::<anyhow::Result<_>>()?;
        let unchanged = found.iter().flatten().count();
        let verdict = Verdict::on(&keys, base, added);
        let (made, verdict) = match verdict.remembered(&self.store) {
            Some(known) if unchanged == parts.len() => (found.into_iter().flatten().collect(), known),
            _ => {
                let (made, facts) = making.make(&parts, &keys, &found)?;
                let step = || verdict.reach(&facts, self);
                (made, self.timings.step("native libraries", "", step)?)
            }
        };
        let size: u64 = made.iter().map(|layer: &Layer| layer.blob.descriptor.size).sum();
        let mut line = format!("{}, {}", packages(selected.len()), indicatif::DecimalBytes(size));
        match (made.len(), unchanged) {
            (1, 1) => line += ", unchanged",
            (1, _) => {}
            (count, unchanged) => {
                let _ = write!(line, " in {count} layers, {unchanged} unchanged");
            }
        }
        self.progress.done("Dependencies", line);
        verdict.tell(self)?;
        Ok(made
            .into_iter()
            .zip(parts)
            .map(|(layer, part)| Vendored {
                layer,
                packages: part
                    .packages
                    .iter()
                    .map(|package| name_and_version(package))
                    .collect(),
            })
            .collect())
    }

    /// Installs wheels into a directory of a tree.
    pub(super) fn install(
        &self,
        wheels: Vec<Wheel>,
        target: &Target,
        directory: &str,
    ) -> anyhow::Result<Installed> {
        let install = |options: &InstallOptions<'_>| Ok((wheel::install_all(wheels, options)?, ()));
        let (installed, ()) = self.installing(target, directory, install)?;
        Ok(installed)
    }

    /// Has wheels installed into a directory of a tree as the project says, and tells of what the user should know.
    pub(super) fn installing<L, T>(
        &self,
        target: &Target,
        directory: &str,
        install: impl FnOnce(&InstallOptions<'_>) -> anyhow::Result<(Installed<L>, T)>,
    ) -> anyhow::Result<(Installed<L>, T)> {
        let prefix = TreePath::new(directory.trim_start_matches('/'))?;
        let exclude = excluded(&self.project.settings.exclude)?;
        let options = InstallOptions {
            prefix: &prefix,
            target,
            exclude: &exclude,
            requested: &BTreeSet::new(),
        };
        let (installed, more) = install(&options)?;
        for warning in &installed.warnings {
            self.progress.warn(warning.clone());
        }
        Ok((installed, more))
    }

    /// Stands for everything that decides the bytes of the dependencies layer.
    pub(super) fn dependencies_key(
        &self,
        wheels: &[Digest],
        base: &Base,
        maker: Option<&Maker<'_>>,
    ) -> Digest {
        let mut wheels: Vec<String> = wheels.iter().map(ToString::to_string).collect();
        wheels.sort();
        let mut inputs = wheels.join("\n");
        let _ = write!(
            inputs,
            "\ninstall {} {} {}",
            wheel::INSTALL_FORMAT,
            base.target.interpreter,
            runtime::DEPENDENCIES
        );
        for pattern in &self.project.settings.exclude {
            let _ = write!(inputs, "\nexclude {pattern}");
        }
        if let Some(maker) = maker {
            let _ = write!(inputs, "\nbyte-code {} {}", bytecode::FORMAT, maker.version());
        }
        // Where links of the base lead the tree elsewhere, it is another layer.
        let prefix = runtime::DEPENDENCIES.trim_start_matches('/');
        for (link, target) in &base.directory_links {
            if link.components().next() == Some(prefix) {
                let _ = write!(inputs, "\nlink {link} {target}");
            }
        }
        self.layer_key("dependencies", &inputs)
    }

    /// The key of a layer: its inputs, and how every layer of this build is written.
    pub(super) fn layer_key(&self, kind: &str, inputs: &str) -> Digest {
        let compression = match self.layers.compression {
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        };
        Digest::of(
            format!(
                "{kind} layer {} {compression} {}\n{inputs}",
                layer::FORMAT,
                self.layers.mtime
            )
            .as_bytes(),
        )
    }

    /// The layer of a key, made from a tree if a store does not have it.
    pub(super) fn layer(
        &self,
        (key, created_by): (&Digest, &str),
        store: &Store,
        tree: impl FnOnce() -> anyhow::Result<Tree>,
    ) -> anyhow::Result<Layer> {
        self.layer_step(created_by, |note| {
            if let Some(layer) = store.layer(key, created_by) {
                self.check_kept(&layer)?;
                note.cached(true);
                return Ok(layer);
            }
            let tree = tree()?;
            note.cached(false);
            store.make_layer(key, created_by, |out| -> anyhow::Result<_> {
                let watch = self.environment.secrets.watch();
                Ok(layer::write_watched(&tree, &self.layers, watch, out)?)
            })
        })
    }

    /// The layer of a key, if a store has it: then finding it is a step.
    fn kept_layer(&self, key: &Digest, created_by: &str) -> anyhow::Result<Option<Layer>> {
        let Some(layer) = self.store.layer(key, created_by) else {
            return Ok(None);
        };
        let layer = self.layer_step(created_by, |note| {
            self.check_kept(&layer)?;
            note.cached(true);
            Ok(layer)
        });
        layer.map(Some)
    }

    /// A step that gives a layer.
    pub(super) fn layer_step(
        &self,
        created_by: &str,
        work: impl FnOnce(&mut Note) -> anyhow::Result<Layer>,
    ) -> anyhow::Result<Layer> {
        let subject = created_by.trim_start_matches("pyoci: ");
        self.timings.measure("layer", subject, |note| {
            let layer = work(note)?;
            note.bytes(layer.blob.descriptor.size);
            Ok(layer)
        })
    }
}

/// A layer's size as people read it.
pub(super) fn size_of(layer: &Layer) -> String {
    indicatif::DecimalBytes(layer.blob.descriptor.size).to_string()
}

/// The patterns of `exclude`.
pub(super) fn excluded(patterns: &[String]) -> Result<GlobSet, Error> {
    let refused = |pattern: &str, error: &globset::Error| Error::Exclude {
        pattern: pattern.to_owned(),
        problem: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(|error| refused(pattern, &error))?);
    }
    set.build().map_err(|error| refused(&patterns.join(", "), &error))
}

/// `1 package`, `2 packages`.
fn packages(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} package{plural}")
}

/// A package as reports list it.
pub(super) fn name_and_version(selected: &Selected) -> (String, String) {
    let version = selected.version.as_ref().map(ToString::to_string);
    (selected.name.to_string(), version.unwrap_or_default())
}
