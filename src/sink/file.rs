//! Files that are the old ones or the new ones, at every instant.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::files::{self, Lock};
use crate::interrupted::uninterrupted;

/// Temporary files start like this; what a killed build left in a layout is removed by the next one.
pub(super) const TEMPORARY: &str = ".pyoci-";
/// And end like this, so that nobody's own file is taken for one.
const ENDING: &str = ".part";

pub(super) fn temporary_in(directory: &Path) -> io::Result<NamedTempFile> {
    let mode = std::fs::Permissions::from_mode(0o644);
    tempfile::Builder::new()
        .prefix(TEMPORARY)
        .suffix(ENDING)
        .permissions(mode)
        .tempfile_in(directory)
}

/// The same in a directory that is the user's: what killed pyocis left there is removed, and a lock says that this one is in
/// use.
pub(super) fn locked_temporary_in(directory: &Path) -> io::Result<NamedTempFile> {
    // Where that fails they stay: this file is what was asked for.
    let _ = remove_leftovers(directory);
    loop {
        let file = temporary_in(directory)?;
        // Where a file system knows no locks nobody can tell a leftover: they stay.
        let _ = files::lock(file.as_file(), Lock::Alone, || ());
        // Another pyoci may have taken it for a leftover before it was locked.
        if files::is_at(file.as_file(), file.path()) {
            return Ok(file);
        }
    }
}

/// Removes temporary files that no process holds.
fn remove_leftovers(directory: &Path) -> io::Result<()> {
    for entry in crate::files::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let ours = name.starts_with(TEMPORARY.as_bytes()) && name.ends_with(ENDING.as_bytes());
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(file) = fs_err::File::open(entry.path()) else {
            continue;
        };
        // Held until it is gone: whoever made it a moment ago locks it next, and then looks whether it is still there.
        if files::try_lock(file.file(), Lock::Alone).unwrap_or(false) {
            // Not ours to remove, perhaps: it does no harm.
            let _ = fs_err::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Power loss must not leave a name without its bytes: sync, then rename.
pub(super) fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    uninterrupted(|| file.as_file().sync_all())?;
    files::persist(file, path).map(drop)
}

/// A file of new bytes, for [`put`] when it is synced.
pub(super) fn prepare(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = temporary_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Gives a file the place that it was prepared for.
pub(super) fn put(prepared: NamedTempFile, path: &Path) -> io::Result<()> {
    files::persist(prepared, path).map(drop)
}

/// Gives a file new bytes: written beside it, synced, renamed over it.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_file(path, |out| out.write_all(bytes))
}

/// As [`replace_file`], with the bytes that a function writes; a fault of it leaves the file as it was.
pub fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let parent = parent(path);
    let mut file = locked_temporary_in(parent)?;
    write(&mut file)?;
    persist(file, path)?;
    files::sync_directory(parent)
}

/// The directory that a file is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_in_use_or_not_ours_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let in_use = locked_temporary_in(directory.path()).unwrap();
        for name in [".pyoci-abcdef.part", ".pyoci-config", "x.part"] {
            fs_err::write(path(name), "left").unwrap();
        }
        fs_err::create_dir(path(".pyoci-abcdeg.part")).unwrap();
        replace_file(&path("file"), b"new").unwrap();
        assert!(in_use.path().exists());
        let mut left: Vec<_> = fs_err::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path != in_use.path())
            .collect();
        left.sort();
        let expected = [".pyoci-abcdeg.part", ".pyoci-config", "file", "x.part"];
        assert_eq!(left, expected.map(path));
    }

    #[test]
    fn many_who_write_beside_each_other_do_not_take_what_others_have_just_made() {
        let directory = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let path = directory.path().join(format!("file{}", thread % 2));
                let write = move || (0..200).try_for_each(|_| replace_file(&path, b"new"));
                scope.spawn(move || write().unwrap());
            }
        });
    }
}
