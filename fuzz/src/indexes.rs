//! What servers answer: pages of package indexes, challenges of registries.

use pyoci::lock::simple;
use pyoci::registry::challenge::challenges;
use url::Url;

/// A page of a package index, as JSON and as HTML.
pub fn simple_index(data: &[u8]) {
    let page: Url = "https://index.example/simple/a/".parse().expect("a URL");
    for kind in ["text/html", "application/vnd.pypi.simple.v1+json"] {
        for file in simple::parse(data, kind, &page).into_iter().flatten() {
            assert!(
                !file.name.is_empty() && !file.name.contains(['/', '\\', '\0']),
                "{file:?}"
            );
            assert!(!file.name.starts_with('.'), "{file:?}");
        }
    }
}

/// The values of `WWW-Authenticate` headers, one a line.
pub fn challenge(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    challenges(text.lines());
    challenges([&*text].into_iter());
}
