//! Blobs: bytes that can be opened again, descriptors of them, and readers that verify what they read.

mod arrival;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use arrival::Arrival;

use crate::digest::{Digest, Hasher};
use crate::reference::Repository;

/// Bytes that can be opened again: hashed, copied, sent, sent again.
pub trait Open: Send + Sync + fmt::Debug {
    /// A new reader over all the bytes, from the first.
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;

    /// The file that holds exactly these bytes, where there is one: a sink may link or clone it.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// That file, if this very process wrote it and hashed the bytes on their way: a copy of it need not hash them again.
    fn written_file(&self) -> Option<&Path> {
        None
    }

    /// The repository of a registry that holds these bytes under their digest, where there is one: a sink of the same
    /// registry may mount them instead of sending them.
    fn repository(&self) -> Option<&Repository> {
        None
    }
}

/// Bytes in memory.
impl Open for Arc<[u8]> {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(Arc::clone(self))))
    }
}

/// A file on disk, opened by name each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathBlob(pub PathBuf);

impl Open for PathBlob {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(fs_err::File::open(&self.0)?))
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.0)
    }
}

/// A file that this process has written, having hashed what it wrote. A file that was there before is a [`PathBlob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenBlob(pub PathBuf);

impl Open for WrittenBlob {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(fs_err::File::open(&self.0)?))
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.0)
    }

    fn written_file(&self) -> Option<&Path> {
        Some(&self.0)
    }
}

/// A file that stays open and is read at offsets, from several threads at once.
#[derive(Debug)]
pub struct RandomFile {
    file: File,
    path: PathBuf,
    size: u64,
    arrival: Option<Arc<Arrival>>,
}

impl RandomFile {
    /// Opens a regular file; its size in bytes is taken now and reads beyond it fail.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (file, path) = fs_err::File::open(path)?.into_parts();
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other(format!(
                "{} is not a regular file",
                path.display()
            )));
        }
        Ok(Self {
            file,
            path,
            size: metadata.len(),
            arrival: None,
        })
    }

    /// A file that somebody else still fills: reads wait for the bytes that they want.
    pub fn arriving(path: &Path, arrival: Arc<Arrival>) -> io::Result<Self> {
        let file = Self::open(path)?;
        Ok(Self {
            size: arrival.size(),
            arrival: Some(arrival),
            ..file
        })
    }

    /// A file that is open already and may have no name; messages call it `path`.
    pub fn unnamed(file: File, path: &Path) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let path = path.to_owned();
        let arrival = None;
        Ok(Self {
            file,
            path,
            size,
            arrival,
        })
    }

    /// The size in bytes when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The name it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills the buffer from an offset; fails with `UnexpectedEof` if the file ends before.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if let Some(arrival) = &self.arrival {
            // Beyond its end nothing comes: reading there fails as it does with any file.
            let end = offset.saturating_add(buffer.len() as u64).min(self.size);
            arrival.wait(offset.min(end)..end)?;
        }
        self.file
            .read_exact_at(buffer, offset)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.path.display())))
    }
}

/// A stretch of a file: a member of a tar archive.
#[derive(Clone, Debug)]
pub struct FilePart {
    /// The file.
    pub file: Arc<RandomFile>,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub size: u64,
}

impl Open for FilePart {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(PartReader(self.clone())))
    }
}

/// What is left to read of a part.
struct PartReader(FilePart);

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let part = &mut self.0;
        let n = usize::try_from(part.size).unwrap_or(usize::MAX).min(buffer.len());
        part.file.read_exact_at(&mut buffer[..n], part.offset)?;
        part.offset += n as u64;
        part.size -= n as u64;
        Ok(n)
    }
}

/// What a blob is: media type, digest, size (OCI image-spec, descriptor.md).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The media type, e.g. `application/vnd.oci.image.layer.v1.tar+gzip`.
    pub media_type: String,
    /// The digest of the bytes.
    pub digest: Digest,
    /// The number of bytes.
    pub size: u64,
    /// Annotations on the descriptor.
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// The descriptor of bytes in memory.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        }
    }
}

