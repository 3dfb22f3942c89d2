//! Pyoci's half of `tests/compare_with_export.sh`: what each target takes of a lock file, one package a line.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of the tests")]

use std::path::Path;
use std::time::SystemTime;

use pyoci::environment::Environment;
use pyoci::http::Client;
use pyoci::lock::{self, Request};
use pyoci::platform::{Architecture, Platform};
use pyoci::progress::Progress;
use pyoci::python::{Libc, Target};
use pyoci::store::Store;
use pyoci::tools::Tools;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let lock = fs_err::canonicalize(&arguments[0]).unwrap();
    let list = |number: usize| arguments.get(number).map(String::as_str).unwrap_or_default();
    let names = |number: usize| list(number).split(',').filter(|name| !name.is_empty());
    let request = Request {
        directory: lock.parent().unwrap_or(Path::new("/")).to_owned(),
        extras: names(1).map(|name| name.parse().unwrap()).collect(),
        groups: names(2).map(|name| name.parse().unwrap()).collect(),
        lock: Some(lock),
        ..Request::default()
    };
    let cache = tempfile::tempdir().unwrap();
    let now = SystemTime::UNIX_EPOCH;
    let environment = Environment::new([], "/".into(), now);
    let tools = Tools {
        store: &Store::open(cache.path()).unwrap(),
        http: &Client::new(&environment, false),
        registries: &pyoci::registry::Client::new(&environment, pyoci::registry::Settings::default()),
        environment: &environment,
        progress: &Progress::silent(),
    };
    for (architecture, machine) in [(Architecture::Amd64, "x86_64"), (Architecture::Arm64, "aarch64")] {
        for python in [(3, 11), (3, 13)] {
            let target = Target {
                platform: Platform::linux(architecture),
                libc: Libc::Glibc { major: 2, minor: 41 },
                python,
                python_full: None,
                interpreter: "/usr/bin/python3".to_owned(),
            };
            let lock = lock::of(&request, &target, &tools).unwrap();
            for chosen in lock.select(&target, &request.extras, &request.groups).unwrap() {
                let version = chosen.version.map(|v| v.to_string()).unwrap_or_default();
                println!("{machine} {}.{} {}=={version}", python.0, python.1, chosen.name);
            }
        }
    }
}
