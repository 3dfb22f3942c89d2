//! What was typed: the flags of every command.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::bundle_args::BundleArgs;
use super::lock_args::LockArgs;
use super::source_args::SourceArgs;
use super::timings::TimingsArgs;
use crate::layer::Compression;
use crate::platform::Platform;
use crate::project::settings::{self, BaseBlobs, Layers, Port, Settings};
use crate::reference::RegistryReference;
use crate::registry;
use crate::tree::Owner;

/// Turn a Python project into an OCI container image: no Docker, no daemon, no root, no Dockerfile.
#[derive(Debug, Parser)]
#[command(name = "pyoci", version, about, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How it is told.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an image from a Python project
    Build(Box<BuildArgs>),
    /// Make a directory or archive that runs on a machine with python3 and nothing else
    Bundle(Box<BundleArgs>),
    /// Print every decision of a build and why, and build nothing
    Explain(Box<BuildArgs>),
    /// Write what a build guesses into [tool.pyoci] of pyproject.toml
    Init(InitArgs),
    /// Write a lock file (pylock.toml): packages for all platforms, and the base
    Lock(Box<LockArgs>),
    /// Copy an image to a registry, as it is
    Push(PushArgs),
    /// Copy an image from a registry, as it is
    Pull(PullArgs),
    /// Keep the credentials of a registry
    Login(LoginArgs),
    /// Forget the credentials of a registry
    Logout(LogoutArgs),
    /// Put an image that pyoci built on another base, without building it again
    Rebase(RebaseArgs),
    /// Show the bases that pyoci can assemble itself
    Base {
        /// What to do with bases.
        #[command(subcommand)]
        command: BaseCommand,
    },
    /// Show, check, prune or empty the cache
    Cache {
        /// What to do with the cache.
        #[command(subcommand)]
        command: CacheCommand,
    },
}

/// Commands about bases.
#[derive(Debug, Subcommand)]
pub enum BaseCommand {
    /// List the recipes
    List,
}

/// Commands about the cache.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Print the cache's directory
    Dir,
    /// Remove what was not used for a while
    Prune {
        /// Keep what was used within so many days
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        days: u64,
    },
    /// Read every entry and remove what is damaged; exit code 1 if anything was
    Verify {
        /// Tell what is damaged, and leave it
        #[arg(long)]
        keep: bool,
    },
    /// Remove everything
    Clean,
}

/// Flags that every command has.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// How progress is shown on stderr
    #[arg(long, global = true, value_enum, default_value_t = ProgressMode::Auto, value_name = "MODE")]
    pub progress: ProgressMode,
    /// Show errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Show more
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// `--progress`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// Live on a terminal, else plain lines.
    Auto,
    /// Live bars.
    Tty,
    /// One line for each finished step.
    Plain,
    /// Nothing.
    None,
}

/// `--format`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The digest of the manifest or index.
    Text,
    /// Everything about the image and how it was built.
    Json,
}

