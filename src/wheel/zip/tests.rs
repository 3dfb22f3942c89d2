//! Archives made byte by byte, so that every field can lie.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use super::{File, ZipError};
use crate::blob::RandomFile;
use crate::paths::TreePath;
use crate::tree::Content;

/// Changes a finished header.
type Lie = fn(&mut Vec<u8>);

/// A member and the lies told about it.
#[derive(Clone)]
struct Made {
    name: Vec<u8>,
    content: Vec<u8>,
    method: u16,
    flags: u16,
    attributes: u32,
    local_extra: Vec<u8>,
    central_extra: Vec<u8>,
    descriptor: Vec<u8>,
    /// Changes the finished local header.
    local: Lie,
    /// Changes the finished central header.
    central: Lie,
}

fn made(name: &str, content: &str) -> Made {
    Made {
        name: name.into(),
        content: content.into(),
        method: 8,
        flags: 0,
        attributes: 0o100_644 << 16,
        local_extra: Vec::new(),
        central_extra: Vec::new(),
        descriptor: Vec::new(),
        local: |_| {},
        central: |_| {},
    }
}

/// Changes the finished parts: local part, central directory, end record.
type Edit = fn(&mut [Vec<u8>; 3]);

fn archive(members: &[Made], edit: Edit) -> Vec<u8> {
    let (mut locals, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let data = packed(member);
        let mut shared = Vec::new();
        for value in [20, member.flags, member.method, 0, 0x21] {
            shared.extend_from_slice(&u16::to_le_bytes(value));
        }
        for value in [
            crc32fast::hash(&member.content),
            small(data.len()),
            small(member.content.len()),
        ] {
            shared.extend_from_slice(&value.to_le_bytes());
        }
        shared.extend_from_slice(&short(member.name.len()));
        let mut central = [
            b"PK\x01\x02\x14\x03".as_slice(),
            &shared,
            &short(member.central_extra.len()),
        ]
        .concat();
        central.extend_from_slice(&[0; 6]);
        central.extend_from_slice(&member.attributes.to_le_bytes());
        central.extend_from_slice(&small(locals.len()).to_le_bytes());
        central.extend_from_slice(&member.name);
        central.extend_from_slice(&member.central_extra);
        (member.central)(&mut central);
        directory.extend_from_slice(&central);
        let mut local = [
            b"PK\x03\x04".as_slice(),
            &shared,
            &short(member.local_extra.len()),
        ]
        .concat();
        local.extend_from_slice(&member.name);
        local.extend_from_slice(&member.local_extra);
        (member.local)(&mut local);
        locals.extend_from_slice(&[local, data, member.descriptor.clone()].concat());
    }
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend_from_slice(&short(members.len()));
    end.extend_from_slice(&short(members.len()));
    end.extend_from_slice(&small(directory.len()).to_le_bytes());
    end.extend_from_slice(&small(locals.len()).to_le_bytes());
    end.extend_from_slice(&[0; 2]);
    let mut parts = [locals, directory, end];
    edit(&mut parts);
    parts.concat()
}

fn packed(member: &Made) -> Vec<u8> {
    if member.method != 8 {
        return member.content.clone();
    }
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&member.content).unwrap();
    encoder.finish().unwrap()
}

fn small(value: usize) -> u32 {
    u32::try_from(value).unwrap()
}

fn short(value: usize) -> [u8; 2] {
    u16::try_from(value).unwrap().to_le_bytes()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn read(bytes: &[u8]) -> Result<BTreeMap<TreePath, File>, ZipError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    super::read(&Arc::new(RandomFile::open(file.path()).unwrap()))
}

/// The whole error: what and why.
fn fault(bytes: &[u8]) -> String {
    let error = read(bytes).expect_err("the archive should be refused");
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    format!("{error}: {}", cause.unwrap_or_default())
}

