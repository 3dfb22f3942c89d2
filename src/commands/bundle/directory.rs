//! A bundle as a directory: the old one or the new one, at every instant.

use std::ffi::OsString;
use std::fs::{FileTimes, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::Error;
use crate::files::{self, Lock};
use crate::interrupted::uninterrupted;
use crate::project::bundle::{APP, BUILT, DEPENDENCIES, MARK, REQUIREMENTS, RUN};
use crate::secrets::{Secrets, Watch};
use crate::tree::{Entry, Kind, Tree};

/// Fails if something is there that is no bundle: a cheap look before the work begins.
pub(super) fn check(directory: &Path) -> Result<(), Error> {
    let other = |reason: String| Error::NotBundle {
        path: directory.to_owned(),
        reason,
    };
    let fault = |source| Error::Write {
        path: directory.to_owned(),
        source,
    };
    match fs_err::symlink_metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fault(error)),
        Ok(metadata) if metadata.is_symlink() => return Err(other("it is a link".to_owned())),
        Ok(metadata) if !metadata.is_dir() => return Err(other("it is no directory".to_owned())),
        Ok(_) => {}
    }
    let known = [RUN, APP, DEPENDENCIES, REQUIREMENTS, BUILT];
    let mut is_empty = true;
    for entry in crate::files::read_dir(directory).map_err(fault)? {
        let name = entry.map_err(fault)?.file_name();
        is_empty = false;
        // What a thin bundle's first start leaves behind if it is killed.
        let left = name.as_encoded_bytes().starts_with(b".python_deps.");
        if !left && !known.iter().any(|known| name == *known) {
            return Err(other(format!("it has {}", name.display())));
        }
    }
    if !is_empty && !is_marked(&directory.join(RUN)).map_err(fault)? {
        return Err(other("it has no `run` that pyoci made".to_owned()));
    }
    Ok(())
}

/// Whether a file is the `run` of a bundle.
fn is_marked(run: &Path) -> io::Result<bool> {
    use io::ErrorKind::{IsADirectory, NotFound};
    let mut start = Vec::new();
    match fs_err::File::open(run).and_then(|file| file.take(256).read_to_end(&mut start)) {
        Err(error) if matches!(error.kind(), NotFound | IsADirectory) => return Ok(false),
        read => read?,
    };
    let text = String::from_utf8_lossy(&start);
    Ok(text.lines().nth(1).is_some_and(|line| line.starts_with(MARK)))
}

/// The directory that something is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("/"))
}

/// Writes a tree beside its place, and exchanges it with what is there.
pub(super) fn write(tree: &Tree, output: &Path, mtime: u64, secrets: &Secrets) -> Result<(), Error> {
    let fault = |source: io::Error| Error::Write {
        path: output.to_owned(),
        source,
    };
    // Without a slash at the end, as rename wants it.
    let output: PathBuf = output.components().collect();
    let parent = parent(&output);
    fs_err::create_dir_all(parent).map_err(fault)?;
    let beside = Beside::make(&output).map_err(fault)?;
    let mut files = Files {
        watch: secrets.watch(),
        buffer: vec![0; 256 * 1024],
        mtime,
        output: &output,
    };
    files.write(tree, beside.directory.path())?;
    // All at once: syncing each file of thousands would take minutes.
    let sync = || Ok(rustix::fs::syncfs(&beside.handle)?);
    uninterrupted(sync).map_err(fault)?;
    check(&output)?;
    beside.put(&output).map_err(fault)?;
    files::sync_directory(parent).map_err(fault)
}

/// A directory beside the output that becomes it. Dropped before that, it leaves nothing.
struct Beside {
    /// Locked until it has its name: another pyoci does not take it for a leftover. Dropped first: where files are short, what
    /// it gives back is what removing the directory needs.
    handle: fs_err::File,
    directory: Unnamed,
}

/// A directory that has not got its name: dropped, it goes with all that is in it.
struct Unnamed(PathBuf);

impl Unnamed {
    fn path(&self) -> &Path {
        &self.0
    }

    fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            // What stays is the next pyoci's to remove.
            let _ = files::remove_own_directory(&self.0);
        }
    }
}

