//! What a base has: the libraries that its loader finds, and its Debian packages. Read together with its Target.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Error;
use super::files::{Files, Found, Noted};
use crate::debian::Stanzas;
use crate::digest::Digest;
use crate::layer::Layer;
use crate::native::{Library, Provided};
use crate::paths::TreePath;
use crate::platform::Platform;
use crate::store::Store;

/// Changes whenever the same layers would give another inventory.
const FORMAT: u32 = 2;

/// What is in a base.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Libraries, in the order in which the loader looks.
    pub provided: Provided,
    /// Directories that the loader looks into, without leading slash, in its order.
    pub directories: Vec<String>,
    /// `VERSION_CODENAME` of a Debian system, e.g. `trixie`.
    pub debian: Option<String>,
    /// The Debian packages that are installed.
    pub packages: Vec<InstalledPackage>,
}

/// An installed Debian package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it provides, as its control data say it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provides: String,
}

/// What is in the layers of a base: remembered, or read.
pub fn inventory(
    layers: &[Layer],
    config: &serde_json::Value,
    platform: Platform,
    store: &Store,
) -> Result<Inventory, Error> {
    let remembered = store.memo(&key(layers, config, platform));
    if let Some(found) = remembered.and_then(|note| serde_json::from_slice(&note).ok()) {
        return Ok(found);
    }
    let files = Files::read(layers).map_err(Error::Layer)?;
    remember(&files, layers, config, platform, store)
}

/// Takes the inventory of files that were read, and remembers it.
pub(super) fn remember(
    files: &Files,
    layers: &[Layer],
    config: &serde_json::Value,
    platform: Platform,
    store: &Store,
) -> Result<Inventory, Error> {
    let directories = directories(files, config, platform);
    let inventory = Inventory {
        provided: Provided {
            libraries: libraries(files, &directories, platform),
        },
        directories,
        debian: codename(files),
        packages: packages(files),
    };
    let note = serde_json::to_vec(&inventory).unwrap_or_default();
    store.remember(&key(layers, config, platform), &note)?;
    Ok(inventory)
}

fn key(layers: &[Layer], config: &serde_json::Value, platform: Platform) -> Digest {
    let digests: Vec<_> = layers
        .iter()
        .map(|l| l.blob.descriptor.digest.to_string())
        .collect();
    let question = serde_json::json!({
        "what": "inventory of a base", "format": FORMAT, "layers": digests, "platform": platform.to_string(),
        "path": variable(config, "LD_LIBRARY_PATH"),
    });
    Digest::of(question.to_string().as_bytes())
}

fn variable(config: &serde_json::Value, name: &str) -> String {
    let env = config
        .pointer("/config/Env")
        .and_then(serde_json::Value::as_array);
    let mut values = env
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str()?.strip_prefix(name)?.strip_prefix('='));
    values.next_back().unwrap_or_default().to_owned()
}

/// Where the loader looks: `LD_LIBRARY_PATH` of the config, `/etc/ld.so.conf` and what it includes, its own directories;
/// musl's: its path file, else its own.
fn directories(files: &Files, config: &serde_json::Value, platform: Platform) -> Vec<String> {
    let multiarch = platform.architecture.multiarch();
    let mut all: Vec<String> = variable(config, "LD_LIBRARY_PATH")
        .split([':', ';'])
        .map(str::to_owned)
        .collect();
    let is_configuration = |path: &str| {
        path == "etc/ld.so.conf"
            || path.starts_with("etc/ld-musl-")
            || (path.starts_with("etc/ld.so.conf.d/") && path.strip_suffix(".conf").is_some())
    };
    for (path, found) in files.iter() {
        if let Found::File(Noted { text: Some(text), .. }) = found
            && is_configuration(path.as_str())
        {
            let lines = text.split(['\n', ':']).map(str::trim);
            all.extend(lines.map(str::to_owned));
        }
    }
    all.retain(|directory| directory.starts_with('/'));
    all.extend([
        format!("lib/{multiarch}"),
        format!("usr/lib/{multiarch}"),
        "lib64".to_owned(),
        "usr/lib64".to_owned(),
        "lib".to_owned(),
        "usr/lib".to_owned(),
        "usr/local/lib".to_owned(),
    ]);
    let mut seen = BTreeSet::new();
    all.into_iter()
        .map(|directory| directory.trim_matches('/').to_owned())
        .filter(|directory| files.resolve(directory).is_some_and(|place| seen.insert(place)))
        .collect()
}

