//! Debian's snapshot service, which keeps every file that was ever on a mirror: packages that mirrors no longer have.
//!
//! Spec: <https://salsa.debian.org/snapshot-team/snapshot/raw/master/API>. It names files by SHA-1, which is used for
//! finding them only: what comes is verified by the SHA-256 of the list.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use super::list::ListedPackage;
use super::{Archives, Error};
use crate::http;

/// The service that is asked unless another is set.
pub const DEFAULT_SNAPSHOT: &str = "https://snapshot.debian.org";
/// No answer about one version of a package is near it: some hundred bytes for each architecture.
const LARGEST: u64 = 1 << 20;

/// `/mr/binary/<binary>/<version>/binfiles?fileinfo=1`
#[derive(Deserialize)]
struct Files {
    fileinfo: BTreeMap<String, Vec<File>>,
}

#[derive(Deserialize)]
struct File {
    name: String,
    size: u64,
}

impl Archives<'_> {
    /// The verified `.deb` of a package that its mirror no longer has.
    pub(super) fn snapshot_file(&self, package: &ListedPackage) -> Result<PathBuf, Error> {
        let what = format!("package {} {}", package.name, package.version);
        let gone = |source| Error::Gone {
            what: what.clone(),
            source,
        };
        let service = self.mirrors.snapshot.as_ref();
        let unknown = || Error::Unknown {
            what: what.clone(),
            url: service.map_or(DEFAULT_SNAPSHOT.to_owned(), http::redacted),
        };
        let Some(service) = service.cloned().or(DEFAULT_SNAPSHOT.parse().ok()) else {
            return Err(unknown());
        };
        let mut question = below(
            &service,
            &["mr", "binary", &package.name, &package.version, "binfiles"],
        );
        question.set_query(Some("fileinfo=1"));
        let answer = match self.http.get(&question).and_then(|r| r.read(LARGEST)) {
            Ok(answer) => answer,
            Err(http::Error::Status { status: 404, .. }) => return Err(unknown()),
            Err(source) => return Err(gone(source)),
        };
        let files: Files = serde_json::from_slice(&answer).map_err(|_| unknown())?;
        let mut fault = unknown();
        for hash in named(&files, package) {
            let file = below(&service, &["file", hash]);
            match self.keep_from(&what, &file, (&package.sha256, package.size)) {
                Ok(path) => {
                    let place = service.host_str().unwrap_or_default();
                    self.progress
                        .detail(format!("{what} has left its mirror: taken from {place}"));
                    return Ok(path);
                }
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }
}

/// The hashes of the files that are named like the package's and have its size.
fn named<'a>(files: &'a Files, package: &ListedPackage) -> Vec<&'a str> {
    let own = package.filename.rsplit('/').next().unwrap_or_default();
    let is_own = |file: &File| file.name == own && file.size == package.size;
    files
        .fileinfo
        .iter()
        .filter(|(_, files)| files.iter().any(is_own))
        .map(|(hash, _)| hash.as_str())
        .collect()
}

fn below(service: &Url, path: &[&str]) -> Url {
    let mut url = service.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}
