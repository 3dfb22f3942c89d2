//! The site directory: the files of all wheels laid together, and whose each is.

use std::io;
use std::sync::Arc;

use super::Error;
use super::install::{Placed, fill};
use crate::paths::TreePath;
use crate::tree::{Content, Entry, Tree, TreeError};

/// What installing gives.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The prefix and all in it.
    pub tree: Tree,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// The file name of each file's wheel; of a file that several have, the first.
    pub owners: Owners,
    /// How many files were left out because of `exclude`, and their bytes.
    pub excluded: (usize, u64),
}

/// The file name of each file's wheel. Files that follow each other are mostly of one wheel: of these only the first is
/// kept.
#[derive(Clone, Debug, Default)]
pub struct Owners(Vec<(TreePath, Arc<str>)>);

impl Owners {
    /// The file name of a file's wheel. Only files that are of some wheel are asked for.
    pub fn get(&self, path: &TreePath) -> Option<&Arc<str>> {
        let behind = self.0.partition_point(|(first, _)| first <= path);
        Some(&self.0.get(behind.checked_sub(1)?)?.1)
    }
}

impl FromIterator<(TreePath, Arc<str>)> for Owners {
    fn from_iter<I: IntoIterator<Item = (TreePath, Arc<str>)>>(owners: I) -> Self {
        let mut owners: Vec<_> = owners.into_iter().collect();
        owners.sort_unstable();
        owners.dedup_by(|(_, next), (_, before)| next == before);
        owners.shrink_to_fit();
        Self(owners)
    }
}

/// All wheels' files, and whose each is.
#[derive(Debug)]
pub struct Site<'a> {
    prefix: &'a TreePath,
    /// The file names of the wheels, in the order in which they were added.
    wheels: Vec<Arc<str>>,
    /// Their files in the same order.
    files: Vec<Found>,
    warnings: Vec<String>,
    excluded: (usize, u64),
}

/// A file, and the number of its wheel.
#[derive(Debug)]
struct Found {
    path: TreePath,
    entry: Entry,
    wheel: usize,
}

impl<'a> Site<'a> {
    /// A site without wheels.
    pub fn new(prefix: &'a TreePath) -> Self {
        Self {
            prefix,
            wheels: Vec::new(),
            files: Vec::new(),
            warnings: Vec::new(),
            excluded: (0, 0),
        }
    }

    /// Adds a wheel that was installed with the same prefix.
    pub fn add(&mut self, placed: Placed) {
        let wheel = self.wheels.len();
        self.wheels.push(placed.wheel);
        self.warnings.extend(placed.warnings);
        self.excluded.0 += placed.excluded.0;
        self.excluded.1 += placed.excluded.1;
        let files = placed.files.into_iter();
        self.files
            .extend(files.map(|(path, entry)| Found { path, entry, wheel }));
    }

    /// Lays the files of all wheels together.
    pub fn installed(mut self) -> Result<Installed, Error> {
        // Stable: of one path the first wheel's file comes first.
        self.files.sort_by(|one, other| one.path.cmp(&other.path));
        let files = std::mem::take(&mut self.files);
        let mut entries: Vec<(TreePath, Entry)> = Vec::with_capacity(files.len());
        let mut owners: Vec<(TreePath, usize)> = Vec::new();
        for Found { path, entry, wheel } in files {
            let owner = owners.last().map(|(_, owner)| *owner);
            if let (Some((there, old)), Some(owner)) = (entries.last_mut(), owner)
                && *there == path
            {
                self.check_same(&path, (old, owner), (&entry, wheel))?;
                // Executable for one is executable for both, whichever comes first.
                old.mode |= entry.mode;
                continue;
            }
            if owner != Some(wheel) {
                owners.push((path.clone(), wheel));
            }
            entries.push((path, entry));
        }
        let named = owners
            .iter()
            .map(|(path, wheel)| (path.clone(), Arc::clone(&self.wheels[*wheel])));
        let tree = Tree::of(entries).map_err(|error| self.conflict_of(&error, &owners))?;
        Ok(Installed {
            tree,
            owners: named.collect(),
            warnings: self.warnings,
            excluded: self.excluded,
        })
    }

    /// Fails if two wheels have different files at a path.
    fn check_same(
        &self,
        path: &TreePath,
        (old, owner): (&Entry, usize),
        (new, wheel): (&Entry, usize),
    ) -> Result<(), Error> {
        let equal = match (old.content(), new.content()) {
            (Some(old), Some(new)) => same(old, new).map_err(|source| Error::Read {
                wheel: self.wheels[wheel].to_string(),
                source,
            })?,
            _ => false,
        };
        equal
            .then_some(())
            .ok_or_else(|| self.conflict(path, owner, wheel))
    }

    /// The conflict of two wheels, of which one has a file where the other has a directory.
    fn conflict_of(&self, error: &TreeError, owners: &[(TreePath, usize)]) -> Error {
        let owner = |path: &TreePath| {
            let behind = owners.partition_point(|(first, _)| first <= path);
            behind.checked_sub(1).map_or(0, |at| owners[at].1)
        };
        let (below, file) = match error {
            TreeError::BelowFile(below, file) => (below, file),
            TreeError::Twice(path) => (path, path),
        };
        let (of_below, of_file) = (owner(below), owner(file));
        if of_file <= of_below {
            self.conflict(below, of_file, of_below)
        } else {
            self.conflict(file, of_below, of_file)
        }
    }

    /// The error that a wheel's path meets what an earlier one has there.
    fn conflict(&self, path: &TreePath, first: usize, second: usize) -> Error {
        let relative = path.strip_prefix(self.prefix.as_str());
        Error::Conflict {
            path: relative
                .and_then(|path| path.parse().ok())
                .unwrap_or_else(|| path.clone()),
            first: self.wheels[first].to_string(),
            second: self.wheels[second].to_string(),
        }
    }
}

/// Whether two contents are equal, byte by byte unless sizes and checksums already differ.
fn same(a: &Content, b: &Content) -> io::Result<bool> {
    if a.size() != b.size() {
        return Ok(false);
    }
    if let (Content::Member(a), Content::Member(b)) = (a, b)
        && a.crc32 != b.crc32
    {
        return Ok(false);
    }
    let (mut a, mut b) = (a.open()?, b.open()?);
    let (mut left, mut right) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let (n, m) = (fill(&mut a, &mut left)?, fill(&mut b, &mut right)?);
        if left[..n] != right[..m] {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}
