//! The locks of several targets as one: what they share once, the rest with markers that keep the targets apart.

use super::{Content, Error, Lock, Package};
use crate::platform::Architecture;
use crate::python::{Marker, Target};

/// One lock of several, each [narrowed](Lock::narrowed) to its target; the targets have one Python and different CPUs.
pub fn merge(locks: &[(Target, Lock)]) -> Result<Lock, Error> {
    let mut merged: Vec<(Vec<Architecture>, Package)> = Vec::new();
    for (target, lock) in locks {
        for package in &lock.packages {
            let architecture = target.platform.architecture;
            let same = merged.iter_mut().find_map(|(of, other)| {
                let joined = joined(other, package)?;
                Some((of, other, joined))
            });
            match same {
                Some((of, other, joined)) => {
                    of.push(architecture);
                    *other = joined;
                }
                None => merged.push((vec![architecture], package.clone())),
            }
        }
    }
    let mut packages = Vec::with_capacity(merged.len());
    for (of, mut package) in merged {
        if of.len() < locks.len() {
            package.marker = Some(machines(&of)?);
        }
        packages.push(package);
    }
    packages.sort_by_cached_key(|p| {
        (
            p.name.clone(),
            p.version.clone(),
            p.marker.as_ref().map(Marker::to_string),
        )
    });
    let environments = locks.iter().map(|(target, _)| environment(target));
    Ok(Lock {
        environments: environments.collect::<Result<_, _>>()?,
        requires_python: locks.first().and_then(|(target, _)| python(target)),
        packages,
        ..Lock::default()
    })
}

/// The one Python that was locked for: its minor version.
fn python(target: &Target) -> Option<crate::python::Specifiers> {
    let (major, minor) = target.python;
    format!("=={major}.{minor}.*").parse().ok()
}

fn environment(target: &Target) -> Result<Marker, Error> {
    let machine = target.platform.architecture.machine();
    marker(format!(
        "sys_platform == 'linux' and platform_machine == '{machine}' and implementation_name == 'cpython'"
    ))
}

fn machines(of: &[Architecture]) -> Result<Marker, Error> {
    let each = of
        .iter()
        .map(|a| format!("platform_machine == '{}'", a.machine()));
    marker(each.collect::<Vec<_>>().join(" or "))
}

fn marker(text: String) -> Result<Marker, Error> {
    text.parse()
        .map_err(|source| Error::Marker { what: text, source })
}

/// Two entries as one that serves for both; `None` if they are different packages. Resolvers list for each target only
/// the wheels that fit it: together they have the wheels of both.
fn joined(one: &Package, other: &Package) -> Option<Package> {
    if one == other {
        return Some(one.clone());
    }
    if (&one.name, &one.version) != (&other.name, &other.version) {
        return None;
    }
    let (
        Content::Files { wheels, sdist },
        Content::Files {
            wheels: more,
            sdist: also,
        },
    ) = (&one.content, &other.content)
    else {
        return None;
    };
    let mut wheels = wheels.clone();
    for wheel in more {
        match wheels.iter().find(|known| known.name == wheel.name) {
            Some(known) if known.hashes != wheel.hashes => return None,
            Some(_) => {}
            None => wheels.push(wheel.clone()),
        }
    }
    wheels.sort_by(|a, b| a.name.cmp(&b.name));
    let sdist = match (sdist, also) {
        (Some(one), Some(other)) if one.hashes != other.hashes => return None,
        (one, other) => one.as_ref().or(other.as_ref()).cloned(),
    };
    let rest_is_same =
        one.index == other.index && one.requires_python == other.requires_python && one.kept == other.kept;
    rest_is_same.then(|| Package {
        content: Content::Files { wheels, sdist },
        ..one.clone()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::Path;

    use super::super::pylock::{self, Hashes};
    use super::*;
    use crate::platform::Platform;
    use crate::python::Libc;

    fn target(architecture: Architecture) -> Target {
        Target {
            platform: Platform::linux(architecture),
            libc: Libc::Glibc { major: 2, minor: 41 },
            python: (3, 13),
            python_full: Some("3.13.5".to_owned()),
            interpreter: "/usr/bin/python3".to_owned(),
        }
    }

    fn lock(packages: &[(&str, &str, &str)]) -> Lock {
        let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let mut text = "lock-version = '1.0'\ncreated-by = 'x'\n".to_owned();
        text += if packages.is_empty() {
            "packages = []\n"
        } else {
            ""
        };
        for (name, version, tag) in packages {
            let _ = write!(
                text,
                "[[packages]]\nname = '{name}'\nversion = '{version}'\n\
                 wheels = [{{ url = 'https://h/{name}-{version}-{tag}.whl', hashes = {{ sha256 = '{hash}' }} }}]\n"
            );
        }
        pylock::parse(&text, Path::new("/p/pylock.toml"), Hashes::Required).unwrap()
    }

    #[test]
    fn what_differs_between_targets_has_markers_and_each_target_gets_its_own() {
        let any = "py3-none-any";
        let amd64 = lock(&[
            ("a", "1", any),
            ("b", "1", "cp313-cp313-manylinux_2_17_x86_64"),
            ("c", "2", any),
            ("cuda", "12", "py3-none-manylinux_2_17_x86_64"),
        ]);
        let arm64 = lock(&[
            ("a", "1", any),
            ("b", "1", "cp313-cp313-manylinux_2_17_aarch64"),
            ("c", "1", any),
        ]);
        let locks = [
            (target(Architecture::Amd64), amd64),
            (target(Architecture::Arm64), arm64),
        ];
        let merged = merge(&locks).unwrap();
        let listed: Vec<String> = merged
            .packages
            .iter()
            .map(|p| {
                format!(
                    "{} {}",
                    p.title(),
                    p.marker.as_ref().map_or(String::new(), Marker::to_string)
                )
            })
            .collect();
        assert_eq!(
            listed,
            [
                "a 1 ",
                "b 1 ",
                "c 1 platform_machine == \"aarch64\"",
                "c 2 platform_machine == \"x86_64\"",
                "cuda 12 platform_machine == \"x86_64\"",
            ]
        );
        let none = (BTreeSet::new(), BTreeSet::new());
        for (target, lock) in &locks {
            let own = lock.select(target, &none.0, &none.1).unwrap();
            assert_eq!(merged.select(target, &none.0, &none.1).unwrap(), own, "{target}");
        }
        let turned: Vec<_> = locks.iter().rev().cloned().collect();
        assert_eq!(merge(&turned).unwrap().packages, merged.packages);
    }

    #[test]
    fn a_lock_for_one_python_is_refused_for_another() {
        let merged = merge(&[(target(Architecture::Amd64), lock(&[]))]).unwrap();
        let none = (BTreeSet::new(), BTreeSet::new());
        let mut other = target(Architecture::Amd64);
        merged.select(&other, &none.0, &none.1).unwrap();
        other.python = (3, 12);
        other.python_full = Some("3.12.1".to_owned());
        assert!(merged.select(&other, &none.0, &none.1).is_err());
        assert!(
            merged
                .select(&target(Architecture::Arm64), &none.0, &none.1)
                .is_err()
        );
    }
}
