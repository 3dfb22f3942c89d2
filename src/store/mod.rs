//! The store: a content-addressed cache on disk. It is never the truth: every read is verified, a bad entry is dropped.

mod entry;
mod layers;
mod memo;
mod pack;
mod remote;
mod writeback;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub use entry::{Added, NewEntry};
pub use pack::Packed;
pub use remote::Remote;

use crate::digest::Digest;
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
        expected: Digest,
        /// The digest it has.
        actual: Digest,
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
            Self::Directory { .. } => Some("set XDG_CACHE_HOME to a directory that you can write".to_owned()),
            Self::Shared { path } => Some(format!("chmod go-w {}", path.display())),
            _ => None,
        }
    }
}

/// The cache directory. Cheap to clone; safe to use from many threads and processes at once.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    /// Held shared while the store is in use, so that pruning waits for builds and never takes what they use.
    _lock: Arc<File>,
    sharing: Arc<remote::Sharing>,
    /// What no entry and no note may hold.
    secrets: Secrets,
}

impl Store {
    /// Opens the store at a directory, which is made (mode 0700) where it is missing.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let fault = |source| Error::Directory {
            path: root.to_owned(),
            source,
        };
        let lock = prepare(root).and_then(|()| open_lock(root)).map_err(fault)?;
        let metadata = fs_err::metadata(root).map_err(fault)?;
        if metadata.mode() & 0o022 != 0 {
            return Err(Error::Shared {
                path: root.to_owned(),
            });
        }
        lock.lock_shared().map_err(fault)?;
        Ok(Self {
            root: root.to_owned(),
            _lock: Arc::new(lock),
            sharing: Arc::default(),
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
        let (first, rest) = digest.hex().split_at(2);
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
        self.remove(kind, digest)?;
        Ok(None)
    }

    /// The file of an entry whose size is right; its bytes are not read. Whoever reads them must verify them.
    pub fn find_unverified(&self, kind: Kind, digest: &Digest, size: u64) -> Option<PathBuf> {
        let path = self.place(kind, digest);
        let file = File::options().read(true).open(&path).ok()?;
        let metadata = file.metadata().ok()?;
        (metadata.is_file() && metadata.len() == size).then(|| {
            touch(&file);
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
                expected: expected.clone(),
                actual: digest,
            }),
            _ => entry.keep(&digest, size),
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

    /// Removes every entry that was last used before `cutoff`, and what killed builds left behind. Waits until no
    /// build uses the store. Gives the number of files removed and their bytes.
    pub fn prune(root: &Path, cutoff: SystemTime) -> Result<(u64, u64), Error> {
        let fault = |source| Error::Directory {
            path: root.to_owned(),
            source,
        };
        if !root.exists() {
            return Ok((0, 0));
        }
        let lock = prepare(root).and_then(|()| open_lock(root)).map_err(fault)?;
        lock.lock().map_err(fault)?;
        let mut removed = (0, 0);
        for kind in Kind::ALL {
            remove_older(&root.join(kind.directory()), cutoff, &mut removed).map_err(fault)?;
        }
        remove_older(&root.join("memos"), cutoff, &mut removed).map_err(fault)?;
        // uv's own cache hangs together: it goes as a whole.
        let uv = root.join(UV_CACHE);
        if newest(&uv).map_err(fault)?.is_some_and(|newest| newest < cutoff) {
            remove_older(&uv, cutoff, &mut removed).map_err(fault)?;
            fs_err::remove_dir_all(&uv).map_err(fault)?;
        }
        // Nobody else holds the lock, so nobody works in tmp.
        fs_err::remove_dir_all(root.join("tmp")).map_err(fault)?;
        fs_err::create_dir(root.join("tmp")).map_err(fault)?;
        Ok(removed)
    }
}

fn prepare(root: &Path) -> io::Result<()> {
    if !root.join("tmp").is_dir() {
        if let Some(parent) = root.parent() {
            fs_err::create_dir_all(parent)?;
        }
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)?;
        fs_err::create_dir_all(root.join("tmp"))?;
        let tag = "Signature: 8a477f597d28d172789f06886806bc55\n# This is a cache of pyoci: https://bford.info/cachedir/\n";
        fs_err::write(root.join("CACHEDIR.TAG"), tag)?;
    }
    Ok(())
}

fn open_lock(root: &Path) -> io::Result<File> {
    let options = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .clone();
    options.open(root.join("lock"))
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

/// When the last of the files of a directory was written; `None` if there is no file.
fn newest(directory: &Path) -> io::Result<Option<SystemTime>> {
    let entries = match fs_err::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let mut last = None;
    for entry in entries {
        let entry = entry?;
        let metadata = entry.metadata()?;
        last = last.max(if metadata.is_dir() {
            newest(&entry.path())?
        } else {
            Some(metadata.modified()?)
        });
    }
    Ok(last)
}

fn remove_older(directory: &Path, cutoff: SystemTime, removed: &mut (u64, u64)) -> io::Result<()> {
    let entries = match fs_err::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            remove_older(&entry.path(), cutoff, removed)?;
        } else if metadata.modified()? < cutoff {
            fs_err::remove_file(entry.path())?;
            *removed = (removed.0 + 1, removed.1 + metadata.len());
        }
    }
    Ok(())
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
    fn a_directory_that_others_may_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Store::open(directory.path()), Err(Error::Shared { .. })));
    }

    #[test]
    fn pruning_removes_what_was_not_used_since() {
        let (_directory, store) = store();
        let root = store.root().to_owned();
        store.add(Kind::Wheel, None, &mut &b"wheel"[..]).unwrap();
        store.remember(&Digest::of(b"key"), b"note").unwrap();
        drop(store);
        assert_eq!(Store::prune(&root, SystemTime::UNIX_EPOCH).unwrap(), (0, 0));
        let later = fs_err::metadata(root.join("tmp")).unwrap().modified().unwrap()
            + std::time::Duration::from_hours(1);
        assert_eq!(Store::prune(&root, later).unwrap().0, 2);
    }
}
