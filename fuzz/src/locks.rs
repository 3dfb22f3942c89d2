//! Lock files of all tools: read as the project's lock, chosen from, written as `pylock.toml` and read again.

use std::collections::BTreeSet;

use pyoci::base::{LockedBase, LockedPackages};
use pyoci::lock::{self, Lock, LockFormat, MadeFrom, Request, pylock as pylock_file};

use super::scene;

/// `pylock.toml` (PEP 751).
pub fn pylock(data: &[u8]) {
    read(data, LockFormat::Pylock);
}

/// `uv.lock`, with or without the `pyproject.toml` beside it.
pub fn uv_lock(data: &[u8]) {
    read(data, LockFormat::Uv);
}

/// `poetry.lock`, with or without the `pyproject.toml` beside it.
pub fn poetry_lock(data: &[u8]) {
    read(data, LockFormat::Poetry);
}

/// `pdm.lock`, with or without the `pyproject.toml` beside it.
pub fn pdm_lock(data: &[u8]) {
    read(data, LockFormat::Pdm);
}

/// `Pipfile.lock`, with or without the `Pipfile` beside it.
pub fn pipfile_lock(data: &[u8]) {
    read(data, LockFormat::Pipfile);
}

/// The text of a lock, or files of which one is the lock.
fn read(data: &[u8], format: LockFormat) {
    let text = String::from_utf8_lossy(data);
    let name = format.file_name();
    let mut files = scene::files(&text, &[name, "pyproject.toml", "Pipfile"]);
    if files.is_empty() {
        files.push((name.to_owned(), &text));
    }
    let directory = scene::directory();
    for (name, text) in files {
        scene::write(&directory.path().join(name), text.as_bytes());
    }
    let request = Request {
        directory: directory.path().to_owned(),
        lock: Some(directory.path().join(name)),
        offline: true,
        ..Request::default()
    };
    let target = scene::target();
    let lock = scene::with_tools(directory.path(), |tools| lock::of(&request, &target, tools));
    match lock {
        Ok(lock) => check(&lock, directory.path()),
        Err(error) => drop((error.to_string(), error.hint())),
    }
}

/// What was read can be chosen from, and written and read again, where the format has all that it says.
fn check(lock: &Lock, directory: &std::path::Path) {
    let (target, none) = (scene::target(), (BTreeSet::new(), BTreeSet::new()));
    if let Ok(selected) = lock.select(&target, &none.0, &none.1) {
        for one in selected {
            let _ = (one.title(), one.identity(), one.is_directory(directory));
        }
    }
    let tools = lock.tool.get("pyoci").and_then(|tool| tool.as_table());
    for table in tools
        .into_iter()
        .flat_map(|tool| tool.values())
        .filter_map(|v| v.as_table())
    {
        MadeFrom::from_table(table);
        let _ = LockedBase::from_table(table);
        let _ = LockedPackages::from_table(table);
    }
    let text = lock.to_toml(directory);
    let place = directory.join("pylock.written.toml");
    scene::write(&place, text.as_bytes());
    if let Ok(again) = pylock_file::read(&place) {
        assert_eq!(again.packages.len(), lock.packages.len(), "{text}");
        for (one, other) in lock.packages.iter().zip(&again.packages) {
            assert_eq!((&one.name, &one.version), (&other.name, &other.version), "{text}");
        }
    }
}
