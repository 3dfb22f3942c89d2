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
    #[error("{url} {}", answer(*status))]
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
    /// A file of certificates cannot be used.
    #[error("the certificates in {path} cannot be used: {problem}", path = .path.display())]
    Certificate {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        problem: String,
    },
    /// A redirect loop.
    #[error("{url} redirects too often")]
    Redirects {
        /// What was wanted.
        url: String,
    },
    /// A redirect from a server outside to an address of this machine or its network.
    #[error("{url} redirects to {to}, which is an address of this machine or its network")]
    Inside {
        /// What was wanted.
        url: String,
        /// Where it leads.
        to: String,
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
            } => Some(CREDENTIALS_HINT.to_owned()),
            Self::Transport { source, .. } if is_certificate(source) => Some(
                "name the file of its authority with SSL_CERT_FILE or PIP_CERT; --trusted-host takes any certificate".to_owned(),
            ),
            _ => None,
        }
    }
}

/// What to do where a server refuses.
pub const CREDENTIALS_HINT: &str =
    "check the credentials: those in the URL, UV_INDEX_<NAME>_USERNAME and _PASSWORD, or ~/.netrc";

/// What a status says of a server, after its name.
pub fn answer(status: u16) -> String {
    match status {
        401 => "refused the credentials, or wants some (status 401)".to_owned(),
        403 => "refused access, with the credentials that it got if any (status 403)".to_owned(),
        _ => format!("answered with status {status}"),
    }
}

fn is_certificate(error: &ureq::Error) -> bool {
    let text = error.to_string().to_ascii_lowercase();
    matches!(error, ureq::Error::Rustls(_) | ureq::Error::Io(_)) && text.contains("certificate")
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
