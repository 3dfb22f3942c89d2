//! What the locks of poetry, pdm and pipenv have in common: files known by name and hash, repositories, one answer for
//! one target.

use std::path::Path;

use pep440_rs::Version;
use url::Url;

use super::text::Text;
use super::{Artifact, Content, Error, Listed, Location, Vcs, pylock};
use crate::digest::{Algorithm, Digest};
use crate::python::{PackageName, SdistFilename, WheelFilename};

/// A file as a lock lists it.
pub(super) struct Named {
    /// Its name.
    pub name: String,
    /// Where it is, if the lock says so.
    pub url: Option<Url>,
    /// The strong hashes.
    pub hashes: Vec<Digest>,
}

/// The wheels and the source distribution of one version among files, which may be those of several versions and of
/// kinds that nothing installs any more.
pub(super) fn files(package: &PackageName, version: &Version, indexes: &[Url], files: Vec<Named>) -> Content {
    let (mut wheels, mut sdists) = (Vec::new(), Vec::new());
    for file in files {
        let of_version = |own: &Version| own == version;
        let location = match file.url {
            Some(url) => Location::Url(url),
            None => Location::Index(Listed {
                package: package.clone(),
                indexes: indexes.to_vec(),
            }),
        };
        let artifact = Artifact {
            name: file.name,
            location,
            size: None,
            upload_time: None,
            hashes: file.hashes,
        };
        if let Ok(wheel) = artifact.name.parse::<WheelFilename>() {
            if of_version(&wheel.version) && wheel.name == *package {
                wheels.push(artifact);
            }
        } else if SdistFilename::parse(&artifact.name, package).is_ok_and(|s| of_version(&s.version)) {
            sdists.push(artifact);
        }
    }
    wheels.sort_by(|a, b| a.name.cmp(&b.name));
    // > `.tar.gz` is what an sdist is; others are from before that was said.
    sdists.sort_by_key(|sdist| !sdist.name.ends_with(".tar.gz"));
    let sdist = sdists.into_iter().next();
    Content::Files { wheels, sdist }
}

/// A hash as `sha256:…`; `None` for an algorithm that proves nothing.
pub(super) fn strong(hash: &str) -> Option<Digest> {
    let (algorithm, hex) = hash.split_once(':').unwrap_or(("sha256", hash));
    let algorithm: Algorithm = algorithm.parse().ok()?;
    Digest::new(algorithm, &hex.to_ascii_lowercase()).ok()
}

/// One archive given by its place; its hash must be known.
pub(super) fn archive(
    text: &Text<'_>,
    at: usize,
    location: Location,
    hashes: Vec<Digest>,
    subdirectory: Option<String>,
) -> Result<Content, Error> {
    let name = pylock::file_name(&location).unwrap_or_default();
    if name.is_empty() || name.contains(['/', '\\', '\0']) || name.starts_with('.') {
        return Err(text.fault(at, format!("{location} names no file")));
    }
    if hashes.is_empty() {
        let problem = format!("{name} has no sha256, sha384 or sha512 hash");
        return Err(text.fault(at, problem));
    }
    Ok(Content::Archive {
        artifact: Artifact {
            name,
            location,
            size: None,
            upload_time: None,
            hashes,
        },
        subdirectory,
    })
}

/// A commit of a git repository, given as git takes it: a URL, `git@host:path`, or a path.
pub(super) fn repository(
    text: &Text<'_>,
    at: usize,
    from: &str,
    commit: &str,
    (revision, subdirectory): (Option<&str>, Option<&str>),
) -> Result<Content, Error> {
    if commit.len() < 7 || !commit.bytes().all(|b| b.is_ascii_hexdigit()) {
        let problem = format!("`{}` is not a commit", commit.escape_debug());
        return Err(text.fault(at, problem));
    }
    if let Some(subdirectory) = subdirectory {
        let inside = |c| matches!(c, std::path::Component::Normal(_) | std::path::Component::CurDir);
        if !Path::new(subdirectory).components().all(inside) {
            return Err(text.fault(at, format!("subdirectory `{subdirectory}` leaves its project")));
        }
    }
    Ok(Content::Vcs(Vcs {
        kind: "git".to_owned(),
        location: repository_location(text, from),
        requested_revision: revision.map(str::to_owned),
        commit: commit.to_owned(),
        subdirectory: subdirectory.map(str::to_owned),
    }))
}

fn repository_location(text: &Text<'_>, from: &str) -> Location {
    let from = from.strip_prefix("git+").unwrap_or(from);
    if from.contains("://")
        && let Ok(url) = from.parse()
    {
        return Location::Url(url);
    }
    // `git@host:path` is git's short form of an ssh URL.
    let short = from.split_once(':').filter(|(host, _)| !host.contains('/'));
    if let Some((host, path)) = short
        && let Ok(url) = format!("ssh://{host}/{}", path.trim_start_matches('/')).parse()
    {
        return Location::Url(url);
    }
    Location::Path(text.absolute(from))
}
