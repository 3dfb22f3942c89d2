//! A file server on loopback for benchmarks: HTTP/1.1 with keep-alive and ranges, as package hosts have them.
//!
//! `file_server DIR [--rate MB] [--no-range] [--upstream URL]` prints its URL, and serves until it is killed.
//! `--rate`: megabytes a second of all connections together. `--upstream`: what is not in DIR is fetched by curl and kept.
//! It wants the standard library only: `rustc -O` makes it in seconds. The kernel copies from file to socket.
#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program of the benchmarks"
)]

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that one connection sends before others have their turn.
const TURN: u64 = 64 * 1024;

struct Server {
    directory: PathBuf,
    ranges: bool,
    upstream: Option<String>,
    /// Bytes a second, and when the next byte may be sent.
    rate: Option<(u64, Mutex<Instant>)>,
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(directory) = arguments.next() else {
        println!("no directory given: nothing served");
        return Ok(());
    };
    let mut server = Server {
        directory: directory.into(),
        ranges: true,
        upstream: None,
        rate: None,
    };
    while let Some(option) = arguments.next() {
        match option.as_str() {
            "--no-range" => server.ranges = false,
            "--upstream" => server.upstream = arguments.next(),
            "--rate" => {
                let megabytes: u64 = arguments.next().unwrap_or_default().parse().unwrap();
                server.rate = Some((megabytes * 1_000_000, Mutex::new(Instant::now())));
            }
            other => return Err(io::Error::other(format!("what is {other}?"))),
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    io::stdout().flush()?;
    let server = Arc::new(server);
    for stream in listener.incoming() {
        let (server, stream) = (Arc::clone(&server), stream?);
        // A client that goes away ends its connection, and nothing else.
        std::thread::spawn(move || server.connection(&stream));
    }
    Ok(())
}

/// What is taken notice of in a request.
#[derive(Default)]
struct Request {
    head: bool,
    path: String,
    range: Option<String>,
    close: bool,
}

impl Server {
    fn connection(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut input = BufReader::new(stream);
        while let Some(request) = read_request(&mut input)? {
            self.answer(&request, stream)?;
            if request.close {
                break;
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request, mut stream: &TcpStream) -> io::Result<()> {
        let Some(mut file) = self.open(&request.path) else {
            let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
            return stream.write_all(answer.as_bytes());
        };
        let size = file.metadata()?.len();
        let range = request.range.as_deref().filter(|_| self.ranges);
        let range = range.and_then(|text| range_of(text, size));
        let (first, end) = range.unwrap_or((0, size));
        let mut head = match range {
            Some(_) => format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{}/{size}\r\n",
                end - 1
            ),
            None => "HTTP/1.1 200 OK\r\n".to_owned(),
        };
        if self.ranges {
            head += "Accept-Ranges: bytes\r\n";
        }
        let length = end - first;
        let _ = write!(
            head,
            "ETag: \"{size}\"\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        if request.head {
            return Ok(());
        }
        file.seek(SeekFrom::Start(first))?;
        let mut left = length;
        while left > 0 {
            let turn = left.min(TURN);
            self.wait(turn);
            let sent = io::copy(&mut (&file).take(turn), &mut stream)?;
            if sent == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= sent;
        }
        Ok(())
    }

    /// Waits until so many bytes may be sent.
    fn wait(&self, bytes: u64) {
        let Some((rate, next)) = &self.rate else { return };
        let turn = Duration::from_nanos(bytes * 1_000_000_000 / rate);
        let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
        // Sleeping overshoots: a little that was not used is made up for.
        let now = Instant::now();
        let begins = (*next).max(now.checked_sub(Duration::from_millis(2)).unwrap_or(now));
        *next = begins + turn;
        drop(next);
        std::thread::sleep(begins.saturating_duration_since(now));
    }

    fn open(&self, path: &str) -> Option<File> {
        let path = path.split(['?', '#']).next()?.trim_start_matches('/');
        let name = unquoted(path)?;
        if name.split('/').any(|part| part == "..") {
            return None;
        }
        let file = self.directory.join(&name);
        if !file.is_file() {
            fetch(&format!("{}/{path}", self.upstream.as_ref()?), &file)?;
        }
        File::open(file).ok()
    }
}

/// Has curl fetch a file, whole or not at all.
fn fetch(url: &str, to: &Path) -> Option<()> {
    let part = format!("{}.{:?}.part", to.display(), std::thread::current().id());
    std::fs::create_dir_all(to.parent()?).ok()?;
    let mut curl = Command::new("curl");
    curl.args([
        "--fail",
        "--silent",
        "--show-error",
        "--location",
        "--max-time",
        "300",
        "--output",
    ]);
    let status = curl.arg(&part).arg(url).status().ok()?;
    status.success().then_some(())?;
    std::fs::rename(part, to).ok()
}

/// The next request of a connection; `None` if the client has closed it.
fn read_request(input: &mut impl io::BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if input.take(8192).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let mut request = Request {
        head: words.next() == Some("HEAD"),
        path: words.next().unwrap_or_default().to_owned(),
        ..Request::default()
    };
    loop {
        let mut line = String::new();
        input.take(8192).read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok(Some(request));
        };
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = Some(value.trim().to_owned()),
            "connection" => request.close = value.trim().eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
}

/// First byte and the one after the last; `None` where the whole file is the answer (RFC 9110, 14.2).
fn range_of(text: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => (first, size.min(last.checked_add(1)?)),
        (Ok(first), Err(_)) => (first, size),
        (Err(_), Ok(count)) => (size.saturating_sub(count), size),
        _ => return None,
    };
    (range.0 < range.1).then_some(range)
}

/// Percent signs resolved.
fn unquoted(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let hex = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}
