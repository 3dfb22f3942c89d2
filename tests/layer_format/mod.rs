//! The layer format against every reader that matters: a layer made of carried-over DEFLATE streams of all shapes is
//! read back by gzip, GNU tar, bsdtar, Python, Rust, Go (skopeo) and umoci. A missing tool is a failure.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod readers;
mod shapes;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use flate2::FlushCompress;
use proptest::prelude::*;
use pyoci::blob::RandomFile;
use pyoci::digest::Digest;
use pyoci::layer::{self, Compression, FoundKind, LayerReader, Options, Written};
use pyoci::paths::TreePath;
use pyoci::tree::{Content, Entry, Member, Method, Owner, Tree};

use self::shapes::{Bits, deflate, members, noise, shapes, text};

const MTIME: u64 = 315_532_800;

fn options(compression: Compression, threads: usize) -> Options {
    Options {
        mtime: MTIME,
        compression,
        threads,
    }
}

fn gzip(tree: &Tree, threads: usize) -> (Vec<u8>, Written) {
    let mut blob = Vec::new();
    let written = layer::write(tree, &options(Compression::Gzip, threads), &mut blob).unwrap();
    assert_eq!(written.digest, Digest::of(&blob));
    assert_eq!(written.size, blob.len() as u64);
    (blob, written)
}

