//! What the packages need: Python versions, CPU and C library, from the tags and the metadata of their wheels.

use std::collections::BTreeSet;

use super::Making;
use crate::native;
use crate::project::Distribution;
use crate::project::bundle::Needs;
use crate::python::{
    ExtraName, Libc, MarkerEnvironment, PackageName, Requirement, Selection, Tags, Target, WheelFilename,
};
use crate::tree::Tree;
use crate::wheel::Wheel;

/// The oldest minor version of Python 3 that the files of a bundle themselves run on.
const OLDEST: u32 = 7;
/// A version so late that whatever takes it takes every later one.
const LATEST: u32 = 40;

impl Making<'_> {
    /// What the wheels need, and the project's own if it was built.
    pub(super) fn needs(
        &self,
        wheels: &[Wheel],
        own: Option<&Distribution>,
        installed: &Tree,
    ) -> anyhow::Result<Needs> {
        let built = match own {
            Some(Distribution::Built(wheel)) => Some(&**wheel),
            _ => None,
        };
        let all: Vec<&Wheel> = wheels.iter().chain(built).collect();
        let names: Vec<&WheelFilename> = all.iter().map(|wheel| wheel.filename()).collect();
        let there: BTreeSet<&PackageName> = all.iter().map(|wheel| wheel.name()).collect();
        let (major, minor) = self.target.python;
        let fits = |minor: u32| {
            let target = Target {
                python: (major, minor),
                python_full: None,
                ..self.target.clone()
            };
            minor == self.target.python.1
                || (self.build.project.accepts_python(&target)
                    && fit_tags(&names, &target)
                    && all
                        .iter()
                        .all(|wheel| takes(wheel, &target, &self.target, &there)))
        };
        let first = (OLDEST.min(minor)..minor).rev().take_while(|m| fits(*m)).last();
        let last = (minor + 1..=LATEST).take_while(|m| fits(*m)).last();
        let native = names.iter().any(|name| !is_any(name));
        let libc = native.then(|| self.libc(&names, installed)).transpose()?;
        Ok(Needs {
            first: (major, first.unwrap_or(minor)),
            last: match last {
                Some(LATEST) => None,
                last => Some((major, last.unwrap_or(minor))),
            },
            architecture: native.then_some(self.target.platform.architecture),
            libc,
        })
    }

    /// The oldest C library that all tags allow. Wheels that were built on this machine promise none: their objects say it.
    fn libc(&self, names: &[&WheelFilename], installed: &Tree) -> anyhow::Result<Libc> {
        let Libc::Glibc { major, minor } = self.target.libc else {
            return Ok(self.target.libc);
        };
        let of = |minor| Target {
            libc: Libc::Glibc { major, minor },
            ..self.target.clone()
        };
        let mut oldest = (0..=minor)
            .find(|older| fit_tags(names, &of(*older)))
            .unwrap_or(minor);
        let unpromised =
            |name: &&WheelFilename| name.platform_tags.iter().all(|tag| tag.starts_with("linux_"));
        if names.iter().any(unpromised) {
            for (_, elf) in native::scan(installed)? {
                let versions = elf.requires.values().flatten();
                let needed =
                    versions.filter_map(|v| v.strip_prefix("GLIBC_2.")?.split('.').next()?.parse().ok());
                oldest = needed.fold(oldest, u32::max);
            }
        }
        Ok(Libc::Glibc { major, minor: oldest })
    }
}

fn is_any(name: &WheelFilename) -> bool {
    name.platform_tags.iter().any(|tag| tag == "any")
}

fn fit_tags(names: &[&WheelFilename], target: &Target) -> bool {
    let tags = Tags::of(target);
    names.iter().all(|name| tags.compatibility(name).is_some())
}

/// Whether a wheel is at home on another Python too: its Requires-Python takes it, and nothing is required there that is
/// not required, nor there, on the one that the packages were chosen for.
fn takes(wheel: &Wheel, other: &Target, chosen: &Target, there: &BTreeSet<&PackageName>) -> bool {
    let metadata = wheel.metadata();
    if let Ok(Some(python)) = metadata.requires_python() {
        let (major, minor) = other.python;
        // Some patch release: `>=3.9.1` takes 3.9.
        let patch = |patch: u64| pep440_rs::Version::new([u64::from(major), u64::from(minor), patch]);
        if !(0..40).any(|n| python.contains(&patch(n))) {
            return false;
        }
    }
    let extras: Vec<BTreeSet<ExtraName>> = [BTreeSet::new()]
        .into_iter()
        .chain(metadata.provides_extra.iter().map(|extra| [extra.clone()].into()))
        .collect();
    let environments = (MarkerEnvironment::of(other), MarkerEnvironment::of(chosen));
    metadata.requires_dist.iter().all(|text| {
        // What cannot be read was no hindrance when the packages were chosen.
        let Ok(requirement) = text.parse::<Requirement>() else {
            return true;
        };
        let Some(marker) = &requirement.marker else {
            return true;
        };
        let holds = |environment| {
            let mut with = extras.iter();
            with.any(|extra| {
                let selection = Selection::Extras(extra);
                marker.evaluate(environment, selection).unwrap_or(false)
            })
        };
        !holds(&environments.0) || holds(&environments.1) || there.contains(&requirement.name)
    })
}
