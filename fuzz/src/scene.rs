//! What the bodies need around the bytes: a target, a directory, tools that reach no network.

use std::path::Path;
use std::time::{Duration, SystemTime};

use pyoci::environment::Environment;
use pyoci::http::Client;
use pyoci::progress::Progress;
use pyoci::python::{Libc, Target};
use pyoci::registry;
use pyoci::store::Store;
use pyoci::tools::Tools;
use tempfile::TempDir;

/// When everything happens, in seconds since 1970.
pub const NOW: u64 = 1_790_000_000;

/// What images run.
pub fn target() -> Target {
    Target {
        platform: "linux/amd64".parse().expect("a platform"),
        libc: Libc::Glibc { major: 2, minor: 41 },
        python: (3, 13),
        python_full: Some("3.13.5".to_owned()),
        interpreter: "/usr/bin/python3.13".to_owned(),
    }
}

/// An empty directory. `TMPDIR` says where; in memory the targets are faster.
pub fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// An environment without variables, working in a directory.
pub fn environment(directory: &Path) -> Environment {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    Environment::new([], directory.to_owned(), now)
}

/// Tools without network, whose store is below a directory.
pub fn with_tools<R>(directory: &Path, work: impl FnOnce(&Tools<'_>) -> R) -> R {
    let environment = environment(directory);
    work(&Tools {
        store: &Store::open(&directory.join("store")).expect("a store"),
        http: &Client::new(&environment, true),
        registries: &registry::Client::new(&environment, registry::Settings::default()),
        environment: &environment,
        progress: &Progress::silent(),
    })
}

/// Files in one text: a line `=== NAME` begins each. Names are those of the list; others are passed over.
pub fn files<'t>(text: &'t str, names: &[&str]) -> Vec<(String, &'t str)> {
    let first = text.strip_prefix("=== ").unwrap_or_default();
    let files = first.split("\n=== ").filter_map(|part| part.split_once('\n'));
    let known = files.filter(|(name, _)| names.contains(name));
    known.map(|(name, text)| (name.to_owned(), text)).collect()
}

/// Writes a file, and the directories above it.
pub fn write(path: &Path, bytes: &[u8]) {
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent).expect("a directory");
    }
    fs_err::write(path, bytes).expect("a file");
}
