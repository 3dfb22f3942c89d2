//! Requirements files in which every requirement is pinned and has a hash: a lock, read without resolver or Python.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use url::Url;

use super::index::{CONNECTIONS, Question};
use super::indexes::Indexes;
use super::listed::{self, Named};
use super::{
    Artifact, Content, Error, FetchedWheel, Kept, Listed, Location, Lock, Package, Request, inputs, pylock,
};
use crate::digest::Digest;
use crate::parallel;
use crate::python::markers::MarkerError;
use crate::python::requirements::{Entry, Requirements, Wanted};
use crate::python::{
    ExtraName, MarkerEnvironment, PackageName, Requirement, Selection, Specifiers, Target, WheelFilename,
};
use crate::tools::Tools;
use crate::wheel::Wheel;

/// The lock that the requirements files of a request are, for a target; `None` if they are none.
pub(super) fn of(request: &Request, target: &Target, tools: &Tools<'_>) -> Result<Option<Lock>, Error> {
    let Some(entries) = entries(request, tools)? else {
        return Ok(None);
    };
    let environment = MarkerEnvironment::of(target);
    let none = BTreeSet::new();
    let mut wanted = Vec::new();
    for entry in entries {
        let holds = entry.marker().map_or(Ok(true), |marker| {
            marker.evaluate(&environment, Selection::Extras(&none))
        });
        let holds = holds.map_err(|source: MarkerError| Error::Marker {
            what: entry.origin.to_string(),
            source,
        })?;
        if holds && !wanted.contains(&entry) {
            wanted.push(entry);
        }
    }
    let indexes = Indexes::of(request, tools.environment)?;
    let packages = parallel::map(&wanted, CONNECTIONS, |entry| package(entry, &indexes, tools))?;
    let count = packages.len();
    tools.progress.choice(
        "Lock",
        format!("every requirement is pinned and hashed: nothing is resolved ({count} for {target})"),
    );
    Ok(Some(Lock {
        extras: request.extras.clone(),
        groups: request.groups.clone(),
        created_by: "requirements".to_owned(),
        packages,
        ..Lock::default()
    }))
}

/// The requirements of a request, if they are a lock.
///
/// > pip: hash-checking mode is all-or-nothing: every requirement must have a hash, and be pinned with `==` or be a URL.
///
/// The project itself, as `uv export` writes it, is no requirement: it is in the app layer.
fn entries(request: &Request, tools: &Tools<'_>) -> Result<Option<Vec<Entry>>, Error> {
    if request.requirements.is_empty() || request.pyproject.is_some() || !request.inline.is_empty() {
        return Ok(None);
    }
    let read = inputs::requirements(request, tools.environment)?;
    let is_project = |entry: &Entry| match &entry.wanted {
        Wanted::Path { path, .. } => pylock::normal(&request.directory.join(path)) == request.directory,
        _ => false,
    };
    let entries: Vec<Entry> = read.requirements().filter(|e| !is_project(e)).cloned().collect();
    let is_locked = |e: &Entry| !e.hashes.is_empty() && !e.editable && e.is_pinned() && e.name().is_some();
    if entries.is_empty() || entries.iter().all(|e| e.hashes.is_empty()) {
        return Ok(None);
    }
    match entries.iter().find(|e| !is_locked(e)) {
        None => {
            check_constraints(&read)?;
            Ok(Some(entries))
        }
        // Directories and commits have no hash that could be given.
        Some(entry) if entry.editable || !matches!(entry.wanted, Wanted::Requirement(_)) => {
            let place = &entry.origin;
            tools.progress.warn(format!(
                "{place} has no hash, and others have: the file is no lock, and is resolved"
            ));
            Ok(None)
        }
        Some(entry) => Err(Error::HashMissing {
            place: entry.origin.to_string(),
            is_pinned: entry.is_pinned(),
        }),
    }
}

/// What is pinned must be what constraints allow.
fn check_constraints(read: &Requirements) -> Result<(), Error> {
    for constraint in read.constraints() {
        let Wanted::Requirement(bound) = &constraint.wanted else {
            continue;
        };
        for entry in read.requirements() {
            if let Wanted::Requirement(pin) = &entry.wanted
                && pin.name == bound.name
                && pin
                    .specifiers
                    .pinned()
                    .is_some_and(|v| !bound.specifiers.contains(&v))
            {
                return Err(Error::Constrained {
                    place: entry.origin.to_string(),
                    constraint: constraint.origin.to_string(),
                });
            }
        }
    }
    Ok(())
}

fn package(entry: &Entry, indexes: &Indexes, tools: &Tools<'_>) -> Result<Package, Error> {
    let malformed = |problem: String| Error::LockFile {
        path: entry.origin.file.clone(),
        line: entry.origin.line,
        problem,
    };
    let name = entry.name().cloned();
    let name = name.ok_or_else(|| malformed("it names no package".to_owned()))?;
    let (version, (content, requires_python)) = match &entry.wanted {
        Wanted::Requirement(Requirement {
            url: None,
            specifiers,
            ..
        }) => {
            let version = specifiers.pinned();
            let version = version.ok_or_else(|| malformed(format!("{name} is not pinned")))?;
            let content = listed_files(entry, &name, &version, indexes, tools)?;
            (Some(version), content)
        }
        Wanted::Requirement(Requirement { url: Some(url), .. }) | Wanted::Url { url, .. } => {
            (None, (archive(url, entry).map_err(malformed)?, None))
        }
        Wanted::Path { .. } => return Err(malformed("a path cannot be locked".to_owned())),
    };
    Ok(Package {
        name,
        version,
        marker: None,
        requires_python,
        index: None,
        content,
        kept: Kept::default(),
    })
}

