//! New entries of the store: written under a temporary name, renamed by digest when whole.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::writeback::Writeback;
use super::{Error, Kind, Store, directory, set_mode};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::files;
use crate::secrets::Watch;

/// An entry that has been added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The file, read-only.
    pub path: PathBuf,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// An entry that is being written. Dropped before [`NewEntry::keep`], it leaves nothing.
pub struct NewEntry {
    file: NamedTempFile,
    store: Store,
    kind: Kind,
    hasher: Option<Hasher>,
    watch: Option<Watch>,
    writeback: Option<Writeback>,
    size: u64,
}

impl NewEntry {
    pub(super) fn new(store: &Store, kind: Kind) -> Result<Self, Error> {
        let directory = store.root().join("tmp");
        let file = NamedTempFile::new_in(&directory).map_err(|source| store.unwritten(source))?;
        Ok(Self {
            file,
            store: store.clone(),
            kind,
            hasher: None,
            watch: store.secrets.watch(),
            writeback: None,
            size: 0,
        })
    }

    /// Hashes what is written, for writers that do not know its digest.
    #[must_use]
    pub fn hashed_by(mut self, algorithm: Algorithm) -> Self {
        self.hasher = Some(Hasher::new(algorithm));
        self
    }

    /// Has what is written sent to the disk at once: the file will be a file of a layout too, which must be synced.
    #[must_use]
    pub fn synced_soon(mut self) -> Self {
        self.writeback = self.writer().ok().map(Writeback::of);
        self
    }

    /// Makes room for `size` bytes, to be written in any order through [`NewEntry::writer`].
    pub fn sized(self, size: u64) -> Result<Self, Error> {
        let sized = self.file.as_file().set_len(size);
        sized.map_err(|source| self.fault(source)).map(|()| self)
    }

    /// Where the file is until it is kept.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The file. What is written to it must be taken in before the entry is kept.
    pub fn writer(&self) -> io::Result<File> {
        self.file.as_file().try_clone()
    }

    /// Takes in what was written through [`NewEntry::writer`], up to an offset.
    pub fn take_in(&mut self, end: u64) -> Result<(), Error> {
        let mut buffer = vec![0; 128 * 1024];
        while self.size < end {
            let n = usize::try_from(end - self.size)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let read = self.file.as_file().read_exact_at(&mut buffer[..n], self.size);
            read.map_err(|source| self.fault(source))?;
            self.pass(&buffer[..n])?;
        }
        Ok(())
    }

    /// Writes all that a reader gives.
    pub fn copy_from(&mut self, reader: &mut dyn Read) -> Result<(), Error> {
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => self.add(&buffer[..n])?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::Source(e)),
            }
        }
    }

    /// Writes bytes, all of them.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.as_file_mut().write_all(bytes);
        written.map_err(|source| self.fault(source))?;
        self.pass(bytes)
    }

    /// The digest and size of what was written so far; of nothing if it is not hashed.
    pub fn digest(&self) -> (Digest, u64) {
        (
            self.hasher.clone().unwrap_or_else(Hasher::sha256).finish(),
            self.size,
        )
    }

    /// Keeps what was written under its digest. It is not synced: a file that power loss tears is found out when read.
    pub fn keep(self, digest: &Digest, size: u64) -> Result<Added, Error> {
        set_mode(self.file.as_file(), self.kind.mode()).map_err(|source| self.fault(source))?;
        let path = self.store.place(self.kind, digest);
        let fault = |source| Error::Io {
            path: path.clone(),
            source,
        };
        if let Some(parent) = path.parent() {
            directory::make_private(parent).map_err(fault)?;
        }
        files::persist(self.file, &path).map_err(fault)?;
        Ok(Added {
            path,
            digest: digest.clone(),
            size,
        })
    }

    /// Scans and hashes the next bytes.
    fn pass(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(hit) = self.watch.as_mut().and_then(|watch| watch.push(bytes)) {
            return Err(Error::Leak(hit.leak("what would be kept in the cache")));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn fault(&self, source: io::Error) -> Error {
        self.store.unwritten(source)
    }
}

impl Write for NewEntry {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // All of it, so that nothing is scanned twice. Whoever writes here knows of other files too: the error names this.
        self.add(bytes).map_err(io::Error::other)?;
        if let Some(writeback) = &mut self.writeback {
            writeback.wrote(bytes.len());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
