//! The records at the end of a zip archive (APPNOTE.TXT 4.3.14 to 4.3.16): where its directory is.

use super::ZipError;
use super::header::{u16_at, u32_at, u64_at};
use crate::blob::RandomFile;

/// The most members and directory bytes that are accepted: some ten times the largest wheels on PyPI.
const MAX_ENTRIES: u64 = 500_000;
const MAX_DIRECTORY: u64 = 48 << 20;

const END_LENGTH: usize = 22;
const LOCATOR_LENGTH: usize = 20;
const ZIP64_END_LENGTH: usize = 56;

/// Where the central directory is.
pub struct Directory {
    pub offset: u64,
    pub size: u64,
    pub entries: u64,
}

/// Finds the directory; it, the zip64 records and the end record must be the last things in the file.
pub fn find(archive: &RandomFile) -> Result<Directory, ZipError> {
    let (end, at) = end_record(archive)?;
    let same_disk = u16_at(&end, 4) == 0 && u16_at(&end, 6) == 0 && u16_at(&end, 8) == u16_at(&end, 10);
    if !same_disk {
        return Err(ZipError::End("an archive of several disks"));
    }
    let short = Directory {
        entries: u64::from(u16_at(&end, 10)),
        size: u64::from(u32_at(&end, 12)),
        offset: u64::from(u32_at(&end, 16)),
    };
    let (directory, directory_end) = match zip64_end(archive, at)? {
        Some((directory, start)) => {
            check_agreement(&short, &directory)?;
            (directory, start)
        }
        None => (short, at),
    };
    if directory.entries > MAX_ENTRIES || directory.size > MAX_DIRECTORY {
        return Err(ZipError::TooLarge(directory.entries, directory.size));
    }
    if directory.offset.checked_add(directory.size) != Some(directory_end) {
        return Err(ZipError::End("the directory does not end where they begin"));
    }
    Ok(directory)
}

/// The end record without its comment, and its offset.
fn end_record(archive: &RandomFile) -> Result<(Vec<u8>, u64), ZipError> {
    let longest = (END_LENGTH + usize::from(u16::MAX)) as u64;
    // Nearly every wheel has no comment: try the last 22 bytes before the last 64 KiB.
    for length in [END_LENGTH as u64, longest] {
        let length = length.min(archive.size());
        let start = archive.size() - length;
        let mut tail = vec![0; usize::try_from(length).unwrap_or(0)];
        archive.read_exact_at(&mut tail, start)?;
        let found = (0..tail.len().saturating_sub(END_LENGTH - 1))
            .rev()
            .find(|at| tail[*at..].starts_with(b"PK\x05\x06"));
        if let Some(at) = found {
            let comment = usize::from(u16_at(&tail, at + 20));
            if at + END_LENGTH + comment != tail.len() {
                return Err(ZipError::NoEnd);
            }
            return Ok((tail[at..at + END_LENGTH].to_vec(), start + at as u64));
        }
    }
    Err(ZipError::NoEnd)
}

/// The zip64 end record, if there is one, and its offset. It must end where its locator begins, the locator where
/// the end record begins (`end`).
fn zip64_end(archive: &RandomFile, end: u64) -> Result<Option<(Directory, u64)>, ZipError> {
    let Some(locator_at) = end.checked_sub(LOCATOR_LENGTH as u64) else {
        return Ok(None);
    };
    let mut locator = [0; LOCATOR_LENGTH];
    archive.read_exact_at(&mut locator, locator_at)?;
    if !locator.starts_with(b"PK\x06\x07") {
        return Ok(None);
    }
    let at = u64_at(&locator, 8);
    // Writers give the number of disks as 1; some as 0.
    if u32_at(&locator, 4) != 0 || u32_at(&locator, 16) > 1 {
        return Err(ZipError::End("an archive of several disks"));
    }
    if at.checked_add(ZIP64_END_LENGTH as u64) != Some(locator_at) {
        return Err(ZipError::End("the zip64 record is not where its locator says"));
    }
    let mut record = [0; ZIP64_END_LENGTH];
    archive.read_exact_at(&mut record, at)?;
    if !record.starts_with(b"PK\x06\x06") || u64_at(&record, 4) != ZIP64_END_LENGTH as u64 - 12 {
        return Err(ZipError::End("the zip64 record is broken"));
    }
    let same_disk = u32_at(&record, 16) == 0 && u32_at(&record, 20) == 0;
    if !same_disk || u64_at(&record, 24) != u64_at(&record, 32) {
        return Err(ZipError::End("an archive of several disks"));
    }
    let directory = Directory {
        entries: u64_at(&record, 32),
        size: u64_at(&record, 40),
        offset: u64_at(&record, 48),
    };
    Ok(Some((directory, at)))
}

/// What the short record says must be "see zip64" (all bits set) or the same.
fn check_agreement(short: &Directory, long: &Directory) -> Result<(), ZipError> {
    let alike = |short: u64, long: u64, unknown: u64| short == unknown || short == long;
    let word = u64::from(u32::MAX);
    let agree = alike(short.entries, long.entries, u64::from(u16::MAX))
        && alike(short.size, long.size, word)
        && alike(short.offset, long.offset, word);
    agree
        .then_some(())
        .ok_or(ZipError::End("the zip64 record disagrees with the end record"))
}
