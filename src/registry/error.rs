//! What can go wrong with a registry. No error holds a secret: URLs are shown without credentials and queries.

use std::io;
use std::path::PathBuf;

use url::Url;

use crate::digest::Digest;
use crate::http;

/// Why a registry did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command is offline.
    #[error("offline: registry {registry} was not asked")]
    Offline {
        /// The registry.
        registry: String,
    },
    /// The name of the registry is no host.
    #[error("`{0}` is not the name of a registry")]
    Name(String),
    /// The host's name is not known.
    #[error("there is no host `{host}`")]
    Host {
        /// The host.
        host: String,
    },
    /// No answer, too many redirects, a redirect that is not encrypted, a body that broke off.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The registry wants credentials, or others.
    #[error("{registry} does not let you {action} {repository}{}", said(.words))]
    Denied {
        /// The registry.
        registry: String,
        /// `pull` or `push to`.
        action: &'static str,
        /// The repository.
        repository: String,
        /// What the registry says.
        words: String,
    },
    /// Credentials that were tried are wrong.
    #[error("{registry} does not take this user name and password{}", said(.words))]
    Credentials {
        /// The registry.
        registry: String,
        /// What the registry says.
        words: String,
    },
    /// There is no such manifest.
    #[error("{reference} does not exist{}", said(.words))]
    NotFound {
        /// What was asked for.
        reference: String,
        /// What the registry says.
        words: String,
    },
    /// A status that means failure.
    #[error("{url} answered with status {status}{}", said(.words))]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// What the registry says.
        words: String,
        /// What `Retry-After` asks for.
        retry_after: Option<std::time::Duration>,
    },
    /// An answer that the distribution spec does not allow.
    #[error("{url} gave an answer that makes no sense: {what}")]
    Answer {
        /// What was asked.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// Something else than what was asked for.
    #[error("{place} has digest {actual}, not {expected}")]
    Digest {
        /// What was asked.
        place: String,
        /// What it should be.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// A manifest of before 2016.
    #[error(
        "{reference} is a manifest of Docker's schema 1, which has no verifiable layers and is not supported"
    )]
    Schema1 {
        /// What was asked for.
        reference: String,
    },
    /// A manifest that is not JSON, or of no known type.
    #[error("{reference} is no image manifest or index: {what}")]
    Manifest {
        /// What was asked for.
        reference: String,
        /// What is wrong.
        what: String,
    },
    /// The registry asks that tokens be fetched where credentials must not be sent.
    #[error("{registry} wants the credentials to be sent to {realm}, which is not encrypted")]
    Realm {
        /// The registry.
        registry: String,
        /// Where tokens are.
        realm: String,
    },
    /// The registry asks that tokens be fetched where no server outside has any business.
    #[error(
        "{registry} wants tokens to be fetched at {realm}, which is an address of this machine or its network"
    )]
    InsideRealm {
        /// The registry.
        registry: String,
        /// Where tokens are said to be.
        realm: String,
    },
    /// A token could not be had.
    #[error("no token could be had from {realm}: {what}")]
    Token {
        /// Where tokens are.
        realm: String,
        /// Why not.
        what: String,
    },
    /// A file with credentials cannot be used.
    #[error("cannot use the credentials in {path}", path = .path.display())]
    AuthFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program that keeps credentials failed.
    #[error("docker-credential-{name} failed: {what}")]
    Helper {
        /// What the auth file calls it.
        name: String,
        /// Why.
        what: String,
    },
    /// `registries.conf` or a certificate cannot be read.
    #[error("cannot read {path}: {what}", path = .path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// What is to be sent cannot be read, or is not what it should be.
    #[error("blob {digest} cannot be read")]
    Content {
        /// The blob.
        digest: Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn said(words: &str) -> String {
    if words.is_empty() {
        String::new()
    } else {
        format!(": {words}")
    }
}

impl Error {
    /// Whether another try may succeed.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            // Nobody listens: that will not change in a second.
            Self::Http(e @ http::Error::Transport { .. }) => !self.is_refused_connection() && e.is_passing(),
            Self::Http(http::Error::Body { .. }) => true,
            Self::Status { status, .. } => is_passing(*status),
            _ => false,
        }
    }

    /// Whether nobody listens there.
    pub(super) fn is_refused_connection(&self) -> bool {
        let Self::Http(http::Error::Transport { source, .. }) = self else {
            return false;
        };
        matches!(&**source, ureq::Error::Io(e) if e.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// Whether a certificate was not to the liking of one side.
    pub(super) fn is_certificate_fault(&self) -> bool {
        let Self::Http(http::Error::Transport { source, .. }) = self else {
            return false;
        };
        // rustls says it in words only: "invalid peer certificate: UnknownIssuer", "fatal alert: CertificateRequired".
        match &**source {
            ureq::Error::Io(e) if e.kind() == io::ErrorKind::InvalidData => {
                e.to_string().to_ascii_lowercase().contains("certificate")
            }
            ureq::Error::Rustls(e) => e.to_string().to_ascii_lowercase().contains("certificate"),
            _ => false,
        }
    }

    /// How long the registry asked to wait.
    pub(super) fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Denied { registry, .. } | Self::Credentials { registry, .. } => {
                Some(format!("pyoci login {registry}"))
            }
            Self::Http(http::Error::Transport { source, .. })
                if source.to_string().contains("InvalidContentType") =>
            {
                Some("it does not speak TLS: pass --insecure if you trust the network between".to_owned())
            }
            _ if self.is_certificate_fault() => Some(
                "trust its certificate authority with SSL_CERT_FILE or a file in ~/.config/containers/certs.d/HOST:PORT/, \
                 or pass --insecure"
                    .to_owned(),
            ),
            Self::Http(http::Error::Offline { .. }) | Self::Offline { .. } => {
                Some("run once without --offline to fill the cache".to_owned())
            }
            Self::NotFound { .. } => Some("check the name and the tag".to_owned()),
            Self::Host { .. } => Some("check the name of the registry, and that this machine is online".to_owned()),
            Self::Realm { .. } => Some("pull without credentials, or ask who runs the registry to use https".to_owned()),
            Self::Schema1 { .. } => {
                Some("copy it with `skopeo copy --format oci`, which converts it, and use the copy".to_owned())
            }
            Self::Helper { name, .. } => Some(format!(
                "install docker-credential-{name}, or remove it from the file with the credentials"
            )),
            Self::Status { status: 429, .. } => {
                Some("the registry limits how often it is asked: wait, or log in with `pyoci login`".to_owned())
            }
            _ => None,
        }
    }
}

/// Statuses that may be others the next time (RFC 9110 section 15.5.9 and 15.6, RFC 6585).
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// A URL as it may be shown. Queries hold signatures and the state of uploads.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}
