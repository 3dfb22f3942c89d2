//! The commands, one readable page each. A newcomer starts at [`build`].

pub mod base;
pub mod build;
pub mod bundle;
pub mod cache;
pub mod copy;
pub mod destination;
mod engine;
pub mod explain;
pub mod init;
pub mod metadata;
pub mod rebase;
mod report;

pub use report::Report;

/// What a command itself can find wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no directory to keep the cache in.
    #[error("there is no place for the cache: neither XDG_CACHE_HOME nor HOME is set")]
    NoCache,
    /// Entries of the cache are not what they should be.
    #[error("{count} {} of the cache {}", if *count == 1 { "entry" } else { "entries" }, if *count == 1 { "was damaged" } else { "were damaged" })]
    DamagedCache {
        /// How many.
        count: usize,
        /// Whether they are still there.
        kept: bool,
    },
    /// The user did not say where the image goes.
    #[error("no output: where should the image go?")]
    NoOutput,
    /// Something that images cannot be written to.
    #[error("`{0}` is not a destination that images can be written to")]
    Destination(String),
    /// A destination that is no registry.
    #[error("`{0}` is not a repository of a registry")]
    NotRegistry(String),
    /// A destination with a digest: what will be there has its own.
    #[error("`{0}` has a digest: an image is written under tags")]
    DigestGiven(String),
    /// A layout cannot leave out what no registry has.
    #[error("--base-blobs=reference: the base is not in a registry")]
    BaseNotInRegistry,
    /// Neither podman nor docker.
    #[error("there is no podman and no docker on PATH to load the image into")]
    NoEngine,
    /// podman or docker did not take the image.
    #[error("{engine} did not load the image: {message}")]
    Engine {
        /// Which.
        engine: &'static str,
        /// What it said.
        message: String,
    },
    /// The lock has the base for other platforms.
    #[error("the lock has no base for {0}")]
    BaseNotLocked(crate::platform::Platform),
    /// A lock file under a name that nobody would look for.
    #[error("`{0}` is not the name of a lock file: pylock.toml or pylock.NAME.toml")]
    LockName(String),
    /// The file is a lock of another tool.
    #[error("{file} was made by {maker}, and is not replaced")]
    ForeignLock {
        /// The file.
        file: String,
        /// Who made it.
        maker: String,
    },
    /// There is no lock to be checked.
    #[error("there is no {0}")]
    NoLock(String),
    /// One platform was asked for twice.
    #[error("platform {0} is given twice")]
    PlatformTwice(crate::platform::Platform),
    /// A bundle is for one platform.
    #[error("a bundle is for one platform")]
    OnePlatform,
    /// An interpreter that tells nothing of itself.
    #[error("cannot ask {program}: {reason}")]
    TargetPython {
        /// The interpreter.
        program: String,
        /// Why.
        reason: String,
    },
    /// A package that two layers claim.
    #[error("layers: {package} is in `{first}` and in `{second}`")]
    TwoLayers {
        /// The package.
        package: String,
        /// A layer whose patterns fit it.
        first: String,
        /// Another.
        second: String,
    },
    /// Native libraries that nobody provides, and `--strict`.
    #[error("{} {}", .0, if *.0 == 1 { "native library is missing" } else { "native libraries are missing" })]
    Native(usize),
    /// What looks like a credential in the project's files, and `--strict`.
    #[error("the project holds what looks like a credential, in {} {}", .0, if *.0 == 1 { "place" } else { "places" })]
    Exposed(usize),
    /// A pattern of `exclude` that is none.
    #[error("exclude: `{pattern}` is not a pattern: {problem}")]
    Exclude {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// `tool` or `tool.pyoci` of a pyproject.toml is something else.
    #[error("{}: [tool.pyoci] is no table", .0.display())]
    NotATable(std::path::PathBuf),
    /// A variable holds something else than it must.
    #[error("{name}={value} is not a number of seconds since 1970")]
    SourceDateEpoch {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoCache => Some("set XDG_CACHE_HOME to a directory that you can write".to_owned()),
            Self::NoOutput => Some("pyoci build -o image/".to_owned()),
            Self::Destination(_) => Some(
                "use a directory, oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE or docker://REGISTRY/NAME[:TAG]"
                    .to_owned(),
            ),
            Self::NotRegistry(_) => Some("other destinations are named with -o".to_owned()),
            Self::DigestGiven(_) => Some("leave the digest out".to_owned()),
            Self::BaseNotInRegistry => Some("name a base in a registry, or leave the flag out".to_owned()),
            Self::BaseNotLocked(platform) => Some(format!("lock for it too: pyoci lock --platform ...,{platform}")),
            Self::LockName(_) => Some("pyoci lock -o pylock.prod.toml".to_owned()),
            Self::ForeignLock { .. } => Some("write another one (-o pylock.image.toml), or remove it first".to_owned()),
            Self::NoLock(_) => Some("make it: pyoci lock".to_owned()),
            Self::TwoLayers { .. } => Some("name the package itself in one of them".to_owned()),
            Self::Native(_) => {
                Some("the warnings say which: add packages with --package, or leave --strict out".to_owned())
            }
            Self::Exposed(_) => {
                Some("the warnings say where: leave the files out, keep them on purpose, or leave --strict out".to_owned())
            }
            Self::DamagedCache { kept: false, .. } => {
                Some("they were removed: builds make or fetch them again".to_owned())
            }
            Self::DamagedCache { kept: true, .. } => Some("pyoci cache verify removes them".to_owned()),
            Self::NoEngine => Some("write an archive: -o docker-archive:image.tar".to_owned()),
            _ => None,
        }
    }
}

/// A command as a user would type it.
fn shown(command: &[String]) -> String {
    shlex::try_join(command.iter().map(String::as_str)).unwrap_or_else(|_| command.join(" "))
}
