//! What goes wrong, and with which requests.

use super::wire::{Request, Response};

/// What happens to a request or its answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Another answer, and nothing is done.
    Answer(Response),
    /// The connection breaks when so many bytes of the body have been read.
    ResetAfter(usize),
    /// The connection ends when the whole request has been read; it was done or not.
    Lost {
        /// Whether it was done.
        done: bool,
    },
    /// The right answer, of whose body so many percent are sent.
    Truncated(usize),
    /// The right answer with a header that has another value, or none.
    Header(&'static str, Option<String>),
    /// The right answer, one byte of the body being another.
    Flipped,
    /// The whole, whatever range was asked for.
    RangeIgnored,
    /// The right answer with another `Content-Length`, after which the connection ends.
    Length(i64),
}

/// Which of the requests of a rule.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// This one, counted from 1.
    Nth(u32),
    /// The first so many.
    First(u32),
    /// All.
    Always,
}

/// Requests, and what happens to them.
pub struct Rule {
    method: &'static str,
    path: String,
    when: When,
    fault: Fault,
    met: u32,
}

impl Rule {
    pub fn new(method: &'static str, path: &str, when: When, fault: Fault) -> Self {
        Self {
            method,
            path: path.to_owned(),
            when,
            fault,
            met: 0,
        }
    }

    /// The fault, if it is this request's turn. Methods are equal; paths hold the rule's path, or are it if that begins
    /// with `=`.
    pub fn meets(&mut self, request: &Request) -> Option<Fault> {
        let here = match self.path.strip_prefix('=') {
            Some(path) => request.path == path,
            None => request.target().contains(&self.path),
        };
        if request.method != self.method || !here {
            return None;
        }
        self.met += 1;
        let turn = match self.when {
            When::Nth(n) => self.met == n,
            When::First(n) => self.met <= n,
            When::Always => true,
        };
        turn.then(|| self.fault.clone())
    }
}

impl Fault {
    /// The answer that stands for the right one.
    pub fn instead(&self) -> Option<Response> {
        match self {
            Self::Answer(response) => Some(response.clone()),
            Self::Lost { done: false } => Some(Response::new(500)),
            _ => None,
        }
    }

    /// Spoils the right answer.
    pub fn change(&self, response: &mut Response) {
        match self {
            Self::Truncated(percent) => response.sent = Some(response.body.len() * percent / 100),
            Self::Header(name, value) => {
                response.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
                let header = value.iter().map(|value| ((*name).to_owned(), value.clone()));
                response.headers.extend(header);
            }
            Self::Flipped => {
                let middle = response.body.len() / 2;
                response.body[middle] ^= 1;
            }
            Self::Length(by) => {
                response.length = (response.body.len() as u64).checked_add_signed(*by);
                response.sent = Some(response.body.len());
            }
            Self::Answer(_) | Self::ResetAfter(_) | Self::Lost { .. } | Self::RangeIgnored => {}
        }
    }
}
