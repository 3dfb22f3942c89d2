//! A server on loopback that does what a test tells it to, and remembers what it was asked.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::blob::{Blob, Descriptor};
use crate::environment::Environment;
use crate::reference::{RegistryReference, Repository};
use crate::registry::{Client, Settings};

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `METHOD /path?query`
    pub line: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// How often the same line was asked, this time included.
    pub times: usize,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// How much of the body is sent before the connection ends.
    cut: Option<usize>,
}

pub fn reply(status: u16) -> Reply {
    Reply {
        status,
        ..Reply::default()
    }
}

/// The connection ends without an answer.
pub fn hang_up() -> Reply {
    reply(0)
}

impl Reply {
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn cut(mut self, at: usize) -> Self {
        self.cut = Some(at);
        self
    }
}

pub struct Server {
    /// `127.0.0.1:PORT`
    pub host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let Some(mut one) = receive(&stream) else {
                    continue;
                };
                let mut all = all.lock().unwrap();
                one.times = 1 + all.iter().filter(|a: &&Asked| a.line == one.line).count();
                all.push(one.clone());
                drop(all);
                send(stream, &one, &answer(&one));
            }
        });
        Self { host, asked }
    }

    /// All that was asked, without the greeting.
    pub fn asked(&self) -> Vec<Asked> {
        let all = self.asked.lock().unwrap();
        all.iter().filter(|a| a.line != "GET /v2/").cloned().collect()
    }

    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|a| a.line).collect()
    }

    pub fn repository(&self, name: &str) -> Repository {
        let reference: RegistryReference = format!("{}/{name}", self.host).parse().unwrap();
        reference.repository
    }
}

fn receive(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut parts = lines.first()?.split(' ');
    let line = format!("{} {}", parts.next()?, parts.next()?);
    let headers: Vec<_> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut asked = Asked {
        line,
        headers,
        body: Vec::new(),
        times: 0,
    };
    let length = asked.header("content-length").map_or(0, |n| n.parse().unwrap());
    if asked.header("expect").is_some() {
        write!(&mut &*stream, "HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    }
    reader.take(length).read_to_end(&mut asked.body).ok()?;
    // What does not arrive whole was not asked.
    (asked.body.len() as u64 == length).then_some(asked)
}

fn send(mut stream: TcpStream, asked: &Asked, reply: &Reply) {
    if reply.status == 0 {
        return;
    }
    let mut text = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", reply.status);
    let own_length = reply.headers.iter().any(|(name, _)| name == "content-length");
    if !own_length {
        let _ = write!(text, "content-length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let mut bytes = (text + "\r\n").into_bytes();
    if !asked.line.starts_with("HEAD ") {
        bytes.extend(&reply.body[..reply.cut.unwrap_or(reply.body.len())]);
    }
    // The client may have hung up first.
    let _ = stream.write_all(&bytes);
}

/// A user whose auth file has some entries.
pub struct User {
    home: tempfile::TempDir,
}

impl User {
    pub fn new(auths: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let entries: serde_json::Map<_, _> = auths
            .iter()
            .map(|(host, entry)| ((*host).to_owned(), serde_json::from_str(entry).unwrap()))
            .collect();
        let path = home.path().join(".docker/config.json");
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, serde_json::json!({ "auths": entries }).to_string()).unwrap();
        Self { home }
    }

    pub fn environment(&self) -> Environment {
        let home = self.home.path().display().to_string();
        let variables = [("HOME", home.clone()), ("XDG_RUNTIME_DIR", home)];
        let variables = variables.map(|(k, v)| (k.to_owned(), v));
        Environment::new(variables, "/".into(), std::time::SystemTime::UNIX_EPOCH)
    }

    /// A client, which finds the entries while the user is there.
    pub fn client(&self) -> Client {
        Client::new(&self.environment(), Settings::default())
    }
}

/// Somebody without credentials.
pub fn anonymous() -> Client {
    User::new(&[]).client()
}

/// user:secret
pub const ENTRY: &str = r#"{"auth":"dXNlcjpzZWNyZXQ="}"#;
/// The header that it becomes.
pub const BASIC: &str = "Basic dXNlcjpzZWNyZXQ=";

pub fn blob(bytes: &[u8]) -> Blob {
    Blob::from_bytes("application/octet-stream", bytes.to_vec())
}

pub fn descriptor(bytes: &[u8]) -> Descriptor {
    blob(bytes).descriptor
}
