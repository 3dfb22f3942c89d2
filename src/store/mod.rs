//! The store: a content-addressed cache on disk. It is never the truth: every read is verified, a bad entry is dropped.

mod directory;
mod entry;
mod layers;
mod memo;
mod pack;
mod prune;
mod remote;
mod verify;
mod writeback;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

pub use entry::{Added, NewEntry};
pub use pack::Packed;
pub use remote::Remote;
pub use verify::{Damaged, Verified};

use crate::digest::Digest;
use crate::files::{self, Lock};
use crate::progress::Progress;
use crate::secrets::{Leak, Secrets};

/// The directory of the cache of the uv that pyoci fetched.
pub const UV_CACHE: &str = "uv";

/// What kind of thing an entry is; each kind has a directory of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Wheel files, as they came from an index or were built.
    Wheel,
    /// Other downloads: Debian packages and indexes, sdists.
    Download,
    /// Finished layers and other blobs of images.
    Blob,
    /// Programs that pyoci runs: uv.
    Program,
    /// Files that were made together: byte-code.
    Pack,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Wheel, Self::Download, Self::Blob, Self::Program, Self::Pack];

    fn directory(self) -> &'static str {
        match self {
            Self::Wheel => "wheels",
            Self::Download => "downloads",
            Self::Blob => "blobs",
            Self::Program => "programs",
            Self::Pack => "packs",
        }
    }

    /// The mode of its entries. Nobody may write them. A blob may become a file of a layout, which others read; here the
    /// store's own directory keeps them out.
    fn mode(self) -> u32 {
        match self {
            Self::Wheel | Self::Download | Self::Pack => 0o400,
            Self::Blob => 0o444,
            Self::Program => 0o500,
        }
    }
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory cannot be made or used.
    #[error("cannot use the cache directory {path}", path = .path.display())]
    Directory {
        /// The store's directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may write to the directory, so nothing in it can be trusted.
    #[error("the cache directory {path} may be written by other users", path = .path.display())]
    Shared {
        /// The store's directory.
        path: PathBuf,
    },
    /// What was added is not what was expected.
    #[error("expected {expected}, got {actual}")]
    Mismatch {
        /// The digest it should have had.
        expected: Box<Digest>,
        /// The digest it has.
        actual: Box<Digest>,
    },
    /// Reading or writing failed.
    #[error("cache {path}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What would be kept holds a credential.
    #[error("the cache does not keep it")]
    Leak(#[source] Leak),
    /// The source of an entry failed while it was read.
    #[error("reading failed")]
    Source(#[source] io::Error),
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Directory { source, .. } | Self::Io { source, .. } if is_full(source) => Some(
                "make room with `pyoci cache prune`, or set XDG_CACHE_HOME to a directory on another disk"
                    .to_owned(),
            ),
            Self::Directory { .. } => Some("set XDG_CACHE_HOME to a directory that you can write".to_owned()),
            Self::Shared { path } => Some(format!("chmod go-w {}", path.display())),
            _ => None,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// The cache directory. Cheap to clone; safe to use from many threads and processes at once.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    /// Held shared while the store is in use, so that pruning waits for builds and never takes what they use.
    _lock: Arc<File>,
    sharing: Arc<remote::Sharing>,
    /// What was given out although nobody had read it.
    unverified: Arc<Mutex<BTreeSet<(Kind, Digest)>>>,
    /// What no entry and no note may hold.
    secrets: Secrets,
}

impl Store {
    /// Opens the store at a directory, which is made (mode 0700) where it is missing.
    pub fn open(root: &Path) -> Result<Self, Error> {
        Self::open_telling(root, &Progress::silent())
    }

    /// The same; tells who waits that the cache is being pruned.
    pub fn open_telling(root: &Path, progress: &Progress) -> Result<Self, Error> {
        let lock = directory::open(root)?;
        // Nobody else uses the store: what is in the directory for temporary files was left by killed processes.
        if directory::has_leftovers(root) && files::try_lock(&lock, Lock::Alone).unwrap_or(false) {
            directory::remove_leftovers(root);
        }
        let waiting = || {
            progress.done(
                "Waiting",
                format!("for the pruning of the cache {}", root.display()),
            );
        };
        files::lock(&lock, Lock::Shared, waiting).map_err(|source| Error::Directory {
            path: root.to_owned(),
            source,
        })?;
        Ok(Self {
            root: root.to_owned(),
            _lock: Arc::new(lock),
            sharing: Arc::default(),
            unverified: Arc::default(),
            secrets: Secrets::default(),
        })
    }

    /// The store that refuses to keep what holds one of these credentials.
    #[must_use]
    pub fn guarded_by(mut self, secrets: &Secrets) -> Self {
        self.secrets = secrets.clone();
        self
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where an entry is or would be.
    pub fn place(&self, kind: Kind, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let (first, rest) = hex.split_at(2);
        self.root
            .join(kind.directory())
            .join(digest.algorithm().name())
            .join(first)
            .join(rest)
    }

    /// The file of an entry, after its bytes have been hashed. A damaged entry is removed and counts as missing.
    pub fn find(&self, kind: Kind, digest: &Digest) -> Result<Option<PathBuf>, Error> {
        let path = self.place(kind, digest);
        let fault = |source| Error::Io {
            path: path.clone(),
            source,
        };
        let mut file = match fs_err::File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(fault(e)),
        };
        let mut hasher = crate::digest::Hasher::new(digest.algorithm());
        io::copy(&mut file, &mut hasher).map_err(fault)?;
        if hasher.finish() == *digest {
            touch(file.file());
            return Ok(Some(path));
        }
        // Another process may have put a good one there.
        if files::is_at(file.file(), &path) {
            self.remove(kind, digest)?;
        }
        Ok(None)
    }

    /// The file of an entry whose size is right; its bytes are not read. Whoever reads them must verify them, and where that
    /// fails [`Store::mend`] removes it.
    pub fn find_unverified(&self, kind: Kind, digest: &Digest, size: u64) -> Option<PathBuf> {
        let path = self.place(kind, digest);
        let file = File::options().read(true).open(&path).ok()?;
        let metadata = file.metadata().ok()?;
        (metadata.is_file() && metadata.len() == size).then(|| {
            touch(&file);
            if let Ok(mut unverified) = self.unverified.lock() {
                unverified.insert((kind, digest.clone()));
            }
            path
        })
    }

    /// Adds an entry from a reader. Nothing is added if the reader fails or the digest is not the expected one.
    pub fn add(&self, kind: Kind, expected: Option<&Digest>, reader: &mut dyn Read) -> Result<Added, Error> {
        let algorithm = expected.map_or(crate::digest::Algorithm::Sha256, Digest::algorithm);
        let mut entry = self.new_entry(kind)?.hashed_by(algorithm);
        entry.copy_from(reader)?;
        let (digest, size) = entry.digest();
        match expected {
            Some(expected) if *expected != digest => Err(Error::Mismatch {
                expected: Box::new(expected.clone()),
                actual: Box::new(digest),
            }),
            _ => entry.keep(&digest, size),
        }
    }

    /// A fault of writing to the store. The name that the file would have had means nothing to anybody; the disk may be full.
    pub fn unwritten(&self, source: io::Error) -> Error {
        Error::Directory {
            path: self.root.clone(),
            source,
        }
    }

    /// Begins an entry whose bytes are written piece by piece.
    pub fn new_entry(&self, kind: Kind) -> Result<NewEntry, Error> {
        NewEntry::new(self, kind)
    }

    /// Removes an entry, if it is there.
    pub fn remove(&self, kind: Kind, digest: &Digest) -> Result<(), Error> {
        let path = self.place(kind, digest);
        match fs_err::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::Io { path, source: e }),
            _ => Ok(()),
        }
    }

    /// A directory for temporary work inside the store; removed when dropped.
    pub fn scratch(&self) -> Result<tempfile::TempDir, Error> {
        let path = self.root.join("tmp");
        tempfile::TempDir::new_in(&path).map_err(|source| Error::Io { path, source })
    }

    /// A temporary file in the store that has no name: it is gone when it is closed, however that happens.
    pub fn scratch_file(&self) -> Result<File, Error> {
        let path = self.root.join("tmp");
        tempfile::tempfile_in(&path).map_err(|source| Error::Io { path, source })
    }

    /// As [`Store::scratch_file`]; its errors name where it is.
    pub fn spool(&self) -> io::Result<fs_err::File> {
        let path = self.root.join("tmp");
        let file = tempfile::tempfile_in(&path)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
        Ok(fs_err::File::from_parts(file, path))
    }
}

