//! The Simple repository API: which files an index has of a project, in JSON (PEP 691) or HTML (PEP 503).
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/simple-repository-api/>.

use std::collections::BTreeMap;

use html5gum::{StartTag, Token, Tokenizer};
use serde::Deserialize;
use url::Url;

use crate::digest::{Algorithm, Digest};
use crate::python::Specifiers;

/// What is asked for: JSON where the index has it.
pub(super) const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, \
    application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";
/// No page is larger; that of the project with the most files on PyPI is a fifth of it.
pub(super) const LARGEST: u64 = 64 << 20;

/// A file of a project, as an index lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, without any `/`.
    pub name: String,
    /// Where it is.
    pub url: Url,
    /// The hashes that count.
    pub hashes: Vec<Digest>,
    /// In bytes (PEP 700).
    pub size: Option<u64>,
    /// The Python versions that it is for.
    pub requires_python: Option<Specifiers>,
    /// Whether its authors took it back (PEP 592).
    pub is_yanked: bool,
}

/// What is wrong with a page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// It is of a type that is none of the three.
    #[error("it answers with `{0}`, which is no page of a package index")]
    Type(String),
    /// A newer major version of the API.
    #[error("it speaks version {0} of the API, and only 1 is known")]
    Version(String),
    /// Not the JSON that the specification demands.
    #[error("its answer is malformed: {0}")]
    Json(String),
}

/// Reads a page by its content type; `page` is where it came from, after redirects.
pub fn parse(bytes: &[u8], content_type: &str, page: &Url) -> Result<Vec<File>, PageError> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    match kind.to_ascii_lowercase().as_str() {
        "application/vnd.pypi.simple.v1+json" | "application/json" => parse_json(bytes, page),
        // An index that says nothing is a directory on a plain server.
        "application/vnd.pypi.simple.v1+html" | "text/html" | "" => parse_html(bytes, page),
        _ => Err(PageError::Type(content_type.to_owned())),
    }
}

