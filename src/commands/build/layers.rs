//! Which layers the dependencies are divided into: one, or several that change apart from each other.

use std::collections::BTreeMap;

use crate::commands::Error;
use crate::digest::Digest;
use crate::lock::{Selected, Source};
use crate::project::settings::{Layers, NamedLayer};
use crate::store::Store;

/// A wheel of more bytes is large: it is worth a layer of its own.
const LARGE: u64 = 32 << 20;
/// Layers that an image should have at most: some engines and registries stop soon after.
const MOST_LAYERS: usize = 40;
/// Packages that `created_by` names.
const MOST_NAMED: usize = 6;

/// A layer of dependencies that is to be.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    /// What is in it; never empty.
    pub packages: Vec<&'a Selected>,
    /// The `created_by` of its history entry.
    pub created_by: String,
}

/// Divides packages into layers. `below` layers are under them, one will be over them.
pub(super) fn divide<'a>(
    selected: &'a [Selected],
    layers: &Layers,
    below: usize,
    store: &Store,
) -> Result<Vec<Part<'a>>, Error> {
    let mut sorted: Vec<&Selected> = selected.iter().collect();
    sorted.sort_by(|one, other| one.name.cmp(&other.name));
    let parts = match layers {
        Layers::Single => vec![sorted],
        Layers::Large => {
            let (large, rest): (Vec<_>, Vec<_>) = sorted
                .into_iter()
                .partition(|package| size(package, store) > LARGE);
            large
                .into_iter()
                .map(|package| vec![package])
                .chain([rest])
                .collect()
        }
        Layers::Groups => {
            let room = MOST_LAYERS.saturating_sub(below + 1).max(1);
            grouped(sorted, room, |package| size(package, store))
        }
        Layers::Named(named) => of_names(sorted, named)?,
    };
    let single = *layers == Layers::Single;
    let parts = parts.into_iter().filter(|packages| !packages.is_empty());
    Ok(parts
        .map(|packages| Part {
            created_by: created_by(&packages, single),
            packages,
        })
        .collect())
}

/// Large wheels apart, as far as there is room; all others by a hash of their names. Which group a package is in depends
/// on nothing but its name and the number of groups, so that what comes, goes or changes touches one group.
fn grouped(sorted: Vec<&Selected>, room: usize, size: impl Fn(&Selected) -> u64) -> Vec<Vec<&Selected>> {
    // A power of two, so that few more layers below do not move every package.
    let buckets = 1 << (room.div_ceil(2)).ilog2();
    let mut large: Vec<&Selected> = sorted.iter().copied().filter(|p| size(p) > LARGE).collect();
    large.sort_by_key(|package| std::cmp::Reverse(size(package)));
    large.truncate(room - buckets);
    large.sort_by(|one, other| one.name.cmp(&other.name));
    let mut groups: BTreeMap<u64, Vec<&Selected>> = BTreeMap::new();
    for package in sorted {
        if !large.iter().any(|other| other.name == package.name) {
            let group = number(&package.name.to_string()) % buckets as u64;
            groups.entry(group).or_default().push(package);
        }
    }
    large
        .into_iter()
        .map(|package| vec![package])
        .chain(groups.into_values())
        .collect()
}

/// The first 32 bits of a name's SHA-256.
fn number(name: &str) -> u64 {
    let digest = Digest::of(name.as_bytes());
    u64::from_str_radix(&digest.hex()[..8], 16).unwrap_or_default()
}

/// One layer for each name, in their order, and one for the rest. A package that is named is where it is named; else one
/// pattern may fit it.
fn of_names<'a>(sorted: Vec<&'a Selected>, named: &[NamedLayer]) -> Result<Vec<Vec<&'a Selected>>, Error> {
    let mut parts = vec![Vec::new(); named.len() + 1];
    for package in sorted {
        let places = |fits: &dyn Fn(&NamedLayer) -> bool| -> Vec<usize> {
            (0..named.len()).filter(|at| fits(&named[*at])).collect()
        };
        let mut found = places(&|layer| layer.names(&package.name));
        if found.is_empty() {
            found = places(&|layer| layer.fits(&package.name));
        }
        if let [first, second, ..] = found[..] {
            return Err(Error::TwoLayers {
                package: package.name.to_string(),
                first: named[first].name.clone(),
                second: named[second].name.clone(),
            });
        }
        parts[found.first().copied().unwrap_or(named.len())].push(package);
    }
    Ok(parts)
}