/// Marks a file as used now; pruning goes by it. A file system that refuses loses only precision.
fn touch(file: &File) {
    let _ = set_used_now(file);
}

fn set_used_now(file: &File) -> io::Result<()> {
    // The time of use is the file system's business; it reaches no output.
    #[allow(clippy::disallowed_methods, reason = "cache bookkeeping; reaches no image")]
    file.set_times(std::fs::FileTimes::new().set_modified(SystemTime::now()))
}

fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("cache")).unwrap();
        (directory, store)
    }

    #[test]
    fn what_is_added_is_found_and_what_is_damaged_is_not() {
        let (_directory, store) = store();
        let added = store.add(Kind::Wheel, None, &mut &b"wheel"[..]).unwrap();
        assert_eq!((added.digest.clone(), added.size), (Digest::of(b"wheel"), 5));
        assert_eq!(
            store.find(Kind::Wheel, &added.digest).unwrap(),
            Some(added.path.clone())
        );
        assert_eq!(store.find(Kind::Blob, &added.digest).unwrap(), None);
        fs_err::remove_file(&added.path).unwrap();
        fs_err::write(&added.path, "wheeL").unwrap();
        assert_eq!(store.find(Kind::Wheel, &added.digest).unwrap(), None);
        assert!(!added.path.exists());
    }

    #[test]
    fn bytes_that_are_not_the_expected_ones_are_not_kept() {
        let (_directory, store) = store();
        let expected = Digest::of(b"right");
        let error = store
            .add(Kind::Wheel, Some(&expected), &mut &b"wrong"[..])
            .unwrap_err();
        assert!(matches!(error, Error::Mismatch { .. }));
        assert_eq!(store.find(Kind::Wheel, &expected).unwrap(), None);
        assert_eq!(fs_err::read_dir(store.root().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn a_credential_is_not_kept_however_it_is_written_and_that_is_what_is_said() {
        let (_directory, store) = store();
        let secrets = Secrets::default();
        secrets.hold("the password of h", Some("me"), "correct-horse");
        let store = store.guarded_by(&secrets);
        let bytes = b"a page that says correct-horse";
        let is_leak = |error: Error| matches!(&error, Error::Leak(leak) if leak.to_string().contains("the password of h"));
        assert!(is_leak(
            store.add(Kind::Download, None, &mut &bytes[..]).unwrap_err()
        ));
        assert!(is_leak(store.remember(&Digest::of(b"key"), bytes).unwrap_err()));
        // In any order, as wheels arrive.
        let mut entry = store
            .new_entry(Kind::Wheel)
            .unwrap()
            .sized(bytes.len() as u64)
            .unwrap();
        let writer = entry.writer().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&writer, bytes, 0).unwrap();
        assert!(is_leak(entry.take_in(bytes.len() as u64).unwrap_err()));
    }
}
