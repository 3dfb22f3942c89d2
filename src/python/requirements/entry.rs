//! One entry of a requirements file: a requirement, URL or path with the options that belong to it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::options::Line;
use super::{Error, Origin};
use crate::digest::Digest;
use crate::python::markers::Marker;
use crate::python::name::{ExtraName, PackageName};
use crate::python::requirement::{Requirement, redacted};
use crate::python::wheel_filename::{FilenameError, WheelFilename};

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub origin: Origin,
    /// Whether it only bounds versions (`-c`).
    pub constraint: bool,
    /// Whether it is marked `-e`.
    pub editable: bool,
    /// What is asked for.
    pub wanted: Wanted,
    /// `--hash`: any of these is right; none means that the hash does not matter.
    pub hashes: Vec<Digest>,
    /// `--config-settings`: `KEY=VALUE` for the build backend, as written.
    pub config_settings: Vec<String>,
    /// `--global-option`, which current pip no longer takes.
    pub global_options: Vec<String>,
}

/// What an entry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `name[extra]==1; marker` or `name @ URL; marker`.
    Requirement(Requirement),
    /// A URL without a name in front: of a file, a directory or a version control repository.
    Url {
        /// As written, with its fragment. May hold a password.
        url: String,
        /// From the name of a wheel or from `#egg=`.
        name: Option<PackageName>,
        /// When it applies.
        marker: Option<Marker>,
    },
    /// A file or directory.
    Path {
        /// As written: pip takes it from the working directory, not from the directory of the file.
        path: PathBuf,
        /// From the name of a wheel.
        name: Option<PackageName>,
        /// In `[]` after it.
        extras: BTreeSet<ExtraName>,
        /// When it applies.
        marker: Option<Marker>,
    },
}

/// Endings of files that pip takes for packages.
const ARCHIVES: [&str; 10] = [
    ".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tlz",
];

impl Entry {
    /// The entry of a line, if it has one.
    pub(super) fn of_line(line: &Line, origin: &Origin, constraint: bool) -> Result<Option<Self>, Error> {
        let editable = line.argument.is_empty();
        let text = match (editable, line.values("editable").next()) {
            (false, _) => &line.argument,
            (true, Some(editable)) => editable,
            (true, None) => return Ok(None),
        };
        if editable && constraint {
            return Err(link(origin, "a constraint cannot be editable".to_owned()));
        }
        let wanted = if editable {
            Wanted::of_editable(text, origin)
        } else {
            Wanted::of_text(text, origin)
        };
        let hashes = line.values("hash").map(|hash| parse_hash(hash, origin));
        let values = |name| line.values(name).map(str::to_owned).collect();
        Ok(Some(Self {
            origin: origin.clone(),
            constraint,
            editable,
            wanted: wanted?,
            hashes: hashes.collect::<Result<_, _>>()?,
            config_settings: values("config-settings"),
            global_options: values("global-option"),
        }))
    }

    /// The package's name, where the line tells it.
    pub fn name(&self) -> Option<&PackageName> {
        match &self.wanted {
            Wanted::Requirement(requirement) => Some(&requirement.name),
            Wanted::Url { name, .. } | Wanted::Path { name, .. } => name.as_ref(),
        }
    }

    /// When the entry applies.
    pub fn marker(&self) -> Option<&Marker> {
        match &self.wanted {
            Wanted::Requirement(requirement) => requirement.marker.as_ref(),
            Wanted::Url { marker, .. } | Wanted::Path { marker, .. } => marker.as_ref(),
        }
    }

    /// Whether it asks for exactly one thing: one version, or a URL.
    pub fn is_pinned(&self) -> bool {
        match &self.wanted {
            Wanted::Requirement(r) => r.url.is_some() || r.specifiers.pinned().is_some(),
            Wanted::Url { .. } => true,
            Wanted::Path { .. } => false,
        }
    }
}

impl Wanted {
    /// > `[[--option]...] <requirement specifier>`, `<archive url/path>`, `<local project path>`, `<vcs project url>`
    fn of_text(text: &str, origin: &Origin) -> Result<Self, Error> {
        // A `;` may be part of a URL; the marker's has a space after it.
        let separator = if is_url(text) { "; " } else { ";" };
        let (text, marker) = text.split_once(separator).unwrap_or((text, ""));
        let (text, marker) = (text.trim(), parse_marker(marker, origin)?);
        if is_url(text) {
            return Self::of_url(text, marker, origin);
        }
        let (path, extras) = split_extras(text);
        let looks_like_path = |t: &str| t.contains('/') || t.starts_with('.');
        let named_url = text
            .split_once('@')
            .is_some_and(|(name, _)| !looks_like_path(name));
        if !named_url && (is_archive(path) || looks_like_path(path)) {
            return Self::of_path(path, extras, marker, origin);
        }
        let mut requirement: Requirement = text.parse().map_err(|source| Error::Requirement {
            origin: origin.clone(),
            source,
        })?;
        requirement.marker = marker;
        Ok(Self::Requirement(requirement))
    }

