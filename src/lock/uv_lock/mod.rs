//! Reading `uv.lock`: the packages that the project needs on a target, found as uv finds them.

mod content;
mod document;
mod roots;
mod stale;
mod walk;

use std::path::Path;

use self::document::{Document, Entry};
use self::roots::Roots;
use self::walk::Walk;
use super::text::Text;
use super::{Error, Lock, Package, Request};
use crate::python::{MarkerEnvironment, Target};

/// Reads the text of the lock file at `place`. What the project does not need on the target, with these extras and
/// groups, is left out; so is the project itself.
pub(super) fn read(text: &str, place: &Path, request: &Request, target: &Target) -> Result<Lock, Error> {
    let text = Text { text, path: place };
    let document = Document::parse(text)?;
    let roots = Roots::find(&document, text, request)?;
    let mut lock = frame(&document, &roots);
    lock.check_asked(&request.extras, &request.groups)?;
    lock.check_target(target)?;
    let environment = MarkerEnvironment::of(target);
    let reached = Walk::reach(&document, &environment, &roots, request)?;
    let local = reached.iter().map(|at| &document.packages[*at]);
    stale::check(&document, local, text, (&environment, request))?;
    stale::check_script(&document, text, (&environment, request))?;
    for at in reached {
        let entry = &document.packages[at];
        if !is_project(entry, text, request) {
            lock.packages.extend(package(entry));
        }
    }
    Ok(lock)
}

/// The lock without packages.
fn frame(document: &Document, roots: &Roots) -> Lock {
    let of = |at: usize| &document.packages[at];
    let groups = roots.with_workspace().flat_map(|at| of(at).group_names());
    let extras = roots.packages.iter().flat_map(|at| {
        let metadata = of(*at).metadata.iter();
        let provided = metadata.filter_map(|m| m.provides_extras.as_ref()).flatten();
        of(*at).extras.keys().chain(provided)
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
        kept: crate::lock::Kept::default(),
        requires_python: None,
        index: entry
            .source
            .registry
            .as_ref()
            .and_then(|index| index.parse().ok()),
        content: entry.content.clone()?,
    })
}
