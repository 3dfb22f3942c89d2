//! From mirrors to verified files: release files, indexes and packages; all but the first are kept in the store.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::closure::closure;
use super::list::{ListedPackage, PackageList};
use super::packages::Index;
use super::packages::Package;
use super::release::Release;
use super::{Error, Keyring, Mirrors, Suite, Wanted};
use crate::digest::Digest;
use crate::http::{self, Client};
use crate::platform::Architecture;
use crate::progress::Progress;
use crate::store::{Kind, Store};

/// Debian archives, and what is needed to fetch from them and to trust what comes.
#[derive(Clone, Debug)]
pub struct Archives<'a> {
    /// Where they are.
    pub mirrors: Mirrors,
    /// Who may sign release files; Debian if nobody is named.
    pub keyring: Option<Keyring>,
    /// The HTTP client.
    pub http: &'a Client,
    /// Where downloads are kept.
    pub store: &'a Store,
    /// Who is told.
    pub progress: &'a Progress,
    /// Seconds since 1970.
    pub now: u64,
}

/// No `InRelease` is near it (Debian's are about 150 KB).
const RELEASE_LIMIT: u64 = 16 << 20;
/// No index is near it when unpacked (trixie's is about 55 MB).
const INDEX_LIMIT: u64 = 1 << 30;
/// A resolved list is used again for a day.
const LIST_AGE: u64 = 24 * 60 * 60;

/// A resolved list as it is remembered.
#[derive(serde::Serialize, serde::Deserialize)]
struct Remembered {
    at: u64,
    list: PackageList,
}

/// When a remembered package list is used instead of asking the mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// If it is younger than a day.
    Day,
    /// Never: the user wants what there is now.
    Never,
    /// However old it is: there is no network.
    Always,
}

