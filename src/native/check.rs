//! What objects need against what there is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Elf;
use crate::paths::TreePath;
use crate::python::{Libc, Target};

/// A library that the loader of a base finds by its soname.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// Where, absolute, as the loader would name it.
    pub path: String,
    /// The name that it is found by.
    pub soname: String,
    /// Versions of symbols that it defines; empty where they are not known, or it has none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub versions: BTreeSet<String>,
}

/// What a base provides, in the order in which its loader looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provided {
    /// The libraries.
    pub libraries: Vec<Library>,
}

impl Provided {
    /// The library that the loader takes for a soname.
    pub fn find(&self, soname: &str) -> Option<&Library> {
        self.libraries.iter().find(|library| library.soname == soname)
    }
}

/// An object of a wheel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Where it is in the image, without leading slash.
    pub path: String,
    /// The wheel that it came with, e.g. `numpy`.
    pub wheel: String,
    /// What it says of itself.
    pub elf: Elf,
}

/// What is missing of a library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Gap {
    /// All of it.
    Library,
    /// A version of symbols, e.g. `GLIBC_2.43`: the base's is too old.
    Version(String),
}

/// Something that objects need and nobody provides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The library's soname.
    pub soname: String,
    /// What is missing of it.
    pub gap: Gap,
    /// How many objects need it.
    pub objects: usize,
    /// The first of them.
    pub first: String,
    /// The wheel of the first.
    pub wheel: String,
}

/// Compares what the objects of all wheels need with what they and the base provide; one finding for each thing missing.
///
/// Objects for another CPU or another C library are passed over: nothing can load them, so nobody does.
pub fn check(objects: &[Object], provided: &Provided, target: &Target) -> Vec<Finding> {
    let machine = target.platform.architecture.elf_machine();
    let loadable: Vec<&Object> = objects
        .iter()
        .filter(|object| object.elf.machine == machine && is_of(&object.elf, target.libc))
        .collect();
    let paths: BTreeSet<&str> = loadable.iter().map(|object| object.path.as_str()).collect();
    let names = loadable.iter().flat_map(|object| {
        let file = object.path.rsplit('/').next();
        file.into_iter().chain(object.elf.soname.as_deref())
    });
    let names: BTreeSet<&str> = names.collect();
    let mut missing: BTreeMap<(String, Gap), Vec<&Object>> = BTreeMap::new();
    let mut note = |soname: &str, gap: Gap, object| {
        missing.entry((soname.to_owned(), gap)).or_default().push(object);
    };
    for object in &loadable {
        for soname in &object.elf.needed {
            if is_beside(object, soname, &paths) {
                continue;
            }
            if let Some(library) = provided.find(soname) {
                let needed = object.elf.requires.get(soname).into_iter().flatten();
                let lacking =
                    |version: &&String| !library.versions.is_empty() && !library.versions.contains(*version);
                for version in needed.filter(lacking) {
                    note(soname, Gap::Version(version.clone()), *object);
                }
                continue;
            }
            // Another object of the wheels has this name: whoever imports the package loads that first, as torch does
            // for what is built against it. And what comes with a driver comes with the machine, not with the image.
            if !names.contains(soname.as_str()) && !is_of_driver(soname) {
                note(soname, Gap::Library, *object);
            }
        }
    }
    let finding = |((soname, gap), objects): ((String, Gap), Vec<&Object>)| {
        let first = objects.first()?;
        Some(Finding {
            soname,
            gap,
            objects: objects.len(),
            first: first.path.clone(),
            wheel: first.wheel.clone(),
        })
    };
    missing.into_iter().filter_map(finding).collect()
}

/// Whether an object is for this C library, as far as it says.
fn is_of(elf: &Elf, libc: Libc) -> bool {
    let mut names = elf.needed.iter().chain(&elf.interpreter);
    match libc {
        Libc::Glibc { .. } => !names.any(|name| name.contains("musl")),
        Libc::Musl { .. } => !names.any(|name| name == "libc.so.6" || name.contains("ld-linux")),
    }
}

/// Whether the object's own search path leads to a file of the wheels.
fn is_beside(object: &Object, soname: &str, paths: &BTreeSet<&str>) -> bool {
    // > $ORIGIN (or equivalently ${ORIGIN}): This expands to the directory containing the program or shared object.
    let origin = object
        .path
        .rsplit_once('/')
        .map_or("", |(directory, _)| directory);
    object.elf.search.iter().any(|directory| {
        let directory = directory
            .replace("${ORIGIN}", &format!("/{origin}"))
            .replace("$ORIGIN", &format!("/{origin}"));
        let place = normal(&format!("{directory}/{soname}"));
        paths.contains(place.as_str())
    })
}

