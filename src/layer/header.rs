//! Tar headers: ustar, and a pax extended header in front only where ustar cannot say it (POSIX.1-2024, pax).

use std::borrow::Cow;
use std::path::PathBuf;

use crate::paths::TreePath;
use crate::tree::{Content, Entry, Kind};

/// The unit of a tar archive, in bytes.
pub(super) const BLOCK: usize = 512;

/// The name of every extended header; readers do not show it.
const PAX_NAME: &[u8] = b"././@PaxHeader";

/// The largest numbers that the octal fields hold: 11 digits for size and mtime, 7 for owners.
const MAX_LONG: u64 = 0o777_7777_7777;
const MAX_SHORT: u64 = 0o777_7777;

/// The zero bytes after content of that size, up to the next block.
pub(super) fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    (BLOCK - over) % BLOCK
}

/// Appends the header of an entry to a tar: one block, or three and more with an extended header.
pub(super) fn append(tar: &mut Vec<u8>, path: &TreePath, entry: &Entry, mtime: u64) {
    let (size, kind, link) = match &entry.kind {
        Kind::Directory => (0, tar::EntryType::Directory, ""),
        Kind::File(content) => (content.size(), tar::EntryType::Regular, ""),
        Kind::Symlink(target) => (0, tar::EntryType::Symlink, target.as_str()),
    };
    // Archivers end a directory's name with a slash; readers that know no types rely on it.
    let name = if entry.is_directory() {
        Cow::Owned(format!("{path}/"))
    } else {
        Cow::Borrowed(path.as_str())
    };
    let mut records = Vec::new();
    let mut header = tar::Header::new_ustar();

    let split = split_name(&name);
    if split.is_none() {
        record(&mut records, "path", &name);
    }
    let shown = ascii(&name);
    let (prefix, short) = split.unwrap_or((&[], &shown));
    if let Some(fields) = header.as_ustar_mut() {
        fields.prefix[..prefix.len()].copy_from_slice(prefix);
        fields.name[..short.len()].copy_from_slice(short);
    }
    if !link.is_ascii() || link.len() > 100 {
        record(&mut records, "linkpath", link);
    }
    header.as_old_mut().linkname[..ascii(link).len()].copy_from_slice(&ascii(link));

    let mut number = |key: &str, value: u64, max: u64| {
        if value <= max {
            return value;
        }
        record(&mut records, key, &value.to_string());
        0
    };
    let fields = header.as_old_mut();
    octal(&mut fields.size, number("size", size, MAX_LONG));
    octal(&mut fields.mtime, number("mtime", mtime, MAX_LONG));
    octal(&mut fields.uid, number("uid", entry.owner.uid.into(), MAX_SHORT));
    octal(&mut fields.gid, number("gid", entry.owner.gid.into(), MAX_SHORT));
    octal(&mut fields.mode, (entry.mode & 0o7777).into());
    header.set_entry_type(kind);
    header.set_cksum();

    if !records.is_empty() {
        append_extended(tar, &records, mtime.min(MAX_LONG));
    }
    tar.extend_from_slice(header.as_bytes());
}

/// A number that fits, in a header's field: octal digits and a NUL. (The tar crate makes a string of each first.)
fn octal(field: &mut [u8], mut number: u64) {
    if let Some((end, digits)) = field.split_last_mut() {
        *end = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number & 7) as u8;
            number >>= 3;
        }
    }
}

/// The header of a file of `size` bytes that anyone may read, for archives that are no layers; `mtime` in seconds since 1970.
pub fn file_header(path: &TreePath, size: u64, mtime: u64) -> Vec<u8> {
    let content = Content::Path {
        path: PathBuf::new(),
        size,
    };
    let mut header = Vec::new();
    append(&mut header, path, &Entry::file(content, false), mtime);
    header
}

/// The zero bytes behind `size` bytes of content, up to the next header.
pub fn file_padding(size: u64) -> &'static [u8] {
    &[0; BLOCK][..padding(size)]
}

/// An extended header: a member of type `x` whose content is the records.
fn append_extended(tar: &mut Vec<u8>, records: &[u8], mtime: u64) {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..PAX_NAME.len()].copy_from_slice(PAX_NAME);
    header.set_size(records.len() as u64);
    header.set_mtime(mtime);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_cksum();
    tar.extend_from_slice(header.as_bytes());
    tar.extend_from_slice(records);
    tar.resize(tar.len() + padding(records.len() as u64), 0);
}

/// Appends `"%d %s=%s\n", <length>, <keyword>, <value>`, where the length counts its own digits.
fn record(records: &mut Vec<u8>, key: &str, value: &str) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
}