/// A blob: its descriptor, and the bytes when they are wanted.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// The bytes; not trusted to match the descriptor until read through [`Blob::open_verified`].
    pub content: Arc<dyn Open>,
}

impl Blob {
    /// A blob from bytes in memory.
    pub fn from_bytes(media_type: &str, bytes: Vec<u8>) -> Self {
        let descriptor = Descriptor::of(media_type, &bytes);
        let content: Arc<[u8]> = bytes.into();
        Self {
            descriptor,
            content: Arc::new(content),
        }
    }

    /// A reader that gives exactly the bytes described, or fails: size and digest are checked at the end.
    pub fn open_verified(&self) -> io::Result<VerifiedReader<Box<dyn Read + Send>>> {
        Ok(VerifiedReader::new(
            self.content.open()?,
            self.descriptor.digest.clone(),
            self.descriptor.size,
        ))
    }

    /// All bytes, verified. For blobs that are small by nature (configs, manifests); refuses more than `limit` bytes.
    pub fn read_verified(&self, limit: u64) -> io::Result<Vec<u8>> {
        if self.descriptor.size > limit {
            let what = &self.descriptor;
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "{} is {} bytes; at most {limit} are taken",
                    what.digest, what.size
                ),
            ));
        }
        let mut bytes = Vec::new();
        self.open_verified()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Passes bytes on and fails at the end with [`io::ErrorKind::InvalidData`] if digest or size are not the expected;
/// never reads more than one byte beyond the expected size.
pub struct VerifiedReader<R> {
    inner: R,
    hasher: Option<Hasher>,
    expected: Digest,
    size: u64,
    seen: u64,
}

impl<R: Read> VerifiedReader<R> {
    /// Wraps a reader that should give `size` bytes with the digest `expected`.
    pub fn new(inner: R, expected: Digest, size: u64) -> Self {
        Self {
            inner,
            hasher: Some(Hasher::new(expected.algorithm())),
            expected,
            size,
            seen: 0,
        }
    }

    fn fault(&self, what: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", self.expected))
    }
}

impl<R: Read> Read for VerifiedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let left = self.size - self.seen;
        let limit = usize::try_from(left.saturating_add(1))
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let n = self.inner.read(&mut buffer[..limit])?;
        if n as u64 > left {
            return Err(self.fault(&format!("longer than the {} bytes expected", self.size)));
        }
        self.seen += n as u64;
        let Some(hasher) = &mut self.hasher else {
            return Ok(n);
        };
        if n > 0 {
            hasher.update(&buffer[..n]);
            return Ok(n);
        }
        if left > 0 {
            return Err(self.fault(&format!("ended after {} of {} bytes", self.seen, self.size)));
        }
        let actual = self.hasher.take().map(Hasher::finish);
        match actual {
            Some(actual) if actual != self.expected => {
                Err(self.fault(&format!("content has digest {actual}")))
            }
            _ => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], expected: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut reader = VerifiedReader::new(bytes, Digest::of(expected), expected.len() as u64);
        reader.read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn right_bytes_pass_and_wrong_ones_fail() {
        assert_eq!(read(b"hello", b"hello").unwrap(), b"hello");
        assert_eq!(read(b"", b"").unwrap(), b"");
        for bad in [&b"hellO"[..], b"hell", b"hello!", b""] {
            assert_eq!(
                read(bad, b"hello").unwrap_err().kind(),
                io::ErrorKind::InvalidData
            );
        }
    }

    #[test]
    fn a_blob_in_memory_opens_again() {
        let blob = Blob::from_bytes("text/plain", b"twice".to_vec());
        assert_eq!(blob.read_verified(10).unwrap(), b"twice");
        assert_eq!(blob.read_verified(10).unwrap(), b"twice");
        assert!(blob.read_verified(4).is_err());
    }
}
