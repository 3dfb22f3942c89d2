//! The site directory: the files of all wheels laid together, and whose each is.

use std::io;
use std::iter::Peekable;
use std::sync::Arc;

use super::Error;
use super::install::{Placed, fill};
use crate::paths::TreePath;
use crate::tree::{Content, Each, Entries, Entry, OpenSpool, Runs, Tree, TreeError};

/// What installing gives.
#[derive(Clone, Debug)]
pub struct Installed<T = Tree> {
    /// The prefix and all in it.
    pub tree: T,
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
pub struct Site<'a> {
    prefix: &'a TreePath,
    /// The file names of the wheels, in the order in which they were added.
    wheels: Vec<Arc<str>>,
    /// Their files, each wheel's with the directories below the prefix.
    runs: Runs,
    open: Option<&'a OpenSpool<'a>>,
    warnings: Vec<String>,
    excluded: (usize, u64),
}

/// The prefix of a site and all in it, read as it is wanted.
#[derive(Debug)]
pub struct Laid {
    /// The prefix and the directories that it is in; none if nothing is in it.
    above: Vec<TreePath>,
    runs: Runs,
}

impl<'a> Site<'a> {
    /// A site without wheels. Of many files the list is kept in the file that `open` gives, not in memory.
    pub fn new(prefix: &'a TreePath, open: Option<&'a OpenSpool<'a>>) -> Self {
        Self {
            prefix,
            wheels: Vec::new(),
            runs: Runs::default(),
            open,
            warnings: Vec::new(),
            excluded: (0, 0),
        }
    }

    /// Adds a wheel that was installed with the same prefix.
    pub fn add(&mut self, placed: Placed) -> Result<(), Error> {
        self.wheels.push(placed.wheel);
        self.warnings.extend(placed.warnings);
        self.excluded.0 += placed.excluded.0;
        self.excluded.1 += placed.excluded.1;
        let is_inside = |path: &TreePath| path.strip_prefix(self.prefix.as_str()).is_some();
        self.runs
            .add(placed.tree, is_inside, self.open)
            .map_err(Error::List)
    }

    /// Lays the files of all wheels together.
    pub fn laid(self) -> Result<Installed<Laid>, Error> {
        let mut owners: Vec<(TreePath, usize)> = Vec::new();
        let mut last: Option<(usize, TreePath, Entry)> = None;
        for next in self.runs.merged() {
            let (wheel, path, entry) = next.map_err(Error::List)?;
            if let Some((owner, there, old)) = &last
                && *there == path
            {
                self.check_same(&path, (old, *owner), (&entry, wheel))?;
                continue;
            }
            if !entry.is_directory() && owners.last().is_none_or(|(_, owner)| *owner != wheel) {
                owners.push((path.clone(), wheel));
            }
            last = Some((wheel, path, entry));
        }
        let above = self.prefix.parents().chain([self.prefix.clone()]);
        let named = owners
            .into_iter()
            .map(|(path, wheel)| (path, Arc::clone(&self.wheels[wheel])));
        Ok(Installed {
            owners: named.collect(),
            tree: Laid {
                above: above.filter(|_| last.is_some()).collect(),
                runs: self.runs,
            },
            warnings: self.warnings,
            excluded: self.excluded,
        })
    }

    /// As [`Site::laid`], in memory.
    pub fn installed(self) -> Result<Installed, Error> {
        let laid = self.laid()?;
        Ok(Installed {
            tree: laid.tree.tree().map_err(Error::List)?,
            warnings: laid.warnings,
            owners: laid.owners,
            excluded: laid.excluded,
        })
    }

    /// Fails if two wheels have different things at a path.
    fn check_same(
        &self,
        path: &TreePath,
        (old, owner): (&Entry, usize),
        (new, wheel): (&Entry, usize),
    ) -> Result<(), Error> {
        let (Some(content), Some(other)) = (old.content(), new.content()) else {
            return match (old.is_directory(), new.is_directory()) {
                (true, true) => Ok(()),
                // The later wheel's path is named.
                (false, _) => Err(self.conflict(&self.below(path, wheel)?, owner, wheel)),
                (true, false) => Err(self.conflict(path, owner, wheel)),
            };
        };
        if same(content, other).map_err(|source| unreadable(&self.wheels[wheel], source))? {
            Ok(())
        } else {
            Err(self.conflict(path, owner, wheel))
        }
    }

    /// The first file that a wheel has in a directory.
    fn below(&self, directory: &TreePath, wheel: usize) -> Result<TreePath, Error> {
        for entry in self.runs.of(wheel) {
            let (path, entry) = entry.map_err(Error::List)?;
            if !entry.is_directory() && path.strip_prefix(directory.as_str()).is_some() {
                return Ok(path);
            }
        }
        Ok(directory.clone())
    }

    fn conflict(&self, path: &TreePath, first: usize, second: usize) -> Error {
        conflict(self.prefix, path, &self.wheels[first], &self.wheels[second])
    }
}

impl Laid {
    /// Whether something may be at or below a directory, or at one that it is in.
    pub fn may_touch(&self, directory: &TreePath) -> bool {
        let is_below = |above: &TreePath, path: &TreePath| path.strip_prefix(above.as_str()).is_some();
        let prefix = self.above.last();
        self.above.contains(directory)
            || prefix.is_some_and(|prefix| is_below(prefix, directory) || is_below(directory, prefix))
    }

    /// All of it in memory.
    pub fn tree(&self) -> io::Result<Tree> {
        let entries = self.each().collect::<io::Result<_>>()?;
        Tree::of(entries).map_err(io::Error::other)
    }
}