    fn of_editable(text: &str, origin: &Origin) -> Result<Self, Error> {
        match text.parse::<Requirement>() {
            Ok(requirement) if requirement.url.is_some() => return Ok(Self::Requirement(requirement)),
            _ => {}
        }
        if is_url(text) {
            return Self::of_url(text, None, origin);
        }
        let (path, extras) = split_extras(text);
        Self::of_path(path, extras, None, origin)
    }

    fn of_url(url: &str, marker: Option<Marker>, origin: &Origin) -> Result<Self, Error> {
        let wrong = |e: &dyn std::fmt::Display| link(origin, format!("{e} in {}", redacted(url)));
        let location = url.split(['#', '?']).next().unwrap_or(url);
        let file = location.rsplit('/').next().unwrap_or(location);
        let name = if is_wheel(file) {
            let file = percent_encoding::percent_decode_str(file).decode_utf8_lossy();
            Some(wheel_name(&file).map_err(|e| wrong(&e))?)
        } else {
            let name = egg(url).map(str::parse).transpose();
            name.map_err(|e| wrong(&e))?
        };
        let url = url.to_owned();
        Ok(Self::Url { url, name, marker })
    }

    fn of_path(path: &str, extras: &str, marker: Option<Marker>, origin: &Origin) -> Result<Self, Error> {
        let file = path.rsplit('/').next().unwrap_or(path);
        let name = is_wheel(file).then(|| wheel_name(file)).transpose();
        let names = extras.split(',').map(str::trim).filter(|e| !e.is_empty());
        let extras = names.map(|e| e.parse().map_err(|e| link(origin, format!("{e}"))));
        Ok(Self::Path {
            path: path.into(),
            name: name.map_err(|e| link(origin, e.to_string()))?,
            extras: extras.collect::<Result<_, _>>()?,
            marker,
        })
    }
}

fn link(origin: &Origin, problem: String) -> Error {
    Error::Link {
        origin: origin.clone(),
        problem,
    }
}

fn parse_marker(text: &str, origin: &Origin) -> Result<Option<Marker>, Error> {
    let text = text.trim();
    let parsed = (!text.is_empty()).then(|| text.parse()).transpose();
    parsed.map_err(|source| Error::Marker {
        origin: origin.clone(),
        source,
    })
}

/// > hash algorithms: sha256, sha384, sha512; hexadecimal digits of any case
fn parse_hash(hash: &str, origin: &Origin) -> Result<Digest, Error> {
    hash.to_ascii_lowercase().parse().map_err(|e| Error::Option {
        origin: origin.clone(),
        problem: format!("`--hash`: {e}"),
    })
}

/// Whether pip takes a text for a URL: a web or file scheme, or that of a version control system.
fn is_url(text: &str) -> bool {
    let Some((scheme, _)) = text.split_once(':') else {
        return false;
    };
    let scheme = scheme.to_ascii_lowercase();
    let (system, _) = scheme.split_once('+').unwrap_or(("", ""));
    matches!(scheme.as_str(), "http" | "https" | "file" | "ftp")
        || matches!(system, "git" | "hg" | "svn" | "bzr")
}

fn wheel_name(file: &str) -> Result<PackageName, FilenameError> {
    file.parse().map(|wheel: WheelFilename| wheel.name)
}

fn is_wheel(file: &str) -> bool {
    std::path::Path::new(file).extension().is_some_and(|e| e == "whl")
}

fn is_archive(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    ARCHIVES.iter().any(|ending| path.ends_with(ending))
}

/// `path[extra,...]` in its parts.
fn split_extras(text: &str) -> (&str, &str) {
    let inner = text.strip_suffix(']').and_then(|t| t.rsplit_once('['));
    match inner {
        Some((path, extras)) if !path.is_empty() && !extras.is_empty() && !extras.contains(']') => {
            (path.trim_end(), extras)
        }
        _ => (text, ""),
    }
}

/// The value of `#egg=` (or `&egg=`) in a URL.
fn egg(url: &str) -> Option<&str> {
    let start = ["#egg=", "&egg="].iter().filter_map(|key| url.find(key)).min()?;
    url[start + 5..].split('&').next()
}
