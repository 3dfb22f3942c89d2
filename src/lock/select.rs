//! What a Target takes of a lock: one file for each package (PEP 751, "Installation").

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pep440_rs::Version;

use super::inputs::check_known;
use super::{Artifact, Content, Error, Lock, Package, Vcs};
use crate::digest::Digest;
use crate::python::markers::MarkerError;
use crate::python::{
    ExtraName, GroupName, Marker, MarkerEnvironment, PackageName, Selection, Specifiers, Tags, Target,
    WheelFilename,
};

/// What was chosen for a package.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// The package.
    pub name: PackageName,
    /// Its version, where the lock gives it.
    pub version: Option<Version>,
    /// The index it came from, where the lock gives it: credentials for it hold for its files on the same host.
    pub index: Option<url::Url>,
    /// What to install.
    pub source: Source,
}

/// What to install: a wheel, or what a wheel is built from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A wheel that fits the target.
    Wheel(Artifact),
    /// A source archive, and where the project is in it.
    Sdist(Artifact, Option<String>),
    /// A source directory.
    Directory(std::path::PathBuf),
    /// A commit of a repository.
    Vcs(Vcs),
}

impl Selected {
    /// Name and version, as errors say it.
    pub fn title(&self) -> String {
        title(&self.name, self.version.as_ref())
    }

    /// Whether it is the source directory at `root` (absolute, links resolved).
    pub fn is_directory(&self, root: &Path) -> bool {
        let Source::Directory(path) = &self.source else {
            return false;
        };
        path == root || fs_err::canonicalize(path).is_ok_and(|path| path == root)
    }

    /// Stands for what will be installed, before it is fetched: the wheel's own digest, or one made from what it is
    /// built from. `None` where that can change without notice (a directory) or is not known.
    pub fn identity(&self) -> Option<Digest> {
        match &self.source {
            Source::Wheel(artifact) => artifact.digest().cloned(),
            Source::Sdist(artifact, subdirectory) => {
                let subdirectory = subdirectory.as_deref().unwrap_or(".");
                let digest = artifact.digest()?;
                Some(Digest::of(
                    format!("built from {digest} in {subdirectory}").as_bytes(),
                ))
            }
            Source::Directory(_) => None,
            Source::Vcs(vcs) => {
                let subdirectory = vcs.subdirectory.as_deref().unwrap_or(".");
                let text = format!("built from commit {} in {subdirectory}", vcs.commit);
                Some(Digest::of(text.as_bytes()))
            }
        }
    }
}

fn title(name: &PackageName, version: Option<&Version>) -> String {
    version.map_or_else(|| name.to_string(), |version| format!("{name} {version}"))
}

impl Lock {
    /// Chooses one file for every package that the target needs with these extras and dependency groups (none given:
    /// the lock's default groups). Sorted by package name. Fails on a package that has none and on one that is there twice.
    pub fn select(
        &self,
        target: &Target,
        extras: &BTreeSet<ExtraName>,
        groups: &BTreeSet<GroupName>,
    ) -> Result<Vec<Selected>, Error> {
        let tags = Tags::of(target);
        let wanted = self.wanted(target, extras, groups)?;
        let chosen = wanted.into_iter().map(|package| choose(package, target, &tags));
        chosen.collect()
    }

    /// The lock of one target alone, for these extras and groups: without markers, each package with all its files. Fails
    /// as [`Self::select`] does.
    pub fn narrowed(
        &self,
        target: &Target,
        extras: &BTreeSet<ExtraName>,
        groups: &BTreeSet<GroupName>,
    ) -> Result<Self, Error> {
        let tags = Tags::of(target);
        let mut packages = Vec::new();
        for package in self.wanted(target, extras, groups)? {
            choose(package, target, &tags)?;
            packages.push(Package {
                marker: None,
                ..package.clone()
            });
        }
        Ok(Self {
            packages,
            created_by: self.created_by.clone(),
            ..Self::default()
        })
    }

