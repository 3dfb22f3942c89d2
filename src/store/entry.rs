//! New entries of the store: written under a temporary name, renamed by digest when whole.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use tempfile::NamedTempFile;

use super::{Error, Kind, Store, set_mode};
use crate::digest::{Algorithm, Digest, Hasher};
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
    size: u64,
}

impl NewEntry {
    pub(super) fn new(store: &Store, kind: Kind) -> Result<Self, Error> {
        let directory = store.root().join("tmp");
        let file = NamedTempFile::new_in(&directory).map_err(|source| Error::Io {
            path: directory,
            source,
        })?;
        Ok(Self {
            file,
            store: store.clone(),
            kind,
            hasher: None,
            watch: store.secrets.watch(),
            size: 0,
        })
    }

    /// Hashes what is written, for writers that do not know its digest.
    #[must_use]
    pub fn hashed_by(mut self, algorithm: Algorithm) -> Self {
        self.hasher = Some(Hasher::new(algorithm));
        self
    }

    /// Writes all that a reader gives.
    pub fn copy_from(&mut self, reader: &mut dyn Read) -> Result<(), Error> {
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => self
                    .write_all(&buffer[..n])
                    .map_err(|source| self.fault(source))?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::Source(e)),
            }
        }
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
        let mode = if self.kind == Kind::Program { 0o500 } else { 0o400 };
        set_mode(self.file.as_file(), mode).map_err(|source| self.fault(source))?;
        let path = self.store.place(self.kind, digest);
        let fault = |source| Error::Io {
            path: path.clone(),
            source,
        };
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent).map_err(fault)?;
        }
        self.file.persist(&path).map_err(|e| fault(e.error))?;
        Ok(Added {
            path,
            digest: digest.clone(),
            size,
        })
    }

    fn fault(&self, source: io::Error) -> Error {
        Error::Io {
            path: self.file.path().to_owned(),
            source,
        }
    }
}

impl Write for NewEntry {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(hit) = self.watch.as_mut().and_then(|watch| watch.push(bytes)) {
            return Err(io::Error::other(hit.leak("what would be kept in the cache")));
        }
        // All of it, so that nothing is scanned twice.
        self.file.write_all(bytes)?;
        let n = bytes.len();
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes[..n]);
        }
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
