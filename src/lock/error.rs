//! What can go wrong between requirements and files.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// Why there is no lock, or no file for a package of it. No text in it holds a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that the user named, or that another one names, cannot be read.
    #[error("cannot read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing more is fetched, as something else could not be.
    #[error("another file could not be fetched")]
    Stopped,
    /// A lock file is malformed.
    #[error("{path}:{line}: {problem}", path = .path.display())]
    LockFile {
        /// The lock file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The project has changed since it was locked.
    #[error("{} no longer fits {}: {}", .lock.display(), .project.display(), .differences.join("; "))]
    Stale {
        /// The lock file.
        lock: PathBuf,
        /// The file that says what the project requires.
        project: PathBuf,
        /// What is different, for the user.
        differences: Vec<String>,
        /// The command that locks again.
        mend: &'static str,
    },
    /// The lock is of a workspace that the project does not belong to.
    #[error("{} is not the lock of {}: it is of {}", .lock.display(), .project.display(), .members.join(", "))]
    NotMember {
        /// The lock file.
        lock: PathBuf,
        /// The project's directory.
        project: PathBuf,
        /// The members of its workspace.
        members: Vec<String>,
    },
    /// Two things are asked for that the project declares as conflicts.
    #[error("{first} and {second} exclude each other")]
    Conflict {
        /// The first, e.g. ``extra `cpu` of demo``.
        first: String,
        /// The second.
        second: String,
    },
    /// A requirements file is missing or malformed.
    #[error(transparent)]
    Requirements(crate::python::requirements::Error),
    /// The lock is for other Python versions.
    #[error("the lock is for Python {requires}, and the image has {python}")]
    LockPython {
        /// `requires-python` of the lock.
        requires: String,
        /// The target's version.
        python: String,
    },
    /// The lock is for other environments.
    #[error("the lock is not for {target}: it is for {environments}")]
    LockEnvironment {
        /// The target.
        target: String,
        /// The lock's environments.
        environments: String,
    },
    /// The lock or project does not know an extra or group.
    #[error("{place} has no {kind} `{name}`")]
    Unknown {
        /// Who should have it.
        place: String,
        /// `extra` or `dependency group`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A marker cannot be evaluated.
    #[error("the marker of {what} makes no sense")]
    Marker {
        /// The package.
        what: String,
        /// Why.
        #[source]
        source: crate::python::markers::MarkerError,
    },
    /// Two entries of one package are both wanted.
    #[error("the lock has two entries of one package that both apply to {target}: {first} and {second}")]
    TwoEntries {
        /// The first.
        first: String,
        /// The second.
        second: String,
        /// The target.
        target: String,
    },
    /// A locked package needs another Python.
    #[error("{package} needs Python {requires}, and the image has {python}")]
    PackagePython {
        /// Name and version.
        package: String,
        /// `requires-python` of the package.
        requires: String,
        /// The target's version.
        python: String,
    },
    /// No file of the package fits.
    #[error("{package} has no wheel for {target}: {offers}")]
    NoWheel {
        /// Name and version.
        package: String,
        /// The target.
        target: String,
        /// What there is instead.
        offers: String,
        /// What could be done.
        hint: String,
    },
    /// Building is forbidden.
    #[error("{package} would have to be built from {source_name}, which --no-build forbids")]
    NoBuild {
        /// Name and version.
        package: String,
        /// The source distribution or directory.
        source_name: String,
    },
    /// A lock is demanded.
    #[error("--locked needs a lock file, and there is none")]
    NotLocked,
    /// Offline and nothing remembered.
    #[error("offline, and these dependencies were never resolved for {target} here")]
    OfflineUnresolved {
        /// The target.
        target: String,
    },
    /// The resolver found no solution, or failed.
    #[error("{resolver} could not resolve the dependencies")]
    Resolve {
        /// E.g. `uv 0.13.9`.
        resolver: String,
        /// Its own words.
        #[source]
        said: Said,
        /// What could be done.
        hint: Option<String>,
    },
    /// An index does not let the resolver in.
    #[error("the index {url} {}", crate::http::answer(*.status))]
    Refused {
        /// The index, without credentials.
        url: String,
        /// 401 or 403.
        status: u16,
    },
    /// A program could not be run.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The resolver needs a Python on this machine, and there is none.
    #[error("uv needs a Python on this machine to resolve dependencies, and there is none")]
    NoPython,
    /// The resolver could not be fetched.
    #[error("cannot fetch uv {version}, which resolves the dependencies")]
    FetchUv {
        /// The version that pyoci carries the hash of.
        version: &'static str,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// The resolver is not published for this machine.
    #[error("there is no uv for this machine")]
    NoUv,
    /// The host's pip cannot answer for the target.
    #[error("--resolver pip cannot resolve for {target}: {reason}")]
    Pip {
        /// The target.
        target: String,
        /// What is different.
        reason: String,
    },
    /// A download failed.
    #[error("cannot fetch {package}")]
    Fetch {
        /// Name and version.
        package: String,
        /// Why.
        #[source]
        source: crate::http::Error,
    },
    /// A download broke off or could not be kept.
    #[error("cannot fetch {package} from {location}")]
    Transfer {
        /// Name and version.
        package: String,
        /// Where it is, redacted.
        location: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The bytes are not those of the lock.
    #[error("{location} is not the file of {package} that was locked: expected {expected}, got {actual}")]
    WrongHash {
        /// Name and version.
        package: String,
        /// Where it came from, redacted.
        location: String,
        /// The lock's digest.
        expected: Box<Digest>,
        /// The digest of the bytes.
        actual: Box<Digest>,
    },
    /// None of the package's files has a hash that the requirements give.
    #[error("no file of {package} has a hash that is given in {place}", place = .place.as_deref().unwrap_or("the requirements"))]
    NoHash {
        /// Name and version.
        package: String,
        /// Where it is required: file and line.
        place: Option<String>,
    },
    /// Some requirements have hashes, and one has not.
    #[error("{place}: {}, and other requirements have hashes", if *.is_pinned { "no hash is given" } else { "the version is not pinned" })]
    HashMissing {
        /// File and line.
        place: String,
        /// Whether only the hash is missing.
        is_pinned: bool,
    },
    /// A pinned version is not one that a constraint allows.
    #[error("{place} pins a version that {constraint} does not allow")]
    Constrained {
        /// File and line.
        place: String,
        /// File and line of the constraint.
        constraint: String,
    },
    /// Hashed requirements lack something that one of them needs.
    #[error("{package} needs `{requirement}`, which the hashed requirements do not list")]
    NotComplete {
        /// Name and version.
        package: String,
        /// What it needs.
        requirement: String,
    },
    /// The number of bytes is not that of the lock.
    #[error(
        "{location} is not the file of {package} that was locked: expected {expected} bytes, got {actual}"
    )]
    WrongSize {
        /// Name and version.
        package: String,
        /// Where it came from, redacted.
        location: String,
        /// The lock's size.
        expected: u64,
        /// The number of bytes.
        actual: u64,
    },
    /// An archive of sources that is not given to the builder.
    #[error("{file} of {package} is not a sound archive: {problem}")]
    SourceArchive {
        /// Name and version.
        package: String,
        /// The file's name.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A build failed.
    #[error("building {package} failed")]
    Build {
        /// Name and version, or the directory.
        package: String,
        /// The builder's own words, the last lines.
        #[source]
        said: Said,
    },
    /// A build gave a wheel for this machine only.
    #[error("{package} has no wheel for {target}, and building it here gives {wheel}: {reason}")]
    BuiltForHost {
        /// Name and version.
        package: String,
        /// The target.
        target: String,
        /// The name of the wheel that was built.
        wheel: String,
        /// Why it cannot be taken.
        reason: String,
    },
    /// A package index could not be asked.
    #[error("cannot ask for the files of {package}")]
    Index {
        /// The package.
        package: String,
        /// Why.
        #[source]
        source: crate::http::Error,
    },
    /// A package index gives an answer that is none.
    #[error("{url} is no package index: {problem}")]
    Page {
        /// The index, redacted.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// No index has a locked file.
    #[error("{file} of {package} was locked, and is not where it should be: {}", places.join(", "))]
    NotListed {
        /// The package.
        package: String,
        /// The file.
        file: String,
        /// Where it was looked for, redacted.
        places: Vec<String>,
    },
    /// Nobody is there to fetch anything.
    #[error("cannot fetch the packages")]
    Threads(#[source] io::Error),
    /// The cache cannot be used.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

/// The system's own error, without the action and path that `fs_err` puts in front (it hides the original).
pub(super) fn bare(error: io::Error) -> io::Error {
    match error.to_string().rsplit_once("`: ") {
        Some((_, own)) => io::Error::new(error.kind(), own),
        None => error,
    }
}

/// What another program said, tidied: the cause of an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Said(pub String);

impl Error {
    /// The module that the build of a package imported and did not declare, if that is why it failed.
    pub fn undeclared_module(&self) -> Option<&str> {
        match self {
            Self::Build { said, .. } => super::build_hint::undeclared_module(&said.0),
            _ => None,
        }
    }

    /// A file that cannot be read; of the cause only what the system said, as the path is named already.
    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            source: bare(source),
        }
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoWheel { hint, .. } => hint,
            Self::Resolve { hint, .. } => return hint.clone(),
            Self::Build { said, .. } => return super::build_hint::hint(&said.0),
            Self::Fetch { source, .. } | Self::Index { source, .. } => return source.hint(),
            Self::Refused { .. } => crate::http::CREDENTIALS_HINT,
            Self::FetchUv { source, .. } => {
                let own = "install uv (https://docs.astral.sh/uv/), or give a lock file";
                return Some(source.hint().unwrap_or_else(|| own.to_owned()));
            }
            Self::Store(source) => return source.hint(),
            Self::Requirements(source) => return source.hint(),
            Self::Unknown {
                place, kind, known, ..
            } if known.is_empty() => {
                let again = format!("lock again with the {kind} included");
                return (place == "the lock").then_some(again);
            }
            Self::Conflict { .. } => "choose one of them: the lock has no versions for both",
            Self::NotMember { .. } => {
                "build a member of it, or add the project to `[tool.uv.workspace] members`"
            }
            Self::Stale { mend, .. } => return Some(format!("run `{mend}`")),
            Self::Unknown { known, .. } => return Some(format!("it has: {}", known.join(", "))),
            Self::LockPython { .. } | Self::LockEnvironment { .. } | Self::PackagePython { .. } => {
                "choose another base or --python, or lock again for this one"
            }
            Self::TwoEntries { .. } => "lock again: their markers must exclude each other",
            Self::NoBuild { .. } => "leave out --no-build, or require a version that has a wheel",
            Self::NotLocked => "make one: `pyoci lock`",
            Self::OfflineUnresolved { .. } => "run once without --offline, or give a lock file",
            Self::NoPython => {
                "install any Python 3, or give a lock file (pylock.toml), which needs neither resolver nor Python"
            }
            Self::NoUv => "install uv, or give a lock file (pylock.toml)",
            Self::Pip { .. } => "leave out --resolver pip: uv resolves for any target",
            Self::WrongHash { .. } | Self::WrongSize { .. } => {
                "the file was changed after it was locked: check where it comes from before you lock again"
            }
            Self::NotListed { .. } => {
                "name its index with PIP_INDEX_URL or PIP_EXTRA_INDEX_URL; if the file was deleted or replaced, lock again"
            }
            Self::HashMissing { .. } => {
                "give every requirement a version and a hash, or none (`pip-compile --generate-hashes`, `uv export`)"
            }
            Self::NotComplete { .. } => {
                "lock with all dependencies (`pip-compile --generate-hashes`, `uv export`), or leave the hashes out"
            }
            Self::NoHash { .. } => "add the hash of a file that fits the target, or leave the hashes out",
            Self::SourceArchive { .. } => {
                "require another version or one that has a wheel: a sound archive of its sources has one meaning for every tool"
            }
            Self::BuiltForHost { .. } => {
                "require a version that has a wheel for the target, or build on such a machine"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
