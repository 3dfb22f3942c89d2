//! Packages into one tree: fetched in parallel, unpacked, laid over each other in the order of their names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};

use super::deb::{Deb, Leave};
use super::list::{ListedPackage, PackageList};
use super::{Archives, Error, fetch};
use crate::parallel;
use crate::paths::TreePath;
use crate::tree::{Entry, Kind, Tree};

/// More threads than this only make a mirror angry.
const THREADS: usize = 8;

/// The files of packages.
#[derive(Debug, Default)]
pub struct Unpacked {
    /// All files, at their places on a system with merged `/usr`; the links `bin -> usr/bin`, … are not there yet.
    pub tree: Tree,
    /// The control stanza of each package, by name.
    pub control: BTreeMap<String, String>,
}

impl Archives<'_> {
    /// Fetches and unpacks packages. Files for which `leave` says so are left out.
    pub fn unpack(&self, list: &PackageList, leave: Leave<'_>) -> Result<Unpacked, Error> {
        let packages = list.packages();
        let next = AtomicUsize::new(0);
        let branch = self.progress.timings().branch();
        let fetch = &|fetched: &Sender<_>| {
            while let Some((at, package)) = take(packages, &next) {
                let file = branch.detail("download", &package.name, |note| {
                    note.bytes(package.size);
                    note.cached(self.has_file(package));
                    self.package_file(package)
                });
                if fetched.send((at, file)).is_err() {
                    break;
                }
            }
        };
        let (fetched, arrivals) = mpsc::channel();
        let debs = std::thread::scope(|scope| {
            // The last of them that ends closes the channel.
            let all = move || fetch(&fetched);
            parallel::start(scope, THREADS.min(packages.len()), all).map_err(Error::Threads)?;
            // One after another, on this thread alone: xz takes up to 64 MB for each, which the allocator would keep for
            // every thread that has done one. A fault drops the receiver, so that nobody begins another package.
            let mut debs = BTreeMap::new();
            let mut done = 0;
            for (at, path) in arrivals {
                debs.insert(at, read(&packages[at], &path?, leave)?);
                done += packages[at].size;
                self.progress.transfer("Debian packages", done, list.size());
            }
            Ok::<_, Error>(debs)
        })?;
        let mut merged = Merge::default();
        for (at, deb) in debs {
            self.lay(&packages[at], deb, &mut merged)?;
        }
        Ok(merged.unpacked)
    }

    fn lay(&self, package: &ListedPackage, deb: Deb, merged: &mut Merge) -> Result<(), Error> {
        for path in &deb.privileged {
            self.progress
                .detail(format!("{path} of {} loses its set-id bits", package.name));
        }
        merged.unpacked.control.insert(package.name.clone(), deb.control);
        for (path, entry) in deb.tree {
            merged.insert(&package.name, path, entry)?;
        }
        Ok(())
    }
}

/// The next package that nobody has taken yet, and its place in the list.
fn take<'a>(packages: &'a [ListedPackage], next: &AtomicUsize) -> Option<(usize, &'a ListedPackage)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    Some((at, packages.get(at)?))
}

fn read(package: &ListedPackage, path: &Path, leave: Leave<'_>) -> Result<Deb, Error> {
    let file = fetch::open(path, &package.name)?;
    Deb::read(file, leave).map_err(|source| Error::Deb {
        package: format!("{} {}", package.name, package.version),
        source,
    })
}

/// Trees laid over each other, and which package each path came from.
#[derive(Default)]
struct Merge {
    unpacked: Unpacked,
    owners: BTreeMap<TreePath, String>,
}

impl Merge {
    fn insert(&mut self, package: &str, path: TreePath, entry: Entry) -> Result<(), Error> {
        let first = self.owners.get(&path).cloned().unwrap_or_default();
        let conflict = |path, first| Error::FileConflict {
            path,
            first,
            second: package.to_owned(),
        };
        if let Some(there) = self.unpacked.tree.get(path.as_str()) {
            // The first package's directory stays as it is: all agree but for stray modes.
            return if same(there, &entry) {
                Ok(())
            } else {
                Err(conflict(path, first))
            };
        }
        self.owners.insert(path.clone(), package.to_owned());
        let path_again = path.clone();
        self.unpacked.tree.insert(path, entry).map_err(|_| {
            let above = path_again.parents().find_map(|p| self.owners.get(&p).cloned());
            conflict(path_again, above.unwrap_or_default())
        })
    }
}

/// Whether two entries for one path can be taken for one.
fn same(one: &Entry, other: &Entry) -> bool {
    match (&one.kind, &other.kind) {
        (Kind::Directory, Kind::Directory) => true,
        (Kind::Symlink(one), Kind::Symlink(other)) => one == other,
        (Kind::File(a), Kind::File(b)) => {
            let read = |content: &crate::tree::Content| content.read(u64::MAX).ok();
            one.mode == other.mode && a.size() == b.size() && read(a) == read(b)
        }
        _ => false,
    }
}
