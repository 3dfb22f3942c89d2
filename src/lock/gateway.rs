//! A gateway on loopback to indexes that want credentials: what a package's own code does while it is built can use it,
//! and learns no password.
//!
//! `/KEY/i/N/PROJECT/` is a project's page on index N, `/KEY/l/N` the page of links N, `/KEY/f/N/PATH` a file on the server
//! of them. The key is random and lives as long as the build.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use url::Url;

use super::Error;
use super::indexes::Indexes;
use super::simple::{self, File};
use crate::http;
use crate::parallel::NoThread;

/// The longest request line or header, in bytes.
const LINE: u64 = 16 * 1024;

/// A gateway that is open until it is dropped.
pub(super) struct Gateway {
    state: Arc<State>,
}

struct State {
    /// `http://127.0.0.1:PORT/KEY`
    root: String,
    port: u16,
    key: String,
    /// Indexes and pages of links that want credentials.
    places: Vec<Url>,
    indexes: Indexes,
    client: http::Client,
    is_closed: AtomicBool,
}

impl Gateway {
    /// Opens a gateway to those indexes for which the client or the settings have credentials.
    pub fn open(indexes: &Indexes, client: &http::Client) -> Result<Self, Error> {
        let fault = |source| Error::Run {
            program: "the gateway to package indexes".to_owned(),
            source,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(fault)?;
        let port = listener.local_addr().map_err(fault)?.port();
        let mut key = [0; 16];
        let mut random = fs_err::File::open("/dev/urandom").map_err(fault)?;
        random.read_exact(&mut key).map_err(fault)?;
        let key = key.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let links = indexes.find_links.iter().filter_map(|link| link.parse().ok());
        let all = indexes
            .first
            .iter()
            .chain([&indexes.default])
            .cloned()
            .chain(links);
        let wants = |url: &Url| client.is_known(&indexes.with_credentials(url));
        let state = Arc::new(State {
            root: format!("http://127.0.0.1:{port}/{key}"),
            port,
            key,
            places: all.filter(wants).collect(),
            indexes: indexes.clone(),
            client: client.clone(),
            is_closed: AtomicBool::new(false),
        });
        let own = Arc::clone(&state);
        let accept = move || {
            for stream in listener.incoming() {
                if own.is_closed.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), own) = (stream, Arc::clone(&own)) else {
                    continue;
                };
                // A client that went away is its own affair.
                // So it is to one that the system gives no thread for: its connection is closed.
                let _ = thread::Builder::new().spawn(move || own.serve(&stream));
            }
        };
        let accepting = thread::Builder::new().spawn(accept);
        accepting.map_err(|error| fault(NoThread::error(error)))?;
        Ok(Self { state })
    }

    /// The place as a build is told it: through the gateway if it wants credentials.
    pub fn index(&self, url: &Url) -> String {
        self.through("i", url)
    }

    /// The same for a page or directory of links.
    pub fn links(&self, link: &str) -> String {
        link.parse()
            .map_or_else(|_| link.to_owned(), |url| self.through("l", &url))
    }

    fn through(&self, kind: &str, url: &Url) -> String {
        match self.state.places.iter().position(|place| place == url) {
            Some(number) => format!("{}/{kind}/{number}", self.state.root),
            None => url.to_string(),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.state.is_closed.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.state.port));
    }
}

