//! Blobs of a layout: written under temporary names, synced, renamed by digest.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::super::Error;
use super::super::file::{TEMPORARY, persist, prepare, put, temporary_in};
use super::blob_path;
use crate::blob::{Blob, VerifiedReader};
use crate::files::sync_directory;
use crate::interrupted::uninterrupted;
use crate::parallel;

/// How many blobs are written at once.
const AT_ONCE: usize = 4;
/// Blobs of up to so many bytes are written faster than a thread is started.
const SMALL: u64 = 64 * 1024;
/// How many small blobs are open at once: an index may have thousands, and a process few files.
const OPEN: usize = 32;
/// How much is read at once, in bytes.
const BUFFER: usize = 256 * 1024;
/// The read and write bits of a file that a layout may share with the cache.
const READ_ONLY: u32 = 0o444;

/// Writes the blobs that are not there, several at once: one is hashed and copied while others reach the disk, and beside
/// them a file that is not synced yet. Gives their bytes.
///
/// The first small ones are all written before any is synced: a journal takes what is there by then at once.
pub(super) fn write_blobs(blobs: &[&Blob], layout: &Path, beside: Option<&File>) -> Result<u64, Error> {
    let is_there = |blob: &Blob| {
        let metadata = fs_err::metadata(blob_path(layout, &blob.descriptor.digest));
        metadata.is_ok_and(|m| m.is_file() && m.len() == blob.descriptor.size)
    };
    let missing: Vec<&Blob> = blobs.iter().copied().filter(|blob| !is_there(blob)).collect();
    let fault = |source| Error::Write {
        path: layout.to_owned(),
        source,
    };
    let parent = |blob: &&Blob| {
        blob_path(layout, &blob.descriptor.digest)
            .parent()
            .map(Path::to_owned)
    };
    let parents: BTreeSet<PathBuf> = missing.iter().filter_map(parent).collect();
    let is_new = parents.iter().any(|parent| !parent.exists());
    for parent in &parents {
        fs_err::create_dir_all(parent).map_err(fault)?;
    }
    let (mut small, large): (Vec<&Blob>, Vec<&Blob>) =
        missing.iter().partition(|blob| blob.descriptor.size <= SMALL);
    let others = small.split_off(small.len().min(OPEN));
    let mut written = Vec::new();
    for blob in small {
        let path = blob_path(layout, &blob.descriptor.digest);
        written.push((temporary(blob, &path)?, path));
    }
    let unsynced = written.iter().map(|(file, path)| (file.as_file(), &**path));
    let tasks: Vec<Task<'_>> = large
        .into_iter()
        .chain(others)
        .map(Task::Write)
        .chain(beside.map(|file| Task::Sync(file, layout)))
        .chain(unsynced.map(|(file, path)| Task::Sync(file, path)))
        .collect();
    parallel::map(&tasks, AT_ONCE, |task| task.run(layout))?;
    for (file, path) in written {
        put(file, &path).map_err(|source| Error::Write { path, source })?;
    }
    let above = [layout.join("blobs"), layout.to_owned()];
    parents
        .iter()
        .chain(above.iter().filter(|_| is_new))
        .try_for_each(|directory| sync_directory(directory))
        .map_err(fault)?;
    Ok(missing.iter().map(|blob| blob.descriptor.size).sum())
}

/// What one thread waits for.
enum Task<'t> {
    /// A blob is written and synced and has its name.
    Write(&'t Blob),
    /// A file is synced, which is or will be at a path.
    Sync(&'t File, &'t Path),
}

impl Task<'_> {
    fn run(&self, layout: &Path) -> Result<(), Error> {
        match self {
            Self::Write(blob) => {
                let path = blob_path(layout, &blob.descriptor.digest);
                let file = temporary(blob, &path)?;
                persist(file, &path).map_err(|source| Error::Write { path, source })
            }
            Self::Sync(file, path) => uninterrupted(|| file.sync_all()).map_err(|source| Error::Write {
                path: (*path).to_owned(),
                source,
            }),
        }
    }
}

/// Gives a document of the layout new bytes: written beside it, synced, renamed over it.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let replaced = prepare(path, bytes).and_then(|file| persist(file, path));
    replaced.map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

/// A blob under a temporary name beside `path`, verified and not synced.
fn temporary(blob: &Blob, path: &Path) -> Result<NamedTempFile, Error> {
    let directory = path.parent().unwrap_or(path);
    let shares = |source| Some((source, shared(source, directory)?));
    match blob.content.path().and_then(shares) {
        Some((source, file)) => {
            verify(blob, file.as_file(), source).map_err(|source| unreadable(blob, source))?;
            Ok(file)
        }
        None => copied(blob, path),
    }
}

/// A file under a temporary name of the layout's without a copy of its bytes: a clone where the file system has clones
/// (btrfs, XFS), else another name of it. Of the latter only a file that everybody may read and nobody write: who edits
/// the layout does not edit the cache. None where there is neither.
fn shared(source: &Path, directory: &Path) -> Option<NamedTempFile> {
    let original = fs_err::File::open(source).ok()?;
    let clone = temporary_in(directory).ok()?;
    if rustix::fs::ioctl_ficlone(clone.as_file(), original.file()).is_ok() {
        return Some(clone);
    }
    let mode = original.metadata().ok()?.permissions().mode();
    if mode & 0o666 != READ_ONLY {
        return None;
    }
    // Opened by the new name: what is read, synced and renamed is one file.
    let link = |name: &Path| {
        fs_err::hard_link(source, name)?;
        let opened = fs_err::File::open(name);
        // Nobody else knows of it yet.
        opened
            .inspect_err(|_| drop(fs_err::remove_file(name)))
            .map(|file| file.into_parts().0)
    };
    tempfile::Builder::new()
        .prefix(TEMPORARY)
        .make_in(directory, link)
        .ok()
}