/// The files of an index that have one of the hashes, and the Python versions that all of them are for.
fn listed_files(
    entry: &Entry,
    name: &PackageName,
    version: &pep440_rs::Version,
    indexes: &Indexes,
    tools: &Tools<'_>,
) -> Result<(Content, Option<Specifiers>), Error> {
    let hashes: BTreeSet<Digest> = entry.hashes.iter().cloned().collect();
    let listed = Listed {
        package: name.clone(),
        indexes: Vec::new(),
    };
    let none = || Error::NoHash {
        package: format!("{name} {version}"),
        place: Some(entry.origin.to_string()),
    };
    let found = match Question::new(&listed, indexes, tools).with_hashes(&hashes) {
        Ok(found) => found,
        Err(Error::NotListed { .. }) => return Err(none()),
        Err(error) => return Err(error),
    };
    // > installers SHOULD ignore the download when installing to a Python version that doesn't satisfy the requirement
    let requires = found.first().and_then(|file| file.requires_python.clone());
    let requires = requires.filter(|_| {
        let first = &found[0].requires_python;
        found.iter().all(|file| file.requires_python == *first)
    });
    let sizes: BTreeMap<String, Option<u64>> = found.iter().map(|f| (f.name.clone(), f.size)).collect();
    let named = found.into_iter().map(|file| Named {
        name: file.name,
        url: Some(file.url),
        hashes: file.hashes.into_iter().filter(|h| hashes.contains(h)).collect(),
    });
    let mut content = listed::files(name, version, &[], named.collect());
    if let Content::Files { wheels, sdist } = &mut content {
        if wheels.is_empty() && sdist.is_none() {
            return Err(none());
        }
        for artifact in wheels.iter_mut().chain(sdist) {
            artifact.size = sizes.get(&artifact.name).copied().flatten();
            // An index may be a directory.
            if let Location::Url(url) = &artifact.location
                && url.scheme() == "file"
                && let Ok(path) = url.to_file_path()
            {
                artifact.location = Location::Path(path);
            }
        }
    }
    Ok((content, requires))
}

/// The archive at a URL, whose fragment may say where the project is in it.
fn archive(text: &str, entry: &Entry) -> Result<Content, String> {
    let mut url: Url = text
        .parse()
        .map_err(|error| format!("it has no URL that can be used: {error}"))?;
    let fragment = url.fragment().unwrap_or_default().to_owned();
    let mut parts = fragment.split('&').filter_map(|part| part.split_once('='));
    let subdirectory = parts.find(|(key, _)| *key == "subdirectory");
    let subdirectory = subdirectory.map(|(_, value)| value.to_owned());
    url.set_fragment(None);
    let location = match url.scheme() {
        "http" | "https" => Location::Url(url),
        "file" => Location::Path(
            url.to_file_path()
                .map_err(|()| "it is not on this machine".to_owned())?,
        ),
        other => return Err(format!("{other}: URLs cannot be fetched")),
    };
    let leaves = |path: &str| {
        let inside = |c| matches!(c, std::path::Component::Normal(_) | std::path::Component::CurDir);
        !Path::new(path).components().all(inside)
    };
    if subdirectory.as_deref().is_some_and(leaves) {
        return Err("its subdirectory leaves the project".to_owned());
    }
    let name = pylock::file_name(&location).unwrap_or_default();
    if name.is_empty() || name.contains(['/', '\\', '\0']) || name.starts_with('.') {
        return Err(format!("{location} names no file"));
    }
    Ok(Content::Archive {
        artifact: Artifact {
            name,
            location,
            size: None,
            upload_time: None,
            hashes: entry.hashes.clone(),
        },
        subdirectory,
    })
}

/// Fails if a wheel needs something that the requirements, which are a lock, do not list: pip would refuse them too.
pub(super) fn check_complete(
    wheels: &[FetchedWheel],
    request: &Request,
    target: &Target,
    tools: &Tools<'_>,
) -> Result<(), Error> {
    if request.lock.is_some() {
        return Ok(());
    }
    let Some(entries) = entries(request, tools)? else {
        return Ok(());
    };
    let mut extras: BTreeMap<PackageName, BTreeSet<ExtraName>> = BTreeMap::new();
    for entry in &entries {
        if let Wanted::Requirement(requirement) = &entry.wanted {
            let own = extras.entry(requirement.name.clone()).or_default();
            own.extend(requirement.extras.iter().cloned());
        }
    }
    let mut requires = Vec::new();
    for wheel in wheels {
        // What cannot be read is reported where it is installed.
        let file: &WheelFilename = &wheel.file_name;
        if let Ok(read) = Wheel::open(&wheel.path, &file.to_string()) {
            let list = read.metadata().requires_dist.iter();
            let list: Vec<Requirement> = list.filter_map(|text| text.parse().ok()).collect();
            requires.push((file.name.clone(), wheel.selected.title(), list));
        }
    }
    let environment = MarkerEnvironment::of(target);
    let there: BTreeSet<&PackageName> = wheels.iter().map(|w| &w.selected.name).collect();
    // Extras that one asks of another may ask for more.
    loop {
        let before = extras.clone();
        for (name, title, list) in &requires {
            let own = extras.get(name).cloned().unwrap_or_default();
            for requirement in list {
                let holds = requirement.marker.as_ref().is_none_or(|marker| {
                    marker
                        .evaluate(&environment, Selection::Extras(&own))
                        .unwrap_or(false)
                });
                if holds && !there.contains(&requirement.name) {
                    return Err(Error::NotComplete {
                        package: title.clone(),
                        requirement: requirement.to_string(),
                    });
                }
                if holds {
                    let more = extras.entry(requirement.name.clone()).or_default();
                    more.extend(requirement.extras.iter().cloned());
                }
            }
        }
        if extras == before {
            return Ok(());
        }
    }
}
