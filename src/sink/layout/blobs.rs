//! Blobs of a layout: written under temporary names, synced, renamed by digest.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::super::Error;
use super::super::file::{persist, temporary_in};
use super::blob_path;
use crate::blob::Blob;
use crate::files::sync_directory;
use crate::interrupted::uninterrupted;
use crate::parallel;

/// How many blobs are written at once.
const AT_ONCE: usize = 4;

/// Writes the blobs that are not there, several at once: one is hashed and copied while others reach the disk. Gives
/// their bytes.
pub(super) fn write_blobs(blobs: &[&Blob], layout: &Path) -> Result<u64, Error> {
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
    parallel::map(&missing, AT_ONCE, |blob| write_blob(blob, layout))?;
    let above = [layout.join("blobs"), layout.to_owned()];
    parents
        .iter()
        .chain(above.iter().filter(|_| is_new))
        .try_for_each(|directory| sync_directory(directory))
        .map_err(fault)?;
    Ok(missing.iter().map(|blob| blob.descriptor.size).sum())
}

/// Gives a document of the layout new bytes: written beside it, synced, renamed over it.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || {
        let mut file = temporary_in(path.parent().unwrap_or(path))?;
        file.write_all(bytes)?;
        persist(file, path)
    };
    write().map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

fn write_blob(blob: &Blob, layout: &Path) -> Result<(), Error> {
    let path = blob_path(layout, &blob.descriptor.digest);
    let fault = |source| Error::Write {
        path: path.clone(),
        source,
    };
    let unreadable = |source| Error::Blob {
        digest: blob.descriptor.digest.clone(),
        source,
    };
    let mut file = temporary_in(path.parent().unwrap_or(layout)).map_err(fault)?;
    if let Some(source) = blob.content.written_file() {
        // File to file: the kernel shares the extents where the file system can (btrfs, XFS), else copies.
        let (mut source, _) = fs_err::File::open(source).map_err(unreadable)?.into_parts();
        // The kernel moves both on, also where a signal ends a copy before its end.
        uninterrupted(|| io::copy(&mut source, file.as_file_mut())).map_err(fault)?;
        let size = file.as_file().metadata().map_err(fault)?.len();
        if size != blob.descriptor.size {
            let what = format!("it has {size} bytes, not the {} written", blob.descriptor.size);
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        return persist(file, &path).map_err(fault);
    }
    let mut reader = blob.open_verified().map_err(unreadable)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => file.write_all(&buffer[..n]).map_err(fault)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(unreadable(e)),
        }
    }
    persist(file, &path).map_err(fault)
}
