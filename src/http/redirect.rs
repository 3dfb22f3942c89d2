//! Where a redirect leads, and where none may lead.

use ureq::http::{HeaderMap, StatusCode};
use url::Url;

use super::{Error, is_loopback, redacted};

/// How many redirects are followed; more are a loop.
pub const REDIRECTS: u32 = 10;

/// The URL that an answer from `at` leads to; `None` if it is no redirect. From https to http is refused, except to
/// this machine. Credentials in `at` go along to the same origin only.
pub fn redirect(at: &Url, status: StatusCode, headers: &HeaderMap) -> Result<Option<Url>, Error> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = headers.get("location").and_then(|l| l.to_str().ok());
    let next = location
        .and_then(|l| at.join(l).ok())
        .filter(|u| matches!(u.scheme(), "http" | "https"));
    let Some(mut next) = next else {
        return Ok(None);
    };
    if next.origin() == at.origin() && next.username().is_empty() {
        // Same server: it has already seen them.
        let _ = next.set_username(at.username());
        let _ = next.set_password(at.password());
    }
    if at.scheme() == "https" && next.scheme() == "http" && !is_loopback(&next) {
        return Err(Error::Downgrade {
            url: redacted(at),
            to: redacted(&next),
        });
    }
    Ok(Some(next))
}
