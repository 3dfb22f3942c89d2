//! Entries packed in a file: what of them is read again takes no memory until then.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use fs_err::os::unix::fs::FileExt as _;
use serde::{Deserialize, Serialize};

use crate::blob::RandomFile;
use crate::digest::{Algorithm, Digest};
use crate::paths::TreePath;
use crate::tree::{Content, Entry, Kind, Member, Method, Owner};

/// About how much of the file is read at once, in bytes; what is being merged has as much of each run in memory.
const BLOCK: usize = 4096;
/// The bytes of a length in front of each entry.
const LENGTH: usize = size_of::<u32>();

/// The file, and what cannot be written to it.
#[derive(Debug)]
pub(super) struct Spool {
    file: fs_err::File,
    end: u64,
    archives: Vec<Arc<RandomFile>>,
}

/// A run of entries in the file.
#[derive(Debug)]
pub(super) struct Packed {
    /// The path of the first.
    pub first: Option<TreePath>,
    range: Range<u64>,
}

/// An entry as it is written.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    path: &'a str,
    mode: u32,
    owner: (u32, u32),
    #[serde(borrow)]
    kind: Packable<'a>,
}

#[derive(Serialize, Deserialize)]
enum Packable<'a> {
    Directory,
    Symlink(&'a str),
    Bytes(&'a [u8]),
    Path(&'a [u8], u64),
    Member {
        archive: usize,
        offset: u64,
        sizes: (u64, u64),
        crc32: u32,
        #[serde(borrow)]
        digest: Option<(&'a str, &'a [u8])>,
        deflated: bool,
    },
}

impl Spool {
    /// A file without entries, which only this writes to.
    pub fn new(file: fs_err::File) -> Self {
        let (end, archives) = (0, Vec::new());
        Self { file, end, archives }
    }

    /// Writes a run.
    pub fn pack(&mut self, entries: &[(TreePath, Entry)]) -> io::Result<Packed> {
        let mut bytes = Vec::new();
        for (path, entry) in entries {
            let record = Record {
                path: path.as_str(),
                mode: entry.mode,
                owner: (entry.owner.uid, entry.owner.gid),
                kind: self.packable(&entry.kind),
            };
            let start = bytes.len();
            bytes.extend_from_slice(&[0; LENGTH]);
            bytes = postcard::to_extend(&record, bytes).map_err(io::Error::other)?;
            let length = u32::try_from(bytes.len() - start - LENGTH).map_err(io::Error::other)?;
            bytes[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
        }
        self.file.write_all_at(&bytes, self.end)?;
        let start = self.end;
        self.end += bytes.len() as u64;
        Ok(Packed {
            first: entries.first().map(|(path, _)| path.clone()),
            range: start..self.end,
        })
    }

    fn packable<'e>(&mut self, kind: &'e Kind) -> Packable<'e> {
        match kind {
            Kind::Directory => Packable::Directory,
            Kind::Symlink(target) => Packable::Symlink(target),
            Kind::File(Content::Bytes(bytes)) => Packable::Bytes(bytes),
            Kind::File(Content::Path { path, size }) => Packable::Path(path.as_os_str().as_bytes(), *size),
            Kind::File(Content::Member(member)) => Packable::Member {
                archive: self.archive(&member.archive),
                offset: member.offset,
                sizes: (member.compressed_size, member.size),
                crc32: member.crc32,
                digest: member
                    .digest
                    .as_ref()
                    .map(|digest| (digest.algorithm().name(), digest.as_bytes())),
                deflated: member.method == Method::Deflated,
            },
        }
    }

    /// The number of an archive. Members follow those of the same one.
    fn archive(&mut self, archive: &Arc<RandomFile>) -> usize {
        if !self
            .archives
            .last()
            .is_some_and(|last| Arc::ptr_eq(last, archive))
        {
            self.archives.push(Arc::clone(archive));
        }
        self.archives.len() - 1
    }

    fn unpacked(&self, bytes: &[u8]) -> io::Result<(TreePath, Entry)> {
        let record: Record<'_> = postcard::from_bytes(bytes).map_err(|e| self.damaged(&e))?;
        let kind = match record.kind {
            Packable::Directory => Kind::Directory,
            Packable::Symlink(target) => Kind::Symlink(target.to_owned()),
            Packable::Bytes(bytes) => Kind::File(Content::bytes(bytes)),
            Packable::Path(path, size) => {
                let path = OsStr::from_bytes(path).into();
                Kind::File(Content::Path { path, size })
            }
            Packable::Member {
                archive,
                offset,
                sizes: (compressed_size, size),
                crc32,
                digest,
                deflated,
            } => {
                let archive = self.archives.get(archive);
                let method = if deflated {
                    Method::Deflated
                } else {
                    Method::Stored
                };
                Kind::File(Content::Member(Box::new(Member {
                    archive: Arc::clone(archive.ok_or_else(|| self.damaged(&"no such archive"))?),
                    offset,
                    compressed_size,
                    size,
                    crc32,
                    digest: digest.map(digest_of).transpose()?,
                    method,
                })))
            }
        };
        let (uid, gid) = record.owner;
        let entry = Entry {
            kind,
            mode: record.mode,
            owner: Owner { uid, gid },
        };
        let path = TreePath::new(record.path).map_err(|e| self.damaged(&e))?;
        Ok((path, entry))
    }

    fn damaged(&self, what: &dyn fmt::Display) -> io::Error {
        let path = self.file.path().display();
        io::Error::other(format!(
            "a temporary file in {path} does not hold what was written to it: {what}"
        ))
    }
}

fn digest_of((algorithm, bytes): (&str, &[u8])) -> io::Result<Digest> {
    let algorithm: Algorithm = algorithm.parse().map_err(io::Error::other)?;
    Digest::from_bytes(algorithm, bytes).map_err(io::Error::other)
}

impl Packed {
    /// The entries of the run, read as they are asked for; after an error there are no more.
    pub fn entries<'s>(
        &self,
        spool: &'s Spool,
    ) -> impl Iterator<Item = io::Result<(TreePath, Entry)>> + Send + use<'s> {
        let mut reader = Reader {
            spool,
            left: self.range.clone(),
            block: Vec::new(),
            used: 0,
        };
        std::iter::from_fn(move || {
            let entry = reader.next().transpose()?;
            if entry.is_err() {
                reader.left = 0..0;
                reader.block.clear();
                reader.used = 0;
            }
            Some(entry)
        })
    }
}

/// A run that is being read.
struct Reader<'s> {
    spool: &'s Spool,
    /// What of it was not read yet.
    left: Range<u64>,
    /// What was read, and how much of that was given.
    block: Vec<u8>,
    used: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> io::Result<Option<(TreePath, Entry)>> {
        if self.left.is_empty() && self.used == self.block.len() {
            return Ok(None);
        }
        let length = self.take(LENGTH)?.try_into().map(u32::from_le_bytes);
        let length = usize::try_from(length.map_err(io::Error::other)?).map_err(io::Error::other)?;
        let spool = self.spool;
        spool.unpacked(self.take(length)?).map(Some)
    }

    /// The next bytes.
    fn take(&mut self, count: usize) -> io::Result<&[u8]> {
        let there = self.block.len() - self.used;
        if there < count {
            self.block.drain(..self.used);
            self.used = 0;
            let left = usize::try_from(self.left.end - self.left.start).unwrap_or(usize::MAX);
            let more = (count - there).max(BLOCK).min(left);
            self.block.resize(there + more, 0);
            self.spool
                .file
                .read_exact_at(&mut self.block[there..], self.left.start)?;
            self.left.start += more as u64;
        }
        let bytes = self.block.get(self.used..self.used + count);
        self.used += count;
        bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
