//! Reading `pylock.toml` (PEP 751). Errors name the line.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use pep440_rs::Version;
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::text::Text;
use super::{Artifact, Content, Error, Kept, Location, Lock, Package, Vcs};
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
    created_by: String,
    packages: Vec<Spanned<RawPackage>>,
    #[serde(default)]
    tool: toml::Table,
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
    #[serde(default)]
    dependencies: Vec<toml::Table>,
    #[serde(default)]
    attestation_identities: Vec<Spanned<toml::Table>>,
    #[serde(default)]
    tool: toml::Table,
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
#[serde(rename_all = "kebab-case")]
struct RawArtifact {
    name: Option<Spanned<String>>,
    url: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    size: Option<u64>,
    upload_time: Option<toml::value::Datetime>,
    hashes: BTreeMap<String, Spanned<String>>,
    subdirectory: Option<Spanned<String>>,
}

/// Reads the text of a lock file that is, or could be, at `path`.
pub(super) fn parse(text: &str, path: &Path, hashes: Hashes) -> Result<Lock, Error> {
    let text = Text { text, path };
    let raw = text.toml()?;
    Reader { text, hashes }.lock(raw)
}

/// The text being read, and what is asked of it.
struct Reader<'a> {
    text: Text<'a>,
    hashes: Hashes,
}

