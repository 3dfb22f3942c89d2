//! Reading an archive of which only the end is there: its directory says where everything else will be.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::{Central, File, ZipError, central_headers, end, read, read_with};
use crate::blob::RandomFile;
use crate::paths::TreePath;

/// Members that are closer than this, in bytes, are had together: a request costs more.
const NEAR: u64 = 64 * 1024;

/// As [`read`], for an archive that still arrives: local headers are not looked at. Where a member's data begins follows
/// from where the next one does, as no gap is accepted between them. [`read`] must accept the whole archive before
/// anything that was read of it counts; it then finds the same files at the same places.
pub fn read_ahead(archive: &Arc<RandomFile>) -> Result<BTreeMap<TreePath, File>, ZipError> {
    let directory = end::find(archive)?;
    // How long a data descriptor is, only the bytes before it tell.
    if central_headers(archive, &directory)?
        .iter()
        .any(Central::has_descriptor)
    {
        return read(archive);
    }
    read_with(archive, |central, next| {
        let data = next.checked_sub(central.compressed_size);
        data.filter(|data| *data > central.offset)
            .ok_or(ZipError::Layout("overlapping members", central.offset))
    })
}

/// Which bytes of an archive are read to open a wheel and to install it, but for the end of the archive that holds the
/// last 64 KiB: the directory, and the members that `wanted` names. Waits for the end of the archive, then for the
/// directory: `have` is called with each range before it is read.
pub fn needed_to_open(
    archive: &Arc<RandomFile>,
    wanted: impl Fn(&str) -> bool,
    have: &mut dyn FnMut(Range<u64>) -> std::io::Result<()>,
) -> Result<(), ZipError> {
    let directory = end::find(archive)?;
    have(directory.offset..archive.size())?;
    let members = central_headers(archive, &directory)?;
    let mut near: Option<Range<u64>> = None;
    for (index, central) in members.iter().enumerate() {
        let next = members.get(index + 1).map_or(directory.offset, |m| m.offset);
        if !wanted(&central.name) || next <= central.offset {
            continue;
        }
        match &mut near {
            Some(range) if central.offset <= range.end.saturating_add(NEAR) => range.end = next,
            _ => {
                if let Some(range) = near.replace(central.offset..next) {
                    have(range)?;
                }
            }
        }
    }
    near.map_or(Ok(()), have).map_err(ZipError::from)
}
