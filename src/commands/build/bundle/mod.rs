//! What a bundle is made of: the project's files, its packages, and what starts it; as trees, for whoever writes them.

mod debian;
mod needs;
mod target;
mod thin;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::app::HELD;
use super::dependencies::name_and_version;
use super::{Build, Order};
use crate::environment::Environment;
use crate::layer;
use crate::lock::{self, FetchedWheel, Lock, Selected};
use crate::parallel;
use crate::paths::TreePath;
use crate::progress::Progress;
use crate::project::bundle::{self, Directory, Launcher, Needs};
use crate::project::runtime::is_shell_name;
use crate::project::{self, AppOptions, Distribution, Files, Project, Runtime, Start};
use crate::python::Target;
use crate::tree::{Content, Entry, Owner, Tree, TreeError};
use crate::wheel::Wheel;
use thin::Thin;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct BundleOrder {
    /// Project and settings.
    pub build: Order,
    /// What will be written: never part of the app.
    pub output: Option<PathBuf>,
    /// Whether the packages are installed at the first start instead of bundled.
    pub thin: bool,
    /// Where the app starts; `None` decides by the command.
    pub directory: Option<Directory>,
    /// The interpreter on this machine that the bundle is for.
    pub target_python: Option<PathBuf>,
    /// Whether it becomes a Debian package.
    pub debian: bool,
}

/// A bundle: everything is decided, and nothing is written. Its files are below `app`, `python_deps`, ...: no path leads
/// out of the directory that they are put into, and nothing in them depends on where that is.
pub struct Bundle {
    /// The project.
    pub project: Project,
    /// The project as an installed distribution, if it is one: its metadata.
    pub distribution: Option<Distribution>,
    /// What the packages were chosen for.
    pub target: Target,
    /// What they need.
    pub needs: Needs,
    /// Name and version of each package.
    pub packages: Vec<(String, String)>,
    /// How it starts.
    pub start: Start,
    /// Where the app starts.
    pub directory: Directory,
    /// `app/`: the project's files.
    pub app: Tree,
    /// `python_deps/`: the packages; empty if there are none, and in a thin bundle.
    pub dependencies: Tree,
    /// What a thin bundle has instead: `requirements.txt`, `built/`.
    pub thin: Option<Tree>,
    /// `run`: the script that starts the app.
    pub run: String,
    /// Relations to the Debian packages of the libraries that it needs; only of what becomes a Debian package.
    pub debian_libraries: Vec<String>,
    /// How archives of it are written.
    pub layer: layer::Options,
}

impl Bundle {
    /// All of it, below the directory that it will be in.
    pub fn tree(&self) -> Result<Tree, TreeError> {
        let mut tree = self.app.clone();
        tree.merge(self.dependencies.clone())?;
        if let Some(thin) = &self.thin {
            tree.merge(thin.clone())?;
        }
        if let Ok(path) = TreePath::new(bundle::RUN) {
            let content = Content::bytes(self.run.clone().into_bytes());
            tree.insert(path, Entry::file(content, true))?;
        }
        Ok(tree)
    }
}

/// Makes the bundle of a project.
pub fn bundle(order: &BundleOrder, environment: &Environment, progress: &Progress) -> anyhow::Result<Bundle> {
    let mut project = super::project(&order.build, environment)?;
    // A bundle belongs to whoever unpacks it: there is no other user to give files to.
    project.settings.writable.clear();
    let environment = &project.settings.indexes.apply(environment);
    let mut build = Build::new(&order.build, project, &[], environment, progress)?;
    if let Some(name) = build
        .project
        .settings
        .env
        .keys()
        .find(|name| !is_shell_name(name))
    {
        return Err(project::Error::ShellName(name.clone()).into());
    }
    build.outputs.extend(order.output.clone());
    let wanted = build.bundle_target(order.target_python.as_deref())?;
    build.project.check_python(&wanted)?;
    let making = Making::new(&build, wanted)?;
    let made = making.bundle(order)?;
    Ok(Bundle {
        project: build.project,
        ..made
    })
}

/// What is known before anything is made.
struct Making<'b> {
    build: &'b Build<'b>,
    request: lock::Request,
    lock: Lock,
    target: Target,
    selected: Vec<Selected>,
}