impl Archives<'_> {
    /// The packages that are wanted and all they need, with version and hash of each.
    pub fn resolve(
        &self,
        wanted: &Wanted,
        architecture: Architecture,
        reuse: Reuse,
    ) -> Result<PackageList, Error> {
        self.resolve_over(wanted, &[], architecture, reuse)
    }

    /// The packages that are wanted and all they need, but for those that are installed.
    pub fn resolve_over(
        &self,
        wanted: &Wanted,
        installed: &[Package],
        architecture: Architecture,
        reuse: Reuse,
    ) -> Result<PackageList, Error> {
        let names: Vec<_> = wanted.suites.iter().map(|suite| suite.name.as_str()).collect();
        let timings = self.progress.timings();
        timings.measure("package list", &names.join(", "), |note| {
            let (list, kept) = self.list(wanted, installed, architecture, reuse)?;
            note.cached(kept);
            Ok(list)
        })
    }

    /// The list, and whether it was remembered.
    fn list(
        &self,
        wanted: &Wanted,
        installed: &[Package],
        architecture: Architecture,
        reuse: Reuse,
    ) -> Result<(PackageList, bool), Error> {
        let over: Vec<_> = installed
            .iter()
            .map(|p| format!("{} {}", p.name, p.version))
            .collect();
        let over = (!over.is_empty()).then(|| Digest::of(over.join("\n").as_bytes()));
        let key = Self::list_key(
            wanted,
            over.as_ref(),
            architecture,
            Some(self.mirrors.debian.as_str()),
        );
        // The same question whichever mirror answers it: better the answer of today from another than none.
        let elsewhere = Self::list_key(wanted, over.as_ref(), architecture, None);
        let fresh = |remembered: &Remembered| {
            remembered.at <= self.now && self.now - remembered.at < LIST_AGE && reuse == Reuse::Day
        };
        if let Some(remembered) = self.remembered(&key)
            && (reuse == Reuse::Always || fresh(&remembered))
        {
            return Ok((remembered.list, true));
        }
        let list = match self.ask(wanted, installed, architecture) {
            Ok(list) => list,
            Err(error) => {
                let Some(remembered) = self.remembered(&elsewhere).filter(fresh) else {
                    return Err(error);
                };
                self.progress.warn(format!(
                    "{error}: the packages are those that another mirror had today"
                ));
                return Ok((remembered.list, true));
            }
        };
        let note = Remembered {
            at: self.now,
            list: list.clone(),
        };
        let note = serde_json::to_vec(&note).unwrap_or_default();
        self.store.remember(&key, &note)?;
        self.store.remember(&elsewhere, &note)?;
        Ok((list, false))
    }

    fn remembered(&self, key: &Digest) -> Option<Remembered> {
        let note = self.store.memo(key)?;
        serde_json::from_slice(&note).ok()
    }

    fn list_key(
        wanted: &Wanted,
        over: Option<&Digest>,
        architecture: Architecture,
        mirror: Option<&str>,
    ) -> Digest {
        let mut question = serde_json::json!({
            "what": "debian package list", "version": 1, "wanted": wanted, "architecture": architecture.oci(),
            "mirror": mirror,
        });
        if let Some(over) = over {
            question["over"] = serde_json::json!(over);
        }
        Digest::of(question.to_string().as_bytes())
    }

    fn ask(
        &self,
        wanted: &Wanted,
        installed: &[Package],
        architecture: Architecture,
    ) -> Result<PackageList, Error> {
        let mut index = Index::default();
        for suite in &wanted.suites {
            let release = self.release(suite)?;
            for component in &wanted.components {
                self.read_index(suite, &release, component, architecture, &mut index)?;
            }
        }
        self.progress.detail(format!(
            "Debian offers {} packages for {architecture}",
            index.count()
        ));
        let packages = closure(&index, &wanted.packages, &wanted.exclude, installed)?;
        Ok(PackageList::new(
            packages.iter().map(ListedPackage::from).collect(),
        ))
    }

    pub(super) fn release(&self, suite: &Suite) -> Result<Release, Error> {
        let url = self.url(&suite.archive, &format!("dists/{}/InRelease", suite.name))?;
        let download = |source| Error::Download {
            what: format!("the release file of {}", suite.name),
            source,
        };
        let message = self
            .http
            .get(&url)
            .and_then(|r| r.read(RELEASE_LIMIT))
            .map_err(download)?;
        // Debian's keys are parsed here, as most builds read no release file.
        let own = self.keyring.clone().map_or_else(Keyring::debian, Ok);
        let keyring = own.map_err(Error::Keyring)?;
        Release::read(&message, &suite.name, &keyring, self.now).map_err(|source| Error::Release {
            suite: suite.name.clone(),
            url: http::redacted(&url),
            source,
        })
    }

    fn read_index(
        &self,
        suite: &Suite,
        release: &Release,
        component: &str,
        architecture: Architecture,
        index: &mut Index,
    ) -> Result<(), Error> {
        let base = format!("{component}/binary-{architecture}/Packages");
        let found = ["xz", "gz", ""].into_iter().find_map(|ending| {
            let path = if ending.is_empty() {
                base.clone()
            } else {
                format!("{base}.{ending}")
            };
            release
                .file(&path)
                .map(|(digest, size)| (ending, path, digest, *size))
        });
        let (ending, path, digest, size) = found.ok_or_else(|| Error::NoIndex {
            suite: suite.name.clone(),
            component: component.to_owned(),
            architecture: architecture.to_string(),
        })?;
        let what = format!("the package index of {}", suite.name);
        let file = self.index_file(suite, release, &path, (digest, size))?;
        let file = fs_err::File::open(&file).map_err(|source| Error::Open { what, source })?;
        let reader: Box<dyn Read> = match ending {
            "xz" => Box::new(liblzma::read::XzDecoder::new(file)),
            "gz" => Box::new(flate2::read::GzDecoder::new(file)),
            _ => Box::new(file),
        };
        index
            .read(
                BufReader::with_capacity(256 * 1024, reader.take(INDEX_LIMIT)),
                &suite.archive,
            )
            .map_err(|source| Error::Packages {
                suite: suite.name.clone(),
                source,
            })
    }

    /// The verified index file, asked for by hash where the mirror offers that, else by name.
    pub(super) fn index_file(
        &self,
        suite: &Suite,
        release: &Release,
        path: &str,
        (digest, size): (&Digest, u64),
    ) -> Result<PathBuf, Error> {
        let what = format!("the package index of {}", suite.name);
        let named = format!("dists/{}/{path}", suite.name);
        if release.by_hash {
            let directory = named.rsplit_once('/').map_or("", |(directory, _)| directory);
            let by_hash = format!("{directory}/by-hash/SHA256/{}", digest.hex());
            match self.keep(&what, &suite.archive, &by_hash, (digest, size)) {
                Err(Error::Download {
                    source: http::Error::Status { status: 404, .. },
                    ..
                }) => {}
                result => return result,
            }
        }
        self.keep(&what, &suite.archive, &named, (digest, size))
    }

    /// Whether the store seems to have the `.deb` of a package.
    pub(super) fn has_file(&self, package: &ListedPackage) -> bool {
        let found = self
            .store
            .find_unverified(Kind::Download, &package.sha256, package.size);
        found.is_some()
    }

    /// The verified `.deb` of a package.
    pub(super) fn package_file(&self, package: &ListedPackage) -> Result<PathBuf, Error> {
        let what = format!("package {} {}", package.name, package.version);
        let signed = (&package.sha256, package.size);
        match self.keep(&what, &package.archive, &package.filename, signed) {
            // Mirrors have the newest version only, and what is locked stays locked.
            Err(Error::Download {
                source: http::Error::Status {
                    status: 404 | 410, ..
                },
                ..
            }) => self.snapshot_file(package),
            result => result,
        }
    }

    /// The file with that digest from the store; fetched first if it is not there.
    fn keep(&self, what: &str, archive: &str, path: &str, signed: (&Digest, u64)) -> Result<PathBuf, Error> {
        self.keep_from(what, &self.url(archive, path)?, signed)
    }

    /// The same for a file at a URL.
    pub(super) fn keep_from(
        &self,
        what: &str,
        url: &url::Url,
        (digest, size): (&Digest, u64),
    ) -> Result<PathBuf, Error> {
        let fault = |source| Error::Keep {
            what: what.to_owned(),
            url: http::redacted(url),
            source,
        };
        if let Some(path) = self.store.find(Kind::Download, digest).map_err(fault)? {
            return Ok(path);
        }
        let download = |source| Error::Download {
            what: what.to_owned(),
            source,
        };
        let response = self.http.get(url).map_err(download)?;
        // One byte more than signed is enough to see that it is too long; the digest then does not match.
        let mut reader = response.take(size + 1);
        let added = self
            .store
            .add(Kind::Download, Some(digest), &mut reader)
            .map_err(fault)?;
        Ok(added.path)
    }

    fn url(&self, archive: &str, path: &str) -> Result<url::Url, Error> {
        let mut url = self.mirrors.root(archive)?.clone();
        // Set as a path, so that nothing in it is taken for a query or another host; `~` and `+` stay readable.
        let path = format!("{}{path}", url.path());
        url.set_path(&path);
        Ok(url)
    }
}

/// Opens a kept file to be unpacked.
pub(super) fn open(path: &Path, what: &str) -> Result<fs_err::File, Error> {
    fs_err::File::open(path).map_err(|source| Error::Open {
        what: what.to_owned(),
        source,
    })
}
