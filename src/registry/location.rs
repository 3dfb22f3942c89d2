//! Where uploads go on: the `Location` of an answer, absolute or relative, its query kept.

use url::Url;

use super::Error;
use super::request::Answer;
use crate::digest::Digest;
use crate::http::is_loopback;

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