    /// The packages that a target needs, sorted by name.
    fn wanted(
        &self,
        target: &Target,
        extras: &BTreeSet<ExtraName>,
        groups: &BTreeSet<GroupName>,
    ) -> Result<Vec<&Package>, Error> {
        // > If the user did not specify any, the set of dependency groups is `default-groups`.
        let groups = if groups.is_empty() {
            &self.default_groups
        } else {
            groups
        };
        self.check_asked(extras, groups)?;
        self.check_target(target)?;
        let environment = MarkerEnvironment::of(target);
        let mut chosen: BTreeMap<&PackageName, &Package> = BTreeMap::new();
        for package in &self.packages {
            // > If `packages.marker` is specified, check if it is satisfied; if it isn't, skip to the next package.
            let holds = |m: &Marker| m.evaluate(&environment, Selection::Lock { extras, groups });
            let wanted = package.marker.as_ref().map_or(Ok(true), holds);
            if !wanted.map_err(|e| marker_fault(&package.title(), e))? {
                continue;
            }
            // > Check that no other conflicting instance of the package has been slated to be installed.
            if let Some(first) = chosen.insert(&package.name, package) {
                return Err(Error::TwoEntries {
                    first: first.title(),
                    second: package.title(),
                    target: target.to_string(),
                });
            }
        }
        Ok(chosen.into_values().collect())
    }

    /// Fails if the lock does not know one of the extras or dependency groups.
    pub(super) fn check_asked(
        &self,
        extras: &BTreeSet<ExtraName>,
        groups: &BTreeSet<GroupName>,
    ) -> Result<(), Error> {
        check_known("the lock", "extra", extras, &self.extras)?;
        let known = self.groups.union(&self.default_groups).cloned().collect();
        check_known("the lock", "dependency group", groups, &known)
    }

    /// Fails if the lock is not for the target.
    pub(super) fn check_target(&self, target: &Target) -> Result<(), Error> {
        // > If `requires-python` is specified, check that the environment's version meets it; else raise an error.
        if let Some(requires) = self.requires_python.as_ref().filter(|r| !contains(r, target)) {
            return Err(Error::LockPython {
                requires: requires.to_string(),
                python: target.python_full_version(),
            });
        }
        // > If `environments` is specified, check that at least one of the markers is satisfied; else raise an error.
        let environment = MarkerEnvironment::of(target);
        let none = (BTreeSet::new(), BTreeSet::new());
        let mut fits = self.environments.is_empty();
        for marker in &self.environments {
            let selection = Selection::Lock {
                extras: &none.0,
                groups: &none.1,
            };
            fits |= marker
                .evaluate(&environment, selection)
                .map_err(|e| marker_fault("the lock's environments", e))?;
        }
        if !fits {
            let environments: Vec<_> = self.environments.iter().map(ToString::to_string).collect();
            return Err(Error::LockEnvironment {
                target: target.to_string(),
                environments: environments.join(" or "),
            });
        }
        Ok(())
    }
}

impl Package {
    /// Name and version, as errors say it.
    pub fn title(&self) -> String {
        title(&self.name, self.version.as_ref())
    }
}

fn marker_fault(what: &str, source: MarkerError) -> Error {
    Error::Marker {
        what: what.to_owned(),
        source,
    }
}

/// Whether the target's Python is among the versions. Where the base does not tell the patch level, only major and
/// minor decide: `>=3.13.2` is then met by 3.13.
fn contains(specifiers: &Specifiers, target: &Target) -> bool {
    let (major, minor) = target.python;
    match &target.python_full {
        Some(full) => full.parse::<Version>().is_ok_and(|v| specifiers.contains(&v)),
        None => (0..100).any(|patch| {
            let version = Version::new([u64::from(major), u64::from(minor), patch]);
            specifiers.contains(&version)
        }),
    }
}

fn choose(package: &Package, target: &Target, tags: &Tags) -> Result<Selected, Error> {
    // > If `packages.requires-python` is specified, check if it is satisfied; else raise an error.
    if let Some(requires) = package.requires_python.as_ref().filter(|r| !contains(r, target)) {
        return Err(Error::PackagePython {
            package: package.title(),
            requires: requires.to_string(),
            python: target.python_full_version(),
        });
    }
    let source = match &package.content {
        Content::Files { wheels, sdist } => match (best(wheels, tags), sdist) {
            (Some(wheel), _) => Source::Wheel(wheel.clone()),
            (None, Some(sdist)) => Source::Sdist(sdist.clone(), None),
            (None, None) => return Err(no_wheel(package, wheels, target)),
        },
        Content::Archive {
            artifact,
            subdirectory,
        } => {
            if is_wheel_name(&artifact.name) {
                best(std::slice::from_ref(artifact), tags)
                    .map(|wheel| Source::Wheel(wheel.clone()))
                    .ok_or_else(|| no_wheel(package, std::slice::from_ref(artifact), target))?
            } else {
                Source::Sdist(artifact.clone(), subdirectory.clone())
            }
        }
        Content::Directory {
            path, subdirectory, ..
        } => Source::Directory(match subdirectory {
            Some(subdirectory) => path.join(subdirectory),
            None => path.clone(),
        }),
        Content::Vcs(vcs) => Source::Vcs(vcs.clone()),
    };
    Ok(Selected {
        name: package.name.clone(),
        version: package.version.clone(),
        index: package.index.clone(),
        source,
    })
}