impl Beside {
    fn make(output: &Path) -> io::Result<Self> {
        let parent = parent(output);
        let mut prefix = OsString::from(".");
        prefix.push(output.file_name().unwrap_or_default());
        prefix.push(".pyoci-");
        remove_leftovers(parent, &prefix)?;
        loop {
            let directory = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)?;
            let directory = Unnamed(directory.keep());
            let handle = match fs_err::File::open(directory.path()) {
                // Another pyoci took it for a leftover before it was locked.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                handle => handle?,
            };
            files::lock(handle.file(), Lock::Alone, || ())?;
            if files::is_at(handle.file(), directory.path()) {
                return Ok(Self { handle, directory });
            }
        }
    }

    /// Gives the directory its name. What was there gets the temporary one, and goes with it.
    fn put(self, output: &Path) -> io::Result<()> {
        loop {
            let renamed = self.rename(output, RenameFlags::NOREPLACE);
            match renamed {
                Err(Errno::EXIST) => {}
                Err(Errno::INVAL | Errno::NOSYS) => return self.put_by_steps(output),
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    // Nothing is left to remove.
                    let _ = self.directory.keep();
                    return Ok(());
                }
            }
            match self.rename(output, RenameFlags::EXCHANGE) {
                Ok(()) => return self.remove(),
                // Somebody has removed it meanwhile.
                Err(Errno::NOENT) if !output.exists() => {}
                Err(Errno::INVAL | Errno::NOSYS) => return self.put_by_steps(output),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Removes what was there before. Once more where it fails: what was wanting for a moment may be there now. The next
    /// pyoci removes what stays, and may do so at this moment.
    fn remove(self) -> io::Result<()> {
        let place = self.directory.keep();
        match fs_err::remove_dir_all(&place).or_else(|_| fs_err::remove_dir_all(&place)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn rename(&self, output: &Path, flags: RenameFlags) -> Result<(), Errno> {
        loop {
            match rustix::fs::renameat_with(CWD, self.directory.path(), CWD, output, flags) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }

    /// The same on file systems that cannot exchange (NFS, some FUSE): the place is empty for an instant.
    fn put_by_steps(self, output: &Path) -> io::Result<()> {
        let rename = |from: &Path, to: &Path| uninterrupted(|| fs_err::rename(from, to));
        let place = self.directory.path().to_owned();
        if !output.exists() {
            rename(&place, output)?;
            let _ = self.directory.keep();
            return Ok(());
        }
        // Its name tells that it is a leftover, should this be killed.
        let mut old = place.clone().into_os_string();
        old.push(".old");
        let old = PathBuf::from(old);
        rename(output, &old)?;
        if let Err(error) = rename(&place, output) {
            rename(&old, output)?;
            return Err(error);
        }
        let _ = self.directory.keep();
        fs_err::remove_dir_all(old)
    }
}

/// Removes what was being written when another pyoci was killed.
fn remove_leftovers(parent: &Path, prefix: &OsString) -> io::Result<()> {
    for entry in crate::files::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            continue;
        }
        let Ok(directory) = fs_err::File::open(entry.path()) else {
            continue;
        };
        // Held until it is gone: whoever made it a moment ago locks it next, and then looks whether it is still there.
        if files::try_lock(directory.file(), Lock::Alone).unwrap_or(false) {
            // Not ours to remove, perhaps: it does no harm.
            let _ = fs_err::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Writing the files of a tree, and looking for credentials in them.
struct Files<'o> {
    watch: Option<Watch>,
    buffer: Vec<u8>,
    mtime: u64,
    /// Where they will be, for messages.
    output: &'o Path,
}

impl Files<'_> {
    fn write(&mut self, tree: &Tree, root: &Path) -> Result<(), Error> {
        for (path, entry) in tree.iter() {
            let place = root.join(path.as_str());
            self.look(path.as_str().as_bytes(), path.as_str())?;
            let fault = |source| Error::Write {
                path: self.output.join(path.as_str()),
                source,
            };
            match &entry.kind {
                Kind::Directory => fs_err::create_dir(&place).map_err(fault)?,
                Kind::Symlink(target) => {
                    std::os::unix::fs::symlink(target, &place).map_err(fault)?;
                    self.date_link(&place).map_err(fault)?;
                }
                Kind::File(_) => self.file(path.as_str(), entry, &place)?,
            }
        }
        // Last, and from below: each entry that is made changes the date of the directory that it is in.
        let directories: Vec<_> = tree.iter().filter(|(_, entry)| entry.is_directory()).collect();
        for (path, entry) in directories.into_iter().rev() {
            let place = root.join(path.as_str());
            self.finish_directory(&place, entry.mode)
                .map_err(|source| Error::Write {
                    path: self.output.join(path.as_str()),
                    source,
                })?;
        }
        self.finish_directory(root, 0o755).map_err(|source| Error::Write {
            path: self.output.to_owned(),
            source,
        })
    }

    fn file(&mut self, name: &str, entry: &Entry, place: &Path) -> Result<(), Error> {
        let path = self.output.join(name);
        let fault = |source| Error::Write {
            path: path.clone(),
            source,
        };
        let Some(content) = entry.content() else {
            return Ok(());
        };
        let mut reader = content.open().map_err(fault)?;
        let mut file = fs_err::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(place)
            .map_err(fault)?;
        loop {
            let n = uninterrupted(|| reader.read(&mut self.buffer)).map_err(fault)?;
            if n == 0 {
                break;
            }
            if let Some(hit) = self
                .watch
                .as_mut()
                .and_then(|watch| watch.push(&self.buffer[..n]))
            {
                return Err(Error::Leak(hit.leak(name)));
            }
            file.write_all(&self.buffer[..n]).map_err(fault)?;
        }
        // Whatever the umask is.
        file.set_permissions(Permissions::from_mode(entry.mode))
            .map_err(fault)?;
        file.file()
            .set_times(FileTimes::new().set_modified(self.date()))
            .map_err(fault)
    }

    /// Looks for credentials in bytes that are no file's.
    fn look(&mut self, bytes: &[u8], place: &str) -> Result<(), Error> {
        match self.watch.as_mut().and_then(|watch| watch.push(bytes)) {
            Some(hit) => Err(Error::Leak(hit.leak(place))),
            None => Ok(()),
        }
    }

    fn date(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.mtime)
    }

    fn finish_directory(&self, place: &Path, mode: u32) -> io::Result<()> {
        fs_err::set_permissions(place, Permissions::from_mode(mode))?;
        fs_err::File::open(place)?
            .file()
            .set_times(FileTimes::new().set_modified(self.date()))
    }

    fn date_link(&self, place: &Path) -> io::Result<()> {
        let date = Timespec {
            tv_sec: i64::try_from(self.mtime).unwrap_or_default(),
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: date,
            last_modification: date,
        };
        Ok(rustix::fs::utimensat(
            CWD,
            place,
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }
}