/// A path without `.`, `..` and empty components.
fn normal(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Libraries of NVIDIA's driver: the container runtime puts those of the machine's into the container.
fn is_of_driver(soname: &str) -> bool {
    ["libcuda.so", "libnvcuvid.so", "libnvidia-"]
        .iter()
        .any(|driver| soname.starts_with(driver))
}

impl Object {
    /// An object of a wheel.
    pub fn new(path: &TreePath, wheel: &str, elf: Elf) -> Self {
        Self {
            path: path.to_string(),
            wheel: wheel.to_owned(),
            elf,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(libc: Libc) -> Target {
        Target {
            platform: "linux/amd64".parse().unwrap(),
            libc,
            python: (3, 13),
            python_full: None,
            interpreter: "/usr/bin/python3.13".to_owned(),
        }
    }

    const GLIBC: Libc = Libc::Glibc { major: 2, minor: 41 };

    fn object(path: &str, needed: &[&str], search: &[&str]) -> Object {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let elf = Elf {
            machine: 62,
            needed: texts(needed),
            search: texts(search),
            ..Elf::default()
        };
        Object::new(&TreePath::new(path).unwrap(), "demo", elf)
    }

    fn provided() -> Provided {
        let versions = ["GLIBC_2.2.5", "GLIBC_2.41"].map(str::to_owned).into();
        let library = |soname: &str, versions| Library {
            path: format!("/lib/{soname}"),
            soname: soname.to_owned(),
            versions,
        };
        Provided {
            libraries: vec![
                library("libc.so.6", versions),
                library("libz.so.1", BTreeSet::new()),
            ],
        }
    }

    fn missing(objects: &[Object]) -> Vec<String> {
        let findings = check(objects, &provided(), &target(GLIBC));
        findings
            .iter()
            .map(|f| match &f.gap {
                Gap::Library => format!("{} {} {}", f.soname, f.objects, f.first),
                Gap::Version(version) => format!("{version} {} {}", f.objects, f.first),
            })
            .collect()
    }

    #[test]
    fn what_neither_wheels_nor_base_have_is_found_once_with_the_number_of_objects() {
        let objects = [
            object("deps/a/one.so", &["libc.so.6", "libGL.so.1", "libz.so.1"], &[]),
            object("deps/a/two.so", &["libGL.so.1", "libcuda.so.1"], &[]),
        ];
        assert_eq!(missing(&objects), ["libGL.so.1 2 deps/a/one.so"]);
    }

    #[test]
    fn libraries_beside_the_object_and_those_that_another_object_loads_are_there() {
        let objects = [
            object("deps/a.libs/libgomp-1.so.1", &["libc.so.6"], &[]),
            object("deps/a/x/one.so", &["libgomp-1.so.1"], &["$ORIGIN/../../a.libs"]),
            object("deps/torch/lib/libtorch.so", &[], &[]),
            object("deps/vision/_C.so", &["libtorch.so"], &[]),
        ];
        assert_eq!(missing(&objects), [""; 0]);
    }

    #[test]
    fn versions_of_symbols_that_the_base_lacks_are_found() {
        let mut one = object("deps/a.so", &["libc.so.6", "libz.so.1"], &[]);
        let versions = |all: &[&str]| all.iter().map(ToString::to_string).collect();
        one.elf.requires = BTreeMap::from([
            ("libc.so.6".to_owned(), versions(&["GLIBC_2.41", "GLIBC_2.43"])),
            // What a library defines is not known of all.
            ("libz.so.1".to_owned(), versions(&["ZLIB_9"])),
        ]);
        assert_eq!(missing(&[one]), ["GLIBC_2.43 1 deps/a.so"]);
    }

    #[test]
    fn objects_that_nothing_can_load_need_nothing() {
        let mut arm = object("deps/arm.so", &["libarm.so.1"], &[]);
        arm.elf.machine = 183;
        let musl = object("deps/musl.so", &["libc.musl-x86_64.so.1", "libx.so.1"], &[]);
        assert_eq!(missing(&[arm, musl]), [""; 0]);
        let glibc = object("deps/glibc.so", &["libc.so.6", "libx.so.1"], &[]);
        let on_musl = target(Libc::Musl { major: 1, minor: 2 });
        assert_eq!(check(&[glibc], &Provided::default(), &on_musl), []);
    }
}
