//! Files that are the old ones or the new ones, at every instant.

use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// Temporary files start like this; what a killed build left in a layout is removed by the next one.
pub(super) const TEMPORARY: &str = ".pyoci-";

pub(super) fn temporary_in(directory: &Path) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o644);
    tempfile::Builder::new()
        .prefix(TEMPORARY)
        .permissions(mode)
        .tempfile_in(directory)
}

/// Power loss must not leave a name without its bytes: sync, then rename.
pub(super) fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// A file of new bytes, synced, for [`put`].
pub(super) fn prepare(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = temporary_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Gives a file the place that it was prepared for.
pub(super) fn put(prepared: NamedTempFile, path: &Path) -> io::Result<()> {
    prepared.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// Gives a file new bytes: written beside it, synced, renamed over it.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_file(path, |out| out.write_all(bytes))
}

/// As [`replace_file`], with the bytes that a function writes; a fault of it leaves the file as it was.
pub fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut file = temporary_in(path.parent().unwrap_or(Path::new(".")))?;
    write(&mut file)?;
    persist(file, path)
}

pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    fs_err::File::open(directory)?.sync_all()
}