/// The tar in a gzip blob, by a decoder that stops after the first member.
fn gunzip(blob: &[u8]) -> Vec<u8> {
    let (mut tar, mut rest) = (Vec::new(), blob);
    flate2::bufread::GzDecoder::new(&mut rest)
        .read_to_end(&mut tar)
        .unwrap();
    assert!(rest.is_empty(), "the blob goes on after its first gzip member");
    tar
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn add(tree: &mut Tree, name: &str, content: Content) {
    tree.insert(path(name), Entry::file(content, false)).unwrap();
}

/// A tree of all shapes, with names and entries of all kinds between them.
fn tree_of_shapes() -> Tree {
    let shapes = shapes();
    let streams: Vec<_> = shapes
        .iter()
        .map(|(_, s, m, c)| (s.clone(), *m, c.clone()))
        .collect();
    let mut tree = Tree::new();
    for ((name, ..), member) in shapes.iter().zip(members(&streams)) {
        add(
            &mut tree,
            &format!("deps/{name}"),
            Content::Member(Box::new(member)),
        );
    }
    add(
        &mut tree,
        &format!("deps/{}/{}", "d".repeat(120), "n".repeat(200)),
        Content::bytes(*b"long"),
    );
    add(
        &mut tree,
        "deps/straße/naïve-名前.py",
        Content::bytes(*b"not ascii"),
    );
    add(&mut tree, "deps/bytes-large", Content::bytes(text(2_500_000, 7)));
    tree.insert(path("deps/link"), Entry::symlink("one-big")).unwrap();
    tree.insert(path("deps/far"), Entry::symlink(&"../deps/".repeat(20)))
        .unwrap();
    let owner = Owner {
        uid: 65532,
        gid: 65532,
    };
    tree.insert(path("data"), Entry::directory().owned_by(owner).with_mode(0o700))
        .unwrap();
    tree.insert(path("run"), Entry::file(Content::bytes(*b"#!/bin/sh\n"), true))
        .unwrap();
    tree
}

/// Checks with an independent reader that a tar holds a tree, entry for entry, byte for byte.
fn assert_holds(tar: &[u8], tree: &Tree) {
    let mut archive = tar::Archive::new(tar);
    let mut found = archive.entries().unwrap();
    for (path, entry) in tree.iter() {
        let mut member = found.next().expect("the tar ends early").unwrap();
        let name = String::from_utf8(member.path_bytes().into_owned()).unwrap();
        assert_eq!(name.trim_end_matches('/'), path.as_str());
        assert_eq!(name.ends_with('/'), entry.is_directory());
        let header = member.header().clone();
        assert_eq!(header.mode().unwrap(), entry.mode, "{path}");
        assert_eq!(
            (header.uid().unwrap(), header.gid().unwrap()),
            (entry.owner.uid.into(), entry.owner.gid.into())
        );
        assert_eq!(header.mtime().unwrap(), MTIME);
        assert_eq!(header.username().unwrap(), Some(""));
        let mut content = Vec::new();
        member.read_to_end(&mut content).unwrap();
        let expected = entry
            .content()
            .map(|c| c.read(u64::MAX).unwrap())
            .unwrap_or_default();
        assert!(content == expected, "the content of {path} differs");
    }
    assert!(found.next().is_none());
    assert_eq!(tar.len() % 512, 0);
    assert!(tar.ends_with(&[0; 1024]));
}

#[test]
fn every_shape_of_stream_comes_back_and_threads_change_nothing() {
    let tree = tree_of_shapes();
    let (blob, written) = gzip(&tree, 1);
    let tar = gunzip(&blob);
    assert_eq!(written.diff_id, Digest::of(&tar));
    assert_eq!(written.media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
    assert_holds(&tar, &tree);
    for threads in 2..=8 {
        assert_eq!(gzip(&tree, threads).1, written, "{threads} threads");
    }
}

#[test]
fn zstd_holds_the_same_tar() {
    let tree = tree_of_shapes();
    let mut blobs = Vec::new();
    for threads in 1..=8 {
        let mut blob = Vec::new();
        let written = layer::write(&tree, &options(Compression::Zstd, threads), &mut blob).unwrap();
        assert_eq!(
            (&written.digest, written.size),
            (&Digest::of(&blob), blob.len() as u64)
        );
        assert_eq!(written.diff_id, gzip(&tree, 2).1.diff_id);
        assert_eq!(written.media_type, "application/vnd.oci.image.layer.v1.tar+zstd");
        blobs.push(blob);
    }
    assert!(blobs.windows(2).all(|two| two[0] == two[1]));
    let tar = zstd::stream::decode_all(&blobs[0][..]).unwrap();
    assert_holds(&tar, &tree);
}

#[test]
fn files_on_disk_are_read_in_ranges_and_must_keep_their_size() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    for length in [
        0,
        1,
        511,
        512,
        131_072,
        524_288 - 512,
        524_288,
        524_289,
        2_000_000,
    ] {
        let content = text(length, 11);
        fs_err::write(&file, &content).unwrap();
        let tree = |size| {
            let mut tree = Tree::new();
            add(
                &mut tree,
                "file",
                Content::Path {
                    path: file.clone(),
                    size,
                },
            );
            tree
        };
        let size = length as u64;
        assert_holds(&gunzip(&gzip(&tree(size), 3).0), &tree(size));
        for wrong in [size.wrapping_sub(1), size + 1, size + 600_000] {
            if wrong == u64::MAX {
                continue;
            }
            let error =
                layer::write(&tree(wrong), &options(Compression::Gzip, 2), &mut std::io::sink()).unwrap_err();
            assert_eq!(
                error.to_string(),
                "cannot read the content of file",
                "{length} {wrong}"
            );
        }
    }
}

#[test]
fn a_member_that_is_not_what_was_stated_is_an_error_with_its_path() {
    let content = text(60_000, 5);
    let good = deflate(&content, 6, None);
    let small = b"small content, compressed anew".to_vec();
    let large = noise(1_500_000, 6);
    let cases = [
        (good, Method::Deflated, content),
        (deflate(&small, 6, None), Method::Deflated, small),
        (large.clone(), Method::Stored, large),
    ];
    for case in &cases {
        let right = members(std::slice::from_ref(case)).remove(0);
        let mut broken: Vec<(&str, Member)> = vec![(
            "CRC-32",
            Member {
                crc32: right.crc32 ^ 1,
                ..right.clone()
            },
        )];
        broken.push((
            "hash",
            Member {
                digest: Some(Digest::of(b"something else")),
                ..right.clone()
            },
        ));
        if case.1 == Method::Deflated {
            broken.push((
                "bytes",
                Member {
                    size: right.size + 1,
                    ..right.clone()
                },
            ));
            broken.push((
                "bytes",
                Member {
                    size: right.size - 1,
                    ..right.clone()
                },
            ));
            broken.push((
                "goes on",
                Member {
                    compressed_size: right.compressed_size + 1,
                    ..right.clone()
                },
            ));
            broken.push((
                "ends before",
                Member {
                    compressed_size: right.compressed_size - 1,
                    ..right.clone()
                },
            ));
            broken.push((
                "ends before",
                Member {
                    compressed_size: 0,
                    ..right.clone()
                },
            ));
            let mut stream = case.0.clone();
            stream[0] |= 7;
            let bad = members(&[(stream, Method::Deflated, case.2.clone())]).remove(0);
            broken.push(("DEFLATE", bad));
        }
        for (why, member) in broken {
            for compression in [Compression::Gzip, Compression::Zstd] {
                let mut tree = Tree::new();
                add(&mut tree, "a", Content::bytes(noise(3_000_000, 8)));
                add(&mut tree, "deps/bad", Content::Member(Box::new(member.clone())));
                add(&mut tree, "z", Content::bytes(noise(3_000_000, 9)));
                let error = layer::write(&tree, &options(compression, 4), &mut std::io::sink()).unwrap_err();
                assert_eq!(error.to_string(), "cannot read the content of deps/bad");
                let cause = std::error::Error::source(&error).unwrap().to_string();
                assert!(cause.contains(why), "{cause:?} should say {why:?}");
            }
        }
    }
}

/// A disk that is full after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = bytes.len().min(self.0);
        self.0 -= n;
        if n == 0 {
            Err(std::io::ErrorKind::StorageFull.into())
        } else {
            Ok(n)
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_work_at_any_byte() {
    let tree = tree_of_shapes();
    let size = usize::try_from(gzip(&tree, 2).1.size).unwrap();
    for room in [0, 1, 10, 100_000, size / 2, size - 1] {
        for threads in [1, 8] {
            let error =
                layer::write(&tree, &options(Compression::Gzip, threads), &mut Full(room)).unwrap_err();
            assert!(matches!(error, layer::Error::Write(_)), "{error}");
        }
    }
}

#[test]
fn headers_alone_come_back_however_many_follow_each_other() {
    // Around 4096 bytes of headers, and around a chunk of them, before a member that is carried over.
    for count in (1..12).chain([255, 256, 257, 263, 300, 1100]) {
        let mut tree = Tree::new();
        for number in 0..count {
            let entry = Entry::symlink(&format!("../{}", number * 7919));
            tree.insert(path(&format!("deps/a{number:04}")), entry).unwrap();
        }
        let content = text(20_000, count);
        let mut bits = Bits::default();
        bits.fixed_block(&content, true);
        let member = members(&[(bits.end_with_ones().0, Method::Deflated, content)]).remove(0);
        add(&mut tree, "deps/spliced.py", Content::Member(Box::new(member)));
        let (blob, written) = gzip(&tree, 2);
        let tar = gunzip(&blob);
        assert_eq!(written.diff_id, Digest::of(&tar), "{count}");
        assert_holds(&tar, &tree);
        assert_eq!(gzip(&tree, 1).1, written, "{count}");
    }
}

#[test]
fn an_empty_tree_is_a_layer_too() {
    let (blob, written) = gzip(&Tree::new(), 4);
    assert_eq!(gunzip(&blob), [0; 1024]);
    assert_eq!(written.diff_id, Digest::of(&[0; 1024]));
}

#[test]
fn the_bytes_of_the_format_are_pinned() {
    let mut tree = Tree::new();
    let (content, small) = (vec![b'q'; 6_000], b"x = 1\n".to_vec());
    let mut bits = Bits::default();
    bits.fixed_block(&content, true);
    let member = members(&[(bits.end_with_ones().0, Method::Deflated, content)]).remove(0);
    add(&mut tree, "deps/spliced.py", Content::Member(Box::new(member)));
    add(&mut tree, "deps/small.py", Content::bytes(small));
    tree.insert(path("deps/link"), Entry::symlink("small.py"))
        .unwrap();
    let (_, written) = gzip(&tree, 2);
    // A change here is a change of the format: `layer::FORMAT` must change with it.
    assert_eq!(layer::FORMAT, 3);
    assert_eq!(
        written.diff_id.to_string(),
        "sha256:a9046b902471d8d9317d11c90a12ddbc3614b5ac4caab48c7ff8b4d8ee96eef5"
    );
    assert_eq!(
        written.digest.to_string(),
        "sha256:6909b74d7fe136b0462420e9a27e152e8c496cf0ac88856429c52ca2a016171d"
    );
}

fn any_content() -> impl Strategy<Value = (bool, u32, usize, Vec<u8>)> {
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..9_000),
        (0..200_000_usize, any::<u64>()).prop_map(|(length, seed)| text(length, seed)),
        (0..600_000_usize).prop_map(|length| vec![7; length]),
    ];
    (any::<bool>(), 0..10_u32, 1..70_000_usize, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_tree_comes_back(
        files in proptest::collection::btree_map("[a-zé]{1,60}(/[a-z]{1,80}){0,2}\\.py", any_content(), 0..12),
        threads in 1..5_usize,
    ) {
        let mut tree = Tree::new();
        for (name, (deflated, level, step, content)) in files {
            let content = if deflated {
                let stream = deflate(&content, level, Some((step, FlushCompress::Partial)));
                Content::Member(Box::new(
                    members(&[(stream, Method::Deflated, content)]).remove(0),
                ))
            } else {
                Content::bytes(content)
            };
            // A name may be below another file's.
            let _ = tree.insert(path(&name), Entry::file(content, false));
        }
        let (blob, written) = gzip(&tree, threads);
        let tar = gunzip(&blob);
        prop_assert_eq!(&written.diff_id, &Digest::of(&tar));
        assert_holds(&tar, &tree);
        prop_assert_eq!(gzip(&tree, threads % 4 + 1).1, written);
    }
}
