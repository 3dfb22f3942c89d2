//! Plain HTTP downloads: retries, redirects that keep credentials at home, errors that keep secrets.

mod access;
mod agent;
mod credentials;
mod error;
pub mod pem;
mod redirect;
mod resolver;
mod retry;

use std::io::Read;
use std::ops::Range;

use ureq::http;
use url::Url;

pub use access::Access;
pub use agent::Connection;
pub use credentials::Credentials;
pub use error::{CREDENTIALS_HINT, Error, answer, redacted};
pub use redirect::{REDIRECTS, redirect};
pub use retry::{retry_after, wait};

use crate::environment::Environment;

/// How often a request is sent before its failure is reported.
const TRIES: u32 = 4;

/// An HTTP client: connections are kept and shared by all threads.
#[derive(Clone, Debug)]
pub struct Client {
    agent: ureq::Agent,
    /// For hosts that are trusted blindly.
    careless: Option<ureq::Agent>,
    access: Access,
    credentials: Credentials,
    offline: bool,
}

/// What a server answered: always a success (2xx).
pub struct Response {
    /// Where the answer came from after redirects, without credentials.
    pub url: Url,
    headers: http::HeaderMap,
    body: ureq::BodyReader<'static>,
}

impl Client {
    /// A client that reads netrc, proxy and certificate settings from the environment; one that is `offline` refuses
    /// every request except those to loopback addresses.
    pub fn new(environment: &Environment, offline: bool) -> Self {
        Self {
            agent: Connection::default().agent(),
            careless: None,
            access: Access::default(),
            credentials: Credentials::load(environment),
            offline,
        }
    }

    /// The client with what is needed for servers of one's own.
    pub fn with_access(mut self, access: Access, environment: &Environment) -> Result<Self, Error> {
        let connection = access.connection(&environment.secrets)?;
        if !access.trusted_hosts.is_empty() {
            let careless = Connection {
                any_certificate: true,
                ..connection.clone()
            };
            self.careless = Some(careless.agent());
        }
        if access.authorities.is_some() || access.client_certificate.is_some() {
            self.agent = connection.agent();
        }
        self.access = access;
        Ok(self)
    }

    /// Whether there is something with which the client shows who it is to a URL's server.
    pub fn is_known(&self, url: &Url) -> bool {
        self.credentials.basic(url).is_some() || self.access.client_certificate.is_some()
    }

    /// Fetches a URL. Credentials come from the URL itself, else from netrc; they are never sent to another host.
    /// Transport faults, 429 and 5xx are tried again; any other status than 2xx is an error.
    pub fn get(&self, url: &Url) -> Result<Response, Error> {
        self.get_with(url, &[])
    }

    /// As [`Client::get`], with additional request headers.
    pub fn get_with(&self, url: &Url, headers: &[(&str, &str)]) -> Result<Response, Error> {
        if self.offline && !is_loopback(url) {
            return Err(Error::Offline { url: redacted(url) });
        }
        let mut failures = 0;
        loop {
            failures += 1;
            match self.follow(url, headers) {
                Err(error) if error.is_passing() && failures < TRIES => {
                    std::thread::sleep(wait(failures, error.retry_after(), url.as_str()));
                }
                result => return result,
            }
        }
    }

    fn follow(&self, url: &Url, headers: &[(&str, &str)]) -> Result<Response, Error> {
        let mut at = url.clone();
        for _ in 0..REDIRECTS {
            let response = self.once(&at, headers)?;
            match redirect(&at, response.status(), response.headers())? {
                Some(next) => at = next,
                None => return finish(&at, response),
            }
        }
        Err(Error::Redirects { url: redacted(url) })
    }

