//! Where a redirect leads, and where none may lead.

use ureq::http::{HeaderMap, StatusCode};
use url::Url;

use super::{Error, is_loopback, leads_inside, redacted};

/// How many redirects are followed; more are a loop.
pub const REDIRECTS: u32 = 10;

/// The URL that an answer from `at` leads to; `None` if it is no redirect. From https to http is refused, except to
/// this machine; so is an address of this machine or its network for servers that are outside. Credentials in `at` go along to the same origin only.
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
    if leads_inside(at, &next) {
        return Err(Error::Inside {
            url: redacted(at),
            to: redacted(&next),
        });
    }
    Ok(Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(from: &str, to: &str) -> Result<Option<Url>, Error> {
        let mut headers = HeaderMap::new();
        headers.insert("location", to.parse().unwrap());
        redirect(&from.parse().unwrap(), StatusCode::TEMPORARY_REDIRECT, &headers)
    }

    #[test]
    fn no_redirect_leads_from_outside_to_inside_or_out_of_encryption() {
        let from = "https://me:s3cret@203.0.113.5/a";
        for to in [
            "http://127.0.0.1:8080/admin",
            "https://169.254.169.254/latest/",
            "//10.0.0.1/x",
        ] {
            let error = follow(from, to).unwrap_err();
            assert!(matches!(error, Error::Inside { .. }), "{to}: {error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
        assert!(matches!(
            follow(from, "http://198.51.100.7/"),
            Err(Error::Downgrade { .. })
        ));
        let next = follow(from, "https://198.51.100.7/b").unwrap().unwrap();
        assert_eq!(next.as_str(), "https://198.51.100.7/b", "no credentials");
        assert_eq!(follow(from, "file:///etc/passwd").unwrap(), None);
    }
}