#[derive(Deserialize)]
struct RawPage {
    meta: RawMeta,
    files: Vec<RawFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawMeta {
    api_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawFile {
    filename: String,
    url: String,
    hashes: BTreeMap<String, String>,
    size: Option<u64>,
    requires_python: Option<String>,
    #[serde(default)]
    yanked: serde_json::Value,
}

fn parse_json(bytes: &[u8], page: &Url) -> Result<Vec<File>, PageError> {
    let raw: RawPage = serde_json::from_slice(bytes).map_err(|e| PageError::Json(e.to_string()))?;
    check_version(&raw.meta.api_version)?;
    let files = raw.files.into_iter().filter_map(|file| {
        Some(File {
            // > Consumers MUST handle relative URLs.
            url: page.join(&file.url).ok()?,
            hashes: hashes(
                file.hashes
                    .iter()
                    .map(|(name, hex)| (name.as_str(), hex.as_str())),
            ),
            size: file.size,
            // > If this value is not a valid specifier, it is ignored.
            requires_python: file.requires_python.and_then(|text| text.parse().ok()),
            // > either a boolean, or a string that says why: an empty one is yanked too.
            is_yanked: !matches!(
                file.yanked,
                serde_json::Value::Null | serde_json::Value::Bool(false)
            ),
            name: plain(file.filename)?,
        })
    });
    Ok(files.collect())
}

/// > if the major version is greater than supported, clients MUST fail with an appropriate error message
fn check_version(version: &str) -> Result<(), PageError> {
    if version.split('.').next() == Some("1") {
        Ok(())
    } else {
        Err(PageError::Version(version.to_owned()))
    }
}

fn parse_html(bytes: &[u8], page: &Url) -> Result<Vec<File>, PageError> {
    let mut base = page.clone();
    let mut files = Vec::new();
    for token in Tokenizer::new(bytes) {
        let Ok(Token::StartTag(tag)) = token else { continue };
        match tag.name.as_slice() {
            b"base" => {
                if let Some(url) = attribute(&tag, "href").and_then(|href| page.join(&href).ok()) {
                    base = url;
                }
            }
            b"meta" if attribute(&tag, "name").as_deref() == Some("pypi:repository-version") => {
                check_version(&attribute(&tag, "content").unwrap_or_default())?;
            }
            b"a" => files.extend(link(&tag, &base)),
            _ => {}
        }
    }
    Ok(files)
}

/// The file that an anchor links to.
fn link(tag: &StartTag<()>, base: &Url) -> Option<File> {
    let mut url = base.join(attribute(tag, "href")?.trim()).ok()?;
    let last = url.path_segments()?.next_back()?;
    let name = percent_encoding::percent_decode_str(last).decode_utf8().ok()?;
    let name = plain(name.into_owned())?;
    // > The URL SHOULD include a hash in the form of a URL fragment: `#<hashname>=<hashvalue>`
    let hashes = hashes(
        url.fragment()
            .unwrap_or_default()
            .split('&')
            .filter_map(|p| p.split_once('=')),
    );
    url.set_fragment(None);
    Some(File {
        name,
        url,
        hashes,
        size: None,
        requires_python: attribute(tag, "data-requires-python").and_then(|text| text.parse().ok()),
        is_yanked: attribute(tag, "data-yanked").is_some(),
    })
}

fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    let value = tag.attributes.get(name.as_bytes())?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// A name that can be one of a file.
fn plain(name: String) -> Option<String> {
    let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    is_plain.then_some(name)
}

fn hashes<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Digest> {
    pairs
        .filter_map(|(name, hex)| {
            let algorithm: Algorithm = name.parse().ok()?;
            Digest::new(algorithm, &hex.to_ascii_lowercase()).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn page() -> Url {
        "https://index.example/simple/a/".parse().unwrap()
    }

    fn html(text: &str) -> Vec<File> {
        parse(text.as_bytes(), "text/html; charset=utf-8", &page()).unwrap()
    }

    #[test]
    fn a_page_in_json_gives_names_places_hashes_and_sizes() {
        let text = format!(
            r#"{{"meta": {{"api-version": "1.4", "x": 1}}, "name": "a", "versions": ["1"], "files": [
            {{"filename": "a-1.tar.gz", "url": "../../files/a-1.tar.gz", "hashes": {{"md5": "00", "sha256": "{HEX}"}},
              "requires-python": ">=3.8", "size": 12, "yanked": ""}},
            {{"filename": "a/../b", "url": "b", "hashes": {{}}}},
            {{"filename": "a-2.tar.gz", "url": "https://h/a-2.tar.gz", "hashes": {{}}, "yanked": false, "requires-python": "x"}}
            ]}}"#
        );
        let files = parse(text.as_bytes(), "application/vnd.pypi.simple.v1+json", &page()).unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].url.as_str(), "https://index.example/files/a-1.tar.gz");
        assert_eq!(files[0].hashes, [format!("sha256:{HEX}").parse().unwrap()]);
        assert_eq!((files[0].size, files[0].is_yanked), (Some(12), true));
        assert!(files[0].requires_python.is_some());
        assert_eq!((files[1].is_yanked, &files[1].requires_python), (false, &None));
    }

    #[test]
    fn a_page_in_html_is_read_by_the_rules_of_html() {
        let files = html(&format!(
            "<!DOCTYPE html><title>a</title><!-- <a href='no-1.tar.gz'>no</a> -->\n\
             <A data-yanked data-requires-python=\"&gt;=3.8, &lt;4\"\n  HREF='a-1.0%2Bcpu-py3-none-any.whl#sha256={}'>x</A>\
             <a class=x href=/other/a-1.tar.gz?x=1#egg=a>y</a><a name=here>z</a><a href=..>up</a>",
            HEX.to_uppercase()
        ));
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].name, "a-1.0+cpu-py3-none-any.whl");
        assert_eq!(files[0].hashes, [format!("sha256:{HEX}").parse().unwrap()]);
        assert_eq!(files[0].requires_python.as_ref().unwrap().clauses().len(), 2);
        assert!(files[0].is_yanked && !files[1].is_yanked);
        assert_eq!(
            files[1].url.as_str(),
            "https://index.example/other/a-1.tar.gz?x=1"
        );
    }

    #[test]
    fn links_start_at_the_base_of_the_page() {
        let files = html("<base href='https://files.example/x/'><a href='a-1.tar.gz'>a</a>");
        assert_eq!(files[0].url.as_str(), "https://files.example/x/a-1.tar.gz");
    }

    #[test]
    fn what_is_no_page_of_an_index_is_refused() {
        let read = |text: &str, kind| parse(text.as_bytes(), kind, &page()).unwrap_err();
        assert!(matches!(read("%PDF", "application/pdf"), PageError::Type(_)));
        assert!(matches!(read("<html>", "application/json"), PageError::Json(_)));
        let newer = r#"{"meta": {"api-version": "2.0"}, "files": []}"#;
        assert!(matches!(read(newer, "application/json"), PageError::Version(_)));
        let newer = "<meta name='pypi:repository-version' content='2.0'>";
        assert!(matches!(read(newer, "text/html"), PageError::Version(_)));
    }

    proptest! {
        #[test]
        fn any_page_is_read_or_refused(text in "(<|a|base|href|=|'|\"|>|&|#|sha256|/|\\PC){0,40}") {
            for kind in ["text/html", "application/json"] {
                let _ = parse(text.as_bytes(), kind, &page());
            }
        }
    }
}
