//! Archives of images: a tar file in which every byte is decided, the old one or the new one at every instant.

use std::io::{self, BufWriter, Read as _, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::file::{locked_temporary_in, parent, persist};
use super::{ArchiveKind, Error};
use crate::blob::Blob;
use crate::files::sync_directory;
use crate::layer::{file_header, file_padding};
use crate::paths::TreePath;
use crate::source;

/// Of every member, in seconds since 1970: 1980-01-01, as that of layers is by default.
const MTIME: u64 = 315_532_800;
/// Two blocks of zeros end a tar (POSIX.1-2024, pax, "ustar Interchange Format").
const END: &[u8] = &[0; 1024];

/// Fails if something is there that is no archive of that kind: a cheap look before the work begins.
pub(super) fn check(file: &Path, kind: ArchiveKind) -> Result<(), Error> {
    let refused = || Error::NotArchive {
        path: file.to_owned(),
        kind,
    };
    let fault = |source| Error::Write {
        path: file.to_owned(),
        source,
    };
    match fs_err::metadata(file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(fault(source)),
        Ok(metadata) if !metadata.is_file() => Err(refused()),
        // As `mktemp` leaves it.
        Ok(metadata) if metadata.len() == 0 => Ok(()),
        Ok(_) => match source::archive_kind(file) {
            Ok(Some(found)) if found == kind => Ok(()),
            Ok(_) => Err(refused()),
            Err(source) => Err(fault(source)),
        },
    }
}

/// Writes documents and then blobs, verified; the file has its name when all of them are on the disk.
pub(super) fn write<'b>(
    path: &Path,
    documents: &[(&str, Vec<u8>)],
    blobs: impl Iterator<Item = &'b Blob>,
) -> Result<(), Error> {
    let fault = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    let parent = parent(path);
    fs_err::create_dir_all(parent).map_err(fault)?;
    let mut tar = BufWriter::with_capacity(256 * 1024, locked_temporary_in(parent).map_err(fault)?);
    for (name, bytes) in documents {
        document(&mut tar, name, bytes).map_err(fault)?;
    }
    for blob in blobs {
        append(&mut tar, path, blob)?;
    }
    tar.write_all(END).map_err(fault)?;
    let file = tar.into_inner().map_err(|e| fault(e.into_error()))?;
    persist(file, path).map_err(fault)?;
    sync_directory(parent).map_err(fault)
}

fn document(tar: &mut impl Write, name: &str, bytes: &[u8]) -> io::Result<()> {
    header(tar, name, bytes.len() as u64)?;
    tar.write_all(bytes)?;
    tar.write_all(file_padding(bytes.len() as u64))
}

fn header(tar: &mut impl Write, name: &str, size: u64) -> io::Result<()> {
    let name = TreePath::new(name).map_err(io::Error::other)?;
    tar.write_all(&file_header(&name, size, MTIME))
}

fn append(tar: &mut BufWriter<NamedTempFile>, path: &Path, blob: &Blob) -> Result<(), Error> {
    let fault = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    let unreadable = |source| Error::Blob {
        digest: blob.descriptor.digest.clone(),
        source,
    };
    let size = blob.descriptor.size;
    header(tar, &blob.descriptor.digest.layout_name(), size).map_err(fault)?;
    // It gives exactly as many bytes as the header says, or fails.
    let mut reader = blob.open_verified().map_err(unreadable)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => tar.write_all(&buffer[..n]).map_err(fault)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(unreadable(e)),
        }
    }
    tar.write_all(file_padding(size)).map_err(fault)
}
