//! Reading `uv.lock`: the packages that the project needs on a target, found as uv finds them.

mod content;
mod document;
mod stale;
mod walk;

use std::path::Path;

use self::document::{Document, Entry};
use self::walk::Walk;
use super::text::Text;
use super::{Error, Lock, Package, Request};
use crate::python::{MarkerEnvironment, PackageName, Target};

/// Reads the text of the lock file at `place`. What the project does not need on the target, with these extras and
/// groups, is left out; so is the project itself.
pub(super) fn read(text: &str, place: &Path, request: &Request, target: &Target) -> Result<Lock, Error> {
    let text = Text { text, path: place };
    let document = Document::parse(text)?;
    let roots = roots(&document, text, request)?;
    let mut lock = frame(&document, &roots);
    lock.check_asked(&request.extras, &request.groups)?;
    lock.check_target(target)?;
    let environment = MarkerEnvironment::of(target);
    let reached = Walk::reach(&document, &environment, &roots, request)?;
    let local = reached.iter().map(|at| &document.packages[*at]);
    stale::check(&document, local, text, (&environment, request))?;
    for at in reached {
        let entry = &document.packages[at];
        if !is_project(entry, text, request) {
            lock.packages.extend(package(entry));
        }
    }
    Ok(lock)
}

/// The lock without packages.
fn frame(document: &Document, roots: &[usize]) -> Lock {
    let roots = || roots.iter().map(|root| &document.packages[*root]);
    let groups = roots().flat_map(|root| {
        root.groups
            .keys()
            .chain(root.metadata.iter().flat_map(|m| m.requires_dev.keys()))
    });
    let extras = roots().flat_map(|root| {
        let provided = root
            .metadata
            .iter()
            .filter_map(|m| m.provides_extras.as_ref())
            .flatten();
        root.extras.keys().chain(provided)
    });
    Lock {
        environments: document.environments.clone(),
        requires_python: document.requires_python.clone(),
        extras: extras.cloned().collect(),
        groups: groups.chain(document.groups.keys()).cloned().collect(),
        created_by: "uv".to_owned(),
        ..Lock::default()
    }
}

/// The packages whose dependencies are wanted: the project's own. Where the directory is the root of a workspace and no
/// project itself, all members.
fn roots(document: &Document, text: Text<'_>, request: &Request) -> Result<Vec<usize>, Error> {
    let packages = || document.packages.iter().enumerate();
    if let Some((at, _)) = packages().find(|(_, entry)| is_project(entry, text, request)) {
        return Ok(vec![at]);
    }
    // A lock that was asked for from elsewhere is for the project beside it.
    if let Some((at, _)) = packages().find(|(_, entry)| entry.source.tree() == Some(".")) {
        return Ok(vec![at]);
    }
    let members: Vec<usize> = packages()
        .filter(|(_, entry)| document.members.contains(&entry.name) && entry.source.tree().is_some())
        .map(|(at, _)| at)
        .collect();
    let is_script = members.is_empty() && !document.requirements.is_empty();
    if is_script || same_directory(text.directory(), &request.directory) {
        return Ok(members);
    }
    Err(Error::NotMember {
        lock: super::format::shown(text.path, request),
        project: request.directory.clone(),
        members: document.members.iter().map(PackageName::to_string).collect(),
    })
}

fn is_project(entry: &Entry, text: Text<'_>, request: &Request) -> bool {
    let tree = entry.source.tree();
    tree.is_some_and(|path| same_directory(&text.absolute(path), &request.directory))
}

fn same_directory(one: &Path, other: &Path) -> bool {
    one == other
        || fs_err::canonicalize(one)
            .is_ok_and(|one| fs_err::canonicalize(other).is_ok_and(|other| one == other))
}

fn package(entry: &Entry) -> Option<Package> {
    Some(Package {
        name: entry.name.clone(),
        version: entry.version.clone(),
        marker: None,
        requires_python: None,
        index: entry
            .source
            .registry
            .as_ref()
            .and_then(|index| index.parse().ok()),
        content: entry.content.clone()?,
    })
}