/// The flags of `pyoci build`. All of them but `-o` can be said in `[tool.pyoci]` and as `PYOCI_*` too.
#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent switches of the command line"
)]
pub struct BuildArgs {
    /// The project's directory
    #[arg(default_value = ".", value_name = "PATH")]
    pub path: PathBuf,
    /// Where the image goes: a directory (its layout is replaced), oci:DIR[:TAG] (the tag is added), oci-archive:FILE[:TAG],
    /// docker-archive:FILE[:NAME] or `docker://REGISTRY/NAME[:TAG]`; can be repeated
    #[arg(short, long, value_name = "DEST")]
    pub output: Vec<String>,
    /// Push to a registry, as `-o docker://REGISTRY/NAME[:TAG]`; can be repeated
    #[arg(long, value_name = "REF")]
    pub push: Vec<String>,
    /// Leave the base's layers in their registry (`reference`) instead of copying them into the layout [default: copy]
    #[arg(long, value_name = "HOW", value_parser = settings::base_blobs, help_heading = "Registry")]
    pub base_blobs: Option<BaseBlobs>,
    /// Repository that keeps finished layers and resolutions for other machines: --cache-from and --cache-to in one
    #[arg(long, value_name = "REF", value_parser = settings::cache, help_heading = "Registry", conflicts_with_all = ["cache_from", "cache_to"])]
    pub cache: Option<RegistryReference>,
    /// Repository in which finished layers and resolutions are looked for; can be repeated
    #[arg(long, value_name = "REF", value_parser = settings::cache, help_heading = "Registry")]
    pub cache_from: Vec<RegistryReference>,
    /// Repository to which finished layers and resolutions are written
    #[arg(long, value_name = "REF", value_parser = settings::cache, help_heading = "Registry")]
    pub cache_to: Option<RegistryReference>,
    /// How registries are talked to.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Hand the image to podman or docker [default name: the project's]
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub load: Option<String>,
    /// Write digest, descriptor and names to a file as JSON, in the form of docker buildx
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Write the image ID (the config's digest; the index's where there are several platforms) to a file
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Tag of the image; can be repeated [default: latest]
    #[arg(short, long, value_name = "TAG", value_parser = tag)]
    pub tag: Vec<String>,
    /// The base: recipe:NAME, recipe:FILE or oci:DIR[:TAG] [default: the recipe that fits the Python version]
    #[arg(long, value_name = "REF", help_heading = "Base")]
    pub base: Option<String>,
    /// Python version of the default base
    #[arg(long, value_name = "X.Y", value_parser = settings::python, help_heading = "Base")]
    pub python: Option<(u32, u32)>,
    /// Platforms to build for [default: linux/amd64]
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',', help_heading = "Base")]
    pub platform: Vec<Platform>,
    /// Mirror that recipes take Debian packages from
    #[arg(long, value_name = "URL", help_heading = "Base")]
    pub debian_mirror: Option<String>,
    /// Service that recipes take packages from that have left the mirror [default: `https://snapshot.debian.org`]
    #[arg(long, value_name = "URL", help_heading = "Base")]
    pub debian_snapshot: Option<String>,
    /// What is required, and from where it comes.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// Resolve again although an earlier resolution or base is still fresh
    #[arg(long, visible_alias = "pull", help_heading = "Dependencies")]
    pub upgrade: bool,
    /// Fail unless there is a lock file
    #[arg(long, help_heading = "Dependencies")]
    pub locked: bool,
    /// How the dependencies are divided into layers [default: single] [possible values: single, large, groups]
    #[arg(long, value_name = "MODE", value_parser = settings::layers, help_heading = "Dependencies")]
    pub layers: Option<Layers>,
    /// Debian package to add to the base, with what it needs, e.g. libgomp1; can be repeated
    #[arg(
        long = "package",
        alias = "packages",
        value_name = "NAME",
        help_heading = "Base"
    )]
    pub packages: Vec<String>,
    /// Fail if a native library is missing or a file looks like a credential, instead of warning
    #[arg(long, help_heading = "Dependencies")]
    pub strict: bool,
    /// Leave files of the dependencies out by pattern; can be repeated
    #[arg(long, value_name = "GLOB", help_heading = "Dependencies")]
    pub exclude: Vec<String>,
    /// Start command, split as a shell splits words [default: found in the project]
    #[arg(long, value_name = "CMD", value_parser = words, help_heading = "Image")]
    pub entrypoint: Option<Words>,
    /// Process type of the Procfile to start with [default: web, or the only one]
    #[arg(
        long,
        value_name = "TYPE",
        conflicts_with = "entrypoint",
        help_heading = "Image"
    )]
    pub process: Option<String>,
    /// Directory of the project that modules are imported from; can be repeated [default: found in the project]
    #[arg(long, value_name = "DIR", value_parser = settings::directory, help_heading = "Image")]
    pub pythonpath: Vec<String>,
    /// Path of the project that the app may write; `.` for new files anywhere in it; can be repeated
    #[arg(long, value_name = "PATH", help_heading = "Image")]
    pub writable: Vec<String>,
    /// Environment variable of the image; can be repeated
    #[arg(short, long, value_name = "K=V", value_parser = settings::variable, help_heading = "Image")]
    pub env: Vec<(String, String)>,
    /// Label of the image; can be repeated
    #[arg(long, value_name = "K=V", value_parser = pair, help_heading = "Image")]
    pub label: Vec<(String, String)>,
    /// Annotation of the manifest; can be repeated
    #[arg(long, value_name = "K=V", value_parser = pair, help_heading = "Image")]
    pub annotation: Vec<(String, String)>,
    /// Port that the app listens on; can be repeated
    #[arg(long, value_name = "PORT", help_heading = "Image")]
    pub port: Vec<Port>,
    /// User that the app runs as [default: the base's, unless that is root; else 65532:65532]
    #[arg(long, value_name = "UID[:GID]", value_parser = settings::owner, help_heading = "Image")]
    pub user: Option<Owner>,
    /// Working directory of the app [default: /app]
    #[arg(long, value_name = "DIR", value_parser = settings::workdir, help_heading = "Image")]
    pub workdir: Option<String>,
    /// Compression of the layers [default: gzip] [possible values: gzip, zstd]
    #[arg(long, value_name = "NAME", value_parser = settings::compression, help_heading = "Image")]
    pub compression: Option<Compression>,
    /// Add byte-code, so that the app starts faster
    #[arg(long, help_heading = "Image")]
    pub compile: bool,
    /// How long the steps take.
    #[command(flatten)]
    pub timings: TimingsArgs,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub format: Format,
}

