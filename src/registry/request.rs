//! Requests to registries, their answers, and how often they are tried.

use std::io::Read;
use std::time::Duration;

use ureq::http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::challenge::{Challenge, challenges};
use super::content::Content;
use super::error::{Error, is_passing, shown};
use super::scope::Scope;
use crate::http;

/// How often one request is sent before its failure is reported.
const TRIES: u32 = 5;
/// The bytes of an error's body that are read.
const WORDS_LIMIT: u64 = 64 * 1024;

/// What is sent.
pub(super) enum Body<'a> {
    /// Nothing: GET and HEAD.
    None,
    /// Bytes; none at all are sent as `Content-Length: 0`.
    Bytes(&'a [u8]),
    /// Some bytes of a blob.
    Content {
        /// The blob.
        content: &'a mut Content,
        /// The first byte.
        from: u64,
        /// How many bytes.
        length: u64,
    },
}

/// One request.
pub(super) struct Request<'a> {
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body<'a>,
    pub scope: &'a Scope,
    /// Whether the body is a credential: no redirect takes it to another server.
    pub confidential: bool,
}

impl<'a> Request<'a> {
    /// A request without a body.
    pub fn new(method: Method, url: Url, scope: &'a Scope) -> Self {
        let bodiless = matches!(method, Method::GET | Method::HEAD);
        Self {
            method,
            url,
            headers: Vec::new(),
            body: if bodiless { Body::None } else { Body::Bytes(b"") },
            scope,
            confidential: false,
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: Body<'a>) -> Self {
        self.body = body;
        self
    }

    /// Marks the body as a credential.
    pub fn confidential(mut self) -> Self {
        self.confidential = true;
        self
    }
}

/// Counts how often a request was sent.
pub(super) struct Tries {
    sent: u32,
}

impl Tries {
    pub fn new() -> Self {
        Self { sent: 0 }
    }

    /// The request is sent now.
    pub fn count(&mut self) {
        self.sent += 1;
    }

    /// Whether it may not be sent again.
    pub fn spent(&self) -> bool {
        self.sent >= TRIES
    }

    /// Whether it was sent at all.
    pub fn was_sent(&self) -> bool {
        self.sent > 0
    }

    /// As [`Tries::again`], for an upload that is begun anew: also where the registry has forgotten the old one.
    pub fn again_from_start(&self, error: Error, url: &Url) -> Result<(), Error> {
        match error {
            Error::Status {
                status: 404 | 416, ..
            } if !self.spent() => Ok(()),
            error => self.again(error, url),
        }
    }

    /// As [`Tries::again`], for an upload of which the registry knows where it stands: also where it found that a piece
    /// does not go on where the last one ended.
    pub fn again_from_status(&self, error: Error, url: &Url) -> Result<(), Error> {
        match error {
            Error::Status { status: 416, .. } | Error::Answer { .. } if !self.spent() => Ok(()),
            error => self.again(error, url),
        }
    }

    /// Waits until a request that failed may be sent again; the error if another try is of no use or too many.
    pub fn again(&self, error: Error, url: &Url) -> Result<(), Error> {
        if self.spent() || !error.is_passing() {
            return Err(error);
        }
        std::thread::sleep(http::wait(self.sent.max(1), error.retry_after(), url.as_str()));
        Ok(())
    }
}

/// What the registry answered.
pub(super) struct Answer {
    /// Where it came from, after redirects.
    pub url: Url,
    pub status: u16,
    headers: HeaderMap,
    body: ureq::BodyReader<'static>,
}

impl Answer {
    pub fn new(url: Url, response: ureq::http::Response<ureq::Body>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            url,
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.into_with_config().limit(u64::MAX).reader(),
        }
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether another try may get another status.
    pub fn is_passing(&self) -> bool {
        is_passing(self.status)
    }

    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How the registry wants to be asked.
    pub fn challenges(&self) -> Vec<Challenge> {
        let values = self.headers.get_all("www-authenticate").iter();
        challenges(values.filter_map(|v| v.to_str().ok()))
    }

    /// What `Retry-After` asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        http::retry_after(self.header("retry-after")?, self.header("date"))
    }

    /// What is wrong with the answer, as an error.
    pub fn malformed(&self, what: impl Into<String>) -> Error {
        Error::Answer {
            url: shown(&self.url),
            what: what.into(),
        }
    }

    /// A status that was not hoped for, with the registry's own words.
    pub fn refusal(self) -> Error {
        let retry_after = self.retry_after();
        let (url, status) = (shown(&self.url), self.status);
        Error::Status {
            url,
            status,
            words: self.words(),
            retry_after,
        }
    }

    /// What the registry says of the fault (distribution-spec, "Error Codes"), in one line.
    pub fn words(mut self) -> String {
        let mut bytes = Vec::new();
        if (&mut self.body)
            .take(WORDS_LIMIT)
            .read_to_end(&mut bytes)
            .is_err()
        {
            return String::new();
        }
        let Ok(document) = serde_json::from_slice::<serde_json::Value>(&bytes) else {
            return String::new();
        };
        let errors = document.get("errors").and_then(serde_json::Value::as_array);
        let text = |error: &serde_json::Value| {
            let field = |name| error.get(name).and_then(serde_json::Value::as_str);
            field("message").or(field("code")).map(str::to_owned)
        };
        let words: Vec<_> = errors.into_iter().flatten().filter_map(text).collect();
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        words.join(", ").chars().map(clean).take(300).collect()
    }

    /// The whole body; fails beyond `limit` bytes.
    pub fn read(mut self, limit: u64) -> Result<Vec<u8>, Error> {
        let url = shown(&self.url);
        let mut bytes = Vec::new();
        let read = (&mut self.body).take(limit + 1).read_to_end(&mut bytes);
        if let Err(source) = read {
            return Err(http::Error::Body { url, source }.into());
        }
        if bytes.len() as u64 > limit {
            return Err(http::Error::TooLarge { url, limit }.into());
        }
        Ok(bytes)
    }

    /// The body, piece by piece.
    pub fn into_body(self) -> ureq::BodyReader<'static> {
        self.body
    }
}

/// The parts of an answer that decide where a request goes next.
pub(super) fn next(
    at: &Url,
    response: &ureq::http::Response<ureq::Body>,
    method: &Method,
) -> Result<Option<Url>, Error> {
    let status = response.status();
    let bodiless = matches!(*method, Method::GET | Method::HEAD);
    // > 307, 308: the user agent MUST NOT change the request method (RFC 9110 section 15.4.8); the others may, so that
    // they say nothing about where a body should go.
    let follows = bodiless
        || matches!(
            status,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        );
    if !follows {
        return Ok(None);
    }
    http::redirect(at, status, response.headers()).map_err(|error| match error {
        http::Error::Downgrade { url, to } => Error::Http(http::Error::Downgrade {
            url: without_query(url),
            to: without_query(to),
        }),
        http::Error::Inside { url, to } => Error::Http(http::Error::Inside {
            url: without_query(url),
            to: without_query(to),
        }),
        error => error.into(),
    })
}

/// Where a redirect leads may be signed.
fn without_query(url: String) -> String {
    match url.split_once('?') {
        Some((bare, _)) => bare.to_owned(),
        None => url,
    }
}