impl Reader<'_> {
    fn lock(&self, raw: RawLock) -> Result<Lock, Error> {
        // > If a tool doesn't support the major version, an error MUST be raised; an unknown minor version SHOULD warn.
        let version: Version = self.text.value(&raw.lock_version)?;
        if version < Version::new([1]) || version >= Version::new([2]) {
            let problem = format!("lock-version {version} is not supported (1.0 is)");
            return Err(self.text.fault(raw.lock_version.span().start, problem));
        }
        for name in &raw.extras {
            self.check_normalized::<ExtraName>(name)?;
        }
        let packages = raw.packages.iter().map(|p| self.package(p));
        let names = raw.packages.iter().map(|p| p.get_ref().name.get_ref());
        let is_unusual = |name: &&String| {
            let normal = name.parse::<PackageName>();
            normal.is_ok_and(|normal| normal.as_str() != *name)
        };
        Ok(Lock {
            environments: self.text.values::<Marker, _>(&raw.environments)?,
            requires_python: self.text.optional(raw.requires_python.as_ref())?,
            extras: self.text.values::<ExtraName, _>(&raw.extras)?,
            groups: self.text.values::<GroupName, _>(&raw.dependency_groups)?,
            default_groups: self.text.values::<GroupName, _>(&raw.default_groups)?,
            packages: packages.collect::<Result<_, _>>()?,
            created_by: raw.created_by,
            tool: raw.tool,
            // > `packages.name`: The name of the package normalized.
            // pipenv writes names as their projects do: they can mean only one thing, so a warning is enough.
            unusual_names: names.filter(is_unusual).cloned().collect(),
            minor: version.release().get(1).copied().unwrap_or(0),
        })
    }

    fn package(&self, spanned: &Spanned<RawPackage>) -> Result<Package, Error> {
        let raw = spanned.get_ref();
        let name: PackageName = self.text.value(&raw.name)?;
        let content = self.content(raw, spanned.span().start, &name)?;
        let package = Package {
            version: self.text.optional(raw.version.as_ref())?,
            marker: self.text.optional(raw.marker.as_ref())?,
            requires_python: self.text.optional(raw.requires_python.as_ref())?,
            index: self.text.optional::<Url>(raw.index.as_ref())?,
            kept: self.kept(raw)?,
            name,
            content,
        };
        self.check_names(raw, &package)?;
        Ok(package)
    }

    /// > `extras`: each normalized.
    fn check_normalized<T: FromStr<Err: Display> + Display>(
        &self,
        raw: &Spanned<String>,
    ) -> Result<(), Error> {
        let normal = self.text.value::<T>(raw)?.to_string();
        if normal == *raw.get_ref() || self.hashes == Hashes::WhereKnown {
            return Ok(());
        }
        let problem = format!("`{}` must be written as `{normal}`", raw.get_ref());
        Err(self.text.fault(raw.span().start, problem))
    }

    fn kept(&self, raw: &RawPackage) -> Result<Kept, Error> {
        for identity in &raw.attestation_identities {
            // > `kind`: Required. The unique identity of the Trusted Publisher.
            if identity.get_ref().get("kind").is_none_or(|kind| !kind.is_str()) {
                let problem = "an attestation identity has no `kind`";
                return Err(self.text.fault(identity.span().start, problem));
            }
        }
        let identities = raw.attestation_identities.iter();
        Ok(Kept {
            dependencies: raw.dependencies.clone(),
            attestation_identities: identities.map(|i| i.get_ref().clone()).collect(),
            tool: raw.tool.clone(),
        })
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
                return Err(self.text.fault(at, problem));
            }
            1 => {}
            _ => {
                let problem = format!("package `{name}` has sources that exclude each other");
                return Err(self.text.fault(at, problem));
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
                path: self.text.absolute(&directory.path),
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
        let is_hash = commit.len() >= 7 && commit.bytes().all(|b| b.is_ascii_hexdigit());
        if commit.is_empty() || (raw.r#type == "git" && !is_hash) {
            let problem = format!("package `{name}`: `{}` is not a commit", commit.escape_debug());
            return Err(self.text.fault(raw.commit_id.span().start, problem));
        }
        let path = raw.path.as_ref().map(|path| self.text.absolute(path));
        let location = match (&raw.url, path) {
            (Some(_), Some(path)) if path.is_dir() => Location::Path(path),
            (Some(url), _) => Location::Url(self.text.value(url)?),
            (None, Some(path)) => Location::Path(path),
            (None, None) => {
                let problem = format!("package `{name}`: vcs has neither url nor path");
                return Err(self.text.fault(spanned.span().start, problem));
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
        let path = raw.path.as_ref().map(|path| self.text.absolute(path.get_ref()));
        let location = match (path, &raw.url) {
            // A copy beside the lock needs no network; whichever it is, its bytes are those of the hash.
            (Some(path), Some(_)) if path.is_file() => Location::Path(path),
            (_, Some(url)) => self.text.place(url)?,
            (Some(path), None) => Location::Path(path),
            (None, None) => {
                return Err(self
                    .text
                    .fault(at, format!("a file of `{package}` has neither url nor path")));
            }
        };
        let name = match &raw.name {
            Some(name) => name.get_ref().clone(),
            None => file_name(&location).unwrap_or_default(),
        };
        if name.is_empty()
            || name.contains(['/', '\\'])
            || name.contains(char::is_control)
            || name.starts_with('.')
        {
            let problem = format!("`{}` is not a file name", name.escape_debug());
            return Err(self.text.fault(at, problem));
        }
        Ok(Artifact {
            hashes: self.hashes(raw, at, &name)?,
            name,
            location,
            size: raw.size,
            upload_time: raw.upload_time,
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
            digests.push(digest.map_err(|e| self.text.fault(hex.span().start, e.to_string()))?);
        }
        if digests.is_empty() && self.hashes == Hashes::Required {
            let problem = format!("{name} has no sha256, sha384 or sha512 hash");
            return Err(self.text.fault(at, problem));
        }
        Ok(digests)
    }

    fn check_names(&self, raw: &RawPackage, package: &Package) -> Result<(), Error> {
        let Content::Files { wheels, sdist } = &package.content else {
            return Ok(());
        };
        let files = wheels.iter().zip(&raw.wheels).chain(sdist.iter().zip(&raw.sdist));
        for (artifact, raw) in files {
            if let Some(problem) = misnamed(artifact, package) {
                return Err(self.text.fault(raw.span().start, problem));
            }
        }
        Ok(())
    }

    fn subdirectory(&self, raw: Option<&Spanned<String>>) -> Result<Option<String>, Error> {
        let Some(raw) = raw else { return Ok(None) };
        let inside = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
        if !Path::new(raw.get_ref()).components().all(inside) {
            let problem = format!("subdirectory `{}` leaves its project", raw.get_ref());
            return Err(self.text.fault(raw.span().start, problem));
        }
        Ok(Some(raw.get_ref().clone()))
    }
}

/// What is wrong with the name of a file of an index, if it is not one of the package.
pub(super) fn misnamed(artifact: &Artifact, package: &Package) -> Option<String> {
    let Package { name, version, .. } = package;
    // Indexes still list wheels from before names had a standard; nothing selects those.
    if let Ok(wheel) = artifact.name.parse::<WheelFilename>() {
        let version = version.as_ref().unwrap_or(&wheel.version);
        let is_right = wheel.name == *name && wheel.version == *version;
        return (!is_right).then(|| format!("{} is not a wheel of {name} {version}", artifact.name));
    }
    let (sdist, version) = (
        SdistFilename::parse(&artifact.name, name).ok()?,
        version.as_ref()?,
    );
    let problem = || {
        format!(
            "{} is not a source distribution of {name} {version}",
            artifact.name
        )
    };
    (sdist.version != *version).then(problem)
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

#[cfg(test)]
mod tests;
