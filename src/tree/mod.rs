//! Trees: sorted paths to entries, every parent present, no path twice, no path outside.

mod content;
mod entries;
mod runs;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};

pub use content::{Content, Member, Method};
pub use entries::{Each, Entries};
pub use runs::{OpenSpool, Runs};

use crate::digest::{Digest, Hasher};
use crate::paths::TreePath;

/// What is at a path of a tree.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link and its target, as written.
    Symlink(String),
}

/// An entry of a tree: what it is, its mode and its owner.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, `0o755` or `0o644` unless there is a reason.
    pub mode: u32,
    /// Numeric owner; root unless the image's user must write it.
    pub owner: Owner,
}

/// Numeric owner of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Entry {
    /// A directory of root's, mode 0755.
    pub fn directory() -> Self {
        Self {
            kind: Kind::Directory,
            mode: 0o755,
            owner: Owner::default(),
        }
    }

    /// A file of root's, mode 0644 or, if executable, 0755.
    pub fn file(content: Content, executable: bool) -> Self {
        Self {
            kind: Kind::File(content),
            mode: if executable { 0o755 } else { 0o644 },
            owner: Owner::default(),
        }
    }

    /// A symbolic link.
    pub fn symlink(target: &str) -> Self {
        Self {
            kind: Kind::Symlink(target.to_owned()),
            mode: 0o777,
            owner: Owner::default(),
        }
    }

    /// The same entry with another owner.
    #[must_use]
    pub fn owned_by(mut self, owner: Owner) -> Self {
        self.owner = owner;
        self
    }

    /// The same entry with other permission bits.
    #[must_use]
    pub fn with_mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The content, if it is a file.
    pub fn content(&self) -> Option<&Content> {
        match &self.kind {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }
}

/// Why an entry cannot be added to a tree.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TreeError {
    /// Something is already there.
    #[error("{0} is there twice")]
    Twice(TreePath),
    /// A parent of the path is a file or a link.
    #[error("{0} cannot be below {1}, which is not a directory")]
    BelowFile(TreePath, TreePath),
}

/// Sorted paths to entries. Every parent of a path is in the tree and is a directory; iteration gives parents first.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    entries: BTreeMap<TreePath, Entry>,
    /// What was inserted last and is still there: most of what follows is in the same directory.
    last: Option<TreePath>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of many entries, with their parents as [`Tree::insert`] adds them; fails if two are at one path. One that
    /// grows entry by entry takes almost twice the memory.
    pub fn of(mut entries: Vec<(TreePath, Entry)>) -> Result<Self, TreeError> {
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut pairs = entries.iter().zip(entries.iter().skip(1));
        if let Some(((path, _), _)) = pairs.find(|((one, _), (other, _))| one == other) {
            return Err(TreeError::Twice(path.clone()));
        }
        let mut parents = BTreeSet::new();
        let mut seen = "";
        for (path, _) in &entries {
            // Of entries that lie together only the first.
            if std::mem::replace(&mut seen, path.parent_str()) == path.parent_str() {
                continue;
            }
            for parent in path.parents() {
                match entries.binary_search_by(|(at, _)| at.cmp(&parent)) {
                    Ok(at) if entries[at].1.is_directory() => {}
                    Ok(_) => return Err(TreeError::BelowFile(path.clone(), parent)),
                    Err(_) => {
                        parents.insert(parent);
                    }
                }
            }
        }
        entries.extend(parents.into_iter().map(|parent| (parent, Entry::directory())));
        Ok(Self {
            // Sorted once more, and put together with no room left.
            entries: entries.into_iter().collect(),
            last: None,
        })
    }

    /// Adds an entry, and its parents as directories of root's where they are missing.
    ///
    /// A directory may be added where one already is: the later mode and owner hold. Anything else twice is an error.
    pub fn insert(&mut self, path: TreePath, entry: Entry) -> Result<(), TreeError> {
        match self.entries.get_mut(&path) {
            Some(there) if there.is_directory() && entry.is_directory() => *there = entry,
            Some(_) => return Err(TreeError::Twice(path)),
            None => {
                self.ensure_parents(&path)?;
                self.last = Some(path.clone());
                self.entries.insert(path, entry);
            }
        }
        Ok(())
    }

    fn ensure_parents(&mut self, path: &TreePath) -> Result<(), TreeError> {
        let parent = path.parent_str();
        if self.last.as_ref().is_some_and(|last| last.parent_str() == parent) {
            return Ok(());
        }
        // Where its parent is a directory, so are the parents of that: no entry is here without its own.
        if self.get(parent).is_some_and(Entry::is_directory) {
            return Ok(());
        }
        for parent in path.parents() {
            match self.entries.get(&parent) {
                Some(entry) if entry.is_directory() => {}
                Some(_) => return Err(TreeError::BelowFile(path.clone(), parent)),
                None => {
                    self.entries.insert(parent, Entry::directory());
                }
            }
        }
        Ok(())
    }

    /// Takes an entry out; for a directory also all below it. Its parents stay.
    pub fn remove(&mut self, path: &TreePath) -> Option<Entry> {
        self.last = None;
        let entry = self.entries.remove(path)?;
        if entry.is_directory() {
            let prefix = format!("{path}/");
            self.entries.retain(|p, _| !p.as_str().starts_with(&prefix));
        }
        Some(entry)
    }

    /// The entry at a path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// All entries, sorted by path, parents before what is in them.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Entry)> {
        self.entries.iter()
    }

    /// The number of entries, directories included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The sum of the sizes of all files, in bytes.
    pub fn size(&self) -> u64 {
        self.entries
            .values()
            .filter_map(Entry::content)
            .map(Content::size)
            .sum()
    }

    /// The digest of everything in the tree: paths, kinds, modes, owners, link targets and contents. Reads every file.
    pub fn digest(&self) -> io::Result<Digest> {
        let mut hasher = Hasher::sha256();
        for (path, entry) in &self.entries {
            let (kind, text) = match &entry.kind {
                Kind::Directory => ("directory", String::new()),
                Kind::Symlink(target) => ("symlink", target.clone()),
                Kind::File(Content::Bytes(bytes)) => ("file", Digest::of(bytes).to_string()),
                Kind::File(content) => ("file", Digest::of_reader(content.open()?)?.0.to_string()),
            };
            let Owner { uid, gid } = entry.owner;
            // No field but the last can hold a NUL, so two different trees cannot give the same bytes.
            write!(hasher, "{path}\0{kind}\0{:o}\0{uid}:{gid}\0{text}\0", entry.mode)?;
        }
        Ok(hasher.finish())
    }

    /// The same tree with files on disk of up to `limit` bytes read into memory: what is hashed, compressed and
    /// written is then the same even if they change meanwhile.
    pub fn with_small_files_read(mut self, limit: u64) -> io::Result<Self> {
        for entry in self.entries.values_mut() {
            if let Kind::File(content @ Content::Path { .. }) = &mut entry.kind
                && content.size() <= limit
            {
                *content = Content::bytes(content.read(limit)?);
            }
        }
        Ok(self)
    }

    /// Adds all entries of another tree, as [`Tree::insert`] would.
    pub fn merge(&mut self, other: Self) -> Result<(), TreeError> {
        other
            .entries
            .into_iter()
            .try_for_each(|(path, entry)| self.insert(path, entry))
    }
}

