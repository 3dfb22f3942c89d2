//! A package index on loopback: a directory of wheels and sdists, listed as the Simple API says, guarded if wanted.
//!
//! `/simple/NAME/` lists the files of a project in JSON (PEP 691) or HTML (PEP 503), `/files/FILE` gives one, `/links.html`
//! is a page with all of them. Anything else is 404; without the right `Authorization` everything is 401.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use pyoci::digest::Digest;

/// How an index answers.
#[derive(Clone, Debug, Default)]
pub struct IndexHabits {
    /// The only user and password that it lets in.
    pub login: Option<(String, String)>,
    /// Whether it speaks HTML only.
    pub html: bool,
    /// Files that were taken back (PEP 592).
    pub yanked: Vec<String>,
    /// Where it sends everyone who asks for a file, in the place of giving it: the URL before `/files/`.
    pub redirect: Option<String>,
    /// Whether it gives ranges of files (RFC 9110 section 14).
    pub ranges: bool,
    /// How many answers with parts of files break off half-way.
    pub breaks: usize,
    /// A directory of other files, which it gives the first two times that it is asked for one. Then it gives the right
    /// one, all of it, whatever range was asked for.
    pub lies: Option<PathBuf>,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub authorization: String,
    /// `bytes=…`, or nothing.
    pub range: String,
}

pub struct PackageIndex {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl PackageIndex {
    /// Serves the files of a directory.
    pub fn start(directory: PathBuf, habits: IndexHabits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (directory, habits, log) = (directory.clone(), habits.clone(), Arc::clone(&log));
                std::thread::spawn(move || {
                    let _ = serve(stream, &directory, &habits, &log);
                });
            }
        });
        Self { url, asked }
    }

    /// `http://USER:PASSWORD@127.0.0.1:PORT/simple/`, parts as they are to be spelled.
    pub fn simple_with(&self, user: &str, password: &str) -> String {
        let place = self.url.trim_start_matches("http://");
        format!("http://{user}:{password}@{place}/simple/")
    }

    /// The root without a user.
    pub fn simple(&self) -> String {
        format!("{}/simple/", self.url)
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    directory: &std::path::Path,
    habits: &IndexHabits,
    log: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let (mut authorization, mut range) = (String::new(), String::new());
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':') {
            match name.to_ascii_lowercase().as_str() {
                "authorization" => value.trim().clone_into(&mut authorization),
                "range" => value.trim().clone_into(&mut range),
                _ => {}
            }
        }
    }
    let mut asked = log.lock().unwrap();
    asked.push(Asked {
        path: path.clone(),
        authorization: authorization.clone(),
        range: range.clone(),
    });
    let with_range = asked.iter().filter(|asked| !asked.range.is_empty()).count();
    let times = asked.iter().filter(|asked| asked.path == path).count();
    drop(asked);
    let instead = habits.lies.as_deref().filter(|_| times <= 2);
    let gives_ranges = habits.ranges && (instead.is_some() || habits.lies.is_none());
    let (mut status, kind, mut body) = answer(&path, &authorization, instead.unwrap_or(directory), habits);
    let mut content_range = String::new();
    let mut breaks = false;
    if gives_ranges
        && status == 200
        && let Some(range) = range.strip_prefix("bytes=")
    {
        let size = body.len();
        let (first, last) = range.split_once('-').unwrap();
        let (first, end) = match first.parse::<usize>() {
            Ok(first) => (first, (last.parse::<usize>().unwrap() + 1).min(size)),
            Err(_) => (size - last.parse::<usize>().unwrap().min(size), size),
        };
        body = body[first..end].to_vec();
        status = 206;
        content_range = format!("content-range: bytes {first}-{}/{size}\r\n", end - 1);
        breaks = with_range <= habits.breaks;
    }
    let more = match (status, &habits.redirect) {
        (302, Some(to)) => format!("location: {to}{path}\r\n"),
        (401, _) => "www-authenticate: Basic realm=\"test\"\r\n".to_owned(),
        _ => content_range,
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{more}connection: close\r\n\r\n"
    )?;
    stream.write_all(if breaks { &body[..body.len() / 2] } else { &body })
}

fn answer(
    path: &str,
    authorization: &str,
    directory: &std::path::Path,
    habits: &IndexHabits,
) -> (u16, &'static str, Vec<u8>) {
    let nothing = |status| (status, "text/plain", Vec::new());
    if let Some((user, password)) = &habits.login {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        if authorization != format!("Basic {pair}") {
            return nothing(401);
        }
    }
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if let Some(file) = path.strip_prefix("/files/") {
        if habits.redirect.is_some() {
            return nothing(302);
        }
        let bytes = fs_err::read(directory.join(file));
        return bytes.map_or(nothing(404), |bytes| (200, "application/octet-stream", bytes));
    }
    let mut files: Vec<String> = fs_err::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    if path != "/links.html" {
        let Some(name) = path
            .strip_prefix("/simple/")
            .map(|name| name.trim_end_matches('/'))
        else {
            return nothing(404);
        };
        let own = |file: &String| file.split('-').next().unwrap().replace('_', "-") == name;
        files.retain(own);
    }
    if files.is_empty() {
        return nothing(404);
    }
    let digest = |file: &str| Digest::of(&fs_err::read(directory.join(file)).unwrap()).hex();
    if habits.html || path == "/links.html" {
        let mut page = "<!DOCTYPE html><base href=\"/files/\">".to_owned();
        for file in files {
            let yanked = if habits.yanked.contains(&file) {
                " data-yanked=\"\""
            } else {
                ""
            };
            let _ = writeln!(
                page,
                "<a href=\"{file}#sha256={}\"{yanked}>{file}</a>",
                digest(&file)
            );
        }
        return (200, "text/html", page.into_bytes());
    }
    let files: Vec<_> = files
        .iter()
        .map(|file| {
            serde_json::json!({
                "filename": file, "url": format!("../../files/{file}"), "hashes": { "sha256": digest(file) },
                "yanked": habits.yanked.contains(file),
            })
        })
        .collect();
    let page = serde_json::json!({ "meta": { "api-version": "1.1" }, "name": "x", "files": files });
    (
        200,
        "application/vnd.pypi.simple.v1+json",
        page.to_string().into_bytes(),
    )
}
