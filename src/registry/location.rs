//! Where uploads go on: the `Location` of an answer, absolute or relative, its query kept.

use url::Url;

use super::Error;
use super::request::Answer;
use crate::digest::Digest;
use crate::http::{is_loopback, leads_inside};

/// > The <location> URL MAY be absolute … or relative. … the client SHOULD NOT assume any particular format.
///
/// That is distribution-spec, "Pushing a blob monolithically".
pub(super) fn location(answer: &Answer) -> Result<Url, Error> {
    let text = answer
        .header("location")
        .ok_or_else(|| answer.malformed("it does not say where the upload goes on"))?;
    let url = answer.url.join(text).ok();
    let mut url = url
        .filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host())
        .ok_or_else(|| answer.malformed("the place where the upload goes on is no URL"))?;
    if answer.url.scheme() == "https" && url.scheme() == "http" && !is_loopback(&url) {
        return Err(answer.malformed("the upload would go on without encryption"));
    }
    if leads_inside(&answer.url, &url) {
        let what = "the upload would go on at an address of this machine or its network";
        return Err(answer.malformed(what));
    }
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    Ok(url)
}

/// The URL that ends an upload. What the query holds is left as it is spelled: it may be signed.
pub(super) fn with_digest(location: &Url, digest: &Digest) -> Url {
    let mut url = location.clone();
    let query = match location.query() {
        Some(query) if !query.is_empty() => format!("{query}&digest={digest}"),
        _ => format!("digest={digest}"),
    };
    url.set_query(Some(&query));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(from: &str, to: &str) -> Result<Url, Error> {
        let response = ureq::http::Response::builder().header("location", to);
        let response = response.body(ureq::Body::builder().data("")).unwrap();
        location(&Answer::new(from.parse().unwrap(), response))
    }

    #[test]
    fn an_upload_goes_on_elsewhere_but_neither_inside_nor_in_the_clear() {
        let from = "https://203.0.113.5/v2/a/blobs/uploads/";
        for (to, reason) in [
            ("https://127.0.0.1/u", "an address of this machine or its network"),
            (
                "http://localhost:5000/u",
                "an address of this machine or its network",
            ),
            (
                "https://169.254.169.254/u",
                "an address of this machine or its network",
            ),
            ("http://198.51.100.7/u", "without encryption"),
            ("file:///etc/passwd", "is no URL"),
            ("gopher://198.51.100.7/", "is no URL"),
        ] {
            let error = leads(from, to).unwrap_err().to_string();
            assert!(error.contains(reason), "{to}: {error}");
        }
        let elsewhere = leads(from, "https://me:s3cret@198.51.100.7/bucket?signed=1#x").unwrap();
        assert_eq!(elsewhere.as_str(), "https://198.51.100.7/bucket?signed=1");
        assert_eq!(
            leads("http://127.0.0.1:5000/v2/", "/u").unwrap().as_str(),
            "http://127.0.0.1:5000/u"
        );
    }

    #[test]
    fn the_query_is_kept_as_it_is() {
        let digest = Digest::of(b"");
        for (location, expected) in [
            ("http://r/u", "http://r/u?digest="),
            ("http://r/u?", "http://r/u?digest="),
            (
                "http://r/u?_state=a%2Fb+c==&x",
                "http://r/u?_state=a%2Fb+c==&x&digest=",
            ),
        ] {
            let url = with_digest(&location.parse().unwrap(), &digest);
            assert_eq!(url.as_str(), format!("{expected}{digest}"));
        }
    }
}