fn content(files: &BTreeMap<TreePath, File>, path: &str) -> Vec<u8> {
    let member = files.get(path).unwrap().member.clone();
    Content::Member(member).read(1 << 20).unwrap()
}

#[test]
fn a_sound_archive_gives_its_files_and_their_contents() {
    let mut stored = made("a/stored", "as it is");
    stored.method = 0;
    stored.attributes = 0o100_755 << 16;
    let mut directory = made("a/", "");
    directory.method = 0;
    directory.attributes = 0o040_755 << 16;
    let mut umlaut = made("ü", "ü");
    umlaut.flags = 1 << 11;
    let files = read(&archive(
        &[directory, stored, made("a/b/deflated", "x"), umlaut],
        |_| {},
    ))
    .unwrap();
    let names: Vec<_> = files.keys().map(TreePath::as_str).collect();
    assert_eq!(names, ["a/b/deflated", "a/stored", "ü"]);
    assert_eq!(content(&files, "a/stored"), b"as it is");
    assert_eq!(content(&files, "a/b/deflated"), b"x");
    assert!(files["a/stored"].executable && !files["ü"].executable);
    assert!(read(&archive(&[], |_| {})).unwrap().is_empty());
}

#[test]
fn an_archive_comment_is_accepted_and_anything_else_after_the_end_refused() {
    let with_comment = archive(&[made("a", "1")], |parts| {
        put(&mut parts[2], 20, &[2, 0]);
        parts[2].extend_from_slice(b"hi");
    });
    assert_eq!(read(&with_comment).unwrap().len(), 1);
    let trailing = archive(&[made("a", "1")], |parts| parts[2].extend_from_slice(b"hi"));
    assert!(fault(&trailing).contains("cut off, or something follows"));
}

#[test]
fn data_descriptors_of_all_four_forms_are_taken_and_checked() {
    let (crc, packed, size) = (crc32fast::hash(b"hello"), 7_u32, 5_u32);
    let narrow = [crc.to_le_bytes(), packed.to_le_bytes(), size.to_le_bytes()].concat();
    let wide = [
        crc.to_le_bytes().to_vec(),
        u64::from(packed).to_le_bytes().to_vec(),
        u64::from(size).to_le_bytes().to_vec(),
    ]
    .concat();
    for fields in [narrow, wide] {
        for signature in [b"".as_slice(), b"PK\x07\x08"] {
            let mut member = made("a", "hello");
            member.flags = 1 << 3;
            member.descriptor = [signature, &fields].concat();
            member.local = |header| put(header, 14, &[0; 12]);
            let files = read(&archive(&[member.clone(), made("b", "2")], |_| {})).unwrap();
            assert_eq!(content(&files, "a"), b"hello");
            let last = member.descriptor.len() - 1;
            member.descriptor[last] ^= 1;
            let fault = fault(&archive(&[member], |_| {}));
            assert!(fault.contains("data descriptor"), "{fault}");
        }
    }
    let mut missing = made("a", "hello");
    missing.flags = 1 << 3;
    assert!(fault(&archive(&[missing], |_| {})).contains("no data descriptor"));
}