fn libraries(files: &Files, directories: &[String], platform: Platform) -> Vec<Library> {
    let machine = platform.architecture.elf_machine();
    let mut libraries = Vec::new();
    let mut add = |path: &TreePath, named: String| {
        let real = files.resolve(path.as_str());
        let found = real.and_then(|real| match files.get(&real) {
            Some(Found::File(noted)) => Some(noted.library.clone()),
            _ => None,
        });
        // A library too large to be looked into is taken for what its name says.
        let Some(elf) = found else { return };
        if elf.as_ref().is_none_or(|elf| elf.machine == machine) {
            libraries.push(Library {
                path: named,
                soname: path.file_name().to_owned(),
                versions: elf.map(|elf| elf.defines).unwrap_or_default(),
            });
        }
    };
    for directory in directories {
        let Some(place) = files.resolve(directory) else {
            continue;
        };
        for (path, _) in files.below(&place) {
            let own = path.parent().as_ref() == Some(&place);
            if own && is_library(path.file_name()) {
                add(path, format!("/{directory}/{}", path.file_name()));
            }
        }
    }
    // The interpreter has loaded its own library, wherever that is, before any wheel needs it.
    for (path, _) in files.iter() {
        if path.file_name().starts_with("libpython") {
            add(path, format!("/{path}"));
        }
    }
    libraries
}

/// > only files that look like libraries: lib*.so* and ld-*.so*
pub(super) fn is_library(name: &str) -> bool {
    (name.starts_with("lib") || name.starts_with("ld-")) && name.contains(".so")
}

/// > VERSION_CODENAME: A lower-case string [...] identifying the operating system release code name (os-release(5))
fn codename(files: &Files) -> Option<String> {
    let place = files
        .resolve("etc/os-release")
        .or_else(|| files.resolve("usr/lib/os-release"))?;
    let Some(Found::File(Noted { text: Some(text), .. })) = files.get(&place) else {
        return None;
    };
    let value = |name: &str| {
        let mut lines = text
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        lines.next_back().map(|value| value.trim_matches('"').to_owned())
    };
    value("ID").filter(|id| id == "debian")?;
    value("VERSION_CODENAME")
}

/// dpkg's own list, and what images without dpkg have in its place.
fn packages(files: &Files) -> Vec<InstalledPackage> {
    let mut packages = Vec::new();
    for (path, found) in files.iter() {
        let Found::File(Noted { text: Some(text), .. }) = found else {
            continue;
        };
        if !is_status(path.as_str()) {
            continue;
        }
        for stanza in Stanzas::new(text.as_bytes()).flatten() {
            // > Status: install ok installed
            let there = stanza
                .get("Status")
                .is_none_or(|status| status.ends_with(" installed"));
            if let (Some(name), Some(version), true) = (stanza.get("Package"), stanza.get("Version"), there) {
                packages.push(InstalledPackage {
                    name: name.to_owned(),
                    version: version.to_owned(),
                    provides: stanza.get("Provides").unwrap_or_default().to_owned(),
                });
            }
        }
    }
    packages
}

/// Whether a file lists installed packages.
pub(super) fn is_status(path: &str) -> bool {
    path == "var/lib/dpkg/status"
        || path
            .strip_prefix("var/lib/dpkg/status.d/")
            .is_some_and(|name| !name.contains('.') || !has_ending(name, "md5sums"))
}

fn has_ending(name: &str, ending: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, found)| found == ending)
}