impl<'b> Making<'b> {
    /// Chooses the packages.
    fn new(build: &'b Build<'b>, wanted: Target) -> anyhow::Result<Self> {
        let request = build.lock_request();
        let lock = build.timings.step("lock", "", || build.lock(&request, &wanted))?;
        let (target, selected) = build.oldest_libc(&lock, &request, wanted)?;
        Ok(Self {
            build,
            request,
            lock,
            target,
            selected,
        })
    }

    fn bundle(&self, order: &BundleOrder) -> anyhow::Result<Bundle> {
        let (build, target) = (self.build, &self.target);
        let files = build.project.files(&build.outputs, build.progress)?;
        let distribution = build.distribution(&self.request, target)?;
        let mut start = build.start(&files, distribution.as_ref(), &self.selected, true)?;
        if start.command.iter().any(|word| word == "-m") && !start.import_roots.contains(&String::new()) {
            // Modules of the project are found wherever the app starts.
            start.import_roots.push(String::new());
        }
        let (wheels, fetched) = self.wheels()?;
        let install = || build.install(wheels.clone(), target, bundle::DEPENDENCIES);
        let installed = build.timings.step("install", "", install);
        // Every file is checked against RECORD when it is read; where that fails the wheel is named.
        let installed = installed?.tree;
        let needs = self.needs(&wheels, distribution.as_ref(), &installed)?;
        let thin = order.thin && !wheels.is_empty();
        let thin = thin.then(|| Thin::of(self, &wheels, &fetched)).transpose()?;
        let runtime = Runtime::Bundle {
            needs: &needs,
            thin: thin.is_some(),
        };
        let app = self.app(files, distribution.as_ref(), &start, runtime)?;
        let mut all = app.clone();
        all.merge(installed.clone())?;
        let env = self.variables(order);
        let debian_libraries = if order.debian {
            self.debian_libraries(&all, needs.libc)?
        } else {
            Vec::new()
        };
        let launcher = Launcher {
            needs: &needs,
            // > Scripts [...] should use /usr/bin/python3 (Debian Python Policy, "Interpreter Location")
            interpreter: if order.debian {
                "/usr/bin/python3"
            } else {
                "python3"
            },
            command: &start.command,
            directory: order.directory,
            env: &env,
            files: &all,
            stamp: thin.as_ref().map(|thin| thin.stamp.as_str()),
        };
        build.progress.choice("Needs", needs.to_string());
        Ok(Bundle {
            project: build.project.clone(),
            distribution,
            target: target.clone(),
            packages: self.selected.iter().map(name_and_version).collect(),
            directory: launcher.directory(),
            run: launcher.text(),
            start,
            app,
            dependencies: if thin.is_some() { Tree::new() } else { installed },
            thin: thin.map(|thin| thin.tree),
            needs,
            debian_libraries,
            layer: build.layers,
        })
    }

    /// The app's own files.
    fn app(
        &self,
        files: Files,
        distribution: Option<&Distribution>,
        start: &Start,
        runtime: Runtime<'_>,
    ) -> anyhow::Result<Tree> {
        let build = self.build;
        let options = AppOptions {
            target: &self.target,
            owner: Owner::default(),
            home: None,
            runtime,
        };
        let app = build.timings.step("app", "", || -> anyhow::Result<_> {
            let tree = build.project.tree(files, distribution, start, options)?;
            Ok(tree.with_small_files_read(HELD)?)
        })?;
        build.check_exposed(&app)?;
        Ok(app)
    }

    /// The environment variables that `run` sets.
    fn variables(&self, order: &BundleOrder) -> BTreeMap<String, String> {
        let mut env = self.build.project.settings.env.clone();
        if order.debian {
            // What root runs would leave byte-code among the package's files, which dpkg does not know and not remove.
            env.entry("PYTHONDONTWRITEBYTECODE".to_owned())
                .or_insert_with(|| "1".to_owned());
        }
        env
    }

    /// The wheels, fetched or built, opened.
    fn wheels(&self) -> anyhow::Result<(Vec<Wheel>, Vec<FetchedWheel>)> {
        let build = self.build;
        let fetch = || lock::fetch_all(&self.selected, &self.target, &self.request, &build.tools());
        let fetched = build.timings.step("fetch", "", fetch)?;
        let open = |file: &FetchedWheel| Wheel::open(&file.path, &file.file_name.to_string());
        let wheels = parallel::map(&fetched, build.layers.threads, open)?;
        Ok((wheels, fetched))
    }
}