/// Holds a file that is shared with a source against what the blob should be. The bytes of one that this process wrote were
/// hashed then.
fn verify(blob: &Blob, file: &File, source: &Path) -> io::Result<()> {
    let expected = &blob.descriptor;
    if blob.content.written_file().is_some() {
        return check_size(blob, file.metadata()?.len());
    }
    // Errors name the source: it is what stays.
    let file = fs_err::File::from_parts(file.try_clone()?, source.to_owned());
    let mut reader = VerifiedReader::new(file, expected.digest.clone(), expected.size);
    let mut buffer = vec![0; BUFFER];
    while uninterrupted(|| reader.read(&mut buffer))? > 0 {}
    Ok(())
}

/// A copy of the blob under a temporary name beside `path`, verified on the way.
fn copied(blob: &Blob, path: &Path) -> Result<NamedTempFile, Error> {
    let fault = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    let mut file = temporary_in(path.parent().unwrap_or(path)).map_err(fault)?;
    if let Some(source) = blob.content.written_file() {
        // File to file: in the kernel.
        let (mut source, _) = fs_err::File::open(source)
            .map_err(|e| unreadable(blob, e))?
            .into_parts();
        // The kernel moves both on, also where a signal ends a copy before its end.
        uninterrupted(|| io::copy(&mut source, file.as_file_mut())).map_err(fault)?;
        let size = file.as_file().metadata().map_err(fault)?.len();
        check_size(blob, size).map_err(|e| unreadable(blob, e))?;
        return Ok(file);
    }
    let mut reader = blob.open_verified().map_err(|e| unreadable(blob, e))?;
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(file),
            Ok(n) => file.write_all(&buffer[..n]).map_err(fault)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(unreadable(blob, e)),
        }
    }
}

fn check_size(blob: &Blob, size: u64) -> io::Result<()> {
    let expected = blob.descriptor.size;
    if size == expected {
        return Ok(());
    }
    let what = format!("it has {size} bytes, not the {expected} written");
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

fn unreadable(blob: &Blob, source: io::Error) -> Error {
    let digest = blob.descriptor.digest.clone();
    Error::Blob { digest, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;
    use std::sync::Arc;

    use crate::blob::{Descriptor, PathBlob};
    use crate::digest::Digest;

    /// A blob that is a file of a mode.
    fn blob(file: &Path, bytes: &[u8], mode: u32) -> Blob {
        let _ = fs_err::remove_file(file);
        fs_err::write(file, bytes).unwrap();
        fs_err::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
        Blob {
            descriptor: Descriptor::of("text/plain", b"right"),
            content: Arc::new(PathBlob(file.to_owned())),
        }
    }

    #[test]
    fn more_small_blobs_than_are_open_at_once_are_all_written() {
        let directory = tempfile::tempdir().unwrap();
        let blobs: Vec<Blob> = (0..2 * OPEN)
            .map(|number| Blob::from_bytes("text/plain", number.to_string().into_bytes()))
            .collect();
        let all: Vec<&Blob> = blobs.iter().collect();
        let size: u64 = blobs.iter().map(|blob| blob.descriptor.size).sum();
        assert_eq!(write_blobs(&all, directory.path(), None).unwrap(), size);
        for blob in &blobs {
            let written = fs_err::read(blob_path(directory.path(), &blob.descriptor.digest)).unwrap();
            assert_eq!(Digest::of(&written), blob.descriptor.digest);
        }
        assert_eq!(write_blobs(&all, directory.path(), None).unwrap(), 0);
    }

    #[test]
    fn a_layout_shares_only_what_nobody_may_write_and_is_as_it_should_be() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        for (mode, may_share) in [(0o444, true), (0o644, false), (0o400, false)] {
            let layout = directory.path().join(format!("{mode:o}"));
            let blob = blob(&file, b"right", mode);
            assert_eq!(write_blobs(&[&blob], &layout, None).unwrap(), 5);
            let written = blob_path(&layout, &blob.descriptor.digest);
            assert_eq!(fs_err::read(&written).unwrap(), b"right");
            let inode = |path: &Path| fs_err::metadata(path).unwrap().ino();
            // A file system with clones gives two files.
            assert!(may_share || inode(&written) != inode(&file), "{mode:o}");
            let others = fs_err::metadata(&written).unwrap().mode() & 0o444;
            assert_eq!(others, 0o444, "{mode:o}");
        }
        for wrong in [&b"wrong"[..], b"righ", b"right!"] {
            let layout = directory.path().join("wrong");
            let blob = blob(&file, wrong, 0o444);
            let error = write_blobs(&[&blob], &layout, None).unwrap_err();
            assert!(matches!(error, Error::Blob { .. }), "{error}");
            let blobs = fs_err::read_dir(layout.join("blobs/sha256")).unwrap();
            assert_eq!(blobs.count(), 0);
        }
    }
}
