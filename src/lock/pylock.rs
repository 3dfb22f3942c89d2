//! Reading `pylock.toml` (PEP 751). Errors name the line.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::{Artifact, Content, Error, Location, Lock, Package, Vcs};
use crate::digest::{Algorithm, Digest};
use crate::python::{ExtraName, GroupName, Marker, PackageName, SdistFilename, WheelFilename};

/// Whether a path is named as the specification wants a lock file to be.
///
/// > The file name MUST match the regular expression `^pylock\.([^.]+)\.toml$` if a name for the lock file is desired,
/// > `pylock.toml` otherwise.
pub fn is_lock_name(name: &str) -> bool {
    let middle = name.strip_prefix("pylock.").and_then(|n| n.strip_suffix(".toml"));
    name == "pylock.toml" || middle.is_some_and(|m| !m.is_empty() && !m.contains('.'))
}

/// Reads a lock file. Paths in it are taken from its own directory, and must not be of another kind than the
/// specification allows; every file in it must have a strong hash.
pub fn read(path: &Path) -> Result<Lock, Error> {
    let text = fs_err::read_to_string(path).map_err(|source| Error::read(path, source))?;
    parse(&text, path, Hashes::Required)
}

/// Whether files without a strong hash are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hashes {
    /// In a lock file, as the specification says.
    Required,
    /// In what a resolver answers: some indexes give none, and pip installs from them.
    WhereKnown,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawLock {
    lock_version: Spanned<String>,
    #[serde(default)]
    environments: Vec<Spanned<String>>,
    requires_python: Option<Spanned<String>>,
    #[serde(default)]
    extras: Vec<Spanned<String>>,
    #[serde(default)]
    dependency_groups: Vec<Spanned<String>>,
    #[serde(default)]
    default_groups: Vec<Spanned<String>>,
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    packages: Vec<Spanned<RawPackage>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawPackage {
    name: Spanned<String>,
    version: Option<Spanned<String>>,
    marker: Option<Spanned<String>>,
    requires_python: Option<Spanned<String>>,
    index: Option<Spanned<String>>,
    vcs: Option<Spanned<RawVcs>>,
    directory: Option<RawDirectory>,
    archive: Option<Spanned<RawArtifact>>,
    sdist: Option<Spanned<RawArtifact>>,
    #[serde(default)]
    wheels: Vec<Spanned<RawArtifact>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawVcs {
    r#type: String,
    url: Option<Spanned<String>>,
    path: Option<String>,
    requested_revision: Option<String>,
    commit_id: Spanned<String>,
    subdirectory: Option<Spanned<String>>,
}

#[derive(Deserialize)]
struct RawDirectory {
    path: String,
    #[serde(default)]
    editable: bool,
    subdirectory: Option<Spanned<String>>,
}

#[derive(Deserialize)]
struct RawArtifact {
    name: Option<Spanned<String>>,
    url: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    size: Option<u64>,
    #[serde(default)]
    hashes: BTreeMap<String, Spanned<String>>,
    subdirectory: Option<Spanned<String>>,
}

/// Reads the text of a lock file that is, or could be, at `path`.
pub(super) fn parse(text: &str, path: &Path, hashes: Hashes) -> Result<Lock, Error> {
    let reader = Reader { text, path, hashes };
    let raw: RawLock = toml::from_str(text).map_err(|e| {
        let at = e.span().map_or(0, |span| span.start);
        reader.fault(at, e.message())
    })?;
    reader.lock(raw)
}

/// The text being read, for errors with a line.
struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    hashes: Hashes,
}

impl Reader<'_> {
    fn fault(&self, at: usize, problem: impl Into<String>) -> Error {
        let before = self.text.get(..at).unwrap_or(self.text);
        Error::LockFile {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            problem: problem.into(),
        }
    }

    fn value<T: FromStr<Err: std::fmt::Display>>(&self, raw: &Spanned<String>) -> Result<T, Error> {
        let text = raw.get_ref();
        text.parse().map_err(|e: T::Err| {
            let problem = e.to_string();
            // Some say only what they expected.
            let named = if problem.contains(text.as_str()) {
                problem
            } else {
                format!("`{text}`: {problem}")
            };
            self.fault(raw.span().start, named)
        })
    }

    fn values<T, C>(&self, raw: &[Spanned<String>]) -> Result<C, Error>
    where
        T: FromStr<Err: std::fmt::Display>,
        C: FromIterator<T>,
    {
        raw.iter().map(|v| self.value(v)).collect()
    }

    fn optional<T: FromStr<Err: std::fmt::Display>>(
        &self,
        raw: Option<&Spanned<String>>,
    ) -> Result<Option<T>, Error> {
        raw.map(|v| self.value(v)).transpose()
    }

    fn lock(&self, raw: RawLock) -> Result<Lock, Error> {
        // > If the major version is not supported, tools MUST raise an error; an unknown minor version SHOULD warn.
        let version = raw.lock_version.get_ref();
        if version.split('.').next() != Some("1") {
            let problem = format!("lock-version {version} is not supported (1.0 is)");
            return Err(self.fault(raw.lock_version.span().start, problem));
        }
        let packages = raw.packages.iter().map(|p| self.package(p));
        Ok(Lock {
            environments: self.values::<Marker, _>(&raw.environments)?,
            requires_python: self.optional(raw.requires_python.as_ref())?,
            extras: self.values::<ExtraName, _>(&raw.extras)?,
            groups: self.values::<GroupName, _>(&raw.dependency_groups)?,
            default_groups: self.values::<GroupName, _>(&raw.default_groups)?,
            packages: packages.collect::<Result<_, _>>()?,
            created_by: raw.created_by,
        })
    }

    fn package(&self, spanned: &Spanned<RawPackage>) -> Result<Package, Error> {
        let raw = spanned.get_ref();
        let name: PackageName = self.value(&raw.name)?;
        let content = self.content(raw, spanned.span().start, &name)?;
        let package = Package {
            version: self.optional(raw.version.as_ref())?,
            marker: self.optional(raw.marker.as_ref())?,
            requires_python: self.optional(raw.requires_python.as_ref())?,
            index: self.optional::<Url>(raw.index.as_ref())?,
            name,
            content,
        };
        self.check_names(raw, &package)?;
        Ok(package)
    }

    fn content(&self, raw: &RawPackage, at: usize, name: &PackageName) -> Result<Content, Error> {
        let files = raw.sdist.is_some() || !raw.wheels.is_empty();
        let sources = [
            files,
            raw.archive.is_some(),
            raw.directory.is_some(),
            raw.vcs.is_some(),
        ];
        match sources.iter().filter(|s| **s).count() {
            0 => {
                let problem =
                    format!("package `{name}` has no files (wheels, sdist, archive, directory or vcs)");
                return Err(self.fault(at, problem));
            }
            1 => {}
            _ => {
                let problem = format!("package `{name}` has sources that exclude each other");
                return Err(self.fault(at, problem));
            }
        }
        if let Some(archive) = &raw.archive {
            return Ok(Content::Archive {
                artifact: self.artifact(archive, name)?,
                subdirectory: self.subdirectory(archive.get_ref().subdirectory.as_ref())?,
            });
        }
        if let Some(directory) = &raw.directory {
            return Ok(Content::Directory {
                path: self.absolute(&directory.path),
                editable: directory.editable,
                subdirectory: self.subdirectory(directory.subdirectory.as_ref())?,
            });
        }
        if let Some(vcs) = &raw.vcs {
            return self.vcs(vcs, name).map(Content::Vcs);
        }
        let wheels = raw.wheels.iter().map(|w| self.artifact(w, name));
        Ok(Content::Files {
            wheels: wheels.collect::<Result<_, _>>()?,
            sdist: raw.sdist.as_ref().map(|s| self.artifact(s, name)).transpose()?,
        })
    }

    fn vcs(&self, spanned: &Spanned<RawVcs>, name: &PackageName) -> Result<Vcs, Error> {
        let raw = spanned.get_ref();
        let commit = raw.commit_id.get_ref();
        // > The exact commit ID for the repository. It MUST be an immutable identifier of a commit.
        if commit.len() < 7 || !commit.bytes().all(|b| b.is_ascii_hexdigit()) {
            let problem = format!("package `{name}`: `{}` is not a commit", commit.escape_debug());
            return Err(self.fault(raw.commit_id.span().start, problem));
        }
        let location = match (&raw.url, &raw.path) {
            (Some(url), _) => Location::Url(self.value(url)?),
            (None, Some(path)) => Location::Path(self.absolute(path)),
            (None, None) => {
                let problem = format!("package `{name}`: vcs has neither url nor path");
                return Err(self.fault(spanned.span().start, problem));
            }
        };
        Ok(Vcs {
            kind: raw.r#type.clone(),
            location,
            requested_revision: raw.requested_revision.clone(),
            commit: commit.clone(),
            subdirectory: self.subdirectory(raw.subdirectory.as_ref())?,
        })
    }

    fn artifact(&self, spanned: &Spanned<RawArtifact>, package: &PackageName) -> Result<Artifact, Error> {
        let raw = spanned.get_ref();
        let at = spanned.span().start;
        // > `path` is required if `url` is not specified; tools MAY choose which to use when both are there.
        let location = match (&raw.path, &raw.url) {
            (_, Some(url)) => match self.value::<Url>(url)? {
                url if url.scheme() == "file" => Location::Path(
                    url.to_file_path()
                        .map_err(|()| self.fault(at, format!("{url} is not on this machine")))?,
                ),
                url if matches!(url.scheme(), "http" | "https") => Location::Url(url),
                url => return Err(self.fault(at, format!("{}: URLs cannot be fetched", url.scheme()))),
            },
            (Some(path), None) => Location::Path(self.absolute(path.get_ref())),
            (None, None) => {
                return Err(self.fault(at, format!("a file of `{package}` has neither url nor path")));
            }
        };
        let name = match &raw.name {
            Some(name) => name.get_ref().clone(),
            None => file_name(&location).unwrap_or_default(),
        };
        if name.is_empty() || name.contains(['/', '\\', '\0']) || name.starts_with('.') {
            let problem = format!("`{}` is not a file name", name.escape_debug());
            return Err(self.fault(at, problem));
        }
        Ok(Artifact {
            hashes: self.hashes(raw, at, &name)?,
            name,
            location,
            size: raw.size,
        })
    }

    /// > At least one secure algorithm from `hashlib.algorithms_guaranteed` SHOULD always be included (at time of
    /// > writing, sha256 specifically is recommended).
    fn hashes(&self, raw: &RawArtifact, at: usize, name: &str) -> Result<Vec<Digest>, Error> {
        let mut digests = Vec::new();
        for (algorithm, hex) in &raw.hashes {
            let Ok(algorithm) = algorithm.parse::<Algorithm>() else {
                continue;
            };
            let digest = Digest::new(algorithm, &hex.get_ref().to_ascii_lowercase());
            digests.push(digest.map_err(|e| self.fault(hex.span().start, e.to_string()))?);
        }
        if digests.is_empty() && self.hashes == Hashes::Required {
            let problem = format!("{name} has no sha256, sha384 or sha512 hash");
            return Err(self.fault(at, problem));
        }
        Ok(digests)
    }

    fn check_names(&self, raw: &RawPackage, package: &Package) -> Result<(), Error> {
        let Content::Files { wheels, sdist } = &package.content else {
            return Ok(());
        };
        for (artifact, raw) in wheels.iter().zip(&raw.wheels) {
            // Indexes still list wheels from before names had a standard; nothing selects those.
            let Ok(wheel) = artifact.name.parse::<WheelFilename>() else {
                continue;
            };
            let version = package.version.as_ref().unwrap_or(&wheel.version);
            if wheel.name != package.name || wheel.version != *version {
                let problem = format!("{} is not a wheel of {} {version}", artifact.name, package.name);
                return Err(self.fault(raw.span().start, problem));
            }
        }
        if let (Some(artifact), Some(raw), Some(version)) = (sdist, &raw.sdist, &package.version)
            && SdistFilename::parse(&artifact.name, &package.name).is_ok_and(|s| s.version != *version)
        {
            let problem = format!(
                "{} is not a source distribution of {} {version}",
                artifact.name, package.name
            );
            return Err(self.fault(raw.span().start, problem));
        }
        Ok(())
    }

    fn subdirectory(&self, raw: Option<&Spanned<String>>) -> Result<Option<String>, Error> {
        let Some(raw) = raw else { return Ok(None) };
        let inside = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
        if !Path::new(raw.get_ref()).components().all(inside) {
            let problem = format!("subdirectory `{}` leaves its project", raw.get_ref());
            return Err(self.fault(raw.span().start, problem));
        }
        Ok(Some(raw.get_ref().clone()))
    }

    /// > Relative paths MUST be relative to the location of the lock file.
    fn absolute(&self, path: &str) -> PathBuf {
        let directory = self.path.parent().unwrap_or(Path::new(""));
        normal(&directory.join(path))
    }
}

/// The path without `.` and, where a component stands before it, `..`.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// The last component of where a file is, percent-decoded.
pub(super) fn file_name(location: &Location) -> Option<String> {
    match location {
        Location::Index(_) => None,
        Location::Path(path) => Some(path.file_name()?.to_str()?.to_owned()),
        Location::Url(url) => {
            let last = url.path_segments()?.next_back()?;
            let decoded = percent_encoding::percent_decode_str(last).decode_utf8().ok()?;
            Some(decoded.into_owned())
        }
    }
}
