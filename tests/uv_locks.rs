//! What is taken of a `uv.lock` is what `uv export` gives: locks that uv made, and what it exported of them.
//!
//! `tests/uv_locks/make.py` made those in `tests/uv_locks`; by hand (`tests/uv_locks.sh`) it makes large ones too.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::support::{Sandbox, wheel};
use pyoci::digest::Digest;
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

/// Of the small locks here, or of the large ones that `tests/uv_locks.sh` makes.
#[test]
fn what_is_taken_of_a_lock_is_what_uv_exports() {
    #[allow(clippy::disallowed_methods, reason = "the script says where its locks are")]
    let made = std::env::var_os("PYOCI_UV_LOCKS").map(PathBuf::from);
    assert!(compare(&made.unwrap_or_else(fixtures)) >= 40);
}

/// The lock of a changed copy of one of the fixtures.
fn changed(name: &str, file: &str, old: &str, new: &str, asked: &Case) -> Result<Lock, Error> {
    let directory = tempfile::tempdir().unwrap();
    for file in ["pyproject.toml", "uv.lock"] {
        let text = fs_err::read_to_string(fixtures().join(name).join(file)).unwrap();
        fs_err::write(directory.path().join(file), text).unwrap();
    }
    let path = directory.path().join(file);
    let text = fs_err::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{text}");
    fs_err::write(&path, text.replacen(old, new, 1)).unwrap();
    lock(&asked.request(directory.path()), &asked.target())
}

fn asked(extras: &[&str]) -> Case {
    Case {
        member: String::new(),
        extras: extras.iter().map(|e| (*e).to_owned()).collect(),
        groups: Vec::new(),
        machine: "x86_64".into(),
        python: "3.13.5".into(),
        selected: None,
    }
}

#[test]
fn a_project_that_changed_since_it_was_locked_is_told_what_differs() {
    for (old, new, difference) in [
        (
            "\"requests[socks]\"",
            "\"requests[socks]\", \"flask>=3\"",
            "`flask>=3` is new",
        ),
        ("\"requests[socks]\"", "", "`requests[socks]` is gone"),
        (
            "requests[socks]",
            "requests>=2",
            "`requests[socks]` is now `requests>=2`",
        ),
        (
            "idna==3.9",
            "idna==3.10",
            "`idna==3.9` is now `idna==3.10` in extra `cpu`",
        ),
        ("\"six\"", "", "`six` is gone in extra `all`"),
        (
            "web = [",
            "net = [",
            "`markupsafe` is new in extra `net`; extra `web` is gone",
        ),
        (
            "\"pluggy\"",
            "\"pluggy>1\"",
            "`pluggy` is now `pluggy>1` in group `docs`",
        ),
        ("docs = [", "doc = [", "`pluggy` is gone in group `docs`"),
        (
            ">=3.11",
            ">=3.12",
            "requires-python is now `>=3.12`, and it was locked for `>=3.11`",
        ),
        (
            "{ index = \"cpu\", extra = \"cpu\" }",
            "{ git = \"https://host/x\", tag = \"v1\", extra = \"cpu\" }",
            "`tensors` is now `tensors from git@v1` in extra `cpu`",
        ),
    ] {
        let error = changed("conflicts", "pyproject.toml", old, new, &asked(&[])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("uv.lock no longer fits pyproject.toml: "),
            "{text}"
        );
        assert!(text.contains(difference), "{text}\n{difference}");
        assert_eq!(error.hint().unwrap(), "run `uv lock`");
    }
}

#[test]
fn what_only_looks_different_is_no_change() {
    for (old, new) in [
        ("requests[socks]", "Requests [Socks]"),
        (
            "\"requests[socks]\"",
            "\"requests[socks]\", \"colorama; os_name == 'nt'\"",
        ),
        ("idna==3.9", "idna == 3.9 ; python_version >= '3'"),
        ("version = \"1.0\"", "version = \"2.0\""),
    ] {
        changed("conflicts", "pyproject.toml", old, new, &asked(&["cpu"])).unwrap();
    }
}

