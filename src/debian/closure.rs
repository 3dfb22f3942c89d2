//! The dependency closure: from the packages that a recipe names to all that must be unpacked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::packages::{self, Index, Package};
use super::relation::{Relation, RelationError};

/// Why there is no closure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name in the recipe is malformed.
    #[error("the recipe names a malformed package")]
    Name(#[source] RelationError),
    /// Nothing satisfies a relation.
    #[error("nothing satisfies {relation}, which {by} needs")]
    Missing {
        /// The relation with its alternatives.
        relation: String,
        /// Who needs it: a package or `the recipe`.
        by: String,
    },
    /// The base has an older version than is needed.
    #[error("{by} needs {relation}, and the base has version {installed} of it")]
    Older {
        /// The relation with its alternatives.
        relation: String,
        /// Who needs it.
        by: String,
        /// The version that is installed.
        installed: String,
    },
    /// Two packages of the closure exclude each other.
    #[error("{package} cannot be beside {other} (it conflicts with {relation})")]
    Conflict {
        /// The package that says so.
        package: String,
        /// The other.
        other: String,
        /// What it says.
        relation: String,
    },
    /// A package's own data.
    #[error(transparent)]
    Package(#[from] packages::Error),
}

/// All packages that `wanted` (relations, e.g. `python3.13` or `libc6 (>= 2.38)`) need, sorted by name.
///
/// Packages named in `excluded` count as there and are never taken: what only maintainer scripts use, which do not run.
/// Alternatives are tried in their order; one that is already chosen wins, as apt does.
/// What is installed already is not among them, and must be new enough.
pub fn closure(
    index: &Index,
    wanted: &[String],
    excluded: &BTreeSet<String>,
    installed: &[Package],
) -> Result<Vec<Package>, Error> {
    let mut chosen: BTreeMap<String, Package> = BTreeMap::new();
    let mut open = VecDeque::new();
    let wanting = if installed.is_empty() {
        "the recipe"
    } else {
        "the project"
    };
    for text in wanted {
        let relation = Relation::parse(text).map_err(Error::Name)?;
        open.push_back((vec![relation], wanting.to_owned()));
    }
    while let Some((alternatives, by)) = open.pop_front() {
        let all = chosen.values().chain(installed);
        let there = |r: &Relation| excluded.contains(&r.name) || all.clone().any(|p| p.satisfies(r));
        if alternatives.iter().any(there) {
            continue;
        }
        let found = alternatives
            .iter()
            .find_map(|r| index.find(r).filter(|p| !excluded.contains(&p.name)));
        let missing = || Error::Missing {
            relation: join(&alternatives),
            by: by.clone(),
        };
        let package = found.ok_or_else(missing)?;
        if let Some(old) = installed.iter().find(|p| p.name == package.name) {
            return Err(Error::Older {
                relation: join(&alternatives),
                by,
                installed: old.version.to_string(),
            });
        }
        let groups = package.depends()?;
        open.extend(groups.into_iter().map(|group| (group, package.name.clone())));
        if chosen.insert(package.name.clone(), package).is_some() {
            // Another version of it was chosen before and does not satisfy this relation.
            return Err(missing());
        }
    }
    check_conflicts(&chosen, installed)?;
    Ok(chosen.into_values().collect())
}

fn check_conflicts(chosen: &BTreeMap<String, Package>, installed: &[Package]) -> Result<(), Error> {
    for package in chosen.values() {
        for relation in package.conflicts()?.iter().flatten() {
            // > a package may conflict with what it provides itself: it then excludes the other providers (Policy 7.6.2)
            let other = chosen
                .values()
                .chain(installed)
                .find(|p| p.name != package.name && p.satisfies(relation));
            if let Some(other) = other {
                return Err(Error::Conflict {
                    package: package.name.clone(),
                    other: other.name.clone(),
                    relation: relation.to_string(),
                });
            }
        }
    }
    Ok(())
}

fn join(alternatives: &[Relation]) -> String {
    alternatives
        .iter()
        .map(Relation::to_string)
        .collect::<Vec<_>>()
        .join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(text: &str) -> Index {
        let mut index = Index::default();
        let sha256 = "0".repeat(64);
        let stanzas: Vec<_> = text
            .split("\n\n")
            .map(|s| {
                format!(
                    "{}\nArchitecture: all\nFilename: pool/x.deb\nSize: 1\nSHA256: {sha256}\n",
                    s.trim()
                )
            })
            .collect();
        index.read(stanzas.join("\n").as_bytes(), "debian").unwrap();
        index
    }

    fn names(index: &Index, wanted: &[&str], excluded: &[&str]) -> Result<Vec<String>, Error> {
        let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
        let excluded = excluded.iter().map(ToString::to_string).collect();
        let closure = closure(index, &wanted, &excluded, &[])?;
        Ok(closure
            .iter()
            .map(|p| format!("{}={}", p.name, p.version))
            .collect())
    }

    const INDEX: &str = "
Package: app\nVersion: 1\nDepends: lib (>= 2), mail | mailer\nPre-Depends: base

Package: lib\nVersion: 2\nDepends: base, virtual

Package: lib\nVersion: 1

Package: base\nVersion: 1\nDepends: scripts

Package: scripts\nVersion: 1\nDepends: app

Package: mailer\nVersion: 1

Package: b-provider\nVersion: 1\nProvides: virtual (= 3)

Package: a-provider\nVersion: 1\nProvides: virtual, other\nConflicts: other, b-provider";

    #[test]
    fn dependencies_are_closed_over_alternatives_and_what_packages_provide() {
        let all = names(&index(INDEX), &["app"], &[]).unwrap();
        assert_eq!(
            all,
            [
                "a-provider=1",
                "app=1",
                "base=1",
                "lib=2",
                "mailer=1",
                "scripts=1"
            ]
        );
        let some = names(&index(INDEX), &["app", "b-provider"], &["scripts"]).unwrap();
        assert_eq!(some, ["app=1", "b-provider=1", "base=1", "lib=2", "mailer=1"]);
    }

    #[test]
    fn a_versioned_relation_is_not_satisfied_by_an_unversioned_provides() {
        assert_eq!(
            names(&index(INDEX), &["virtual (>= 2)"], &[]).unwrap(),
            ["b-provider=1"]
        );
        let error = names(&index(INDEX), &["virtual (>= 4)"], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "nothing satisfies virtual (>= 4), which the recipe needs"
        );
    }

    #[test]
    fn what_is_installed_is_not_taken_again_and_must_be_new_enough() {
        let installed = |text: &str| -> Vec<Package> {
            let packages = text.split(' ').map(|t| t.split_once('=').unwrap());
            packages
                .map(|(name, version)| Package::installed(name, version, "").unwrap())
                .collect()
        };
        let over = |there: &str| {
            let wanted = ["app".to_owned()];
            let none = BTreeSet::new();
            closure(&index(INDEX), &wanted, &none, &installed(there))
        };
        let names: Vec<_> = over("base=1 lib=3")
            .unwrap()
            .into_iter()
            .map(|p| p.name)
            .collect();
        assert_eq!(names, ["app", "mailer"]);
        assert_eq!(
            over("lib=1").unwrap_err().to_string(),
            "app needs lib (>= 2), and the base has version 1 of it"
        );
        assert!(over("app=1").unwrap().is_empty());
    }

    #[test]
    fn two_versions_of_one_package_or_two_that_exclude_each_other_are_errors() {
        assert!(matches!(
            names(&index(INDEX), &["lib", "lib (<< 2)"], &[]),
            Err(Error::Missing { .. })
        ));
        assert!(matches!(
            names(&index(INDEX), &["b-provider", "a-provider"], &[]),
            Err(Error::Conflict { .. })
        ));
    }
}
