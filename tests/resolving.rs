//! From requirements or a lock file to verified wheels: faults of an index on loopback, selection, and (by hand, with
//! `--ignored`, as they need the network) real resolutions.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test, also in its helpers"
)]

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

/// How the index answers a request for a path, the first answer first; the last is repeated.
#[derive(Clone)]
enum Answer {
    Status(u16),
    Body(Vec<u8>),
    /// The length of the first, the bytes of the second: the connection closes early.
    Cut(usize, Vec<u8>),
    /// Only for this `Authorization`.
    Guarded(&'static str, Vec<u8>),
}

/// An index on loopback. `GET /<path>`: the next answer scripted for that path, 404 for others.
struct Index {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Index {
    fn new(answers: impl IntoIterator<Item = (&'static str, Vec<Answer>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: BTreeMap<String, Vec<Answer>> =
            answers.into_iter().map(|(p, a)| (p.to_owned(), a)).collect();
        let answers = Arc::new(Mutex::new(answers));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, log) = (Arc::clone(&answers), Arc::clone(&log));
                std::thread::spawn(move || {
                    let _ = serve(stream, &answers, &log);
                });
            }
        });
        Self { url, requests }
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

fn serve(
    mut stream: TcpStream,
    answers: &Mutex<BTreeMap<String, Vec<Answer>>>,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line
        .split(' ')
        .nth(1)
        .unwrap_or("/")
        .trim_start_matches('/')
        .to_owned();
    let mut authorization = String::new();
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("authorization:") {
            header[header.len() - value.len()..]
                .trim()
                .clone_into(&mut authorization);
        }
    }
    log.lock().unwrap().push(path.clone());
    let answer = match answers.lock().unwrap().get_mut(&path) {
        Some(list) if list.len() > 1 => list.remove(0),
        Some(list) => list[0].clone(),
        None => Answer::Status(404),
    };
    let (status, length, body) = match answer {
        Answer::Status(status) => (status, 0, Vec::new()),
        Answer::Body(body) => (200, body.len(), body),
        Answer::Cut(length, body) => (200, length, body),
        Answer::Guarded(wanted, body) if authorization == wanted => (200, body.len(), body),
        Answer::Guarded(..) => (401, 0, Vec::new()),
    };
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
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

/// Fetches the one wheel of an index that answers so; the lock names the bytes `content`.
fn fetch(sandbox: &Sandbox, index: &Index, content: &[u8]) -> Result<Vec<FetchedWheel>, Error> {
    let url = format!("{}/{WHEEL}", index.url);
    sandbox.write(
        "pylock.toml",
        &one_wheel(&url, &Digest::of(content), content.len()),
    );
    let request = Request {
        lock: Some("pylock.toml".into()),
        ..sandbox.request()
    };
    sandbox.wheels(&request, &amd64())
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

#[test]
fn a_wheel_is_fetched_once_and_then_taken_from_the_store() {
    let sandbox = Sandbox::new();
    let index = Index::new([(WHEEL, vec![Answer::Body(b"wheel".to_vec())])]);
    for _ in 0..2 {
        let wheels = fetch(&sandbox, &index, b"wheel").unwrap();
        assert_eq!(wheels[0].file_name.as_str(), WHEEL);
        assert_eq!(wheels[0].digest, Digest::of(b"wheel"));
        assert_eq!(wheels[0].selected.identity(), Some(Digest::of(b"wheel")));
        assert_eq!(fs_err::read(&wheels[0].path).unwrap(), b"wheel");
    }
    assert_eq!(index.count(), 1);
}

#[test]
fn a_damaged_wheel_in_the_store_is_fetched_again() {
    let sandbox = Sandbox::new();
    let index = Index::new([(WHEEL, vec![Answer::Body(b"wheel".to_vec())])]);
    let wheels = fetch(&sandbox, &index, b"wheel").unwrap();
    fs_err::remove_file(&wheels[0].path).unwrap();
    fs_err::write(&wheels[0].path, b"weehl").unwrap();
    let wheels = fetch(&sandbox, &index, b"wheel").unwrap();
    assert_eq!(fs_err::read(&wheels[0].path).unwrap(), b"wheel");
    assert_eq!(index.count(), 2);
}

#[test]
fn a_wrong_hash_is_an_error_that_names_package_url_and_both_digests() {
    let sandbox = Sandbox::new();
    let index = Index::new([(WHEEL, vec![Answer::Body(b"WHEEL".to_vec())])]);
    let error = fetch(&sandbox, &index, b"wheel").unwrap_err();
    let text = error.to_string();
    for part in [
        "thing 1.0",
        &index.url,
        Digest::of(b"wheel").hex(),
        Digest::of(b"WHEEL").hex(),
    ] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert!(error.hint().is_some());
    assert_eq!(index.count(), 1, "a wrong hash is not tried again");
    assert_eq!(
        sandbox.store.find(Kind::Wheel, &Digest::of(b"wheel")).unwrap(),
        None
    );
}

#[test]
fn a_truncated_wheel_is_tried_again_and_then_an_error() {
    let sandbox = Sandbox::new();
    let cut = Answer::Cut(5, b"whe".to_vec());
    let index = Index::new([(WHEEL, vec![cut.clone(), Answer::Body(b"wheel".to_vec())])]);
    assert!(fetch(&sandbox, &index, b"wheel").is_ok());
    let sandbox = Sandbox::new();
    let index = Index::new([(WHEEL, vec![cut])]);
    let error = fetch(&sandbox, &index, b"wheel").unwrap_err();
    assert!(matches!(error, Error::Transfer { .. }), "{error:?}");
    assert!(chain(&error).contains("thing 1.0"), "{}", chain(&error));
    assert_eq!(index.count(), 3);
}

#[test]
fn more_or_fewer_bytes_than_locked_are_an_error() {
    for body in [&b"wheel and more"[..], b"whee"] {
        let sandbox = Sandbox::new();
        let index = Index::new([(WHEEL, vec![Answer::Body(body.to_vec())])]);
        let error = fetch(&sandbox, &index, b"wheel").unwrap_err();
        assert!(matches!(error, Error::WrongSize { expected: 5, .. }), "{error:?}");
    }
}

#[test]
fn a_server_that_recovers_is_enough_and_one_that_has_no_file_is_an_error() {
    let sandbox = Sandbox::new();
    let answers = vec![Answer::Status(500), Answer::Body(b"wheel".to_vec())];
    let index = Index::new([(WHEEL, answers)]);
    assert!(fetch(&sandbox, &index, b"wheel").is_ok());
    let sandbox = Sandbox::new();
    let index = Index::new([]);
    let error = fetch(&sandbox, &index, b"wheel").unwrap_err();
    let text = chain(&error);
    assert!(
        text.contains("cannot fetch thing 1.0") && text.contains("404"),
        "{text}"
    );
}

#[test]
fn the_password_of_an_index_serves_its_files_and_reaches_no_error() {
    // `me:secret` in base64.
    let guarded = Answer::Guarded("Basic bWU6c2VjcmV0", b"wheel".to_vec());
    let index = Index::new([(WHEEL, vec![guarded]), ("other", vec![Answer::Status(403)])]);
    let with_password = index.url.replace("http://", "http://me:secret@");
    let sandbox = Sandbox::with_variables(&[
        ("PIP_CONFIG_FILE", "/dev/null"),
        ("PIP_INDEX_URL", &format!("{with_password}/simple")),
    ]);
    assert!(fetch(&sandbox, &index, b"wheel").is_ok());
    let sandbox = Sandbox::new();
    let text = one_wheel(&format!("{with_password}/none/{WHEEL}"), &Digest::of(b"x"), 1);
    sandbox.write("pylock.toml", &text);
    let request = Request {
        lock: Some("pylock.toml".into()),
        ..sandbox.request()
    };
    let error = sandbox.wheels(&request, &amd64()).unwrap_err();
    assert!(!chain(&error).contains("secret"), "{}", chain(&error));
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[test]
fn offline_takes_what_is_there_and_says_what_is_not() {
    let mut sandbox = Sandbox::new();
    sandbox.offline = true;
    let url = format!("https://index.invalid/{WHEEL}");
    sandbox.write("pylock.toml", &one_wheel(&url, &Digest::of(b"wheel"), 5));
    let request = Request {
        lock: Some("pylock.toml".into()),
        ..sandbox.request()
    };
    let error = sandbox.wheels(&request, &amd64()).unwrap_err();
    assert!(chain(&error).contains("offline"), "{}", chain(&error));
    assert!(error.hint().unwrap().contains("--offline"));
    sandbox.store.add(Kind::Wheel, None, &mut &b"wheel"[..]).unwrap();
    assert_eq!(sandbox.wheels(&request, &amd64()).unwrap().len(), 1);
    sandbox.write("requirements.txt", "thing\n");
    let request = Request {
        requirements: vec!["requirements.txt".into()],
        ..sandbox.request()
    };
    let error = sandbox.lock(&request, &amd64()).unwrap_err();
    assert!(matches!(error, Error::OfflineUnresolved { .. }), "{error:?}");
}

#[test]
fn a_local_wheel_is_verified_where_it_lies() {
    let sandbox = Sandbox::new();
    sandbox.write(WHEEL, "wheel");
    let text =
        one_wheel("x", &Digest::of(b"wheel"), 5).replace("url = \"x\"", &format!("path = \"./{WHEEL}\""));
    sandbox.write("pylock.toml", &text);
    let request = Request {
        lock: Some("pylock.toml".into()),
        ..sandbox.request()
    };
    let wheels = sandbox.wheels(&request, &amd64()).unwrap();
    assert_eq!(wheels[0].path, sandbox.project().join(WHEEL));
    sandbox.write(WHEEL, "weehl");
    let error = sandbox.wheels(&request, &amd64()).unwrap_err();
    assert!(matches!(error, Error::WrongHash { .. }), "{error:?}");
}

#[test]
fn no_requirements_are_an_empty_lock_and_a_demanded_lock_is_never_resolved() {
    let sandbox = Sandbox::new();
    assert_eq!(
        sandbox.lock(&sandbox.request(), &amd64()).unwrap(),
        Lock::default()
    );
    let request = Request {
        requirements: vec!["requirements.txt".into()],
        ..sandbox.request()
    };
    let error = sandbox.lock(&request, &amd64()).unwrap_err();
    assert!(error.to_string().contains("requirements.txt"), "{error}");
    sandbox.write("requirements.txt", "six\n");
    let locked = Request {
        locked: true,
        ..request
    };
    let error = sandbox.lock(&locked, &amd64()).unwrap_err();
    assert!(matches!(error, Error::NotLocked), "{error:?}");
}

#[test]
fn no_build_is_refused_before_anything_is_fetched() {
    let sandbox = Sandbox::new();
    let index = Index::new([]);
    let url = format!("{}/thing-1.0.tar.gz", index.url);
    let text = one_wheel(&url, &Digest::of(b""), 0)
        .replace("wheels = [", "sdist = ")
        .replace("}]", "}");
    sandbox.write("pylock.toml", &text);
    let request = Request {
        lock: Some("pylock.toml".into()),
        no_build: true,
        ..sandbox.request()
    };
    let error = sandbox.wheels(&request, &amd64()).unwrap_err();
    assert!(error.to_string().contains("thing-1.0.tar.gz"), "{error}");
    assert_eq!(index.count(), 0);
}

/// A fake index is enough for selection: nothing is fetched. Each row: wheel file names, target, what is chosen.
#[test]
fn the_best_wheel_for_the_target_is_chosen() {
    let amd64 = target(Architecture::Amd64, (3, 13));
    let arm64 = target(Architecture::Arm64, (3, 11));
    let names = [
        "t-1-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "t-1-cp313-cp313-manylinux_2_28_x86_64.whl",
        "t-1-cp313-cp313-musllinux_1_2_x86_64.whl",
        "t-1-cp39-abi3-manylinux_2_28_aarch64.whl",
        "t-1-py3-none-any.whl",
        "t-1-2-py3-none-any.whl",
        "t-1-cp313-cp313-win_amd64.whl",
    ];
    for (mask, target, expected) in [
        (0b111_1111, &amd64, Some(names[1])),
        (0b111_1111, &arm64, Some(names[3])),
        (0b000_0001, &amd64, Some(names[0])),
        (0b011_0000, &amd64, Some(names[5])),
        (0b100_0100, &amd64, None),
        (0b000_0011, &arm64, None),
    ] {
        let sandbox = Sandbox::new();
        let chosen = names.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1);
        let hash = Digest::of(b"");
        let wheels: Vec<String> = chosen
            .map(|(_, n)| {
                format!(
                    "{{ url = \"https://h/{n}\", hashes = {{ sha256 = \"{}\" }} }}",
                    hash.hex()
                )
            })
            .collect();
        let text = format!(
            "lock-version = \"1.0\"\ncreated-by = \"t\"\n[[packages]]\nname = \"t\"\nversion = \"1\"\nwheels = [{}]\n",
            wheels.join(", ")
        );
        sandbox.write("pylock.toml", &text);
        let lock = pylock::read(&sandbox.project().join("pylock.toml")).unwrap();
        let selected = lock.select(target, &BTreeSet::new(), &BTreeSet::new());
        match (expected, selected) {
            (Some(expected), Ok(selected)) => assert_eq!(name_of(&selected[0]), expected),
            (None, Err(error @ Error::NoWheel { .. })) => {
                assert!(
                    error.to_string().contains("t 1 has no wheel for CPython 3."),
                    "{error}"
                );
                assert!(error.to_string().contains("cp313"), "{error}");
            }
            (_, other) => panic!("{mask:b}: {other:?}"),
        }
    }
}

/// Reads the text as a lock file.
fn read(text: &str) -> Result<Lock, Error> {
    let sandbox = Sandbox::new();
    sandbox.write("pylock.toml", text);
    pylock::read(&sandbox.project().join("pylock.toml"))
}

#[test]
fn faults_of_a_lock_file_are_named_with_their_line() {
    let good = one_wheel(&format!("https://h/{WHEEL}"), &Digest::of(b""), 0);
    assert!(read(&good).is_ok());
    for (from, to, line, words) in [
        ("\"1.0\"\nc", "\"2.0\"\nc", 1, "lock-version 2.0"),
        ("name = \"thing\"", "name = \"-\"", 5, "not a valid package name"),
        ("sha256", "md5", 7, "no sha256"),
        ("thing-1.0-py3", "thing-1.1-py3", 7, "not a wheel of thing 1.0"),
        ("thing-1.0-py3", "other-1.0-py3", 7, "not a wheel of thing 1.0"),
        ("https://", "ftp://", 7, "ftp"),
        ("url = ", "nothing = ", 7, "neither url nor path"),
        ("wheels = [", "wheels = [[", 7, ""),
        ("\nversion = \"1.0\"\n", "\nversion = \"one\"\n", 6, "one"),
    ] {
        let error = read(&good.replacen(from, to, 1)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("pylock.toml:{line}: ")), "{to}: {text}");
        assert!(text.contains(words), "{to}: {text}");
    }
}

#[test]
fn a_lock_that_is_written_reads_as_the_same_lock() {
    let digest = Digest::of(b"");
    let hash = digest.hex();
    let text = format!(
        r#"lock-version = "1.0"
environments = ["sys_platform == 'linux'"]
requires-python = ">=3.11"
extras = ["more"]
dependency-groups = ["dev"]
default-groups = ["dev"]
created-by = "a \"tool\""

[[packages]]
name = "a"
version = "1.0"
marker = "'more' in extras"
index = "https://h/simple"
sdist = {{ name = "a-1.0.tar.gz", url = "https://h/x?y", size = 3, hashes = {{ sha256 = "{hash}" }} }}
wheels = [{{ path = "w/a-1.0-py3-none-any.whl", hashes = {{ sha256 = "{hash}" }} }}]

[[packages]]
name = "b"
directory = {{ path = "../b", editable = true, subdirectory = "s" }}

[[packages]]
name = "c"
vcs = {{ type = "git", url = "https://h/c.git", requested-revision = "main", commit-id = "0123456789abcdef" }}

[[packages]]
name = "d"
archive = {{ url = "https://h/d.zip", hashes = {{ sha256 = "{hash}" }} }}
"#
    );
    let sandbox = Sandbox::new();
    sandbox.write("pylock.toml", &text);
    let file = sandbox.project().join("pylock.toml");
    let lock = pylock::read(&file).unwrap();
    assert_eq!(lock.packages.len(), 4);
    let written = lock.to_toml(&sandbox.project());
    sandbox.write("pylock.toml", &written);
    let again = pylock::read(&file).unwrap();
    assert_eq!(again, lock);
    assert_eq!(again.to_toml(&sandbox.project()), written);
}

#[test]
fn markers_extras_and_groups_decide_what_is_selected() {
    let digest = Digest::of(b"");
    let package = |name: &str, version: &str, marker: &str| {
        format!(
            "[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\n{marker}\n\
             wheels = [{{ url = \"https://h/{name}-{version}-py3-none-any.whl\", hashes = {{ sha256 = \"{}\" }} }}]\n",
            digest.hex()
        )
    };
    let head = "lock-version = \"1.0\"\ncreated-by = \"t\"\nextras = [\"more\"]\ndependency-groups = [\"dev\", \"doc\"]\ndefault-groups = [\"dev\"]\n";
    let text = [
        head,
        &package("old", "1", "marker = \"python_version < '3.12'\""),
        &package("old", "2", "marker = \"python_version >= '3.12'\""),
        &package("extra", "1", "marker = \"'more' in extras\""),
        &package("dev", "1", "marker = \"'dev' in dependency_groups\""),
        &package("arm", "1", "marker = \"platform_machine == 'aarch64'\""),
    ]
    .concat();
    let lock = read(&text).unwrap();
    let titles = |target: &Target, extras: &[&str], groups: &[&str]| -> Vec<String> {
        let extras = extras.iter().map(|e| e.parse().unwrap()).collect();
        let groups = groups.iter().map(|g| g.parse().unwrap()).collect();
        let selected = lock.select(target, &extras, &groups).unwrap();
        selected.iter().map(Selected::title).collect()
    };
    assert_eq!(titles(&amd64(), &[], &[]), ["dev 1", "old 2"]);
    let arm64 = target(Architecture::Arm64, (3, 11));
    assert_eq!(titles(&arm64, &["more"], &["doc"]), ["arm 1", "extra 1", "old 1"]);
    let unknown = lock.select(
        &amd64(),
        &BTreeSet::from(["x".parse().unwrap()]),
        &BTreeSet::new(),
    );
    assert!(unknown.unwrap_err().hint().unwrap().contains("more"));
    let twice = read(&[head, &package("old", "1", ""), &package("old", "2", "")].concat()).unwrap();
    let error = twice
        .select(&amd64(), &BTreeSet::new(), &BTreeSet::new())
        .unwrap_err();
    assert!(error.to_string().contains("old 1 and old 2"), "{error}");
    let python = read(&text.replacen("created-by", "requires-python = \"<3.12\"\ncreated-by", 1)).unwrap();
    let error = python
        .select(&amd64(), &BTreeSet::new(), &BTreeSet::new())
        .unwrap_err();
    assert!(matches!(error, Error::LockPython { .. }), "{error:?}");
    let elsewhere = "environments = [\"sys_platform == 'win32'\"]\ncreated-by";
    let elsewhere = read(&text.replacen("created-by", elsewhere, 1)).unwrap();
    let error = elsewhere
        .select(&amd64(), &BTreeSet::new(), &BTreeSet::new())
        .unwrap_err();
    assert!(matches!(error, Error::LockEnvironment { .. }), "{error:?}");
}

fn name_of(selected: &Selected) -> &str {
    match &selected.source {
        Source::Wheel(artifact) | Source::Sdist(artifact, _) => &artifact.name,
        other => panic!("{other:?}"),
    }
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