/// The flags of `pyoci init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The project
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
    /// Use the cache only, no network
    #[arg(long)]
    pub offline: bool,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub format: Format,
}

/// How registries are talked to.
#[derive(Clone, Debug, Args)]
pub struct RegistryArgs {
    /// The file with the credentials of registries [default: those of podman and docker]
    #[arg(long, value_name = "FILE", help_heading = "Registry")]
    pub authfile: Option<PathBuf>,
    /// Take any certificate, and plain HTTP where there is no TLS
    #[arg(long, help_heading = "Registry")]
    pub insecure: bool,
}

impl RegistryArgs {
    /// As the client takes them; a relative path counts from the working directory.
    pub fn settings(&self, working_directory: &std::path::Path, offline: bool) -> registry::Settings {
        registry::Settings {
            offline,
            insecure: self.insecure,
            authfile: self.authfile.as_ref().map(|file| working_directory.join(file)),
        }
    }
}

/// The flags of `pyoci login`.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The registry: HOST[:PORT]
    #[arg(value_name = "REGISTRY")]
    pub registry: String,
    /// User name
    #[arg(short, long, value_name = "NAME")]
    pub username: String,
    /// Read the password from stdin
    #[arg(long)]
    pub password_stdin: bool,
    /// How registries are talked to.
    #[command(flatten)]
    pub settings: RegistryArgs,
}

/// The flags of `pyoci logout`.
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// The registry: HOST[:PORT]
    #[arg(value_name = "REGISTRY")]
    pub registry: String,
    /// How registries are talked to.
    #[command(flatten)]
    pub settings: RegistryArgs,
}

/// The flags of `pyoci push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// The image: a layout's directory, oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE or a registry's
    #[arg(value_name = "SRC")]
    pub source: String,
    /// Where it goes: REGISTRY/NAME[:TAG]
    #[arg(required = true, value_name = "REF")]
    pub references: Vec<String>,
    /// Tag at the destination; can be repeated
    #[arg(short, long, value_name = "TAG", value_parser = tag)]
    pub tag: Vec<String>,
    /// How registries are talked to.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// How long the steps take.
    #[command(flatten)]
    pub timings: TimingsArgs,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub format: Format,
}

