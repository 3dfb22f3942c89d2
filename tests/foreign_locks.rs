//! Locks of poetry, pdm and pipenv, made by those tools (`tests/locks`), read without them: what each target takes, when
//! a lock is stale, and files found on an index of the test process.

#![allow(clippy::unwrap_used, reason = "a test, also in its helpers")]

use crate::support;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use pyoci::digest::Digest;
use pyoci::environment::Environment;
use pyoci::http::Client;
use pyoci::lock::{self, Error, FetchedWheel, Request};
use pyoci::platform::{Architecture, Platform};
use pyoci::progress::{Event, Progress};
use pyoci::python::{Libc, Target};
use pyoci::store::Store;
use pyoci::tools::Tools;

/// A project with a lock, on a machine of its own.
struct Sandbox {
    directory: tempfile::TempDir,
    warnings: Arc<Mutex<Vec<String>>>,
    variables: Vec<(String, String)>,
    offline: bool,
}

impl Sandbox {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir(directory.path().join("project")).unwrap();
        Self {
            directory,
            warnings: Arc::default(),
            variables: vec![("PIP_CONFIG_FILE".to_owned(), "/dev/null".to_owned())],
            offline: true,
        }
    }

    /// The project of `tests/locks/NAME`.
    fn of(name: &str) -> Self {
        let sandbox = Self::new();
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/locks")
            .join(name);
        for entry in fs_err::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs_err::copy(entry.path(), sandbox.project().join(entry.file_name())).unwrap();
        }
        sandbox
    }

    fn project(&self) -> PathBuf {
        self.directory.path().join("project")
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.project().join(name), text).unwrap();
    }

    fn change(&self, name: &str, from: &str, to: &str) {
        let text = fs_err::read_to_string(self.project().join(name)).unwrap();
        assert!(text.contains(from), "{from}");
        self.write(name, &text.replace(from, to));
    }

    fn request(&self, lock: &str, extras: &[&str], groups: &[&str]) -> Request {
        Request {
            directory: self.project(),
            lock: Some(lock.into()),
            extras: extras.iter().map(|e| e.parse().unwrap()).collect(),
            groups: groups.iter().map(|g| g.parse().unwrap()).collect(),
            offline: self.offline,
            ..Request::default()
        }
    }

    fn with_tools<T>(&self, act: impl FnOnce(&Tools<'_>) -> T) -> T {
        let environment = Environment::new(self.variables.clone(), self.project(), SystemTime::UNIX_EPOCH);
        let warnings = Arc::clone(&self.warnings);
        let progress = Progress::new(move |event| {
            if let Event::Warning(text) = event {
                warnings.lock().unwrap().push(text);
            }
        });
        let registries = pyoci::registry::Client::new(&environment, pyoci::registry::Settings::default());
        act(&Tools {
            store: &Store::open(&self.directory.path().join("cache")).unwrap(),
            http: &Client::new(&environment, self.offline),
            registries: &registries,
            environment: &environment,
            progress: &progress,
        })
    }

    /// `name version` of what a target takes.
    fn names(&self, request: &Request, target: &Target) -> Result<Vec<String>, Error> {
        self.with_tools(|tools| {
            let lock = lock::of(request, target, tools)?;
            let selected = lock.select(target, &request.extras, &request.groups)?;
            Ok(selected.iter().map(|s| s.name.to_string()).collect())
        })
    }

    fn wheels(&self, request: &Request, target: &Target) -> Result<Vec<FetchedWheel>, Error> {
        self.with_tools(|tools| {
            let lock = lock::of(request, target, tools)?;
            let selected = lock.select(target, &request.extras, &request.groups)?;
            lock::fetch_all(&selected, target, request, tools)
        })
    }
}

fn target(architecture: Architecture, minor: u32) -> Target {
    Target {
        platform: Platform::linux(architecture),
        libc: Libc::Glibc { major: 2, minor: 41 },
        python: (3, minor),
        python_full: None,
        interpreter: "/usr/bin/python3".to_owned(),
    }
}

fn amd64() -> Target {
    target(Architecture::Amd64, 13)
}

#[test]
fn locks_of_poetry_give_each_target_its_packages() {
    for name in ["poetry-2.1", "poetry-2.0"] {
        let sandbox = Sandbox::of(name);
        let names = |extras: &[&str], groups: &[&str]| {
            sandbox
                .names(&sandbox.request("poetry.lock", extras, groups), &amd64())
                .unwrap()
        };
        assert_eq!(names(&[], &[]), ["click", "markupsafe"], "{name}");
        let with_extra = ["click", "markupsafe", "prompt-toolkit", "wcwidth"];
        assert_eq!(names(&["shell"], &[]), with_extra, "{name}");
        assert_eq!(
            names(&[], &["dev"]),
            ["click", "iniconfig", "markupsafe"],
            "{name}"
        );
        let versions: Vec<String> = [11, 13]
            .map(|minor| {
                let target = target(Architecture::Arm64, minor);
                let request = sandbox.request("poetry.lock", &[], &[]);
                sandbox.with_tools(|tools| {
                    let lock = lock::of(&request, &target, tools).unwrap();
                    let selected = lock.select(&target, &request.extras, &request.groups).unwrap();
                    selected[1].version.as_ref().unwrap().to_string()
                })
            })
            .into();
        assert!(
            versions[0].starts_with("2.") && versions[1].starts_with("3."),
            "{versions:?}"
        );
        // The content hash is the one that poetry computed.
        assert_eq!(*sandbox.warnings.lock().unwrap(), [""; 0], "{name}");
    }
}