    fn once(&self, url: &Url, headers: &[(&str, &str)]) -> Result<http::Response<ureq::Body>, Error> {
        let mut bare = url.clone();
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        bare.set_fragment(None);
        let careless = self.careless.as_ref().filter(|_| self.access.trusts(url));
        let mut request = careless.unwrap_or(&self.agent).get(bare.as_str());
        if let Some(authorization) = self.credentials.basic(url) {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.call().map_err(|source| Error::Transport {
            url: redacted(url),
            source: Box::new(source),
        })
    }
}

fn finish(url: &Url, response: http::Response<ureq::Body>) -> Result<Response, Error> {
    let status = response.status().as_u16();
    let (parts, body) = response.into_parts();
    if !(200..300).contains(&status) {
        let text = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
        let retry_after = text("retry-after").and_then(|value| retry_after(value, text("date")));
        return Err(Error::Status {
            url: redacted(url),
            status,
            retry_after,
        });
    }
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(Response {
        url,
        headers: parts.headers,
        body: body.into_with_config().limit(u64::MAX).reader(),
    })
}

/// Whether a URL's host is this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl Response {
    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Content-Length` in bytes, if the server gave it.
    pub fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// The range that the body is of, and the size of the whole in bytes, if the server gave a range
    /// (RFC 9110 section 14.4, `Content-Range: bytes 0-499/1234`) and said both.
    pub fn content_range(&self) -> Option<(Range<u64>, u64)> {
        let (range, size) = self
            .header("content-range")?
            .strip_prefix("bytes ")?
            .split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last, size): (u64, u64, u64) = (
            first.trim().parse().ok()?,
            last.parse().ok()?,
            size.trim().parse().ok()?,
        );
        (first <= last && last < size).then(|| (first..last + 1, size))
    }

    /// The whole body; fails beyond `limit` bytes.
    pub fn read(self, limit: u64) -> Result<Vec<u8>, Error> {
        let url = self.url.to_string();
        let mut bytes = Vec::new();
        let body_error = |source| Error::Body {
            url: url.clone(),
            source,
        };
        self.body
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(body_error)?;
        if bytes.len() as u64 > limit {
            return Err(Error::TooLarge { url, limit });
        }
        Ok(bytes)
    }
}

impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.body.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc;

    /// A server on loopback that gives each connection the next of some answers and tells what was asked.
    fn serve(answers: Vec<String>) -> (Url, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}/a", listener.local_addr().unwrap().port())
            .parse()
            .unwrap();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while reader.read_line(&mut request).unwrap() > 2 {}
                let _ = sender.send(request);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        (url, receiver)
    }

    fn answer(status: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}")
    }

    fn client(offline: bool) -> Client {
        let environment = Environment::new([], "/".into(), std::time::SystemTime::UNIX_EPOCH);
        Client::new(&environment, offline)
    }

    #[test]
    fn a_passing_fault_is_tried_again_and_a_lasting_one_is_not() {
        let (url, _) = serve(vec![
            answer("503 busy", "retry-after: 0\r\n", ""),
            answer("200 OK", "", "hello"),
        ]);
        assert_eq!(client(false).get(&url).unwrap().read(10).unwrap(), b"hello");
        let (url, _) = serve(vec![answer("404 no", "", "")]);
        assert!(matches!(
            client(false).get(&url),
            Err(Error::Status { status: 404, .. })
        ));
    }

    #[test]
    fn credentials_stay_with_their_host() {
        let (there, asked_there) = serve(vec![answer("200 OK", "", "x")]);
        let (mut first, asked_first) =
            serve(vec![answer("302 Found", &format!("location: {there}\r\n"), "")]);
        first.set_username("me").unwrap();
        first.set_password(Some("s3cret")).unwrap();
        client(false).get(&first).unwrap().read(10).unwrap();
        assert!(
            asked_first
                .recv()
                .unwrap()
                .contains("authorization: Basic bWU6czNjcmV0")
        );
        assert!(!asked_there.recv().unwrap().contains("authorization"));
    }

    #[test]
    fn errors_do_not_show_passwords() {
        let (mut url, _) = serve(vec![answer("403 no", "", "")]);
        url.set_username("me").unwrap();
        url.set_password(Some("s3cret")).unwrap();
        let error = client(false).get(&url).err().unwrap().to_string();
        assert!(error.contains("****") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn offline_refuses_before_a_name_is_looked_up() {
        let url = "https://pypi.invalid/simple/".parse().unwrap();
        assert!(matches!(client(true).get(&url), Err(Error::Offline { .. })));
    }

    #[test]
    fn a_body_beyond_its_limit_is_refused() {
        let (url, _) = serve(vec![answer("200 OK", "", "0123456789")]);
        assert!(matches!(
            client(false).get(&url).unwrap().read(9),
            Err(Error::TooLarge { .. })
        ));
    }
}
