//! Progress: what a build tells its user while it runs, and how long its steps take. The cli layer decides how it looks.

use std::borrow::Cow;
use std::sync::Arc;

use crate::timings::Timings;

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A step has ended: one line, e.g. `Resolved` `12 packages with uv 0.13.9`.
    Done {
        /// A verb in the past tense.
        what: String,
        /// The rest of the line.
        detail: String,
    },
    /// A decision and its reason, shown always, e.g. `start` `python3 -m app: the only entry point`.
    Choice {
        /// What was decided.
        what: String,
        /// What was chosen, and why.
        detail: String,
    },
    /// Something the user should look at.
    Warning(String),
    /// Shown only with `-v`.
    Detail(String),
    /// Bytes of a running transfer: `total` is 0 where it is not known.
    Transfer {
        /// What is transferred; the same text for all events of one transfer.
        what: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
}

impl Event {
    /// The event with another text in the place of each of its texts.
    #[must_use]
    pub fn map(self, text: impl Fn(String) -> String) -> Self {
        match self {
            Self::Done { what, detail } => Self::Done {
                what,
                detail: text(detail),
            },
            Self::Choice { what, detail } => Self::Choice {
                what,
                detail: text(detail),
            },
            Self::Warning(message) => Self::Warning(text(message)),
            Self::Detail(message) => Self::Detail(text(message)),
            Self::Transfer { what, done, total } => Self::Transfer {
                what: text(what),
                done,
                total,
            },
        }
    }
}

/// Takes events from any thread and passes them to whoever shows them.
#[derive(Clone)]
pub struct Progress {
    show: Arc<dyn Fn(Event) + Send + Sync>,
    timings: Timings,
}

impl Progress {
    /// Progress that calls a function for every event.
    pub fn new(show: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self {
            show: Arc::new(show),
            timings: Timings::default(),
        }
    }

    /// How long the steps take; the clock started with the progress.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Progress that nobody sees.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// The same without what is decided and done: for commands whose output says it.
    #[must_use]
    pub fn without_steps(&self) -> Self {
        let inner = Arc::clone(&self.show);
        let show = move |event| {
            if !matches!(event, Event::Done { .. } | Event::Choice { .. }) {
                inner(event);
            }
        };
        Self {
            show: Arc::new(show),
            timings: self.timings.clone(),
        }
    }

    /// A finished step.
    pub fn done(&self, what: &str, detail: impl Into<String>) {
        (self.show)(Event::Done {
            what: what.to_owned(),
            detail: detail.into(),
        });
    }

    /// A decision and its reason.
    pub fn choice(&self, what: &str, detail: impl Into<String>) {
        (self.show)(Event::Choice {
            what: what.to_owned(),
            detail: detail.into(),
        });
    }

    /// A warning.
    pub fn warn(&self, message: impl Into<String>) {
        (self.show)(Event::Warning(message.into()));
    }

    /// A detail for `-v`.
    pub fn detail(&self, message: impl Into<String>) {
        (self.show)(Event::Detail(message.into()));
    }

    /// The state of a transfer.
    pub fn transfer(&self, what: &str, done: u64, total: u64) {
        (self.show)(Event::Transfer {
            what: what.to_owned(),
            done,
            total,
        });
    }
}

/// A text as a terminal may be given it: what others wrote (names of files, words of servers) moves no cursor and sets no
/// title there. Line ends and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_order = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(is_order) {
        return Cow::Borrowed(text);
    }
    let parts = text.chars().map(|c| {
        if is_order(c) {
            c.escape_debug().to_string()
        } else {
            c.to_string()
        }
    });
    Cow::Owned(parts.collect())
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_gives_a_terminal_no_orders() {
        assert!(matches!(printable("a\tb\nü"), Cow::Borrowed(_)));
        let text = printable("x\u{1b}]0;title\u{7}\r\u{9b}2J");
        assert_eq!(text, "x\\u{1b}]0;title\\u{7}\\r\\u{9b}2J");
    }
}