/// The flags of `pyoci pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// The image: REGISTRY/NAME[:TAG][@DIGEST], or any other source
    #[arg(value_name = "REF")]
    pub source: String,
    /// Where it goes, as `pyoci build -o` takes it; can be repeated
    #[arg(short, long, required = true, value_name = "DEST")]
    pub output: Vec<String>,
    /// Tag at the destination [default: the one of the source]; can be repeated
    #[arg(short, long, value_name = "TAG", value_parser = tag)]
    pub tag: Vec<String>,
    /// How registries are talked to.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// How long the steps take.
    #[command(flatten)]
    pub timings: TimingsArgs,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub format: Format,
}

/// The flags of `pyoci rebase`.
#[derive(Debug, Args)]
pub struct RebaseArgs {
    /// The image: a layout's directory, oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE or a registry's
    #[arg(value_name = "SRC")]
    pub source: String,
    /// The new base: recipe:NAME or any image
    #[arg(long, required = true, value_name = "REF")]
    pub base: String,
    /// Where the result goes, as `pyoci build -o` takes it; can be repeated
    #[arg(short, long, value_name = "DEST", required_unless_present = "push")]
    pub output: Vec<String>,
    /// Push the result to a registry; can be repeated
    #[arg(long, value_name = "REF")]
    pub push: Vec<String>,
    /// Tag at the destination [default: the one of the source]; can be repeated
    #[arg(short, long, value_name = "TAG", value_parser = tag)]
    pub tag: Vec<String>,
    /// Look again what the base's name stands for
    #[arg(long, visible_alias = "pull")]
    pub upgrade: bool,
    /// Use the cache only, no network
    #[arg(long)]
    pub offline: bool,
    /// Mirror that recipes take Debian packages from
    #[arg(long, value_name = "URL")]
    pub debian_mirror: Option<String>,
    /// Service that recipes take packages from that have left the mirror [default: `https://snapshot.debian.org`]
    #[arg(long, value_name = "URL")]
    pub debian_snapshot: Option<String>,
    /// How registries are talked to.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// How long the steps take.
    #[command(flatten)]
    pub timings: TimingsArgs,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub format: Format,
}

/// A start command in words.
#[derive(Clone, Debug)]
pub struct Words(Vec<String>);

impl From<Words> for Vec<String> {
    fn from(words: Words) -> Self {
        words.0
    }
}

pub(super) fn words(text: &str) -> Result<Words, settings::SettingError> {
    settings::split_words(text).map(Words)
}

fn tag(text: &str) -> Result<String, crate::reference::ReferenceError> {
    crate::reference::check_tag(text).map(|()| text.to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

impl BuildArgs {
    /// The flags as settings; relative paths count from the working directory.
    pub fn settings(&self, working_directory: &std::path::Path) -> Settings {
        let said = |flag: bool| flag.then_some(true);
        let mut settings = Settings {
            base: self.base.clone(),
            python: self.python,
            platforms: self.platform.clone(),
            entrypoint: self.entrypoint.clone().map(|words| words.0),
            process: self.process.clone(),
            pythonpath: self.pythonpath.clone(),
            writable: self.writable.clone(),
            env: self.env.iter().cloned().collect(),
            labels: self.label.iter().cloned().collect(),
            annotations: self.annotation.iter().cloned().collect(),
            ports: self.port.clone(),
            user: self.user,
            workdir: self.workdir.clone(),
            compression: self.compression,
            compile: said(self.compile),
            layers: self.layers.clone(),
            packages: self.packages.clone(),
            strict: said(self.strict),
            exclude: self.exclude.clone(),
            tags: self.tag.clone(),
            outputs: self.output.clone(),
            push: self.push.clone(),
            base_blobs: self.base_blobs,
            cache_from: self.cache.iter().chain(&self.cache_from).cloned().collect(),
            cache_to: self.cache.clone().or_else(|| self.cache_to.clone()),
            locked: said(self.locked),
            debian_mirror: self.debian_mirror.clone(),
            debian_snapshot: self.debian_snapshot.clone(),
            ..self.sources.settings()
        };
        settings.anchor(working_directory);
        settings
    }
}
