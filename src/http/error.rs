//! What can go wrong with a download.

use std::io;
use std::time::Duration;

use url::Url;

/// Why a URL could not be fetched. URLs in it carry no passwords.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The build is offline.
    #[error("offline: {url} was not fetched")]
    Offline {
        /// What was wanted.
        url: String,
    },
    /// No answer: name look-up, connection, TLS, protocol.
    #[error("could not reach {url}")]
    Transport {
        /// What was wanted.
        url: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server refused.
    #[error("{url} answered with status {status}")]
    Status {
        /// What was wanted.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// What `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
    /// The body broke off.
    #[error("reading {url} failed")]
    Body {
        /// What was wanted.
        url: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// More bytes than a thing of that kind can have.
    #[error("{url} is larger than {limit} bytes")]
    TooLarge {
        /// What was wanted.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A redirect loop.
    #[error("{url} redirects too often")]
    Redirects {
        /// What was wanted.
        url: String,
    },
    /// A redirect from https to http.
    #[error("{url} redirects to {to}, which is not encrypted")]
    Downgrade {
        /// What was wanted.
        url: String,
        /// Where it leads.
        to: String,
    },
}

impl Error {
    /// Whether another try may succeed.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Transport { source, .. } => match &**source {
                ureq::Error::BadUri(_) | ureq::Error::Rustls(_) => false,
                // A certificate that is not trusted.
                ureq::Error::Io(e) => e.kind() != io::ErrorKind::InvalidData,
                _ => true,
            },
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// How long the server asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Offline { .. } => Some("run once without --offline to fill the cache".to_owned()),
            Self::Status {
                status: 401 | 403, ..
            } => Some("give credentials in the URL or in ~/.netrc".to_owned()),
            _ => None,
        }
    }
}

/// A URL as it may be shown: the password is replaced by `****`.
pub fn redacted(url: &Url) -> String {
    if url.password().is_none() {
        return url.to_string();
    }
    let mut url = url.clone();
    let _ = url.set_password(Some("****"));
    url.to_string()
}