#[test]
fn locks_that_cannot_be_trusted_or_used_are_refused() {
    for (name, old, new, extras, said) in [
        (
            "conflicts",
            "version = 1\n",
            "version = 2\n",
            &[][..],
            "uv.lock:1: version 2 is not supported (1 is)",
        ),
        (
            "conflicts",
            ", hash = \"sha256:",
            ", x = \"",
            &[],
            "has no sha256, sha384 or sha512 hash",
        ),
        (
            "conflicts",
            "hash = \"sha256:",
            "hash = \"md5:",
            &[],
            "hash algorithm `md5` is not supported",
        ),
        (
            "conflicts",
            "{ name = \"idna\", version = \"3.9\"",
            "{ name = \"idna\", version = \"3.8\"",
            &[],
            "`idna` is depended on and not in the lock",
        ),
        (
            "files",
            "filename = \"",
            "filename = \"../",
            &[],
            "has no file name",
        ),
        (
            "conflicts",
            "version",
            "version",
            &["cpu", "cu"],
            "extra `cpu` of conflicts and extra `cu` of conflicts exclude each other",
        ),
        (
            "conflicts",
            "version",
            "version",
            &["gpu"],
            "the lock has no extra `gpu`",
        ),
    ] {
        let error = changed(name, "uv.lock", old, new, &asked(extras))
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{error}\n{said}");
    }
}

#[test]
fn a_member_of_a_workspace_is_built_from_the_lock_above_it_without_network_or_uv() {
    let sandbox = Sandbox::with_base();
    let file = wheel(
        &sandbox.path("ws/wheels"),
        "one",
        "py3-none-any",
        &[("one.py", "")],
    );
    let hash = Digest::of(&fs_err::read(file).unwrap());
    sandbox.write("ws/pyproject.toml", "[tool.uv.workspace]\nmembers = ['apps/*']\n");
    let lock = format!(
        "version = 1\nrequires-python = '>=3.11'\n[manifest]\nmembers = ['main']\n[[package]]\nname = 'main'\n\
         version = '1'\nsource = {{ virtual = 'apps/main' }}\ndependencies = [{{ name = 'one' }}]\n\
         [package.metadata]\nrequires-dist = [{{ name = 'one', path = 'wheels/one-1.0-py3-none-any.whl' }}]\n\
         [[package]]\nname = 'one'\nversion = '1.0'\nsource = {{ path = 'wheels/one-1.0-py3-none-any.whl' }}\n\
         wheels = [{{ filename = 'one-1.0-py3-none-any.whl', hash = '{hash}' }}]\n"
    );
    sandbox.write("ws/uv.lock", &lock);
    let project = "[project]\nname = 'main'\nversion = '1'\ndependencies = ['one']\n\
                   [tool.uv.sources]\none = { path = '../../wheels/one-1.0-py3-none-any.whl' }\n";
    sandbox.write("ws/apps/main/pyproject.toml", project);
    sandbox.write("ws/apps/main/main.py", "import one\n");
    sandbox.write("ws/apps/main/requirements.txt", "other\n");
    let build = [
        "build",
        "ws/apps/main",
        "-o",
        "image",
        "--base",
        "oci:base:base",
        "--offline",
    ];
    let said = sandbox.run(&build).succeeded().stderr;
    for line in [
        "uv.lock: the lock file of the workspace",
        "Ignored requirements.txt",
        "Dependencies 1 package,",
    ] {
        assert!(said.contains(line), "{said}");
    }
    sandbox.write(
        "ws/apps/main/pyproject.toml",
        &project.replace("['one']", "['one', 'two']"),
    );
    let said = sandbox.run(&build).stderr;
    assert!(
        said.contains("no longer fits pyproject.toml: `two` is new\nhint: run `uv lock`"),
        "{said}"
    );
}
