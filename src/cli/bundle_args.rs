//! The flags of `pyoci bundle`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::args::{Format, Words, words};
use super::source_args::SourceArgs;
use super::timings::TimingsArgs;
use crate::commands::bundle::DebOrder;
use crate::platform::Platform;
use crate::project::bundle::Directory;
use crate::project::settings::{self, Settings};

/// The flags of `pyoci bundle`. Those that `pyoci build` has too can be said in `[tool.pyoci]` and as `PYOCI_*`.
#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent switches of the command line"
)]
pub struct BundleArgs {
    /// The project's directory
    #[arg(default_value = ".", value_name = "PATH")]
    pub path: PathBuf,
    /// Where the bundle goes: a directory (a bundle that is there is replaced), FILE.tar.gz, FILE.tar.zst, or FILE.deb: a
    /// Debian package
    #[arg(short, long, value_name = "DEST")]
    pub output: Option<PathBuf>,
    /// Leave the packages out: `run` installs them with pip at the first start
    #[arg(long)]
    pub thin: bool,
    /// Decide everything, write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Python version that the bundle is for [default: what the project prefers]
    #[arg(long, value_name = "X.Y", value_parser = settings::python, help_heading = "Target")]
    pub python: Option<(u32, u32)>,
    /// Platform that the bundle is for [default: linux/amd64]
    #[arg(long, value_name = "OS/ARCH", help_heading = "Target")]
    pub platform: Option<Platform>,
    /// Interpreter on this machine that the bundle is for: it is asked for its version, CPU and C library
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with_all = ["python", "platform"],
        help_heading = "Target"
    )]
    pub target_python: Option<PathBuf>,
    /// What is required, and from where it comes.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// Take nothing but a lock file
    #[arg(long, help_heading = "Dependencies")]
    pub locked: bool,
    /// Resolve again, although an earlier answer is remembered
    #[arg(long, visible_alias = "pull", help_heading = "Dependencies")]
    pub upgrade: bool,
    /// Leave files of the dependencies out by pattern; can be repeated
    #[arg(long, value_name = "GLOB", help_heading = "Dependencies")]
    pub exclude: Vec<String>,
    /// Start command, split as a shell splits words [default: found in the project]
    #[arg(long, value_name = "CMD", value_parser = words, help_heading = "Start")]
    pub entrypoint: Option<Words>,
    /// Process type of the Procfile to start with [default: web, or the only one]
    #[arg(
        long,
        value_name = "TYPE",
        conflicts_with = "entrypoint",
        help_heading = "Start"
    )]
    pub process: Option<String>,
    /// Where the app starts [default: the caller's directory for scripts of the project, else app/]
    #[arg(long, value_enum, value_name = "WHERE", help_heading = "Start")]
    pub cwd: Option<Cwd>,
    /// Directory of the project that modules are imported from; can be repeated [default: found in the project]
    #[arg(long, value_name = "DIR", value_parser = settings::directory, help_heading = "Start")]
    pub pythonpath: Vec<String>,
    /// Environment variable, where it is not set when the bundle starts; can be repeated
    #[arg(short, long, value_name = "K=V", value_parser = settings::variable, help_heading = "Start")]
    pub env: Vec<(String, String)>,
    /// Name of the package and of its command [default: the project's]
    #[arg(long, value_name = "NAME", help_heading = "Debian package")]
    pub name: Option<String>,
    /// Directory of the package's files [default: /opt/NAME]
    #[arg(long, value_name = "DIR", help_heading = "Debian package")]
    pub prefix: Option<String>,
    /// File of the project that becomes configuration in /etc/NAME, a link in its place; can be repeated
    #[arg(long, value_name = "FILE", help_heading = "Debian package")]
    pub config: Vec<String>,
    /// A systemd service runs the start command
    #[arg(long, help_heading = "Debian package")]
    pub service: bool,
    /// Who maintains the package [default: maintainers or authors of the project]
    #[arg(long, value_name = "NAME <ADDRESS>", help_heading = "Debian package")]
    pub maintainer: Option<String>,
    /// Version of the package, as Python has versions [default: the project's]
    #[arg(long, value_name = "VERSION", help_heading = "Debian package")]
    pub package_version: Option<String>,
    /// How long the steps take.
    #[command(flatten)]
    pub timings: TimingsArgs,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub format: Format,
}

/// `--cwd`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cwd {
    /// Where `run` is called.
    Caller,
    /// In app/, as in an image.
    App,
}

impl From<Cwd> for Directory {
    fn from(cwd: Cwd) -> Self {
        match cwd {
            Cwd::Caller => Self::Caller,
            Cwd::App => Self::App,
        }
    }
}

impl BundleArgs {
    /// What is asked of a Debian package.
    pub fn deb(&self) -> DebOrder {
        DebOrder {
            name: self.name.clone(),
            prefix: self.prefix.clone(),
            maintainer: self.maintainer.clone(),
            version: self.package_version.clone(),
            config: self.config.clone(),
            service: self.service,
        }
    }

    /// The flags as settings; relative paths count from the working directory.
    pub fn settings(&self, working_directory: &Path) -> Settings {
        let said = |flag: bool| flag.then_some(true);
        let mut settings = Settings {
            python: self.python,
            platforms: self.platform.into_iter().collect(),
            locked: said(self.locked),
            exclude: self.exclude.clone(),
            entrypoint: self.entrypoint.clone().map(Words::into),
            process: self.process.clone(),
            pythonpath: self.pythonpath.clone(),
            env: self.env.iter().cloned().collect(),
            ..self.sources.settings()
        };
        settings.anchor(working_directory);
        settings
    }
}