/// The compressed size of a wheel, as far as the lock or the store knows it: what is built, and what neither knows, is
/// small.
fn size(package: &Selected, store: &Store) -> u64 {
    let Source::Wheel(artifact) = &package.source else {
        return 0;
    };
    let remembered = || {
        let note = store.memo(&size_key(artifact.digest()?))?;
        String::from_utf8(note).ok()?.parse().ok()
    };
    artifact.size.or_else(remembered).unwrap_or(0)
}

/// Whether the size of a wheel must be had before packages can be divided.
pub(super) fn lacks_size(package: &Selected, store: &Store) -> bool {
    match &package.source {
        Source::Wheel(artifact) if artifact.size.is_none() => {
            let key = artifact.digest().map(size_key);
            key.is_none_or(|key| store.memo(&key).is_none())
        }
        _ => false,
    }
}

/// Where the size of a wheel is remembered.
pub(super) fn size_key(wheel: &Digest) -> Digest {
    Digest::of(format!("size of wheel {wheel}").as_bytes())
}

fn created_by(packages: &[&Selected], single: bool) -> String {
    if single {
        return "pyoci: dependencies".to_owned();
    }
    let named: Vec<String> = packages
        .iter()
        .take(MOST_NAMED)
        .map(|package| package.title())
        .collect();
    let more = packages.len().saturating_sub(MOST_NAMED);
    let end = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("pyoci: dependencies: {}{end}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{Artifact, Location};

    fn package(name: &str, version: &str, size: u64) -> Selected {
        Selected {
            name: name.parse().unwrap(),
            version: Some(version.parse().unwrap()),
            index: None,
            source: Source::Wheel(Artifact {
                name: format!("{name}-{version}-py3-none-any.whl"),
                location: Location::Path("/x".into()),
                size: Some(size),
                hashes: vec![Digest::of(format!("{name} {version}").as_bytes())],
                upload_time: None,
            }),
        }
    }

    fn names(selected: &[Selected], layers: &Layers, below: usize) -> Vec<Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("cache")).unwrap();
        let parts = divide(selected, layers, below, &store).unwrap();
        let title = |part: &Part| part.packages.iter().map(|package| package.title()).collect();
        parts.iter().map(title).collect()
    }

    #[test]
    fn large_wheels_are_apart_and_the_rest_is_last() {
        let all = [
            package("b", "1", 5),
            package("torch", "2", 500 << 20),
            package("a", "1", 32 << 20),
            package("scipy", "1", 33 << 20),
        ];
        assert_eq!(
            names(&all, &Layers::Large, 1),
            [vec!["scipy 1"], vec!["torch 2"], vec!["a 1", "b 1"]]
        );
        assert_eq!(names(&all, &Layers::Single, 1).len(), 1);
        assert_eq!(names(&all[..1], &Layers::Large, 1), [["b 1"]]);
    }

    #[test]
    fn one_package_more_or_changed_touches_one_group_and_never_more_layers_than_allowed() {
        let mut all: Vec<_> = (0..200).map(|n| package(&format!("p{n}"), "1", 10)).collect();
        all.extend((0..50).map(|n| package(&format!("large{n}"), "1", (33 + n) << 20)));
        for below in [1, 5, 38, 100] {
            let before = names(&all, &Layers::Groups, below);
            assert!(
                before.len() <= (MOST_LAYERS - 1).saturating_sub(below).max(1),
                "{below}"
            );
            let mut changed = all.clone();
            changed[7] = package("p7", "2", 11);
            changed.push(package("new", "1", 1));
            changed.reverse();
            let after = names(&changed, &Layers::Groups, below);
            let same = after.iter().filter(|group| before.contains(group)).count();
            assert!(same + 2 >= after.len(), "{below}: {same} of {}", after.len());
        }
    }

    #[test]
    fn named_layers_take_what_they_name_and_two_patterns_for_one_package_are_refused() {
        let layer = |name: &str, patterns: &[&str]| NamedLayer {
            name: name.to_owned(),
            patterns: patterns.iter().map(ToString::to_string).collect(),
        };
        let all = [
            package("torch", "1", 1),
            package("torchvision", "1", 1),
            package("x", "1", 1),
        ];
        let named = Layers::Named(vec![layer("ml", &["torch*"]), layer("vision", &["torchvision"])]);
        assert_eq!(names(&all, &named, 1), [["torch 1"], ["torchvision 1"], ["x 1"]]);
        let two = [layer("ml", &["torch*"]), layer("vision", &["*vision"])];
        let error = of_names(all.iter().collect(), &two).unwrap_err();
        assert_eq!(
            error.to_string(),
            "layers: torchvision is in `ml` and in `vision`"
        );
    }
}
