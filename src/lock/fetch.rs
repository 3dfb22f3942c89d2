//! Files of selected packages: downloaded in parallel, verified, kept in the store; sources are built.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use url::Url;

use super::index::Question;
use super::indexes::Indexes;
use super::{Artifact, Error, Location, Request, Selected, Source, Tools, build, hashed};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::parallel;
use crate::python::{Target, WheelFilename};
use crate::store::{Kind, NewEntry};
use crate::timings::Branch;

/// How many files are fetched at once.
pub(super) const CONNECTIONS: usize = 8;
/// How often a download that breaks off is begun again.
pub(super) const TRIES: u32 = 3;
/// No wheel is larger; a server that sends more is at fault.
const LARGEST: u64 = 16 << 30;

/// A wheel on this machine, verified.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchedWheel {
    /// The file; in the store its name is its digest.
    pub path: PathBuf,
    /// The digest of its bytes. For a wheel that was built, [`Selected::identity`] is what stays the same.
    pub digest: Digest,
    /// The name of the wheel.
    pub file_name: WheelFilename,
    /// What it was fetched for.
    pub selected: Selected,
}

/// Fetches everything that was selected, and builds wheels of what is none, in the order given.
pub fn fetch_all(
    selected: &[Selected],
    target: &Target,
    request: &Request,
    tools: &Tools<'_>,
) -> Result<Vec<FetchedWheel>, Error> {
    if request.no_build {
        selected.iter().try_for_each(refuse_build)?;
    }
    let wheels = fetch_each(selected, target, request, tools)?;
    hashed::check_complete(&wheels, request, target, tools)?;
    Ok(wheels)
}

/// As [`fetch_all`], for a part of what was selected: whether it is complete is not looked at.
pub(super) fn fetch_each(
    selected: &[Selected],
    target: &Target,
    request: &Request,
    tools: &Tools<'_>,
) -> Result<Vec<FetchedWheel>, Error> {
    let files = download_all(selected, request, tools)?;
    let mut wheels = Vec::with_capacity(selected.len());
    for (chosen, file) in selected.iter().zip(files) {
        let (path, digest, name) = match (&chosen.source, file) {
            (Source::Wheel(artifact), Some(file)) => (file.path, file.digest, artifact.name.clone()),
            (_, file) => {
                let work = || build::build(chosen, file.as_ref(), target, request, tools);
                let built = tools.progress.timings().step("build", &chosen.title(), work)?;
                (built.path, built.digest, built.file_name.to_string())
            }
        };
        let file_name = name.parse().map_err(|e| Error::Transfer {
            package: chosen.title(),
            location: path.display().to_string(),
            source: Box::new(e) as Box<dyn std::error::Error + Send + Sync>,
        })?;
        wheels.push(FetchedWheel {
            path,
            digest,
            file_name,
            selected: chosen.clone(),
        });
    }
    Ok(wheels)
}

pub(super) fn refuse_build(selected: &Selected) -> Result<(), Error> {
    let source_name = match &selected.source {
        Source::Wheel(_) => return Ok(()),
        Source::Sdist(artifact, _) => artifact.name.clone(),
        Source::Directory(path) => path.display().to_string(),
        Source::Vcs(vcs) => vcs.location.to_string(),
    };
    Err(Error::NoBuild {
        package: selected.title(),
        source_name,
    })
}

/// A file on this machine and its digest.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub path: PathBuf,
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// Whether it was in the store already.
    pub kept: bool,
}

/// Fetches the file of each, largest first; `None` for what is no file.
fn download_all(
    selected: &[Selected],
    request: &Request,
    tools: &Tools<'_>,
) -> Result<Vec<Option<Fetched>>, Error> {
    let mut order: Vec<(usize, &Artifact, Kind)> = Vec::new();
    for (index, chosen) in selected.iter().enumerate() {
        match &chosen.source {
            Source::Wheel(artifact) => order.push((index, artifact, Kind::Wheel)),
            Source::Sdist(artifact, _) => order.push((index, artifact, Kind::Download)),
            Source::Directory(_) | Source::Vcs(_) => {}
        }
    }
    order.sort_by_key(|(index, artifact, _)| (std::cmp::Reverse(artifact.size.unwrap_or(0)), *index));
    let indexes = Indexes::of(request, tools.environment)?;
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results: Mutex<Vec<(usize, Result<Fetched, Error>)>> = Mutex::new(Vec::new());
    let branch = tools.progress.timings().branch();
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let Some((index, artifact, kind)) = order.get(next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            let download = Download {
                package: &selected[*index].title(),
                artifact,
                kind: *kind,
                indexes: &indexes,
                tools,
            };
            let result = download.timed(branch);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            if let Ok(mut results) = results.lock() {
                results.push((*index, result));
            }
        }
    };
    std::thread::scope(|scope| {
        // Without any others this one does all of it.
        let _ = parallel::start(scope, CONNECTIONS.min(order.len()).saturating_sub(1), work);
        work();
    });
    let mut results = results.into_inner().unwrap_or_default();
    // Of several errors always the same one is reported, where all of them happen.
    results.sort_by_key(|(index, _)| *index);
    let mut files: Vec<Option<Fetched>> = vec![None; selected.len()];
    for (index, result) in results {
        files[index] = Some(result?);
    }
    Ok(files)
}

