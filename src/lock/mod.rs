//! The lock: resolved packages with their files and hashes, exactly PEP 751 in memory, and what a Target takes of it.
//!
//! A lock is read from a file ([`LockFormat`]) or asked of a resolver; [`Lock::select`] chooses one file for each package.

mod arriving;
mod build;
mod build_environment;
mod build_hint;
mod confined;
mod content_hash;
mod error;
mod fetch;
mod fit;
mod format;
mod gateway;
mod guarded;
mod hashed;
mod index;
mod index_logins;
mod indexes;
mod inputs;
mod listed;
mod made_from;
mod merge;
mod messages;
mod pdm_lock;
mod pdm_project;
mod pip;
mod pipfile_lock;
mod poetry_constraint;
mod poetry_lock;
mod poetry_project;
mod process;
pub mod pylock;
mod repository;
mod resolve;
mod script;
mod sdist;
mod select;
mod settings;
pub mod simple;
mod source_tree;
mod sources;
pub mod subdirectory;
mod text;
mod uv;
mod uv_lock;
mod walk;
mod write;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use pep440_rs::Version;
use url::Url;

pub use arriving::{Arriving, Opening, fetch_while};
pub use build::{BuiltWheel, build_wheel};
pub use error::{Error, Said};
pub use fetch::{FetchedWheel, fetch_all};
pub use format::LockFormat;
pub use indexes::access;
pub use made_from::MadeFrom;
pub use merge::merge;
pub use poetry_constraint::specifiers_of_poetry;
pub use select::{Selected, Source};

use crate::digest::Digest;
use crate::python::{ExtraName, GroupName, Marker, PackageName, Specifiers, Target};
use crate::tools::Tools;

/// What to lock, and how.
#[derive(Clone, Debug, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent switches of the command line"
)]
pub struct Request {
    /// The project's directory: relative paths in requirements start here.
    pub directory: PathBuf,
    /// Requirements files, in the order given.
    pub requirements: Vec<PathBuf>,
    /// Constraints files, in the order given.
    pub constraints: Vec<PathBuf>,
    /// Requirements that stand in no file of their own (PEP 723).
    pub inline: Vec<String>,
    /// A script whose header says what is wanted, and from where (PEP 723).
    pub script: Option<PathBuf>,
    /// A `pyproject.toml` whose `[project]` dependencies, extras and groups are wanted.
    pub pyproject: Option<PathBuf>,
    /// Extras of the project.
    pub extras: BTreeSet<ExtraName>,
    /// Dependency groups of the project.
    pub groups: BTreeSet<GroupName>,
    /// A lock file: it answers alone, nothing is resolved.
    pub lock: Option<PathBuf>,
    /// Who resolves.
    pub resolver: Resolver,
    /// Never build a source distribution.
    pub no_build: bool,
    /// Use only what is on this machine.
    pub offline: bool,
    /// Resolve again, also if a resolution is remembered.
    pub upgrade: bool,
    /// Take nothing but a lock file.
    pub locked: bool,
    /// An earlier lock for the same target: its versions are taken again where they still fit.
    pub preferred: Option<Lock>,
    /// What was read of the lock file for another target.
    pub parsed: Parsed,
}

/// The last `pylock.toml` that was read, shared by clones: it says the same for every target.
#[derive(Clone, Debug, Default)]
pub struct Parsed(Arc<Mutex<Option<(PathBuf, String, Lock)>>>);

impl Parsed {
    /// Forgets it: it takes memory.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The lock that a file's text is, by `parse` if it is another file or text than before.
    fn pylock(
        &self,
        path: &Path,
        text: &str,
        parse: impl FnOnce() -> Result<Lock, Error>,
    ) -> Result<Lock, Error> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, lock)) = last.as_ref().filter(|(at, was, _)| at == path && was == text) {
            return Ok(lock.clone());
        }
        let lock = parse()?;
        *last = Some((path.to_owned(), text.to_owned(), lock.clone()));
        Ok(lock)
    }
}

/// Who resolves requirements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolver {
    /// uv, for any target.
    #[default]
    Uv,
    /// The host's pip, for a target like the host.
    Pip,
}

/// Resolved packages: a `pylock.toml` in memory.
///
/// Spec: <https://packaging.python.org/en/latest/specifications/pylock-toml/>.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lock {
    /// Markers of the environments that it was made for; empty if for any.
    pub environments: Vec<Marker>,
    /// The Python versions that it was made for.
    pub requires_python: Option<Specifiers>,
    /// The extras that may be asked of it.
    pub extras: BTreeSet<ExtraName>,
    /// The dependency groups that may be asked of it.
    pub groups: BTreeSet<GroupName>,
    /// The dependency groups installed when none is asked for.
    pub default_groups: BTreeSet<GroupName>,
    /// The tool that made it.
    pub created_by: String,
    /// The packages; one name may be there several times, for different environments.
    pub packages: Vec<Package>,
    /// The tables of tools, by the tool's name.
    pub tool: toml::Table,
    /// The minor version of its format; of 1.1 and later it may say things that are not known here.
    pub minor: u64,
    /// Names of packages that are not normalised in the file, as they are written there.
    pub unusual_names: Vec<String>,
}