impl State {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut request = String::new();
        reader.by_ref().take(LINE).read_line(&mut request)?;
        loop {
            let mut header = String::new();
            if reader.by_ref().take(LINE).read_line(&mut header)? == 0 || header.trim().is_empty() {
                break;
            }
        }
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let is_known = matches!(method, "GET" | "HEAD");
        let path = path
            .strip_prefix('/')
            .and_then(|p| p.strip_prefix(&*self.key)?.strip_prefix('/'));
        let answer = path.filter(|_| is_known).map(|path| self.answer(path));
        let out = &mut &*stream;
        match answer {
            Some(Ok(Answer::Page(page))) => {
                head(out, 200, Some(page.len() as u64), "text/html")?;
                if method == "GET" {
                    out.write_all(page.as_bytes())
                } else {
                    Ok(())
                }
            }
            Some(Ok(Answer::File(mut response))) => {
                head(out, 200, response.content_length(), "application/octet-stream")?;
                if method == "GET" {
                    io::copy(&mut response, out).map(|_| ())
                } else {
                    Ok(())
                }
            }
            Some(Err(status)) => head(out, status, Some(0), "text/plain"),
            None => head(out, 404, Some(0), "text/plain"),
        }
    }

    /// The answer to a path behind the key, else a status.
    fn answer(&self, path: &str) -> Result<Answer, u16> {
        let mut parts = path.splitn(3, '/');
        let (kind, number, rest) = (parts.next(), parts.next(), parts.next().unwrap_or_default());
        let place = number
            .and_then(|n| self.places.get(n.parse::<usize>().ok()?))
            .ok_or(404_u16)?;
        let url = match kind {
            Some("i") => {
                let mut url = place.clone();
                let project = rest.trim_matches('/');
                if project.is_empty() || project.contains('/') || project.starts_with('.') {
                    return Err(404);
                }
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty().push(project).push("");
                }
                url
            }
            Some("l") => place.clone(),
            Some("f") => place
                .join(&format!("/{}", rest.trim_start_matches('/')))
                .map_err(|_| 404_u16)?,
            _ => return Err(404),
        };
        if url.origin() != place.origin() {
            return Err(404);
        }
        let asked = self.indexes.with_credentials(&url);
        let status = |error: http::Error| error.status().unwrap_or(502);
        if kind == Some("f") {
            return self
                .client
                .get(&asked)
                .map(|response| Answer::File(Box::new(response)))
                .map_err(status);
        }
        let response = self
            .client
            .get_with(&asked, &[("accept", simple::ACCEPT)])
            .map_err(status)?;
        let (page, kind) = (
            response.url.clone(),
            response.header("content-type").unwrap_or_default().to_owned(),
        );
        let bytes = response.read(simple::LARGEST).map_err(status)?;
        let files = simple::parse(&bytes, &kind, &page).map_err(|_| 502_u16)?;
        Ok(Answer::Page(self.page(&files)))
    }

    /// The files as a page in HTML (PEP 503), those on a server that wants credentials through the gateway.
    fn page(&self, files: &[File]) -> String {
        let mut page = "<!DOCTYPE html>\n".to_owned();
        for file in files {
            let same = |place: &Url| place.origin() == file.url.origin();
            let place = self.places.iter().position(same);
            let url = match place {
                Some(number) => {
                    let query = file
                        .url
                        .query()
                        .map(|query| format!("?{query}"))
                        .unwrap_or_default();
                    format!("{}/f/{number}{}{query}", self.root, file.url.path())
                }
                None => file.url.to_string(),
            };
            let hash = file
                .hashes
                .first()
                .map(|h| format!("#{}={}", h.algorithm().name(), h.hex()));
            let python = file.requires_python.as_ref().map(|python| {
                let python = escaped(&python.to_string());
                format!(" data-requires-python=\"{python}\"")
            });
            let yanked = if file.is_yanked { " data-yanked=\"\"" } else { "" };
            let (hash, python) = (hash.unwrap_or_default(), python.unwrap_or_default());
            let (href, name) = (escaped(&url), escaped(&file.name));
            let _ = writeln!(page, "<a href=\"{href}{hash}\"{python}{yanked}>{name}</a>");
        }
        page
    }
}

enum Answer {
    Page(String),
    File(Box<http::Response>),
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('"', "&quot;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

fn head(out: &mut impl io::Write, status: u16, length: Option<u64>, kind: &str) -> io::Result<()> {
    write!(
        out,
        "HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\nconnection: close\r\n"
    )?;
    if let Some(length) = length {
        write!(out, "content-length: {length}\r\n")?;
    }
    out.write_all(b"\r\n")
}
