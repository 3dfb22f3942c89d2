//! What is taken of a `uv.lock` is what `uv export` gives: locks that uv made, and what it exported of them.
//!
//! `tests/uv_locks/make.py` made those in `tests/uv_locks`; by hand (`tests/uv_locks.sh`) it makes large ones too.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pyoci::environment::Environment;
use pyoci::http::Client;
use pyoci::lock::{self, Content, Error, Lock, Request};
use pyoci::platform::{Architecture, Platform};
use pyoci::progress::Progress;
use pyoci::python::{Libc, Target};
use pyoci::registry;
use pyoci::store::Store;
use pyoci::tools::Tools;

/// One `uv export`.
#[derive(serde::Deserialize)]
struct Case {
    /// The directory of the project below that of the lock.
    member: String,
    extras: Vec<String>,
    groups: Vec<String>,
    machine: String,
    python: String,
    /// `name==version`, or `name @ directory` below that of the lock; nothing where the lock is for other Pythons.
    selected: Option<Vec<String>>,
}

impl Case {
    fn target(&self) -> Target {
        let minor = self.python.split('.').nth(1).unwrap().parse().unwrap();
        let architecture = match self.machine.as_str() {
            "aarch64" => Architecture::Arm64,
            _ => Architecture::Amd64,
        };
        Target {
            platform: Platform::linux(architecture),
            libc: Libc::Glibc { major: 2, minor: 41 },
            python: (3, minor),
            python_full: Some(self.python.clone()),
            interpreter: format!("/usr/bin/python3.{minor}"),
        }
    }

    fn request(&self, root: &Path) -> Request {
        Request {
            directory: root.join(&self.member),
            extras: self.extras.iter().map(|e| e.parse().unwrap()).collect(),
            groups: self.groups.iter().map(|g| g.parse().unwrap()).collect(),
            lock: Some(root.join("uv.lock")),
            ..Request::default()
        }
    }
}

fn lock(request: &Request, target: &Target) -> Result<Lock, Error> {
    let directory = tempfile::tempdir().unwrap();
    let environment = Environment::new([], directory.path().to_owned(), SystemTime::UNIX_EPOCH);
    let tools = Tools {
        store: &Store::open(directory.path()).unwrap(),
        http: &Client::new(&environment, true),
        registries: &registry::Client::new(&environment, registry::Settings::default()),
        environment: &environment,
        progress: &Progress::silent(),
    };
    lock::of(request, target, &tools)
}

/// What was taken, as `uv export` says it.
fn lines(lock: &Lock, root: &Path) -> Vec<String> {
    let line = |package: &lock::Package| match &package.content {
        Content::Directory { path, .. } => {
            let below = pathdiff(path, root);
            format!("{} @ {below}", package.name)
        }
        _ => format!("{}=={}", package.name, package.version.as_ref().unwrap()),
    };
    let mut lines: Vec<String> = lock.packages.iter().map(line).collect();
    lines.sort();
    lines
}

/// A path in, or beside, a directory.
fn pathdiff(path: &Path, root: &Path) -> String {
    match path.strip_prefix(root) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Ok(below) => below.display().to_string(),
        Err(_) => format!(
            "../{}",
            path.strip_prefix(root.parent().unwrap()).unwrap().display()
        ),
    }
}

/// Compares all selections from the locks below a directory; returns how many there were.
fn compare(directory: &Path) -> usize {
    let mut count = 0;
    for entry in fs_err::read_dir(directory).unwrap() {
        let root = entry.unwrap().path();
        let Ok(text) = fs_err::read_to_string(root.join("expected.json")) else {
            continue;
        };
        let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
        for case in cases {
            let title = format!(
                "{} {} {:?} {:?} {} {}",
                root.display(),
                case.member,
                case.extras,
                case.groups,
                case.machine,
                case.python
            );
            let (request, target) = (case.request(&root), case.target());
            count += 1;
            let lock = match lock(&request, &target) {
                Ok(lock) => lock,
                Err(Error::LockPython { .. }) if case.selected.is_none() => continue,
                Err(error) => panic!("{title}: {error}"),
            };
            assert_eq!(Some(lines(&lock, &root)), case.selected, "{title}");
            match lock.select(&target, &request.extras, &request.groups) {
                Ok(selected) => assert_eq!(selected.len(), lock.packages.len(), "{title}"),
                // uv exports what has no file for a machine.
                Err(Error::NoWheel { .. }) => {}
                Err(error) => panic!("{title}: {error}"),
            }
        }
    }
    count
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/uv_locks")
}

#[test]
fn what_is_taken_of_a_lock_is_what_uv_exports() {
    assert!(compare(&fixtures()) >= 50);
}

#[test]
#[ignore = "tests/uv_locks.sh makes the locks"]
fn what_is_taken_of_large_locks_is_what_uv_exports() {
    #[allow(clippy::disallowed_methods, reason = "the script says where the locks are")]
    let directory = std::env::var_os("PYOCI_UV_LOCKS").unwrap();
    let count = compare(Path::new(&directory));
    assert!(count >= 40, "{count}");
}
