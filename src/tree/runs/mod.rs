//! Entries in sorted runs that are merged when they are wanted: of many entries most are in a file meanwhile.

mod packed;

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io;

use self::packed::{Packed, Spool};
use super::{Each, Entry, Tree};
use crate::paths::TreePath;

/// How many entries are held in memory: those of most projects, in some 6 MB.
const HELD: usize = 16 * 1024;

/// Gives a file that nobody else uses, to be written and read.
pub type OpenSpool<'a> = dyn Fn() -> io::Result<fs_err::File> + 'a;

/// Runs of entries, each sorted by path with no two at one path.
#[derive(Debug)]
pub struct Runs {
    all: Vec<Run>,
    held: usize,
    limit: usize,
    spool: Option<Spool>,
}

#[derive(Debug)]
enum Run {
    Held(Vec<(TreePath, Entry)>),
    Packed(Packed),
}

impl Default for Runs {
    fn default() -> Self {
        Self::holding(HELD)
    }
}

impl Runs {
    /// No runs yet; of these, so many entries are to be held in memory.
    pub fn holding(limit: usize) -> Self {
        Self {
            all: Vec::new(),
            held: 0,
            limit,
            spool: None,
        }
    }

    /// Adds the entries of a tree that `wanted` takes. If they are too many to be held, they go to the file that `open` gives.
    pub fn add(
        &mut self,
        tree: Tree,
        wanted: impl Fn(&TreePath) -> bool,
        open: Option<&OpenSpool<'_>>,
    ) -> io::Result<()> {
        let mut entries: Vec<(TreePath, Entry)> = Vec::with_capacity(tree.len());
        entries.extend(tree.into_iter().filter(|(path, _)| wanted(path)));
        let run = match open {
            Some(open) if self.held + entries.len() > self.limit => {
                let spool = match &mut self.spool {
                    Some(spool) => spool,
                    none => none.insert(Spool::new(open()?)),
                };
                Run::Packed(spool.pack(&entries)?)
            }
            _ => {
                self.held += entries.len();
                Run::Held(entries)
            }
        };
        self.all.push(run);
        Ok(())
    }

    /// The entries of all runs in the order of their paths, with the number of their run; of those at one path, in the order
    /// of the runs.
    pub fn merged(&self) -> impl Iterator<Item = io::Result<(usize, TreePath, Entry)>> + Send + '_ {
        let heads = self.all.iter().enumerate().filter_map(|(run, entries)| {
            let path = entries.first()?.clone();
            Some(Head {
                path,
                run,
                rest: None,
            })
        });
        Merge {
            heads: heads.collect(),
            runs: self,
        }
    }

    /// The entries of one run.
    pub fn of(&self, run: usize) -> Each<'_> {
        match (&self.all[run], &self.spool) {
            (Run::Packed(packed), Some(spool)) => Box::new(packed.entries(spool)),
            (Run::Packed(_), None) => Box::new(std::iter::empty()),
            (Run::Held(entries), _) => {
                let each = entries.iter();
                Box::new(each.map(|(path, entry)| Ok((path.clone(), entry.clone()))))
            }
        }
    }
}

impl Run {
    fn first(&self) -> Option<&TreePath> {
        match self {
            Self::Held(entries) => entries.first().map(|(path, _)| path),
            Self::Packed(packed) => packed.first.as_ref(),
        }
    }
}

struct Merge<'r> {
    heads: BinaryHeap<Head<'r>>,
    runs: &'r Runs,
}

/// What comes next of a run, and the rest of it. Nothing is read of a run whose turn has not come: they may be many.
struct Head<'r> {
    path: TreePath,
    run: usize,
    rest: Option<(Entry, Each<'r>)>,
}

impl Iterator for Merge<'_> {
    type Item = io::Result<(usize, TreePath, Entry)>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.advance();
        if let Some(Err(_)) = result {
            self.heads.clear();
        }
        result
    }
}

impl Merge<'_> {
    fn advance(&mut self) -> Option<io::Result<(usize, TreePath, Entry)>> {
        let mut head = self.heads.peek_mut()?;
        let run = head.run;
        let (entry, mut rest) = if let Some(rest) = head.rest.take() {
            rest
        } else {
            let mut entries = self.runs.of(run);
            match entries.next()? {
                Ok((_, entry)) => (entry, entries),
                Err(error) => return Some(Err(error)),
            }
        };
        let path = match rest.next() {
            Some(Ok((path, next))) => {
                head.rest = Some((next, rest));
                std::mem::replace(&mut head.path, path)
            }
            Some(Err(error)) => return Some(Err(error)),
            None => PeekMut::pop(head).path,
        };
        Some(Ok((run, path, entry)))
    }
}

