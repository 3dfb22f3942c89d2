//! The store's directory: made, looked at, locked.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::{Error, Kind, UV_CACHE};

/// Where entries are written until they are whole.
const TEMPORARY: &str = "tmp";
/// Where memos are.
pub(super) const MEMOS: &str = "memos";
/// What is locked: shared by whoever uses the store, alone by whoever prunes it.
const LOCK: &str = "lock";
/// > CACHEDIR.TAG: a file with this signature marks a directory that backups leave out (bford.info/cachedir)
const TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# This is a cache of pyoci: https://bford.info/cachedir/\n";

/// Makes what is missing (mode 0700) and opens the file that is locked. A directory that others may write is refused, and
/// nothing is made in it.
pub(super) fn open(root: &Path) -> Result<File, Error> {
    let fault = |source| Error::Directory {
        path: root.to_owned(),
        source,
    };
    let is_whole = || root.join(TEMPORARY).is_dir() && root.join(UV_CACHE).is_dir();
    if is_whole() {
        check(root)?;
    } else {
        make_private(root).map_err(fault)?;
        check(root)?;
        make_inside(root).map_err(fault)?;
    }
    std::fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(root.join(LOCK))
        .map_err(fault)
}

/// The tag first: a directory with `tmp` and `uv` is whole. uv itself would make its own as the umask says.
fn make_inside(root: &Path) -> io::Result<()> {
    fs_err::write(root.join("CACHEDIR.TAG"), TAG)?;
    make_private(&root.join(UV_CACHE))?;
    make_private(&root.join(TEMPORARY))
}

/// Makes a directory and those above it that are missing; nobody else may enter them, whatever the umask is.
pub(super) fn make_private(directory: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// Fails if others may write to the directory, or to what is in it and can be reached by them.
fn check(root: &Path) -> Result<(), Error> {
    let fault = |source| Error::Directory {
        path: root.to_owned(),
        source,
    };
    // Links are followed: what they lead to is what is written to.
    let mode = fs_err::metadata(root).map_err(fault)?.mode();
    let refused = |path: &Path| Error::Shared {
        path: path.to_owned(),
    };
    if mode & 0o022 != 0 {
        return Err(refused(root));
    }
    // Where others cannot enter they reach nothing.
    if mode & 0o011 == 0 {
        return Ok(());
    }
    let kinds = Kind::ALL.map(Kind::directory);
    for name in kinds.iter().chain(&[TEMPORARY, MEMOS, UV_CACHE, LOCK]) {
        let path = root.join(name);
        match fs_err::metadata(&path) {
            Ok(metadata) if metadata.mode() & 0o022 != 0 => return Err(refused(&path)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Whether there are temporary files.
pub(super) fn has_leftovers(root: &Path) -> bool {
    crate::files::read_dir(root.join(TEMPORARY)).is_ok_and(|mut entries| entries.next().is_some())
}

/// Removes temporary files; whoever calls this has the lock alone. What cannot be removed stays.
pub(super) fn remove_leftovers(root: &Path) {
    for entry in crate::files::read_dir(root.join(TEMPORARY))
        .into_iter()
        .flatten()
        .flatten()
    {
        let path = entry.path();
        let _ = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs_err::remove_dir_all(path),
            _ => fs_err::remove_file(path),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use std::os::unix::fs::PermissionsExt as _;

    fn set(path: &Path, mode: u32) {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refused(root: &Path) -> std::path::PathBuf {
        match Store::open(root) {
            Err(Error::Shared { path }) => path,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused_and_nothing_is_put_into_it() {
        let directory = tempfile::tempdir().unwrap();
        let (root, link) = (directory.path().join("cache"), directory.path().join("link"));
        fs_err::create_dir(&root).unwrap();
        std::os::unix::fs::symlink(&root, &link).unwrap();
        for mode in [0o777, 0o770, 0o1777, 0o702] {
            set(&root, mode);
            assert_eq!(refused(&root), root);
            assert_eq!(refused(&link), link);
            assert_eq!(fs_err::read_dir(&root).unwrap().count(), 0);
        }
        set(&root, 0o755);
        Store::open(&link).unwrap();
    }

    #[test]
    fn what_is_in_it_may_not_be_written_by_others_who_can_reach_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("cache");
        fs_err::create_dir(&root).unwrap();
        set(&root, 0o755);
        let store = Store::open(&root).unwrap();
        store.add(Kind::Wheel, None, &mut &b"wheel"[..]).unwrap();
        store
            .remember(&crate::digest::Digest::of(b"key"), b"note")
            .unwrap();
        for name in ["wheels", "memos", "tmp", "uv", "lock"] {
            let path = root.join(name);
            let own = fs_err::metadata(&path).unwrap().mode();
            assert_eq!(own & 0o077, 0, "{name}: {own:o}");
            set(&path, own | 0o020);
            assert_eq!(refused(&root), path);
            set(&root, 0o700);
            Store::open(&root).unwrap();
            set(&root, 0o755);
            set(&path, own & 0o7777);
        }
        Store::open(&root).unwrap();
    }

    #[test]
    fn what_killed_processes_left_is_gone_when_nobody_else_uses_the_store() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("cache");
        let one = Store::open(&root).unwrap();
        fs_err::write(root.join("tmp/file"), "left").unwrap();
        fs_err::create_dir_all(root.join("tmp/directory/deeper")).unwrap();
        let two = Store::open(&root).unwrap();
        assert!(has_leftovers(&root), "they may be of the first");
        drop((one, two));
        Store::open(&root).unwrap();
        assert!(!has_leftovers(&root));
    }
}