/// A package of a lock.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// Its name.
    pub name: PackageName,
    /// Its version; a source tree may have none.
    pub version: Option<Version>,
    /// Where it is wanted; everywhere if there is none.
    pub marker: Option<Marker>,
    /// The Python versions it needs.
    pub requires_python: Option<Specifiers>,
    /// The index it came from.
    pub index: Option<Url>,
    /// Where its content is.
    pub content: Content,
    /// What else was said of it.
    pub kept: Kept,
}

/// What a lock says of a package beside what installing it needs: kept as it is when the lock is written again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// `packages.dependencies`: tables that each tell one other package of the lock.
    pub dependencies: Vec<toml::Table>,
    /// `packages.attestation-identities`: who published the files (PEP 740); each has a `kind`.
    pub attestation_identities: Vec<toml::Table>,
    /// `packages.tool`
    pub tool: toml::Table,
}

/// Where the content of a package is; the four exclude each other.
///
/// > `packages.vcs`, `packages.directory`, `packages.archive`: Mutually-exclusive with each other and
/// > `packages.sdist`, `packages.wheels`.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Files of an index: wheels, a source distribution, or both.
    Files {
        /// The wheels.
        wheels: Vec<Artifact>,
        /// The source distribution.
        sdist: Option<Artifact>,
    },
    /// One wheel or source archive, given by its URL or path.
    Archive {
        /// The file.
        artifact: Artifact,
        /// Where the project is in it.
        subdirectory: Option<String>,
    },
    /// A source directory.
    Directory {
        /// Absolute path.
        path: PathBuf,
        /// Whether it was asked for with `-e`; an image gets a copy all the same.
        editable: bool,
        /// Where the project is in it.
        subdirectory: Option<String>,
    },
    /// A commit of a repository.
    Vcs(Vcs),
}

/// A commit of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vcs {
    /// `git`, `hg`, `bzr` or `svn`; only git can be built.
    pub kind: String,
    /// The repository.
    pub location: Location,
    /// The branch or tag that was asked for.
    pub requested_revision: Option<String>,
    /// The commit.
    pub commit: String,
    /// Where the project is in it.
    pub subdirectory: Option<String>,
}

/// A file of a package: a wheel or a source archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// The file name, without any `/`.
    pub name: String,
    /// Where it is.
    pub location: Location,
    /// Its size in bytes, where known.
    pub size: Option<u64>,
    /// When it was uploaded to its index, as TOML writes a date and time.
    pub upload_time: Option<toml::value::Datetime>,
    /// Its hashes, the one to verify first; empty only for what a resolver found on an index that gives none.
    pub hashes: Vec<Digest>,
}

/// Where a file or repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// On a server.
    Url(Url),
    /// On this machine; absolute.
    Path(PathBuf),
    /// On an index that is asked when the file is fetched: many locks have names and hashes, and no URLs.
    Index(Listed),
}

/// A project and the indexes that list its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The project.
    pub package: PackageName,
    /// The indexes, in the order in which they are asked; none: those of the user's settings.
    pub indexes: Vec<Url>,
}

/// The lock for a request: its lock file if it names one, else what the resolver finds for the target. Nothing required:
/// an empty lock.
pub fn of(request: &Request, target: &Target, tools: &Tools<'_>) -> Result<Lock, Error> {
    if let Some(file) = &request.lock {
        return format::read(&request.directory.join(file), request, target, tools);
    }
    let nothing = request.requirements.is_empty()
        && request.inline.is_empty()
        && request.script.is_none()
        && request.pyproject.is_none();
    if nothing {
        let place = "the project";
        inputs::check_known(place, "extra", &request.extras, &BTreeSet::new())?;
        inputs::check_known(place, "dependency group", &request.groups, &BTreeSet::new())?;
        return Ok(Lock::default());
    }
    if let Some(lock) = hashed::of(request, target, tools)? {
        return Ok(lock);
    }
    if request.locked {
        return Err(Error::NotLocked);
    }
    match request.resolver {
        Resolver::Uv => resolve::with_uv(request, target, tools),
        Resolver::Pip => pip::resolve(request, target, tools),
    }
}

impl Artifact {
    /// The digest that its bytes must have, where known.
    pub fn digest(&self) -> Option<&Digest> {
        self.hashes.first()
    }

    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        matches!(self.location, Location::Path(_))
    }
}

impl std::fmt::Display for Location {
    /// As it may be shown: passwords redacted.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => f.write_str(&crate::http::redacted(url)),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Index(listed) => match listed.indexes.first() {
                Some(url) => f.write_str(&crate::http::redacted(url)),
                None => f.write_str("the package index"),
            },
        }
    }
}