#[test]
fn zip64_sizes_and_end_records_are_read_and_must_agree() {
    let mut member = made("a", "hello");
    let field = [&[1, 0, 16, 0][..], &5_u64.to_le_bytes(), &7_u64.to_le_bytes()].concat();
    member.local_extra.clone_from(&field);
    member.central_extra = field;
    member.local = |header| put(header, 18, &[0xff; 8]);
    member.central = |header| put(header, 20, &[0xff; 8]);
    let sound: Edit = |parts| {
        let at = parts[0].len() + parts[1].len();
        let mut end64 = b"PK\x06\x06".to_vec();
        end64.extend_from_slice(&44_u64.to_le_bytes());
        end64.extend_from_slice(&[45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for value in [1, 1, parts[1].len(), parts[0].len()] {
            end64.extend_from_slice(&(value as u64).to_le_bytes());
        }
        let locator = [
            b"PK\x06\x07\0\0\0\0".as_slice(),
            &(at as u64).to_le_bytes(),
            &[1, 0, 0, 0],
        ]
        .concat();
        put(&mut parts[2], 8, &[0xff; 12]);
        parts[2] = [end64, locator, parts[2].clone()].concat();
    };
    let bytes = archive(&[member.clone()], sound);
    assert_eq!(content(&read(&bytes).unwrap(), "a"), b"hello");
    let mut other = bytes.clone();
    let at = other.len() - 22 + 12;
    put(&mut other, at, &[2, 0, 0, 0]);
    assert!(fault(&other).contains("disagrees with the end record"));
    member.central_extra.truncate(12);
    put(&mut member.central_extra, 2, &[8, 0]);
    assert!(fault(&archive(&[member], sound)).contains("broken zip64 field"));
}

#[test]
fn names_that_leave_hide_or_repeat_are_refused() {
    for (name, reason) in [
        ("../a", "leaves its directory"),
        ("a/../../b", "leaves its directory"),
        ("/a", "absolute"),
        ("a//b", "normal form"),
        ("./a", "normal form"),
        ("a\0b", "normal form"),
        ("a\\b", "backslash"),
        ("", "empty"),
        ("ü", "neither ASCII nor marked as UTF-8"),
    ] {
        let fault = fault(&archive(&[made(name, "1")], |_| {}));
        assert!(fault.contains(reason), "{name:?}: {fault}");
    }
    let mut broken = made("", "1");
    broken.name = b"\xff".to_vec();
    broken.flags = 1 << 11;
    assert!(fault(&archive(&[broken], |_| {})).contains("is not UTF-8"));
    let mut second_name = made("a", "1");
    second_name.central_extra = b"\x75\x70\x06\0\x01\0\0\0\0b".to_vec();
    assert!(fault(&archive(&[second_name], |_| {})).contains("second, different name"));
    let mut directory = made("a/", "");
    directory.method = 0;
    directory.attributes = 0;
    let twice = archive(&[made("a", "1"), made("a", "2")], |_| {});
    assert!(fault(&twice).contains("`a` is there twice"));
    let both = archive(&[made("a", "1"), directory.clone()], |_| {});
    assert_eq!(fault(&both), "member `a` is there twice: ");
    let directories = archive(&[directory.clone(), directory], |_| {});
    assert!(fault(&directories).contains("`a` is there twice"));
    let below = archive(&[made("a", "1"), made("a/b", "2")], |_| {});
    assert!(fault(&below).contains("`a/b` is below `a`"));
}

#[test]
fn members_that_cannot_be_taken_are_refused() {
    let with = |change: fn(&mut Made)| {
        let mut member = made("a", "hello");
        change(&mut member);
        fault(&archive(&[member], |_| {}))
    };
    for (method, bzip2) in [(12, "BZIP2"), (14, "LZMA"), (9, "Deflate64"), (93, "Zstandard")] {
        let mut member = made("a", "hello");
        member.method = method;
        let fault = fault(&archive(&[member], |_| {}));
        assert!(fault.contains("method other than DEFLATE"), "{bzip2}: {fault}");
    }
    assert!(with(|m| m.flags = 1).contains("encrypted"));
    assert!(with(|m| m.flags = 1 << 6).contains("encrypted"));
    assert!(with(|m| m.flags = 1 << 5).contains("patch"));
    assert!(with(|m| m.attributes = 0o120_777 << 16).contains("a link or a special file"));
    assert!(with(|m| m.attributes = 0o010_644 << 16).contains("a link or a special file"));
    assert!(with(|m| m.name = b"a/".to_vec()).contains("named as a directory"));
    assert!(with(|m| m.central = |h| put(h, 34, &[1])).contains("another disk"));
    assert!(with(|m| m.central_extra = vec![9, 9, 9]).contains("broken extra field"));
}

#[test]
fn sizes_that_lie_are_refused_at_once_or_when_read() {
    let with_size = |size: &'static [u8; 4]| {
        let mut member = made("a", "hello");
        let lie: [Lie; 2] = match size {
            [0xff, 0xff, 0xff, 0x7f] => [
                |h| put(h, 22, &[0xff, 0xff, 0xff, 0x7f]),
                |h| put(h, 24, &[0xff, 0xff, 0xff, 0x7f]),
            ],
            _ => [|h| put(h, 22, &[6, 0, 0, 0]), |h| put(h, 24, &[6, 0, 0, 0])],
        };
        (member.local, member.central) = (lie[0], lie[1]);
        archive(&[member], |_| {})
    };
    assert!(fault(&with_size(&[0xff, 0xff, 0xff, 0x7f])).contains("size that its data cannot have"));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&with_size(&[6, 0, 0, 0])).unwrap();
    let files = super::read(&Arc::new(RandomFile::open(file.path()).unwrap())).unwrap();
    assert!(Content::Member(files["a"].member.clone()).read(100).is_err());
    let mut stored = made("a", "hello");
    stored.method = 0;
    stored.local = |h| put(h, 22, &[6]);
    stored.central = |h| put(h, 24, &[6]);
    assert!(fault(&archive(&[stored], |_| {})).contains("size that its data cannot have"));
}

