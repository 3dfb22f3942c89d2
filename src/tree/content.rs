//! Contents of files: bytes in memory, files on disk, members of zip archives; read anew each time, checked as they are read.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::blob::RandomFile;
use crate::digest::{Digest, Hasher};

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
    /// A range of a larger file, stored or deflated: a member of a zip archive. Boxed, as a tree has room for its largest
    /// content at every path, and some more that is not used yet.
    Member(Box<Member>),
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
    /// Where its data is in the archive.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.compressed_size)
    }

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
                    member: Member::clone(member),
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
                    member: Some((crc32fast::Hasher::new(), member.hasher(), Member::clone(member))),
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
        // One byte more than there are: then the end is found in the room that is there.
        let mut bytes = Vec::with_capacity(usize::try_from(self.size()).map_err(io::Error::other)? + 1);
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

#[cfg(test)]
mod tests {
    use super::*;

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