#[test]
fn a_lock_of_pdm_gives_each_target_its_packages() {
    let sandbox = Sandbox::of("pdm");
    let request = sandbox.request("pdm.lock", &[], &[]);
    let names = |target| sandbox.names(&request, &target).unwrap();
    assert_eq!(names(amd64()), ["click", "coverage", "httptools"]);
    let older = target(Architecture::Arm64, 11);
    assert_eq!(names(older), ["click", "coverage", "tomli"]);
    let more = sandbox.request("pdm.lock", &["shell"], &["test"]);
    let arm64 = target(Architecture::Arm64, 13);
    let expected = ["click", "coverage", "iniconfig", "prompt-toolkit", "wcwidth"];
    assert_eq!(sandbox.names(&more, &arm64).unwrap(), expected);
    assert_eq!(*sandbox.warnings.lock().unwrap(), [""; 0]);
    // Without groups and markers of each package the graph is walked.
    sandbox.change("pdm.lock", "strategy = [\"inherit_metadata\"]", "strategy = []");
    assert_eq!(sandbox.names(&more, &arm64).unwrap(), expected);
    assert_eq!(
        sandbox.names(&request, &amd64()).unwrap(),
        ["click", "coverage", "httptools"]
    );
}

#[test]
fn a_lock_that_no_longer_fits_says_what_differs_and_what_mends_it() {
    for (project, lock, file, (from, to), difference, mend) in [
        (
            "poetry-2.1",
            "poetry.lock",
            "pyproject.toml",
            ("click (>=8.1,<9)", "click (>=9)"),
            "click is locked in a version that is not the required one",
            "run `poetry lock`",
        ),
        (
            "poetry-2.0",
            "poetry.lock",
            "pyproject.toml",
            ("click = \"^8.1\"", "click = \"^8.1\"\nrich = \"*\""),
            "rich is required and not locked",
            "run `poetry lock`",
        ),
        (
            "pdm",
            "pdm.lock",
            "pyproject.toml",
            ("click>=8.1", "click<8"),
            "click is locked in a version that is not the required one",
            "run `pdm lock`",
        ),
        (
            "pipenv",
            "Pipfile.lock",
            "Pipfile",
            ("markupsafe = \">=3\"", "markupsafe = \"<3\"\nrich = \"*\""),
            "rich is required and not locked",
            "run `pipenv lock`",
        ),
    ] {
        let sandbox = Sandbox::of(project);
        sandbox.change(file, from, to);
        let error = sandbox
            .names(&sandbox.request(lock, &[], &[]), &amd64())
            .unwrap_err();
        assert!(matches!(&error, Error::Stale { .. }), "{error}");
        assert!(error.to_string().contains(difference), "{error}");
        assert_eq!(error.hint().unwrap(), mend);
    }
}

#[test]
fn a_change_that_touches_no_requirement_of_the_image_is_only_told() {
    let sandbox = Sandbox::of("poetry-2.0");
    sandbox.change("pyproject.toml", "iniconfig = \"^2.0\"", "iniconfig = \"^3.0\"");
    let request = sandbox.request("poetry.lock", &[], &[]);
    assert_eq!(
        sandbox.names(&request, &amd64()).unwrap(),
        ["click", "markupsafe"]
    );
    assert_eq!(sandbox.warnings.lock().unwrap().len(), 1);
    let with_dev = sandbox.request("poetry.lock", &[], &["dev"]);
    assert!(matches!(
        sandbox.names(&with_dev, &amd64()),
        Err(Error::Stale { .. })
    ));
}

/// An index with one wheel, `a` 1.0; tells what was asked.
struct Index {
    url: String,
    digest: Digest,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Serves the wheel `a`; its page in HTML as an old index gives it, with the hash only if `names_hash`.
fn index(sandbox: &Sandbox, names_hash: bool) -> Index {
    let wheel = support::wheel(
        &sandbox.directory.path().join("served"),
        "a",
        "py3-none-any",
        &[("a.py", "")],
    );
    let bytes = fs_err::read(wheel).unwrap();
    let digest = Digest::of(&bytes);
    let hash = if names_hash {
        format!("#sha256={}", digest.hex())
    } else {
        String::new()
    };
    let page = format!("<html><a href='../../files/a-1.0-py3-none-any.whl{hash}' data-yanked=''>a</a>");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://127.0.0.1:{}/simple/",
        listener.local_addr().unwrap().port()
    );
    let asked = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut line) = (String::new(), String::new());
            reader.read_line(&mut first).unwrap();
            while reader.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
            let (status, kind, body) = match path.as_str() {
                "/simple/a/" => ("200 OK", "text/html", page.clone().into_bytes()),
                "/files/a-1.0-py3-none-any.whl" => ("200 OK", "application/zip", bytes.clone()),
                _ => ("404 no", "text/plain", Vec::new()),
            };
            told.lock().unwrap().push(path);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&body));
        }
    });
    Index { url, digest, asked }
}