#[test]
fn headers_that_disagree_are_refused() {
    let changes: [(Lie, &str); 6] = [
        (|h| put(h, 6, &[2]), "its flags"),
        (|h| put(h, 8, &[0]), "its compression method"),
        (|h| put(h, 14, &[1, 2, 3, 4]), "its CRC-32"),
        (|h| put(h, 18, &[6]), "its compressed size"),
        (|h| put(h, 22, &[6]), "its size"),
        (|h| put(h, 30, b"b"), "its name"),
    ];
    for (change, what) in changes {
        let mut member = made("a", "hello");
        member.local = change;
        let fault = fault(&archive(&[member], |_| {}));
        assert!(
            fault.contains("disagrees with the directory") && fault.contains(what),
            "{fault}"
        );
    }
}

#[test]
fn gaps_overlaps_and_hidden_data_are_refused() {
    let two = [made("a", "1"), made("b", "2")];
    let edits: [(Edit, &str); 6] = [
        (|p| put(&mut p[1], 47 + 42, &[0; 4]), "overlapping members"),
        (|p| put(&mut p[1], 42, &[1]), "data before the first member"),
        (|p| p[0].extend_from_slice(b"hidden"), "records at the end"),
        (
            |p| put(&mut p[2], 8, &[1, 0, 1, 0]),
            "more than the stated number",
        ),
        (|p| put(&mut p[2], 8, &[3, 0, 3, 0]), "missing or cut off"),
        (|p| put(&mut p[2], 4, &[1]), "several disks"),
    ];
    for (edit, what) in edits {
        let fault = fault(&archive(&two, edit));
        assert!(fault.contains(what), "{what}: {fault}");
    }
    let gap = archive(&two, |p| {
        p[0].extend_from_slice(b"hidden");
        let offset = u32::from_le_bytes([p[2][16], p[2][17], p[2][18], p[2][19]]) + 6;
        put(&mut p[2], 16, &offset.to_le_bytes());
    });
    assert!(fault(&gap).contains("data without a header"));
    let before = [b"#!/bin/sh\n".to_vec(), archive(&two, |_| {})].concat();
    assert!(fault(&before).contains("records at the end"));
}

#[test]
fn an_archive_cut_anywhere_is_refused_and_no_byte_makes_it_panic() {
    let mut member = made("a/b", "hello hello");
    member.local_extra = vec![0, 0, 0];
    let bytes = archive(&[member, made("c", "")], |_| {});
    assert_eq!(read(&bytes).unwrap().len(), 2);
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "{length}");
    }
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            let _ = read(&changed);
        }
    }
}
