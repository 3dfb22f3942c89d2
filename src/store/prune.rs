//! Making the store smaller: what was not used for a while goes.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::directory::{self, MEMOS};
use super::{Error, Kind, Store, UV_CACHE};
use crate::files::{self, Lock};
use crate::progress::Progress;

impl Store {
    /// Removes every entry that was last used before `cutoff`, and what killed builds left behind. Waits until no
    /// build uses the store. Gives the number of files removed and their bytes.
    pub fn prune(root: &Path, cutoff: SystemTime, progress: &Progress) -> Result<(u64, u64), Error> {
        let fault = |source| Error::Directory {
            path: root.to_owned(),
            source,
        };
        if !root.exists() {
            return Ok((0, 0));
        }
        let lock = directory::open(root)?;
        let waiting = || {
            let detail = format!("for commands that use the cache {}", root.display());
            progress.done("Waiting", detail);
        };
        files::lock(&lock, Lock::Alone, waiting).map_err(fault)?;
        // Nobody else holds the lock, so nobody works there.
        directory::remove_leftovers(root);
        let mut removed = (0, 0);
        for kind in Kind::ALL {
            remove_older(&root.join(kind.directory()), cutoff, &mut removed).map_err(fault)?;
        }
        remove_older(&root.join(MEMOS), cutoff, &mut removed).map_err(fault)?;
        remove_uv(root, cutoff, &mut removed).map_err(fault)?;
        Ok(removed)
    }
}

/// uv's own cache hangs together: it goes as a whole, and at once, should this be killed.
fn remove_uv(root: &Path, cutoff: SystemTime, removed: &mut (u64, u64)) -> io::Result<()> {
    let uv = root.join(UV_CACHE);
    let used = used(&uv)?;
    if used.last.is_none_or(|last| last >= cutoff) {
        return Ok(());
    }
    let gone = tempfile::TempDir::new_in(root.join("tmp"))?;
    fs_err::rename(&uv, gone.path().join(UV_CACHE))?;
    directory::make_private(&uv)?;
    *removed = (removed.0 + used.files, removed.1 + used.bytes);
    gone.close()
}

/// What is in a directory.
#[derive(Default)]
struct Used {
    /// When the last of its files was written; `None` if there is none.
    last: Option<SystemTime>,
    files: u64,
    bytes: u64,
}

fn used(directory: &Path) -> io::Result<Used> {
    let mut all = Used::default();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = match crate::files::read_dir(directory) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                open.push(entry.path());
            } else {
                all.last = all.last.max(Some(metadata.modified()?));
                all.files += 1;
                all.bytes += metadata.len();
            }
        }
    }
    Ok(all)
}

fn remove_older(directory: &Path, cutoff: SystemTime, removed: &mut (u64, u64)) -> io::Result<()> {
    let entries = match crate::files::read_dir(directory) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn pruning_removes_what_was_not_used_since_and_uvs_cache_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("cache");
        let store = Store::open(&root).unwrap();
        store.add(Kind::Wheel, None, &mut &b"wheel"[..]).unwrap();
        store.remember(&Digest::of(b"key"), b"note").unwrap();
        fs_err::create_dir(root.join("uv/deeper")).unwrap();
        fs_err::write(root.join("uv/deeper/file"), "12345").unwrap();
        drop(store);
        let progress = Progress::silent();
        let prune = |cutoff| Store::prune(&root, cutoff, &progress).unwrap();
        assert_eq!(prune(SystemTime::UNIX_EPOCH), (0, 0));
        let later = fs_err::metadata(root.join("tmp")).unwrap().modified().unwrap()
            + std::time::Duration::from_hours(1);
        assert_eq!(prune(later).0, 3);
        assert_eq!(fs_err::read_dir(root.join("uv")).unwrap().count(), 0);
        assert_eq!(fs_err::read_dir(root.join("tmp")).unwrap().count(), 0);
        assert_eq!(prune(later), (0, 0));
    }
}
