//! The flags that say what a project requires and where it comes from: the same for every command that resolves.

use std::path::PathBuf;

use clap::Args;

use super::index_args::IndexArgs;
use crate::lock::Resolver;
use crate::project::settings::{self, Settings};
use crate::python::{ExtraName, GroupName};

/// What is required, and from where it comes.
#[derive(Clone, Debug, Args)]
pub struct SourceArgs {
    /// Requirements file; can be repeated
    #[arg(
        short,
        long = "requirements",
        value_name = "FILE",
        alias = "requirement",
        help_heading = "Dependencies"
    )]
    pub requirements: Vec<PathBuf>,
    /// Extra of [project.optional-dependencies]; can be repeated
    #[arg(long, value_name = "EXTRA", help_heading = "Dependencies")]
    pub extra: Vec<ExtraName>,
    /// Group of [dependency-groups]; can be repeated
    #[arg(long, value_name = "GROUP", help_heading = "Dependencies")]
    pub group: Vec<GroupName>,
    /// Lock file, in any format that is read
    #[arg(long, value_name = "FILE", help_heading = "Dependencies")]
    pub lock: Option<PathBuf>,
    /// What resolves requirements where there is no lock [default: uv] [possible values: uv, pip]
    #[arg(long, value_name = "RESOLVER", value_parser = settings::resolver, help_heading = "Dependencies")]
    pub resolver: Option<Resolver>,
    /// Never build an sdist
    #[arg(long, help_heading = "Dependencies")]
    pub no_build: bool,
    /// Use the cache only, no network
    #[arg(long, help_heading = "Dependencies")]
    pub offline: bool,
    /// Where packages are looked for.
    #[command(flatten)]
    pub indexes: IndexArgs,
}

impl SourceArgs {
    /// The flags as settings; relative paths are not anchored yet.
    pub fn settings(&self) -> Settings {
        Settings {
            requirements: self.requirements.clone(),
            extras: self.extra.clone(),
            groups: self.group.clone(),
            lock: self.lock.clone(),
            resolver: self.resolver,
            no_build: self.no_build.then_some(true),
            offline: self.offline.then_some(true),
            indexes: self.indexes.settings(),
            ..Settings::default()
        }
    }
}
