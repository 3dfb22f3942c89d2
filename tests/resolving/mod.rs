//! From requirements or a lock file to verified wheels: faults of an index on loopback, selection, and (by hand, with
//! `--ignored`, as they need the network) real resolutions.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test, also in its helpers"
)]

mod fetching;
mod selection;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use pyoci::digest::Digest;
use pyoci::environment::Environment;
use pyoci::http::Client;
use pyoci::lock::{self, Error, FetchedWheel, Lock, Request, Selected, Source, pylock};
use pyoci::platform::{Architecture, Platform};
use pyoci::progress::{Event, Progress};
use pyoci::python::{Libc, Target};
use pyoci::store::{Kind, Store};
use pyoci::tools::Tools;

/// One machine: a store, a project directory, what was told.
struct Sandbox {
    directory: tempfile::TempDir,
    store: Store,
    environment: Environment,
    told: Arc<Mutex<Vec<String>>>,
    progress: Progress,
    offline: bool,
}

impl Sandbox {
    fn new() -> Self {
        Self::with_variables(&[("PIP_CONFIG_FILE", "/dev/null")])
    }

    fn with_variables(variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir(directory.path().join("home")).unwrap();
        fs_err::create_dir(directory.path().join("project")).unwrap();
        let home = directory.path().join("home").display().to_string();
        let variables = variables.iter().copied().chain([("HOME", home.as_str())]);
        let variables: Vec<_> = variables.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let told = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&told);
        let progress = Progress::new(move |event| {
            if let Event::Done { what, detail } = event {
                lines.lock().unwrap().push(format!("{what} {detail}"));
            }
        });
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(400_000);
        Self {
            store: Store::open(&directory.path().join("cache")).unwrap(),
            environment: Environment::new(variables, directory.path().join("project"), now),
            directory,
            told,
            progress,
            offline: false,
        }
    }

    fn project(&self) -> std::path::PathBuf {
        self.directory.path().join("project")
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.project().join(name), text).unwrap();
    }

    fn request(&self) -> Request {
        Request {
            directory: self.project(),
            offline: self.offline,
            ..Request::default()
        }
    }

    fn with_tools<T>(&self, act: impl FnOnce(&Tools<'_>) -> T) -> T {
        let http = Client::new(&self.environment, self.offline);
        act(&Tools {
            store: &self.store,
            http: &http,
            registries: &pyoci::registry::Client::new(
                &self.environment,
                pyoci::registry::Settings::default(),
            ),
            environment: &self.environment,
            progress: &self.progress,
        })
    }

    fn lock(&self, request: &Request, target: &Target) -> Result<Lock, Error> {
        self.with_tools(|tools| lock::of(request, target, tools))
    }

    /// Locks, selects and fetches.
    fn wheels(&self, request: &Request, target: &Target) -> Result<Vec<FetchedWheel>, Error> {
        let lock = self.lock(request, target)?;
        let selected = lock.select(target, &request.extras, &request.groups)?;
        self.with_tools(|tools| lock::fetch_all(&selected, target, request, tools))
    }
}

fn target(architecture: Architecture, python: (u32, u32)) -> Target {
    Target {
        platform: Platform::linux(architecture),
        libc: Libc::Glibc { major: 2, minor: 41 },
        python,
        python_full: None,
        interpreter: format!("/usr/bin/python{}.{}", python.0, python.1),
    }
}

fn amd64() -> Target {
    target(Architecture::Amd64, (3, 13))
}

const WHEEL: &str = "thing-1.0-py3-none-any.whl";

/// A lock file with one wheel of `thing` at a URL.
fn one_wheel(url: &str, digest: &Digest, size: usize) -> String {
    format!(
        "lock-version = \"1.0\"\ncreated-by = \"test\"\n\n[[packages]]\nname = \"thing\"\nversion = \"1.0\"\n\
         wheels = [{{ url = \"{url}\", size = {size}, hashes = {{ sha256 = \"{}\" }} }}]\n",
        digest.hex()
    )
}

/// An error and its causes, as they are shown.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

// What follows needs the network and a Python on this machine: `cargo test resolving:: -- --ignored`.