/// A name as ustar's prefix and name fields; `None` if it needs an extended header.
///
/// > a new pathname shall be formed by concatenating prefix (up to the first NUL character), a slash character, and name
fn split_name(name: &str) -> Option<(&[u8], &[u8])> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= 100 {
        return Some((&[], name.as_bytes()));
    }
    // The first slash that leaves no more than 100 bytes; one at the very end would leave an empty name.
    let at = name.len() - 101 + name[name.len() - 101..name.len() - 1].find('/')?;
    (1..=155)
        .contains(&at)
        .then(|| (&name.as_bytes()[..at], &name.as_bytes()[at + 1..]))
}

/// What the old fields show of a text that an extended header gives in full.
fn ascii(text: &str) -> Cow<'_, [u8]> {
    if text.is_ascii() {
        return Cow::Borrowed(&text.as_bytes()[..text.len().min(100)]);
    }
    let plain = text.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' });
    plain.take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Owner;

    fn header(path: &str, entry: &Entry) -> Vec<u8> {
        let mut tar = Vec::new();
        append(&mut tar, &TreePath::new(path).unwrap(), entry, 315_532_800);
        assert_eq!(tar.len() % BLOCK, 0);
        tar
    }

    /// What the tar crate's reader makes of it: path, link, and the extended header's keys.
    fn read(tar: &[u8]) -> (String, Option<String>, Vec<String>) {
        let mut archive = tar::Archive::new(tar);
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let keys = match entry.pax_extensions().unwrap() {
            Some(extensions) => extensions.map(|e| e.unwrap().key().unwrap().to_owned()).collect(),
            None => Vec::new(),
        };
        let link = entry
            .link_name_bytes()
            .map(|l| String::from_utf8(l.into()).unwrap());
        (String::from_utf8(entry.path_bytes().into()).unwrap(), link, keys)
    }

    #[test]
    fn plain_names_take_one_block() {
        let tar = header("a/b", &Entry::file(Content::bytes(*b""), true));
        assert_eq!(tar.len(), BLOCK);
        assert_eq!(&tar[257..265], b"ustar\x0000");
        assert_eq!(&tar[100..108], b"0000755\0");
        assert_eq!(read(&tar).0, "a/b");
        assert_eq!(read(&header("d", &Entry::directory())).0, "d/");
    }

    #[test]
    fn numbers_are_octal_as_other_writers_have_them() {
        for number in [0, 7, 8, 0o755, 315_532_800, MAX_LONG] {
            let mut header = tar::Header::new_ustar();
            header.set_size(number);
            let mut field = [b'x'; 12];
            octal(&mut field, number);
            assert_eq!(field, header.as_old().size, "{number}");
        }
    }

    #[test]
    fn names_of_every_length_come_back() {
        for directory in [false, true] {
            for length in 1..320 {
                for component in [7, 60, 99, 100, 101, 155, 156, 254] {
                    let mut path = String::new();
                    for i in 0..length {
                        path.push(if i % (component + 1) == component {
                            '/'
                        } else {
                            'x'
                        });
                    }
                    if path.ends_with('/') {
                        path.replace_range(length - 1.., "y");
                    }
                    if path.split('/').any(|c| c.len() > 255) {
                        continue;
                    }
                    let entry = if directory {
                        Entry::directory()
                    } else {
                        Entry::file(Content::bytes(*b""), false)
                    };
                    let (name, _, keys) = read(&header(&path, &entry));
                    assert_eq!(name.trim_end_matches('/'), path);
                    assert!(keys.is_empty() || length > 99, "{path}");
                }
            }
        }
    }

    #[test]
    fn what_ustar_cannot_say_stands_in_an_extended_header() {
        let long = "l/".repeat(60) + "end";
        let owner = Owner {
            uid: 3_000_000,
            gid: 5,
        };
        let (path, link, keys) = read(&header("ünï/x", &Entry::symlink(&long).owned_by(owner)));
        assert_eq!((path.as_str(), link.as_deref()), ("ünï/x", Some(long.as_str())));
        assert_eq!(keys, ["path", "linkpath", "uid"]);
        let big = Content::Path {
            path: "/none".into(),
            size: 8 << 30,
        };
        assert_eq!(read(&header("big", &Entry::file(big, false))).2, ["size"]);
        let fits = Content::Path {
            path: "/none".into(),
            size: (8 << 30) - 1,
        };
        assert!(read(&header("big", &Entry::file(fits, false))).2.is_empty());
    }

    #[test]
    fn a_records_length_counts_itself() {
        for length in 1..1100 {
            let mut records = Vec::new();
            record(&mut records, "path", &"x".repeat(length));
            let text = String::from_utf8(records).unwrap();
            assert_eq!(text.split(' ').next().unwrap(), text.len().to_string());
        }
    }
}
