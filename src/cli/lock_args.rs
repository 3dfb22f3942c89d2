//! The flags of `pyoci lock`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::args::RegistryArgs;
use super::source_args::SourceArgs;
use crate::platform::Platform;
use crate::project::settings::{self, Settings};

/// The flags of `pyoci lock`. All but `-o` and `--check` can be said in `[tool.pyoci]` and as `PYOCI_*` too.
#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent switches of the command line"
)]
pub struct LockArgs {
    /// The project's directory
    #[arg(default_value = ".", value_name = "PATH")]
    pub path: PathBuf,
    /// The lock file: pylock.toml or pylock.NAME.toml [default: pylock.toml in the project]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Only say whether the lock still fits the project
    #[arg(long)]
    pub check: bool,
    /// Take the newest versions, of packages and base, although those of the lock still fit
    #[arg(long, visible_alias = "pull", conflicts_with = "check")]
    pub upgrade: bool,
    /// The base, as `pyoci build` takes it [default: the recipe that fits the Python version]
    #[arg(long, value_name = "REF", help_heading = "Base")]
    pub base: Option<String>,
    /// Python version of the default base
    #[arg(long, value_name = "X.Y", value_parser = settings::python, help_heading = "Base")]
    pub python: Option<(u32, u32)>,
    /// Platforms to lock for [default: linux/amd64]
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',', help_heading = "Base")]
    pub platform: Vec<Platform>,
    /// Mirror that recipes take Debian packages from
    #[arg(long, value_name = "URL", help_heading = "Base")]
    pub debian_mirror: Option<String>,
    /// Service that recipes take packages from that have left the mirror [default: `https://snapshot.debian.org`]
    #[arg(long, value_name = "URL", help_heading = "Base")]
    pub debian_snapshot: Option<String>,
    /// Debian package to add to the base, with what it needs; can be repeated
    #[arg(
        long = "package",
        alias = "packages",
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Base"
    )]
    pub packages: Vec<String>,
    /// What is required, and from where it comes.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// How registries are talked to.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

impl LockArgs {
    /// The flags as settings; relative paths count from the working directory.
    pub fn settings(&self, working_directory: &Path) -> Settings {
        let mut settings = Settings {
            base: self.base.clone(),
            python: self.python,
            platforms: self.platform.clone(),
            packages: self.packages.clone(),
            debian_mirror: self.debian_mirror.clone(),
            debian_snapshot: self.debian_snapshot.clone(),
            ..self.sources.settings()
        };
        settings.anchor(working_directory);
        settings
    }
}
