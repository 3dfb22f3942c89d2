//! Trees: sorted paths to entries, every parent present, no path twice, no path outside.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use crate::blob::RandomFile;
use crate::digest::{Digest, Hasher};
use crate::paths::TreePath;

/// The content of a file in a tree; only its size is known at once.
#[derive(Clone)]
pub enum Content {
    /// Bytes in memory.
    Bytes(Arc<[u8]>),
    /// A file on disk of `size` bytes when it was found; whoever reads another number of bytes must fail.
    Path {
        /// Where it is.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// A range of a larger file, stored or deflated: a member of a zip archive.
    Member(Member),
}

/// A member of a zip archive: where its bytes are and what they must be when read (APPNOTE.TXT 4.3.7, 4.4).
#[derive(Clone, Debug)]
pub struct Member {
    /// The archive.
    pub archive: Arc<RandomFile>,
    /// Where the member's data begins, in bytes.
    pub offset: u64,
    /// How many bytes it takes in the archive.
    pub compressed_size: u64,
    /// How many bytes it has when read.
    pub size: u64,
    /// CRC-32 of the bytes when read.
    pub crc32: u32,
    /// The digest of the bytes when read, where one was stated (a wheel's RECORD).
    pub digest: Option<Digest>,
    /// How it is stored.
    pub method: Method,
}

/// How a zip member is stored; wheels use no other method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// As it is.
    Stored,
    /// One raw DEFLATE stream (RFC 1951).
    Deflated,
}

impl Member {
    /// What computes the digest that the bytes must have; none if none was stated.
    pub fn hasher(&self) -> Option<Hasher> {
        self.digest.as_ref().map(|digest| Hasher::new(digest.algorithm()))
    }

    /// Fails if all bytes went through [`Member::hasher`]'s hasher and it found another digest than the stated one.
    pub fn check(&self, hasher: Option<Hasher>) -> io::Result<()> {
        match hasher.map(Hasher::finish) {
            Some(actual) if Some(&actual) != self.digest.as_ref() => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "content does not have the hash that was stated",
            )),
            _ => Ok(()),
        }
    }
}

impl Content {
    /// Content from bytes in memory.
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::Bytes(bytes.into())
    }

    /// The size in bytes when read.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Path { size, .. } => *size,
            Self::Member(member) => member.size,
        }
    }

    /// A reader over the content; fails at the end if it is not of the stated size (or, for a member, CRC-32 and digest).
    pub fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::Bytes(bytes) => Ok(Box::new(io::Cursor::new(Arc::clone(bytes)))),
            Self::Path { path, size } => {
                let file = fs_err::File::open(path)?;
                Ok(Box::new(Checked {
                    inner: file,
                    size: *size,
                    seen: 0,
                    member: None,
                    name: path.display().to_string(),
                }))
            }
            Self::Member(member) => {
                let raw = MemberReader {
                    member: member.clone(),
                    at: 0,
                };
                let inner: Box<dyn Read + Send> = match member.method {
                    Method::Stored => Box::new(raw),
                    Method::Deflated => Box::new(flate2::read::DeflateDecoder::new(raw)),
                };
                let name = member.archive.path().display().to_string();
                Ok(Box::new(Checked {
                    inner,
                    size: member.size,
                    seen: 0,
                    member: Some((crc32fast::Hasher::new(), member.hasher(), member.clone())),
                    name,
                }))
            }
        }
    }

    /// All bytes; for files that are small by nature. Fails beyond `limit` bytes.
    pub fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        if self.size() > limit {
            let message = format!("file of {} bytes where at most {limit} are taken", self.size());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut bytes = Vec::new();
        self.open()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.size())
    }
}

/// The raw bytes of a zip member.
struct MemberReader {
    member: Member,
    at: u64,
}

impl Read for MemberReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.member.compressed_size - self.at;
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.member
            .archive
            .read_exact_at(&mut buffer[..n], self.member.offset + self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Passes bytes on; fails at the end if their number, CRC-32 or digest is not the expected one.
struct Checked<R> {
    inner: R,
    size: u64,
    seen: u64,
    member: Option<(crc32fast::Hasher, Option<Hasher>, Member)>,
    name: String,
}

impl<R> Checked<R> {
    fn fault(&self, what: &str) -> io::Error {
        let message = format!("{}: content does not have the {what} that was stated", self.name);
        io::Error::new(io::ErrorKind::InvalidData, message)
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.seen += n as u64;
        if let Some((crc, hasher, _)) = &mut self.member {
            crc.update(&buffer[..n]);
            if let Some(hasher) = hasher {
                hasher.update(&buffer[..n]);
            }
        }
        let ended = n == 0 && !buffer.is_empty();
        if self.seen > self.size || (ended && self.seen < self.size) {
            return Err(self.fault("size"));
        }
        if let (true, Some((crc, hasher, member))) = (ended, &mut self.member) {
            if crc.clone().finalize() != member.crc32 {
                return Err(self.fault("CRC-32"));
            }
            if member.check(hasher.take()).is_err() {
                return Err(self.fault("hash"));
            }
        }
        Ok(n)
    }
}

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
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry, and its parents as directories of root's where they are missing.
    ///
    /// A directory may be added where one already is: the later mode and owner hold. Anything else twice is an error.
    pub fn insert(&mut self, path: TreePath, entry: Entry) -> Result<(), TreeError> {
        match self.entries.get(&path) {
            Some(there) if !(there.is_directory() && entry.is_directory()) => {
                return Err(TreeError::Twice(path));
            }
            Some(_) => {}
            None => self.ensure_parents(&path)?,
        }
        self.entries.insert(path, entry);
        Ok(())
    }

    fn ensure_parents(&mut self, path: &TreePath) -> Result<(), TreeError> {
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

    #[test]
    fn a_file_that_changed_its_size_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), "12345").unwrap();
        let content = |size| Content::Path {
            path: file.path().to_owned(),
            size,
        };
        assert_eq!(content(5).read(10).unwrap(), b"12345");
        assert!(content(4).read(10).is_err());
        assert!(content(6).read(10).is_err());
    }
}
