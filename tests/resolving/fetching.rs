//! What is fetched is what was locked: faults of an index on loopback.

use super::*;

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
        &Digest::of(b"wheel").hex(),
        &Digest::of(b"WHEEL").hex(),
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