fn is_wheel_name(name: &str) -> bool {
    name.parse::<WheelFilename>().is_ok()
}

/// The wheel with the best tag; of equals one on this machine, then the one whose name sorts last, so that the order in
/// the lock says nothing.
fn best<'a>(wheels: &'a [Artifact], tags: &Tags) -> Option<&'a Artifact> {
    let fitting = wheels.iter().filter_map(|artifact| {
        let name = artifact.name.parse::<WheelFilename>().ok()?;
        Some((tags.compatibility(&name)?, artifact))
    });
    fitting
        .max_by(|(a, x), (b, y)| {
            a.cmp(b)
                .then_with(|| x.is_local().cmp(&y.is_local()))
                .then_with(|| x.name.cmp(&y.name))
        })
        .map(|(_, artifact)| artifact)
}

fn no_wheel(package: &Package, wheels: &[Artifact], target: &Target) -> Error {
    let names: Vec<WheelFilename> = wheels.iter().filter_map(|w| w.name.parse().ok()).collect();
    let list = |of: fn(&WheelFilename) -> &[String]| {
        let all: BTreeSet<&str> = names.iter().flat_map(of).map(String::as_str).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    let offers = if names.is_empty() {
        "the lock has no wheel of it that can be read, and no source distribution".to_owned()
    } else {
        let pythons = list(|n| &n.python_tags);
        format!(
            "the lock has wheels for {pythons} on {}",
            list(|n| &n.platform_tags)
        )
    };
    // Tags of the same ladder for another Python: another base would do.
    let other_python = names
        .iter()
        .any(|n| n.is_any_platform() || fits_platform(n, target));
    let hint = if other_python {
        "choose a base with one of these Python versions, or lock again for this one"
    } else {
        "choose one of these platforms, another version of the package, or lock again for this target"
    };
    Error::NoWheel {
        package: package.title(),
        target: target.to_string(),
        offers,
        hint: hint.to_owned(),
    }
}

fn fits_platform(wheel: &WheelFilename, target: &Target) -> bool {
    let tags = Tags::of(target);
    wheel.platform_tags.iter().any(|p| tags.platforms().contains(p))
}

#[cfg(test)]
mod tests {
    use super::super::pylock;
    use super::*;
    use crate::platform::{Architecture, Platform};
    use crate::python::Libc;

    #[test]
    fn the_projects_own_directory_in_its_lock_is_known_by_any_path_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(directory.path()).unwrap();
        fs_err::create_dir(root.join("libs")).unwrap();
        std::os::unix::fs::symlink(&root, root.join("libs/up")).unwrap();
        // As `uv export` and `pip lock -e .` write it: without a version.
        let text = "lock-version = '1.0'\ncreated-by = 'pip'\n\
            [[packages]]\nname = 'a'\ndirectory = { path = '.', editable = true }\n\
            [[packages]]\nname = 'b'\ndirectory = { path = 'libs/up' }\n\
            [[packages]]\nname = 'c'\ndirectory = { path = 'libs' }\n";
        fs_err::write(root.join("pylock.toml"), text).unwrap();
        let target = Target {
            platform: Platform::linux(Architecture::Amd64),
            libc: Libc::Glibc { major: 2, minor: 41 },
            python: (3, 13),
            python_full: None,
            interpreter: "/usr/bin/python3".to_owned(),
        };
        let none = (BTreeSet::new(), BTreeSet::new());
        let lock = pylock::read(&root.join("pylock.toml")).unwrap();
        let selected = lock.select(&target, &none.0, &none.1).unwrap();
        let own: Vec<bool> = selected.iter().map(|s| s.is_directory(&root)).collect();
        assert_eq!(own, [true, true, false]);
    }
}
