//! HTTP/1.1, as much as registries speak of it: heads, bodies with a length, connections that are kept.

use std::fmt::Write as _;
use std::io::{self, BufRead, Read as _, Write as _};
use std::net::TcpStream;

/// A request with all that was sent.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`
    pub method: String,
    /// The path, not decoded.
    pub path: String,
    /// The query as it was spelled, without `?`.
    pub raw_query: Option<String>,
    /// All headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of that name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// A parameter of the query, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        self.parameters().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// All parameters of the query, decoded.
    pub fn parameters(&self) -> impl Iterator<Item = (String, String)> {
        let query = self.raw_query.as_deref().unwrap_or_default().as_bytes();
        url::form_urlencoded::parse(query).into_owned()
    }

    /// A parameter of the query as it was spelled.
    pub fn raw_parameter(&self, name: &str) -> Option<&str> {
        let mut parts = self.raw_query.as_deref()?.split('&');
        parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    }

    /// Path and query.
    pub fn target(&self) -> String {
        match &self.raw_query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// What the request is for, the same for all tries of it: sessions are others each time.
    pub fn purpose(&self) -> String {
        let (method, range) = (&self.method, self.header("content-range").unwrap_or_default());
        match self.path.split_once("/blobs/uploads/") {
            Some((repository, session)) => {
                let digest = self.query("digest").or(self.query("mount")).unwrap_or_default();
                let anonymous = digest.is_empty() && range.is_empty();
                let session = if anonymous { session } else { "" };
                format!("{method} {repository} uploads {session} {digest} {range}")
            }
            None => format!("{method} {}", self.target()),
        }
    }

    /// `Content-Length`, if it is one.
    pub fn length(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }

    /// Whether the client waits before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.header("expect")
            .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers besides `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What `Content-Length` says instead of the truth.
    pub length: Option<u64>,
    /// How many bytes of the body are sent before the connection ends; `None` for all, and it goes on.
    pub sent: Option<usize>,
    /// What the client did that the spec does not allow.
    pub violation: Option<String>,
}

impl Response {
    /// An answer without a body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            length: None,
            sent: None,
            violation: None,
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// The head of the next request; `None` where the connection has ended.
pub fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(target), Some("HTTP/1.1")) = (words.next(), words.next(), words.next()) else {
        return Err(io::Error::other(format!("no request: {line:?}")));
    };
    let (path, raw_query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        raw_query,
        ..Request::default()
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                let pair = (name.to_ascii_lowercase(), value.trim().to_owned());
                request.headers.push(pair);
            }
            None => return Ok(Some(request)),
        }
    }
}

/// The body that `Content-Length` announces.
pub fn read_body(reader: &mut impl BufRead, request: &Request) -> io::Result<Vec<u8>> {
    read_some(reader, request.length().unwrap_or(0))
}

/// So many bytes.
pub fn read_some(reader: &mut impl BufRead, bytes: usize) -> io::Result<Vec<u8>> {
    let mut body = vec![0; bytes];
    reader.read_exact(&mut body)?;
    Ok(body)
}

/// Tells the client to send the body.
pub fn go_on(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
}

/// Sends an answer, or as much of it as is wanted.
pub fn write(mut stream: &TcpStream, request: &Request, response: &Response) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\n", response.status);
    for (name, value) in &response.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if response.status != 204 {
        let length = response.length.unwrap_or(response.body.len() as u64);
        let _ = write!(head, "Content-Length: {length}\r\n");
    }
    let mut bytes = (head + "\r\n").into_bytes();
    if request.method != "HEAD" {
        let sent = response.sent.unwrap_or(response.body.len());
        bytes.extend(&response.body[..sent]);
    }
    stream.write_all(&bytes)
}