impl Entries for Laid {
    fn each(&self) -> Each<'_> {
        let above = self
            .above
            .iter()
            .map(|path| Ok((path.clone(), Entry::directory())));
        let inside = Distinct(self.runs.merged().peekable());
        Box::new(above.chain(inside))
    }
}

/// Of the entries at one path, which are alike, the first.
struct Distinct<I: Iterator>(Peekable<I>);

impl<I: Iterator<Item = io::Result<(usize, TreePath, Entry)>>> Iterator for Distinct<I> {
    type Item = io::Result<(TreePath, Entry)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (_, path, mut entry) = match self.0.next()? {
            Ok(first) => first,
            Err(error) => return Some(Err(error)),
        };
        let is_other = |next: &I::Item| matches!(next, Ok((_, other, _)) if *other == path);
        while let Some(Ok((_, _, other))) = self.0.next_if(is_other) {
            // Executable for one is executable for both, whichever comes first.
            entry.mode |= other.mode;
        }
        Some(Ok((path, entry)))
    }
}

/// The files of one wheel with their directories. Of several at one path, which must be alike, the first is kept.
pub(super) fn laid_out(
    mut files: Vec<(TreePath, Entry)>,
    prefix: &TreePath,
    wheel: &str,
) -> Result<Tree, Error> {
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut distinct: Vec<(TreePath, Entry)> = Vec::with_capacity(files.len());
    for (path, entry) in files {
        match distinct.last_mut() {
            Some((there, old)) if *there == path => {
                let equal = match (old.content(), entry.content()) {
                    (Some(old), Some(new)) => same(old, new).map_err(|source| unreadable(wheel, source))?,
                    _ => false,
                };
                if !equal {
                    return Err(conflict(prefix, &path, wheel, wheel));
                }
                old.mode |= entry.mode;
            }
            _ => distinct.push((path, entry)),
        }
    }
    Tree::of(distinct).map_err(|error| {
        let (TreeError::BelowFile(path, _) | TreeError::Twice(path)) = error;
        conflict(prefix, &path, wheel, wheel)
    })
}

fn unreadable(wheel: &str, source: io::Error) -> Error {
    let wheel = wheel.to_owned();
    Error::Read { wheel, source }
}

/// The error that a wheel's path meets what an earlier one has there.
fn conflict(prefix: &TreePath, path: &TreePath, first: &str, second: &str) -> Error {
    let relative = path.strip_prefix(prefix.as_str());
    Error::Conflict {
        path: relative
            .and_then(|path| path.parse().ok())
            .unwrap_or_else(|| path.clone()),
        first: first.to_owned(),
        second: second.to_owned(),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::python::{Libc, Target};
    use crate::wheel::made::MadeWheel;
    use crate::wheel::{InstallOptions, Wheel};

    /// A site of wheels; of its files, so many are held in memory.
    fn site(wheels: &[Wheel], held: usize) -> Result<Installed<Laid>, Error> {
        let prefix = TreePath::new("app/deps").unwrap();
        let target = Target {
            platform: "linux/amd64".parse().unwrap(),
            libc: Libc::Glibc { major: 2, minor: 41 },
            python: (3, 13),
            python_full: None,
            interpreter: "/usr/bin/python3".to_owned(),
        };
        let options = InstallOptions {
            prefix: &prefix,
            target: &target,
            exclude: &globset::GlobSet::empty(),
            requested: &BTreeSet::new(),
        };
        let open = || Ok(fs_err::File::from_parts(tempfile::tempfile()?, "spool"));
        let mut site = Site::new(&prefix, Some(&open));
        site.runs = Runs::holding(held);
        for wheel in wheels {
            site.add(Placed::of(wheel.clone(), &options)?)?;
        }
        site.laid()
    }

    fn opened(made: MadeWheel, directory: &Path) -> Wheel {
        let path = made.write(directory);
        Wheel::open(&path, path.file_name().unwrap().to_str().unwrap()).unwrap()
    }

    #[test]
    fn a_site_is_the_same_wherever_the_list_of_its_files_is() {
        let place = tempfile::tempdir().unwrap();
        let wheel = |name: &'static str, file: &str| {
            let made = MadeWheel::new(name).file("shared/__init__.py", "");
            opened(made.file(&format!("shared/{file}"), file), place.path())
        };
        let wheels = [
            wheel("one", "b.py"),
            wheel("other", "a.py"),
            wheel("third", "b/c.py"),
        ];
        let held = site(&wheels, 100).unwrap();
        let digest = held.tree.tree().unwrap().digest().unwrap();
        let names: Vec<String> = held
            .tree
            .each()
            .map(|entry| entry.unwrap().0.to_string())
            .collect();
        assert!(
            names.is_sorted() && names[..2] == ["app", "app/deps"],
            "{names:?}"
        );
        for limit in [0, 6, 12] {
            let kept = site(&wheels, limit).unwrap();
            assert_eq!(kept.tree.tree().unwrap().digest().unwrap(), digest, "{limit}");
            for name in [
                "shared/__init__.py",
                "shared/b/c.py",
                "third-1.0.dist-info/METADATA",
            ] {
                let path = TreePath::new(&format!("app/deps/{name}")).unwrap();
                assert_eq!(kept.owners.get(&path), held.owners.get(&path), "{name}");
            }
        }
        for (clash, path) in [("b.py/c.py", "shared/b.py/c.py"), ("b", "shared/b")] {
            let wheels = [&wheels[..], &[wheel("zz", clash)]].concat();
            for limit in [0, 100] {
                let error = site(&wheels, limit).unwrap_err().to_string();
                assert!(error.contains(path) && error.contains("zz-1.0"), "{error}");
            }
        }
    }
}