/// A heap gives its greatest: that is the first path, of the first run that has it.
impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        (&other.path, other.run).cmp(&(&self.path, self.run))
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head<'_> {}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::blob::RandomFile;
    use crate::digest::{Algorithm, Digest, Hasher};
    use crate::tree::{Content, Kind, Member, Method, Owner};

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn tree(entries: &[(&str, Entry)]) -> Tree {
        let entries = entries.iter().map(|(at, entry)| (path(at), entry.clone()));
        Tree::of(entries.collect()).unwrap()
    }

    fn member(archive: &Arc<RandomFile>, algorithm: Option<Algorithm>) -> Entry {
        let member = Member {
            archive: Arc::clone(archive),
            offset: 5,
            compressed_size: u64::MAX - 1,
            size: 1 << 40,
            crc32: u32::MAX,
            digest: algorithm.map(|algorithm| Hasher::new(algorithm).finish()),
            method: if algorithm.is_some() {
                Method::Deflated
            } else {
                Method::Stored
            },
        };
        Entry::file(Content::Member(Box::new(member)), algorithm.is_some())
    }

    fn archive() -> Arc<RandomFile> {
        let file = tempfile::tempfile().unwrap();
        Arc::new(RandomFile::unnamed(file, "an archive".as_ref()).unwrap())
    }

    fn trees() -> Vec<Tree> {
        let (one, other) = (archive(), archive());
        let bytes = |text: &str| Entry::file(Content::bytes(text.as_bytes()), false);
        let long = "x".repeat(20_000);
        let owner = Owner {
            uid: 7,
            gid: u32::MAX,
        };
        vec![
            tree(&[
                ("a/b", member(&one, Some(Algorithm::Sha256))),
                ("a-b/c", bytes(&long)),
                ("c", Entry::symlink("../a").with_mode(0o700).owned_by(owner)),
            ]),
            tree(&[("a/b", bytes("")), ("é", member(&other, Some(Algorithm::Sha512)))]),
            Tree::new(),
            tree(&[
                ("a/b", member(&one, Some(Algorithm::Sha384))),
                ("b", member(&other, None)),
            ]),
        ]
    }

    /// What is merged of trees: its run and path, and all else in words.
    fn merged(trees: &[Tree], limit: usize) -> Vec<(String, String)> {
        let place = tempfile::tempdir().unwrap();
        let open = || create(&place.path().join("spool"));
        let mut runs = Runs::holding(limit);
        for tree in trees {
            let wanted = |path: &TreePath| path.as_str() != "a-b";
            runs.add(tree.clone(), wanted, Some(&open)).unwrap();
        }
        assert_eq!(place.path().join("spool").exists(), limit < 10);
        let words = |(run, path, entry): (usize, TreePath, Entry)| {
            let what = match &entry.kind {
                Kind::File(Content::Member(member)) => format!("{member:?}"),
                Kind::File(content) => Digest::of(&content.read(1 << 20).unwrap()).to_string(),
                other => format!("{other:?}"),
            };
            let rest = format!("{:o} {:?} {what}", entry.mode, entry.owner);
            (format!("{run} {path}"), rest)
        };
        runs.merged().map(|entry| words(entry.unwrap())).collect()
    }

    fn create(file: &Path) -> io::Result<fs_err::File> {
        let mut options = fs_err::File::options();
        options
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(file)
    }

    #[test]
    fn runs_are_merged_alike_wherever_they_are_kept() {
        let trees = trees();
        let all = merged(&trees, 100);
        let order: Vec<&str> = all.iter().map(|(place, _)| place.as_str()).collect();
        let expected = [
            "0 a", "1 a", "3 a", "0 a-b/c", "0 a/b", "1 a/b", "3 a/b", "3 b", "0 c", "1 é",
        ];
        assert_eq!(order, expected);
        for limit in [0, 3, 5] {
            assert_eq!(merged(&trees, limit), all, "{limit}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_or_read_is_an_error_that_names_it() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("spool");
        let open = || create(&file);
        let mut runs = Runs::holding(0);
        for tree in trees() {
            runs.add(tree, |_| true, Some(&open)).unwrap();
        }
        create(&file).unwrap().set_len(100).unwrap();
        let mut entries = runs.merged();
        let error = entries.find_map(Result::err).unwrap();
        assert!(error.to_string().contains("spool"), "{error}");
        assert!(entries.next().is_none());
        drop(entries);
        fs_err::write(&file, [&[5, 0, 0, 0][..], &vec![0xff; 40_000]].concat()).unwrap();
        let error = runs.merged().find_map(Result::err).unwrap();
        assert!(error.to_string().contains("spool does not hold"), "{error}");
        let tree = trees().remove(0);
        let full = || create(Path::new("/dev/full"));
        let error = Runs::holding(0)
            .add(tree.clone(), |_| true, Some(&full))
            .unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");
        let refuses = || Err(io::Error::other("no room"));
        let error = Runs::holding(0).add(tree, |_| true, Some(&refuses)).unwrap_err();
        assert_eq!(error.to_string(), "no room");
    }
}