/// One file to fetch.
pub(super) struct Download<'a> {
    pub package: &'a str,
    pub artifact: &'a Artifact,
    pub kind: Kind,
    pub indexes: &'a Indexes,
    pub tools: &'a Tools<'a>,
}

impl Download<'_> {
    /// Runs it as a detail of a step.
    fn timed(&self, branch: Branch<'_>) -> Result<Fetched, Error> {
        let local = self.artifact.is_local();
        let name = if local { "read" } else { "download" };
        branch.detail(name, &self.artifact.name, |note| {
            let fetched = self.run()?;
            note.bytes(fetched.size);
            if !local {
                note.cached(fetched.kept);
            }
            Ok(fetched)
        })
    }

    pub fn run(&self) -> Result<Fetched, Error> {
        match &self.artifact.location {
            Location::Path(path) => self.read_in_place(path),
            Location::Url(url) => {
                if let Some(kept) = self.kept()? {
                    return Ok(kept);
                }
                self.download(url)
            }
            Location::Index(listed) => {
                if let Some(kept) = self.kept()? {
                    return Ok(kept);
                }
                let artifact = &Question::new(listed, self.indexes, self.tools).find(self.artifact)?;
                // Files are often on the host of their index, which may name its password in the lock.
                let indexes = &self.indexes.also(&listed.indexes);
                let found = Download {
                    artifact,
                    indexes,
                    ..*self
                };
                found.run()
            }
        }
    }

    /// The file in the store, if it is there.
    pub fn kept(&self) -> Result<Option<Fetched>, Error> {
        let Some(digest) = self.artifact.digest() else {
            return Ok(None);
        };
        let Some(path) = self.tools.store.find(self.kind, digest)? else {
            return Ok(None);
        };
        Ok(Some(Fetched {
            size: fs_err::metadata(&path).map_or(0, |metadata| metadata.len()),
            path,
            digest: digest.clone(),
            kept: true,
        }))
    }

    fn read_in_place(&self, path: &Path) -> Result<Fetched, Error> {
        let fault = |source| Error::read(path, source);
        let mut file = fs_err::File::open(path).map_err(fault)?;
        let mut hasher = Hasher::new(self.algorithm());
        let size = std::io::copy(&mut file, &mut hasher).map_err(fault)?;
        let digest = hasher.finish();
        self.verify(&digest, size)?;
        Ok(Fetched {
            path: path.to_owned(),
            digest,
            size,
            kept: false,
        })
    }

    fn download(&self, url: &Url) -> Result<Fetched, Error> {
        let url = self.indexes.with_credentials(url);
        let mut tries = 1;
        loop {
            match self.once(&url) {
                // The connection broke; a file of the wrong size that has the right hash cannot be, so that a short
                // one may come from a proxy that gave up.
                Err(Error::Transfer { .. } | Error::WrongSize { .. }) if tries < TRIES => tries += 1,
                result => return result,
            }
        }
    }

    fn once(&self, url: &Url) -> Result<Fetched, Error> {
        let mut response = self.tools.http.get(url).map_err(|source| Error::Fetch {
            package: self.package.to_owned(),
            source,
        })?;
        let total = self.artifact.size.or(response.content_length()).unwrap_or(0);
        let mut entry = self.tools.store.new_entry(self.kind)?.hashed_by(self.algorithm());
        self.copy(&mut response, &mut entry, total)?;
        let (digest, size) = entry.digest();
        self.verify(&digest, size)?;
        let added = entry.keep(&digest, size)?;
        Ok(Fetched {
            path: added.path,
            digest: added.digest,
            size: added.size,
            kept: false,
        })
    }

    fn copy(&self, from: &mut impl Read, to: &mut NewEntry, total: u64) -> Result<(), Error> {
        let limit = self.artifact.size.unwrap_or(LARGEST);
        let mut buffer = vec![0; 128 * 1024];
        let mut done = 0;
        loop {
            let n = match from.read(&mut buffer) {
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.broken(e)),
            };
            if n == 0 {
                return Ok(());
            }
            to.add(&buffer[..n])?;
            done += n as u64;
            if done > limit {
                // Stop reading what cannot be right any more.
                return self.verify_size(done);
            }
            self.tools.progress.transfer(&self.artifact.name, done, total);
        }
    }

    pub fn algorithm(&self) -> Algorithm {
        self.artifact
            .digest()
            .map_or(Algorithm::Sha256, Digest::algorithm)
    }

    pub fn verify(&self, actual: &Digest, size: u64) -> Result<(), Error> {
        self.verify_size(size)?;
        match self.artifact.digest() {
            Some(expected) if expected != actual => Err(Error::WrongHash {
                package: self.package.to_owned(),
                location: self.artifact.location.to_string(),
                expected: Box::new(expected.clone()),
                actual: Box::new(actual.clone()),
            }),
            _ => Ok(()),
        }
    }

    pub fn verify_size(&self, actual: u64) -> Result<(), Error> {
        match self.artifact.size {
            Some(expected) if expected != actual => Err(Error::WrongSize {
                package: self.package.to_owned(),
                location: self.artifact.location.to_string(),
                expected,
                actual,
            }),
            _ => Ok(()),
        }
    }

    pub fn broken(&self, source: std::io::Error) -> Error {
        Error::Transfer {
            package: self.package.to_owned(),
            location: self.artifact.location.to_string(),
            source: Box::new(source),
        }
    }
}
