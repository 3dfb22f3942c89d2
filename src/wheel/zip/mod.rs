//! Strict reading of zip archives (PKWARE APPNOTE.TXT): one meaning for every archive, or an error.
//!
//! The parts must cover the file from its first byte to its last without gap or overlap, and what is said twice
//! must be said alike; so no two programs can read different files out of one wheel.

mod ahead;
mod end;
mod header;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

pub use self::ahead::{needed_to_open, read_ahead};
use self::end::Directory;
use self::header::{Central, Local};
use crate::blob::RandomFile;
use crate::paths::{PathError, TreePath};
use crate::tree::{Member, Method};

/// How many bytes are read at once while visiting local headers: two or three small members, no large one.
const WINDOW: usize = 2048;

/// A file of an archive.
#[derive(Clone, Debug)]
pub struct File {
    /// Where its bytes are.
    pub member: Box<Member>,
    /// Whether its Unix mode says that it may be executed.
    pub executable: bool,
}

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// The file could not be read, or ends too early.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No end-of-central-directory record that ends with the file.
    #[error("it is not a zip archive, or it is cut off, or something follows the archive")]
    NoEnd,
    /// The records at the end contradict each other or the file.
    #[error("the records at the end of the archive are wrong: {0}")]
    End(&'static str),
    /// More members or a larger directory than any wheel has.
    #[error("its directory of {0} members in {1} bytes is larger than is accepted")]
    TooLarge(u64, u64),
    /// The directory cannot be parsed.
    #[error("the archive's directory is broken: {0}")]
    Directory(&'static str),
    /// A name that is neither ASCII nor marked as UTF-8, or has a backslash.
    #[error("member name {0:?} {1}")]
    Name(String, &'static str),
    /// A name that is absolute, leaves the archive or is not in normal form.
    #[error("a member's name is refused")]
    Path(#[from] PathError),
    /// Two members with one name.
    #[error("member `{0}` is there twice")]
    Twice(TreePath),
    /// A member below another that is a file.
    #[error("member `{0}` is below `{1}`, which is a file")]
    BelowFile(TreePath, TreePath),
    /// A member that cannot be taken.
    #[error("member `{0}` {1}")]
    Member(String, &'static str),
    /// The two headers of a member disagree.
    #[error("the local header of member `{0}` disagrees with the directory: {1}")]
    Disagree(String, &'static str),
    /// Bytes that belong to no member, or to two.
    #[error("the parts of the archive do not follow each other: {0} at byte {1}")]
    Layout(&'static str, u64),
}

/// All files of an archive, by path. Entries for directories are checked, then left out.
pub fn read(archive: &Arc<RandomFile>) -> Result<BTreeMap<TreePath, File>, ZipError> {
    let mut window = Window::new(archive);
    read_with(archive, |central, next| check_member(&mut window, central, next))
}

/// All files of an archive. `data` gives the offset of a member's data, from its header in the directory and the offset
/// of what follows it.
fn read_with(
    archive: &Arc<RandomFile>,
    mut data: impl FnMut(&Central, u64) -> Result<u64, ZipError>,
) -> Result<BTreeMap<TreePath, File>, ZipError> {
    let directory = end::find(archive)?;
    let members = central_headers(archive, &directory)?;
    if members.first().map_or(directory.offset, |first| first.offset) != 0 {
        return Err(ZipError::Layout("data before the first member", 0));
    }
    let mut files = Vec::with_capacity(members.len());
    let mut directories = BTreeSet::new();
    for (index, central) in members.iter().enumerate() {
        let next = members.get(index + 1).map_or(directory.offset, |m| m.offset);
        let data = data(central, next)?;
        let path = TreePath::new(central.name.strip_suffix('/').unwrap_or(&central.name))?;
        if !central.is_directory() {
            let file = File {
                member: Box::new(member_of(archive, central, data)?),
                executable: central.executable(),
            };
            files.push((path, file));
        } else if !directories.insert(path.clone()) {
            return Err(ZipError::Twice(path));
        }
    }
    drop(members);
    // Sorted at once: that is faster than one by one, and takes less room.
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut pairs = files.iter().zip(files.iter().skip(1));
    if let Some((_, (path, _))) = pairs.find(|((one, _), (other, _))| one == other) {
        return Err(ZipError::Twice(path.clone()));
    }
    let files = files.into_iter().collect();
    check_paths(&files, &directories)?;
    Ok(files)
}

/// The headers of the directory, in the order in which the members follow each other.
fn central_headers(archive: &RandomFile, directory: &Directory) -> Result<Vec<Central>, ZipError> {
    let size =
        usize::try_from(directory.size).map_err(|_| ZipError::TooLarge(directory.entries, directory.size))?;
    let mut bytes = vec![0; size];
    archive.read_exact_at(&mut bytes, directory.offset)?;
    let mut members = Vec::new();
    let mut rest = bytes.as_slice();
    for _ in 0..directory.entries {
        let (central, after) = Central::parse(rest)?;
        members.push(central);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(ZipError::Directory(
            "it holds more than the stated number of members",
        ));
    }
    members.sort_by_key(|member| member.offset);
    Ok(members)
}

/// Checks a member's local header and data descriptor and that they and the data end where the next part begins;
/// gives the offset of the data.
fn check_member(window: &mut Window, central: &Central, next: u64) -> Result<u64, ZipError> {
    let fixed = window.bytes(central.offset, header::LOCAL_LENGTH)?;
    let length = Local::length(fixed).ok_or(ZipError::Layout("no local header", central.offset))?;
    let local = Local::parse(window.bytes(central.offset, length)?)?;
    local.check(central)?;
    let has_descriptor = local.has_descriptor();
    let data = central.offset + length as u64;
    let end = data
        .checked_add(central.compressed_size)
        .filter(|end| *end <= next)
        .ok_or(ZipError::Layout("overlapping members", central.offset))?;
    let descriptor = next - end;
    if !has_descriptor {
        return if descriptor == 0 {
            Ok(data)
        } else {
            Err(ZipError::Layout("data without a header", end))
        };
    }
    let length = usize::try_from(descriptor)
        .ok()
        .filter(|length| [12, 16, 20, 24].contains(length))
        .ok_or(ZipError::Layout("no data descriptor", end))?;
    central.check_descriptor(window.bytes(end, length)?)?;
    Ok(data)
}

fn member_of(archive: &Arc<RandomFile>, central: &Central, offset: u64) -> Result<Member, ZipError> {
    let fault = |what| Err(ZipError::Member(central.name.clone(), what));
    let method = match central.method {
        0 => Method::Stored,
        8 => Method::Deflated,
        _ => return fault("is compressed by a method other than DEFLATE"),
    };
    let possible = match method {
        Method::Stored => central.size == central.compressed_size,
        // DEFLATE makes 258 bytes of two bits at best, and a block costs something: 1032 to 1.
        Method::Deflated => central.size / 1032 <= central.compressed_size,
    };
    if !possible {
        return fault("states a size that its data cannot have");
    }
    Ok(Member {
        archive: Arc::clone(archive),
        offset,
        compressed_size: central.compressed_size,
        size: central.size,
        crc32: central.crc32,
        digest: None,
        method,
    })
}

/// Nothing is below a file or is both a file and a directory.
fn check_paths(files: &BTreeMap<TreePath, File>, directories: &BTreeSet<TreePath>) -> Result<(), ZipError> {
    let mut checked = "";
    for path in directories.iter().chain(files.keys()) {
        // Of files that lie together only the first.
        if std::mem::replace(&mut checked, path.parent_str()) == path.parent_str() {
            continue;
        }
        let parents = path
            .as_str()
            .match_indices('/')
            .map(|(at, _)| &path.as_str()[..at]);
        for parent in parents {
            if let Some((parent, _)) = files.get_key_value(parent) {
                return Err(ZipError::BelowFile(path.clone(), parent.clone()));
            }
        }
    }
    match directories.iter().find(|path| files.contains_key(*path)) {
        Some(path) => Err(ZipError::Twice(path.clone())),
        None => Ok(()),
    }
}

/// A sliding view of the file, so that small members that lie together cost one read.
struct Window<'a> {
    archive: &'a RandomFile,
    start: u64,
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(archive: &'a RandomFile) -> Self {
        Self {
            archive,
            start: 0,
            buffer: Vec::new(),
        }
    }

    /// `length` bytes at an offset. Names and extra fields bound it to 128 KiB.
    fn bytes(&mut self, offset: u64, length: usize) -> Result<&[u8], ZipError> {
        let held = offset >= self.start
            && offset.saturating_add(length as u64) <= self.start + self.buffer.len() as u64;
        if !held {
            let left = self.archive.size().saturating_sub(offset);
            let wanted = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(length.max(WINDOW));
            self.buffer.resize(wanted.max(length), 0);
            self.start = offset;
            self.archive.read_exact_at(&mut self.buffer, offset)?;
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        Ok(&self.buffer[from..from + length])
    }
}
