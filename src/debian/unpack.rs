//! Packages into one tree: fetched in parallel, unpacked, laid over each other in the order of their names.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::deb::{Deb, Leave};
use super::list::{ListedPackage, PackageList};
use super::{Archives, Error, fetch};
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
        let done = AtomicU64::new(0);
        let debs: Mutex<Vec<Option<Result<Deb, Error>>>> =
            Mutex::new(packages.iter().map(|_| None).collect());
        // One is unpacked at a time while others are fetched: xz takes up to 64 MB for each.
        let turn = Mutex::new(());
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(package) = packages.get(at) else { break };
                let result = self.read_package(package, leave, &turn);
                if result.is_err() {
                    // Nobody needs to begin another one.
                    next.store(packages.len(), Ordering::Relaxed);
                }
                let bytes = done.fetch_add(package.size, Ordering::Relaxed) + package.size;
                self.progress.transfer("Debian packages", bytes, list.size());
                let mut debs = debs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                debs[at] = Some(result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..THREADS.min(packages.len()) {
                scope.spawn(work);
            }
        });
        let debs = debs
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut merged = Merge::default();
        for (package, deb) in packages.iter().zip(debs) {
            if let Some(deb) = deb {
                self.lay(package, deb?, &mut merged)?;
            }
        }
        Ok(merged.unpacked)
    }

    fn read_package(
        &self,
        package: &ListedPackage,
        leave: Leave<'_>,
        turn: &Mutex<()>,
    ) -> Result<Deb, Error> {
        let path = self.package_file(package)?;
        let _turn = turn.lock();
        let file = fetch::open(&path, &package.name)?;
        Deb::read(file, leave).map_err(|source| Error::Deb {
            package: format!("{} {}", package.name, package.version),
            source,
        })
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