/// The user's own environment with a store of the test.
fn online(variables: &[(&str, &str)]) -> Sandbox {
    #[allow(
        clippy::disallowed_methods,
        reason = "these tests are run by hand in the user's environment"
    )]
    let own: Vec<(String, String)> = std::env::vars().filter(|(k, _)| k != "HOME").collect();
    let own = own.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let all: Vec<_> = own.chain(variables.iter().copied()).collect();
    Sandbox::with_variables(&all)
}

fn resolve(sandbox: &Sandbox, requirements: &str, target: &Target) -> Result<Vec<FetchedWheel>, Error> {
    sandbox.write("requirements.txt", requirements);
    let request = Request {
        requirements: vec!["requirements.txt".into()],
        ..sandbox.request()
    };
    sandbox.wheels(&request, target)
}

#[test]
#[ignore = "needs the network"]
fn real_stacks_resolve_for_every_target() {
    let sandbox = online(&[]);
    for requirements in [
        "flask\n",
        "fastapi\nuvicorn[standard]\npydantic\n",
        "django\ngunicorn\n",
        "numpy\npandas\n",
        "docopt\nPyYAML\n",
    ] {
        for architecture in Architecture::ALL {
            for python in [(3, 11), (3, 13)] {
                let target = target(architecture, python);
                let wheels = resolve(&sandbox, requirements, &target).unwrap();
                let names: Vec<_> = wheels.iter().map(|w| w.file_name.as_str()).collect();
                println!("{target}: {names:?}");
                for wheel in &wheels {
                    pyoci::wheel::Wheel::open(&wheel.path, wheel.file_name.as_str()).unwrap();
                }
            }
        }
    }
    println!("{:#?}", sandbox.told.lock().unwrap());
}

#[test]
#[ignore = "needs the network"]
fn two_builds_of_one_sdist_have_one_tree() {
    let trees: Vec<_> = (0..2)
        .map(|_| {
            let sandbox = online(&[]);
            let wheels = resolve(&sandbox, "docopt==0.6.2\n", &amd64()).unwrap();
            let wheel = pyoci::wheel::Wheel::open(&wheels[0].path, wheels[0].file_name.as_str()).unwrap();
            let files = wheel.files();
            files
                .map(|(path, content)| (path.to_string(), Digest::of(&content.read(1 << 20).unwrap())))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(trees[0], trees[1]);
    assert!(trees[0].len() > 3);
}

#[test]
#[ignore = "needs the network"]
fn errors_of_real_resolutions_are_readable() {
    let sandbox = online(&[]);
    for requirements in [
        "flask\nno-such-package-of-any-name-1234\n",
        "flask==99\n",
        "flask==3.0\nwerkzeug<2\n",
        "flask ==\n",
        "tensorflow==2.12.0\n",
        "-r missing.txt\n",
        "click==8.1.7 --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000\n",
    ] {
        let error = resolve(&sandbox, requirements, &amd64()).unwrap_err();
        println!(
            "{requirements}  error: {}\n  hint: {:?}\n",
            chain(&error),
            error.hint()
        );
    }
}

#[test]
#[ignore = "needs the network"]
fn a_resolution_is_remembered_and_serves_offline() {
    let mut sandbox = online(&[]);
    resolve(&sandbox, "itsdangerous\n", &amd64()).unwrap();
    sandbox.offline = true;
    let wheels = resolve(&sandbox, "itsdangerous\n", &amd64()).unwrap();
    assert_eq!(wheels.len(), 1);
    assert!(
        sandbox
            .told
            .lock()
            .unwrap()
            .iter()
            .any(|l| l.contains("1 package as 0 s ago"))
    );
    assert!(Path::new(&wheels[0].path).starts_with(sandbox.store.root()));
}

#[test]
#[ignore = "needs the network"]
fn pip_resolves_for_a_target_like_this_machine_only() {
    let sandbox = online(&[]);
    sandbox.write("requirements.txt", "flask\ncolorama; python_version < '3.12'\n");
    let request = Request {
        requirements: vec!["requirements.txt".into()],
        resolver: lock::Resolver::Pip,
        ..sandbox.request()
    };
    let like_host = target(Architecture::Amd64, (3, 11));
    let wheels = sandbox.wheels(&request, &like_host).unwrap();
    assert!(wheels.iter().any(|w| w.file_name.name.as_str() == "colorama"));
    let error = sandbox.wheels(&request, &amd64()).unwrap_err();
    println!("{}\n{:?}", chain(&error), error.hint());
    assert!(matches!(error, Error::Pip { .. }));
}
