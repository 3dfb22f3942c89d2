//! What file operations need beside the library's: what a signal interrupts is done again, and who waits says so.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::interrupted::uninterrupted;

/// How long a lock is waited for before anybody is told, in steps.
const STEP: Duration = Duration::from_millis(10);
const STEPS: u32 = 30;

/// Who else may hold a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Others that share it.
    Shared,
    /// Nobody.
    Alone,
}

/// The entries of a directory. The library opens a file again where a signal interrupts that, and a directory not.
pub fn read_dir(path: impl AsRef<Path>) -> io::Result<fs_err::ReadDir> {
    uninterrupted(|| fs_err::read_dir(path.as_ref()))
}

/// Gives a temporary file its name, in place of what has it. Where that fails the file is removed.
pub fn persist(mut file: NamedTempFile, path: &Path) -> io::Result<File> {
    loop {
        match file.persist(path) {
            Ok(file) => return Ok(file),
            Err(fault) if fault.error.kind() == io::ErrorKind::Interrupted => file = fault.file,
            Err(fault) => return Err(fault.error),
        }
    }
}

/// Locks an open file or directory until it is closed. `waiting` is called once if that takes longer than a moment.
pub fn lock(file: &File, lock: Lock, waiting: impl FnOnce()) -> io::Result<()> {
    for _ in 0..STEPS {
        if try_lock(file, lock)? {
            return Ok(());
        }
        std::thread::sleep(STEP);
    }
    waiting();
    uninterrupted(|| match lock {
        Lock::Shared => file.lock_shared(),
        Lock::Alone => file.lock(),
    })
}

/// Locks it if that can be done at once; whether it was done.
pub fn try_lock(file: &File, lock: Lock) -> io::Result<bool> {
    let tried = || match lock {
        Lock::Shared => file.try_lock_shared(),
        Lock::Alone => file.try_lock(),
    };
    uninterrupted(|| match tried() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    })
}

/// Whether a path still leads to the file or directory that was opened there.
pub fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(there)) = (file.metadata(), fs_err::symlink_metadata(path)) else {
        return false;
    };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

/// Removes a directory with all that is in it. Where the library cannot, as it holds every directory open on its way down and
/// files are short, it is done with one open at a time.
///
/// Only for what this process made and nobody else may write: then directories are gone to by their paths, which another
/// could turn into links meanwhile.
pub fn remove_own_directory(path: &Path) -> io::Result<()> {
    fs_err::remove_dir_all(path).or_else(|_| remove_by_levels(path))
}

fn remove_by_levels(path: &Path) -> io::Result<()> {
    let mut below = Vec::new();
    for entry in read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            below.push(entry.path());
        } else {
            fs_err::remove_file(entry.path())?;
        }
    }
    below
        .iter()
        .try_for_each(|directory| remove_by_levels(directory))?;
    fs_err::remove_dir(path)
}

/// Makes the names in a directory durable. Where a directory cannot be opened or synced there is no way to: no error.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    let opened = uninterrupted(|| fs_err::File::open(directory));
    match opened.and_then(|directory| uninterrupted(|| directory.sync_all())) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_a_lock_says_so_and_then_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let open = || fs_err::File::open(directory.path()).unwrap().into_parts().0;
        let (first, second) = (open(), open());
        lock(&first, Lock::Alone, || panic!("nobody else has it")).unwrap();
        assert!(!try_lock(&second, Lock::Shared).unwrap());
        let (said, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock(&second, Lock::Shared, || said.send(()).unwrap()));
            told.recv().unwrap();
            drop(first);
            waiting.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_directory_goes_with_all_in_it_and_nothing_that_links_lead_to() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for remove in [remove_own_directory, remove_by_levels] {
            fs_err::create_dir_all(path("gone/a/b/c")).unwrap();
            fs_err::create_dir_all(path("stays")).unwrap();
            for file in ["gone/file", "gone/a/b/file", "stays/file"] {
                fs_err::write(path(file), "").unwrap();
            }
            std::os::unix::fs::symlink(path("stays"), path("gone/a/link")).unwrap();
            remove(&path("gone")).unwrap();
            assert!(!path("gone").exists() && path("stays/file").exists());
            assert_eq!(remove(&path("gone")).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn a_path_that_was_given_to_another_file_is_not_the_open_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs_err::write(&path, "one").unwrap();
        let file = fs_err::File::open(&path).unwrap().into_parts().0;
        assert!(is_at(&file, &path));
        let other = NamedTempFile::new_in(directory.path()).unwrap();
        persist(other, &path).unwrap();
        assert!(!is_at(&file, &path));
    }
}
