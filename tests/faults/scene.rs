//! A project in two versions, its base in a registry and its wheels on an index, both in this process.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use pyoci::digest::Digest;
use serde_json::Value;

use crate::support::{IndexHabits, PackageIndex, Run, Sandbox, StrictRegistry, lock, run, wheel};

/// A sandbox with a cold cache of its own.
pub struct Scene {
    pub sandbox: Sandbox,
    pub registry: StrictRegistry,
    _index: PackageIndex,
}

/// A version of the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    A,
    B,
}

impl Version {
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Bytes that do not compress, as large as a few buffers.
fn noise(seed: u32, size: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..size).map(|_| next()).collect()
}

impl Scene {
    pub fn new() -> Self {
        let sandbox = Sandbox::with_base();
        let text = |seed: u32| {
            // The first is large enough to be read while it arrives.
            let noise = noise(seed, if seed == 1 { 300_000 } else { 60_000 });
            noise.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        };
        let wheels: Vec<PathBuf> = ["one", "two", "three"]
            .iter()
            .zip(1..)
            .map(|(name, seed)| {
                let files = [
                    (format!("{name}/__init__.py"), format!("NAME = '{name}'\n")),
                    (format!("{name}/data.txt"), text(seed)),
                ];
                let files: Vec<_> = files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
                wheel(&sandbox.path("files"), name, "py3-none-any", &files)
            })
            .collect();
        let index = PackageIndex::start(
            sandbox.path("files"),
            IndexHabits {
                ranges: true,
                ..IndexHabits::default()
            },
        );
        let lock = lock(&wheels).replace("path = \"wheels/", &format!("url = \"{}/files/", index.url));
        sandbox.write("app/pylock.toml", &lock);
        let scene = Self {
            sandbox,
            registry: StrictRegistry::start(),
            _index: index,
        };
        let base = scene.registry.reference("base:1");
        scene.run(&["push", "oci:base:base", &base]).succeeded();
        fs_err::create_dir(scene.sandbox.path("mount")).unwrap();
        scene.set(Version::A);
        scene
    }

    /// Makes the project this version.
    pub fn set(&self, version: Version) {
        let (letter, seed) = match version {
            Version::A => ('a', 11),
            Version::B => ('b', 12),
        };
        self.sandbox.write("app/main.py", &format!("print('{letter}')\n"));
        fs_err::write(self.sandbox.path("app/data.bin"), noise(seed, 400_000)).unwrap();
    }

    pub fn pyoci(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.pyoci();
        command.env("HOME", self.sandbox.path("home")).args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        run(&mut self.pyoci(arguments))
    }

    /// The arguments that build the project to a destination.
    pub fn build(&self, output: &str) -> Vec<String> {
        let base = self.registry.reference("base:1");
        ["build", "app", "-t", "1", "--base", &base, "-o", output]
            .map(str::to_owned)
            .to_vec()
    }

    /// Empties the cache.
    pub fn cool(&self) {
        let _ = fs_err::remove_dir_all(self.sandbox.path("cache"));
    }

    /// Fails if a run has left a temporary file behind, in the cache or beside what it wrote.
    #[track_caller]
    pub fn assert_clean(&self, what: &str) {
        let mut open = vec![self.sandbox.path("")];
        while let Some(directory) = open.pop() {
            for entry in fs_err::read_dir(&directory).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                assert!(!name.contains(".pyoci-"), "{}: {what}", entry.path().display());
                assert!(
                    !directory.ends_with("pyoci/tmp"),
                    "in the cache: {}: {what}",
                    entry.path().display()
                );
                if entry.file_type().unwrap().is_dir() {
                    open.push(entry.path());
                }
            }
        }
    }
}

/// The digests of a layout's tags, after a look at every byte that they lead to; `None` where there is no image yet.
#[track_caller]
pub fn layout(directory: &Path) -> Option<String> {
    let index = match fs_err::read(directory.join("index.json")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        index => index.unwrap(),
    };
    let index: Value = serde_json::from_slice(&index).unwrap();
    let blob = |digest: &str| {
        fs_err::read(directory.join("blobs").join(digest.replace(':', "/"))).unwrap_or_default()
    };
    let mut tags = BTreeMap::new();
    for entry in index["manifests"].as_array().unwrap() {
        whole(entry, &blob);
        let tag = entry["annotations"]["org.opencontainers.image.ref.name"].as_str();
        tags.insert(
            tag.unwrap().to_owned(),
            entry["digest"].as_str().unwrap().to_owned(),
        );
    }
    Some(format!("{tags:?}"))
}

/// Fails unless a descriptor and all that it leads to is there and right.
#[track_caller]
pub fn whole(descriptor: &Value, blob: &dyn Fn(&str) -> Vec<u8>) {
    let digest = descriptor["digest"].as_str().unwrap();
    let bytes = blob(digest);
    assert_eq!(Digest::of(&bytes).to_string(), digest, "{} bytes", bytes.len());
    if let Some(size) = descriptor["size"].as_u64() {
        assert_eq!(bytes.len() as u64, size);
    }
    let Ok(document) = serde_json::from_slice::<Value>(&bytes) else {
        return;
    };
    let parts = ["manifests", "layers"]
        .into_iter()
        .filter_map(|key| document[key].as_array());
    let config = document
        .get("config")
        .filter(|config| config.get("digest").is_some());
    for part in parts.flatten().chain(config) {
        whole(part, blob);
    }
}

/// How many files of a layout nothing refers to.
pub fn unreferenced(directory: &Path) -> usize {
    let seen = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let blob = |digest: &str| {
        seen.borrow_mut().insert(digest.to_owned());
        fs_err::read(directory.join("blobs").join(digest.replace(':', "/"))).unwrap()
    };
    let index: Value = serde_json::from_slice(&fs_err::read(directory.join("index.json")).unwrap()).unwrap();
    for entry in index["manifests"].as_array().unwrap() {
        whole(entry, &blob);
    }
    let all = fs_err::read_dir(directory.join("blobs/sha256")).unwrap().count();
    all - seen.borrow().len()
}

/// The digest of a file, or of all paths, modes and contents below a directory; `None` where there is nothing.
pub fn content(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = fs_err::symlink_metadata(path).ok()?;
    if !metadata.is_dir() {
        return Some(Digest::of(&fs_err::read(path).unwrap()).to_string());
    }
    let mut lines = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs_err::read_dir(&at).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let content = if metadata.is_dir() {
                open.push(entry.path());
                "directory".to_owned()
            } else if metadata.is_symlink() {
                fs_err::read_link(entry.path()).unwrap().display().to_string()
            } else {
                Digest::of(&fs_err::read(entry.path()).unwrap()).to_string()
            };
            let name = entry.path().strip_prefix(path).unwrap().display().to_string();
            lines.push(format!("{name} {:o} {content}", metadata.permissions().mode()));
        }
    }
    lines.sort();
    Some(Digest::of(lines.join("\n").as_bytes()).to_string())
}