impl IntoIterator for Tree {
    type Item = (TreePath, Entry);
    type IntoIter = std::collections::btree_map::IntoIter<TreePath, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    #[test]
    fn parents_are_added_and_come_first() {
        let mut tree = Tree::new();
        tree.insert(path("a/b/c"), Entry::file(Content::bytes(*b"1"), false))
            .unwrap();
        tree.insert(path("a-b"), Entry::symlink("a")).unwrap();
        let paths: Vec<_> = tree.iter().map(|(p, _)| p.as_str()).collect();
        assert_eq!(paths, ["a", "a-b", "a/b", "a/b/c"]);
        assert_eq!((tree.size(), tree.len()), (1, 4));
    }

    #[test]
    fn a_tree_of_many_entries_is_the_one_that_grows_by_them() {
        let file = || Entry::file(Content::bytes(*b"1"), false);
        let paths = ["b/c-d/e", "a", "b/c/d", "b/c/e/f", "b/c/a"];
        let mut grown = Tree::new();
        for text in paths {
            grown.insert(path(text), file()).unwrap();
        }
        let entries = |paths: &[&str]| paths.iter().map(|text| (path(text), file())).collect();
        let made = Tree::of(entries(&paths)).unwrap();
        assert_eq!(made.digest().unwrap(), grown.digest().unwrap());
        let fault = |paths: &[&str]| Tree::of(entries(paths)).unwrap_err();
        assert_eq!(fault(&["a", "b", "a"]), TreeError::Twice(path("a")));
        let below = TreeError::BelowFile(path("b/c"), path("b"));
        assert_eq!(fault(&["b/c", "b-c", "b"]), below);
    }

    #[test]
    fn nothing_is_there_twice_and_nothing_is_below_a_file() {
        let mut tree = Tree::new();
        tree.insert(path("a"), Entry::file(Content::bytes(*b""), false))
            .unwrap();
        assert_eq!(
            tree.insert(path("a"), Entry::directory()),
            Err(TreeError::Twice(path("a")))
        );
        assert_eq!(
            tree.insert(path("a/b"), Entry::directory()),
            Err(TreeError::BelowFile(path("a/b"), path("a")))
        );
        tree.insert(path("d"), Entry::directory()).unwrap();
        tree.insert(path("d"), Entry::directory().with_mode(0o700))
            .unwrap();
        assert_eq!(tree.get("d").unwrap().mode, 0o700);
    }

    #[test]
    fn removing_a_directory_removes_what_is_in_it() {
        let mut tree = Tree::new();
        for p in ["a/b/c", "a/bc", "a/b-c"] {
            tree.insert(path(p), Entry::file(Content::bytes(*b""), false))
                .unwrap();
        }
        tree.remove(&path("a/b"));
        let paths: Vec<_> = tree.iter().map(|(p, _)| p.as_str()).collect();
        assert_eq!(paths, ["a", "a/b-c", "a/bc"]);
    }

    #[test]
    fn the_digest_tells_trees_apart_by_all_that_a_layer_would_hold() {
        let tree = |name: &str, entry: Entry| {
            let mut tree = Tree::new();
            tree.insert(path(name), entry).unwrap();
            tree.digest().unwrap()
        };
        let file = || Entry::file(Content::bytes(*b"x"), false);
        let all = [
            tree("a", file()),
            tree("b", file()),
            tree("a", file().with_mode(0o755)),
            tree("a", file().owned_by(Owner { uid: 1, gid: 0 })),
            tree("a", Entry::symlink("x")),
            tree("a", Entry::directory()),
            tree("a", Entry::file(Content::bytes(*b"y"), false)),
        ];
        assert_eq!(tree("a", file()), all[0]);
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
