//! Whether a lock of poetry, pdm or pipenv still fits the project beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pep440_rs::Version;

use super::walk::{Conditions, Edge};
use super::{Error, Request, format};
use crate::progress::Progress;
use crate::python::{ExtraName, PackageName};

/// A lock, and the file of the project that it was made of.
pub(super) struct Fit<'a> {
    /// The lock.
    pub lock: &'a Path,
    /// `pyproject.toml` or `Pipfile`.
    pub project: &'a Path,
    /// The command that makes the lock anew.
    pub mend: &'static str,
    /// What was asked for.
    pub request: &'a Request,
}

impl Fit<'_> {
    /// Fails with what differs. Where nothing does, the project was changed in what the image does not need: said once.
    pub fn check(&self, differences: Vec<String>, progress: &Progress) -> Result<(), Error> {
        if !differences.is_empty() {
            return Err(self.stale(differences));
        }
        let lock = format::shown(self.lock, self.request);
        let file = self.project.file_name().unwrap_or_default().display();
        progress.warn(format!(
            "{} was made before {file} was changed; what is required of it is still there (`{}` makes it anew)",
            lock.display(),
            self.mend
        ));
        Ok(())
    }

    /// The lock does not fit, and this is why.
    pub fn stale(&self, differences: Vec<String>) -> Error {
        Error::Stale {
            lock: format::shown(self.lock, self.request),
            project: format::shown(self.project, self.request),
            differences,
            mend: self.mend,
        }
    }
}

/// The versions of each locked package; `None` where it has none, as what comes of a directory may.
pub(super) type Locked = BTreeMap<PackageName, Vec<Option<Version>>>;

/// Requirements that apply and that nothing locked meets, each as a message.
pub(super) fn unmet<'e>(
    requirements: impl IntoIterator<Item = &'e Edge>,
    conditions: &Conditions,
    extras: &BTreeSet<ExtraName>,
    locked: &Locked,
) -> Vec<String> {
    let mut differences = Vec::new();
    for edge in requirements {
        if !conditions.applies(edge, extras).unwrap_or(false) {
            continue;
        }
        let Some(versions) = locked.get(&edge.name) else {
            differences.push(format!("{} is required and not locked", edge.name));
            continue;
        };
        let fits = |version: &Option<Version>| version.as_ref().is_none_or(|v| edge.versions.contains(v));
        if !versions.iter().any(fits) {
            differences.push(format!(
                "{} is locked in a version that is not the required one",
                edge.name
            ));
        }
    }
    differences
}