fn poetry_lock(digest: &str) -> String {
    format!(
        "[[package]]\nname = \"a\"\nversion = \"1.0\"\noptional = false\npython-versions = \"*\"\ngroups = [\"main\"]\n\
         files = [{{file = \"a-1.0-py3-none-any.whl\", hash = \"{digest}\"}}]\n\
         [metadata]\nlock-version = \"2.1\"\npython-versions = \">=3.8\"\ncontent-hash = \"\"\n"
    )
}

#[test]
fn a_locked_file_is_found_on_the_index_once_and_kept() {
    for names_hash in [true, false] {
        let mut sandbox = Sandbox::new();
        let index = index(&sandbox, names_hash);
        sandbox
            .variables
            .push(("PIP_INDEX_URL".to_owned(), index.url.clone()));
        sandbox.write("poetry.lock", &poetry_lock(&index.digest.to_string()));
        let request = sandbox.request("poetry.lock", &[], &[]);
        for _ in 0..2 {
            let wheels = sandbox.wheels(&request, &amd64()).unwrap();
            assert_eq!(wheels[0].digest, index.digest);
        }
        // A yanked file that is locked is taken; what is in the store needs no index.
        assert_eq!(
            *index.asked.lock().unwrap(),
            ["/simple/a/", "/files/a-1.0-py3-none-any.whl"]
        );
    }
}

#[test]
fn a_file_that_is_not_the_locked_one_is_refused() {
    let other = Digest::of(b"other");
    for names_hash in [true, false] {
        let mut sandbox = Sandbox::new();
        let index = index(&sandbox, names_hash);
        sandbox
            .variables
            .push(("PIP_INDEX_URL".to_owned(), index.url.clone()));
        sandbox.write("poetry.lock", &poetry_lock(&other.to_string()));
        let error = sandbox
            .wheels(&sandbox.request("poetry.lock", &[], &[]), &amd64())
            .unwrap_err();
        match error {
            Error::NotListed { .. } if names_hash => {}
            Error::WrongHash { .. } if !names_hash => {}
            other => panic!("{other}"),
        }
    }
}

#[test]
fn weak_hashes_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "poetry.lock",
        &poetry_lock("md5:d41d8cd98f00b204e9800998ecf8427e"),
    );
    let request = sandbox.request("poetry.lock", &[], &[]);
    let error = sandbox.names(&request, &amd64()).unwrap_err().to_string();
    assert!(
        error.contains("poetry.lock:2: a-1.0-py3-none-any.whl has no sha256"),
        "{error}"
    );
}

#[test]
fn a_pipfile_lock_asks_the_index_for_the_names_of_its_files() {
    let mut sandbox = Sandbox::new();
    let index = index(&sandbox, true);
    let lock = serde_json::json!({
        "_meta": { "hash": {}, "sources": [{ "name": "own", "url": "${OWN_INDEX}", "verify_ssl": true }] },
        "default": {
            "a": { "hashes": [index.digest.to_string()], "version": "==1.0", "index": "own" },
            "w": { "version": "*" },
            "x": { "hashes": [index.digest.to_string()], "version": "==2", "markers": "sys_platform == 'win32'" },
        },
        "develop": {},
    });
    sandbox.write("Pipfile.lock", &serde_json::to_string_pretty(&lock).unwrap());
    sandbox.write(
        "Pipfile",
        "[packages]\na = '*'\nx = '*'\nw = {version = '*', sys_platform = \"== 'win32'\"}\n",
    );
    sandbox
        .variables
        .push(("OWN_INDEX".to_owned(), index.url.clone()));
    let request = sandbox.request("Pipfile.lock", &[], &[]);
    for _ in 0..2 {
        let wheels = sandbox.wheels(&request, &amd64()).unwrap();
        assert_eq!(wheels.len(), 1);
        assert_eq!(wheels[0].digest, index.digest);
    }
    // Once for the names, once for the place, once for the file; then never again.
    assert_eq!(index.asked.lock().unwrap().len(), 3);
    // Where the Pipfile does not say that it is for others, a package without a version is an error.
    sandbox.write("Pipfile", "[packages]\na = '*'\nw = '*'\n");
    let error = sandbox.names(&request, &amd64()).unwrap_err().to_string();
    assert!(error.contains("package `w` is locked as `*`"), "{error}");
}
