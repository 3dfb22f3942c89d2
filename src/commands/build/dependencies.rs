//! The dependencies layer: lock, wheels, tree, layer; found again by what went into it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::Build;
use super::app::over_base;
use crate::bytecode::Maker;
use crate::commands::Error;
use crate::digest::Digest;
use crate::image::Base;
use crate::layer::{self, Compression, Layer};
use crate::lock::{self, FetchedWheel, Request, Selected};
use crate::parallel;
use crate::paths::TreePath;
use crate::project::{Packaging, Project, RequirementSource, runtime};
use crate::python::Target;
use crate::store::Store;
use crate::tree::Tree;
use crate::wheel::{self, InstallOptions, Wheel};

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
            ..Request::default()
        };
        if self.own_lock.is_some() {
            // It was made for those that are asked for, and has nothing else.
            (request.extras, request.groups) = Default::default();
        }
        match &requirements.source {
            RequirementSource::Lock(path) => request.lock = Some(path.clone()),
            RequirementSource::Files(files) => request.requirements.clone_from(files),
            RequirementSource::Metadata(path) => request.pyproject = Some(path.clone()),
            RequirementSource::None => {}
        }
        request
    }

    /// What is installed for a target: a lock file if there is one, else what the resolver answers.
    pub(super) fn select(&self, request: &Request, target: &Target) -> anyhow::Result<Vec<Selected>> {
        let requirements = &self.project.requirements;
        let name = |path: &PathBuf| {
            path.strip_prefix(&self.project.root)
                .unwrap_or(path)
                .display()
                .to_string()
        };
        let source = match &requirements.source {
            RequirementSource::Lock(path) | RequirementSource::Metadata(path) => name(path),
            RequirementSource::Files(paths) => paths.iter().map(name).collect::<Vec<_>>().join(", "),
            RequirementSource::None => "none".to_owned(),
        };
        self.progress
            .choice("Requirements", format!("{source}: {}", requirements.reason));
        if let Some(ignored) = &requirements.ignored {
            self.progress
                .choice("Ignored", format!("{}: {source} is there", name(ignored)));
        }
        let lock = lock::of(request, target, &self.tools())?;
        let mut selected = lock.select(target, &request.extras, &request.groups)?;
        // A lock of the project, or `-e .`, names the project too. It is in the app layer already, importable and with
        // its metadata: a second copy among the dependencies would be the one of the day when that layer was made.
        if !matches!(self.project.packaging()?, Packaging::Files) {
            selected.retain(|package| !package.is_directory(&self.project.root));
        }
        Ok(selected)
    }

    /// The layer of the dependencies; none if there are none.
    pub(super) fn dependencies(
        &self,
        selected: &[Selected],
        request: &Request,
        base: &Base,
    ) -> anyhow::Result<Option<Layer>> {
        if selected.is_empty() {
            return Ok(None);
        }
        let maker = self.maker(base)?;
        let created_by = "pyoci: dependencies";
        let known: Option<Vec<Digest>> = selected.iter().map(Selected::identity).collect();
        let key = known.map(|wheels| self.dependencies_key(&wheels, base, maker.as_ref()));
        if let Some(layer) = key.as_ref().and_then(|key| self.store.layer(key, created_by)) {
            self.check_kept(&layer)?;
            self.progress.done(
                "Dependencies",
                format!("{}, {}, unchanged", packages(selected.len()), size_of(&layer)),
            );
            return Ok(Some(layer));
        }
        let fetch = || lock::fetch_all(selected, &base.target, request, &self.tools());
        let fetched = self.timings.step("fetch", "", fetch)?;
        let key = key.unwrap_or_else(|| {
            let identity = |f: &FetchedWheel| f.selected.identity().unwrap_or_else(|| f.digest.clone());
            let wheels: Vec<Digest> = fetched.iter().map(identity).collect();
            self.dependencies_key(&wheels, base, maker.as_ref())
        });
        let mut wheels = Vec::new();
        let layer = self.layer((&key, created_by), &self.store, || {
            let open = |file: &FetchedWheel| Wheel::open(&file.path, &file.file_name.to_string());
            wheels = parallel::map(&fetched, self.layers.threads, open)?;
            let tree = self.install(&wheels, &base.target)?;
            let tree = match &maker {
                Some(maker) => self.compiled(tree, maker)?,
                None => tree,
            };
            over_base(tree, base)
        });
        // The layer's pipeline checks every file against RECORD and knows no wheels: find the one to name.
        let layer = layer.map_err(|error| {
            let fault = wheels.iter().find_map(|wheel| wheel.verify_record().err());
            fault.map_or(error, Into::into)
        })?;
        self.progress.done(
            "Dependencies",
            format!("{}, {}", packages(selected.len()), size_of(&layer)),
        );
        Ok(Some(layer))
    }

    fn install(&self, wheels: &[Wheel], target: &Target) -> anyhow::Result<Tree> {
        let prefix = TreePath::new(runtime::DEPENDENCIES.trim_start_matches('/'))?;
        let exclude = excluded(&self.project.settings.exclude)?;
        let options = InstallOptions {
            prefix: &prefix,
            target,
            exclude: &exclude,
            requested: &BTreeSet::new(),
        };
        let installed = wheel::install_all(wheels, &options)?;
        for warning in installed.warnings {
            self.progress.warn(warning);
        }
        Ok(installed.tree)
    }

    /// Stands for everything that decides the bytes of the dependencies layer.
    fn dependencies_key(&self, wheels: &[Digest], base: &Base, maker: Option<&Maker<'_>>) -> Digest {
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
            let _ = write!(inputs, "\nbyte-code {}", maker.version());
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
        if let Some(layer) = store.layer(key, created_by) {
            self.check_kept(&layer)?;
            return Ok(layer);
        }
        let tree = tree()?;
        store.make_layer(key, created_by, |out| -> anyhow::Result<_> {
            let watch = self.environment.secrets.watch();
            Ok(layer::write_watched(&tree, &self.layers, watch, out)?)
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
