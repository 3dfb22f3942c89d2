//! Small archives that unpack to more than any machine has: each is refused, in little memory, and says why.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use pyoci::digest::Digest;
use pyoci::image::{INDEX, LAYER_GZIP, LAYER_ZSTD};
use serde_json::{Value, json};

use super::cases::{Bench, Member, package, wheel_of, zip};
use super::policy::setting;
use crate::support::layout;
use crate::support::tarball::{Member as TarMember, file, gzip, header, tar};
use crate::support::{Run, run};

/// What no run may take, in KiB.
const MEMORY: u64 = 256 << 10;
const GIB: u64 = 1 << 30;

/// Whether those that take minutes are wanted too.
fn all_bombs() -> bool {
    !setting("PYOCI_BOMBS").is_empty()
}

/// Runs `pyoci`, and fails if it took more memory than it may, or more than two minutes.
#[track_caller]
fn measured(bench: &Bench, arguments: &[&str]) -> Run {
    const SCRIPT: &str = "import resource, subprocess, sys\n\
        code = subprocess.call(sys.argv[1:])\n\
        print('maxrss', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)\n\
        sys.exit(code)\n";
    let plain = bench.0.pyoci();
    let mut command = Command::new("python3");
    command
        .args(["-c", SCRIPT])
        .arg(plain.get_program())
        .args(arguments)
        .env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.env("PATH", "/usr/bin:/bin").current_dir(bench.0.path(""));
    let start = Instant::now();
    let done = run(&mut command);
    let took = start.elapsed();
    let (said, most) = done.stderr.rsplit_once("maxrss ").unwrap();
    let most: u64 = most.trim().parse().unwrap();
    println!(
        "{:>4} MiB {:>6} ms  {}",
        most >> 10,
        took.as_millis(),
        said.lines().last().unwrap_or_default()
    );
    assert!(most < MEMORY, "{most} KiB: {said}");
    assert!(took < Duration::from_mins(2), "{took:?}: {said}");
    done
}

/// The same for what must be refused, and why.
#[track_caller]
fn refused(bench: &Bench, arguments: &[&str], expected: &str) {
    let done = measured(bench, arguments).failed_with(1);
    let is_clear = done.stderr.contains("error: ") && done.stderr.contains(expected);
    assert!(
        is_clear && !done.stderr.contains("panicked"),
        "{expected:?}: {}",
        done.stderr
    );
}

const BUILD: [&str; 7] = ["build", "app", "--base", "oci:base", "-o", "out", "--offline"];
const ON_HOSTILE: [&str; 7] = ["build", "app", "--base", "oci:hostile", "-o", "out", "--offline"];

/// A raw DEFLATE stream of `count` times the same bytes, its length, and their CRC-32: a block is packed once, and its bytes
/// repeated.
fn repeated(block: &[u8], count: u64) -> (Vec<u8>, u32) {
    let mut compress = flate2::Compress::new(flate2::Compression::best(), false);
    let mut packed = Vec::with_capacity(block.len() + 1024);
    // Nothing behind a full flush refers to what is in front of it.
    compress
        .compress_vec(block, &mut packed, flate2::FlushCompress::Full)
        .unwrap();
    let mut stream = packed.repeat(usize::try_from(count).unwrap());
    stream.extend(b"\x03\x00");
    let mut one = crc32fast::Hasher::new();
    one.update(block);
    let mut all = crc32fast::Hasher::new();
    (0..count).for_each(|_| all.combine(&one));
    (stream, all.finalize())
}

/// Gzip of something, and then `count` times the same block.
fn gzip_bomb(head: &[u8], block: &[u8], count: u64) -> Vec<u8> {
    let (stream, crc32) = repeated(block, count);
    let mut bytes = gzip(head);
    bytes.extend(b"\x1f\x8b\x08\0\0\0\0\0\0\xff");
    bytes.extend(stream);
    bytes.extend(crc32.to_le_bytes());
    bytes.extend(
        u32::try_from((block.len() as u64 * count) & 0xffff_ffff)
            .unwrap()
            .to_le_bytes(),
    );
    bytes
}

fn zstd_bomb(head: &[u8], block: &[u8], count: usize) -> Vec<u8> {
    let mut bytes = zstd::encode_all(head, 1).unwrap();
    bytes.extend(zstd::encode_all(block, 1).unwrap().repeat(count));
    bytes
}

fn zeros() -> Vec<u8> {
    vec![0; 1 << 20]
}

fn lock(bench: &Bench, field: &str, file: &str, bytes: &[u8]) {
    bench.put(&format!("app/wheels/{file}"), bytes);
    let hash = Digest::of(bytes);
    let text = format!(
        "lock-version = \"1.0\"\ncreated-by = \"test\"\n[[packages]]\nname = \"a\"\nversion = \"1.0\"\n\
         {field}\nname = \"{file}\"\npath = \"wheels/{file}\"\nhashes.sha256 = \"{}\"\n",
        hash.hex()
    );
    bench.0.write("app/pylock.toml", &text);
}

const WHEEL: &str = "a-1.0-py3-none-any.whl";

fn refused_wheel(bench: &Bench, bytes: &[u8], expected: &str) {
    lock(bench, "[[packages.wheels]]", WHEEL, bytes);
    refused(bench, &BUILD, expected);
}

#[test]
fn ten_gibibytes_of_zeros_in_a_wheel_are_refused() {
    let bench = Bench::new();
    let (stream, crc32) = repeated(&zeros(), 10 << 10);
    let mut member = Member::new("zeros", b"");
    (member.crc32, member.size, member.packed) = (crc32, 10 * GIB, (8, stream));
    refused_wheel(&bench, &wheel_of(vec![member]), "made to fill memory and disks");
}

#[test]
fn wheels_of_many_files_and_of_long_names_are_refused() {
    let bench = Bench::new();
    // Ten million members, as the directory says; and with as many bytes.
    let mut many = wheel_of(vec![Member::new("x", b"")]);
    let at = many.len() - 22 - 20 - 56;
    for field in [24, 32] {
        many[at + field..][..8].copy_from_slice(&10_000_000_u64.to_le_bytes());
    }
    refused_wheel(&bench, &many, "directory of 10000000 members");
    let deep = wheel_of(vec![
        Member::new(&("a/".repeat(1000) + "x"), b""),
        Member::new("x", b""),
    ]);
    refused_wheel(&bench, &deep, "too deep");
    // Each name brings 250 directories of its own.
    let long = |n: usize| Member::new(&format!("{n:05}/{}", "directory-here/".repeat(250) + "x"), b"");
    refused_wheel(
        &bench,
        &zip(&(0..400).map(long).collect::<Vec<_>>()),
        "names of its files and directories",
    );
    // RECORD and METADATA are read into memory.
    for name in ["METADATA", "RECORD"] {
        let (stream, crc32) = repeated(&vec![b'\n'; 1 << 20], 1 << 10);
        let mut members = vec![Member::new("a-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0\n")];
        let metadata = Member::new(
            "a-1.0.dist-info/METADATA",
            b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\n",
        );
        if name == "RECORD" {
            members.push(metadata);
        }
        let mut member = Member::new(&format!("a-1.0.dist-info/{name}"), b"");
        (member.crc32, member.size, member.packed) = (crc32, GIB, (8, stream));
        members.push(member);
        refused_wheel(&bench, &zip(&members), "1073741824 bytes");
    }
}

/// Puts a compressed layer on the base that nobody has unpacked to learn its digest: it is never read that far.
fn add_layer(bench: &Bench, bytes: &[u8], media_type: &str) {
    bench.add_layer(bytes, media_type, &Digest::of(b"unknown"));
}

#[test]
fn layers_that_are_bombs_are_refused() {
    let bench = Bench::new();
    let head = header("zeros", tar::EntryType::Regular, "", 10 * GIB);
    add_layer(&bench, &zstd_bomb(&head, &zeros(), 10 << 10), LAYER_ZSTD);
    refused(&bench, &ON_HOSTILE, "times its own size");
    // As many files as hide something below.
    let hides = (0..if all_bombs() { 300_000 } else { 10_000 })
        .map(|n| header(&format!("d{}/.wh.f{n}", n % 7), tar::EntryType::Regular, "", 0));
    let all: Vec<u8> = hides.flatten().collect();
    bench.add_layer(
        &zstd::encode_all(&all[..], 1).unwrap(),
        LAYER_ZSTD,
        &Digest::of(&all),
    );
    measured(&bench, &ON_HOSTILE).succeeded();
    // Each name brings 250 directories of its own.
    let deep = (0..2000).flat_map(|n| long_name(&format!("{n:05}/{}x", "directory-here/".repeat(250))));
    add_layer(
        &bench,
        &zstd::encode_all(&deep.collect::<Vec<_>>()[..], 1).unwrap(),
        LAYER_ZSTD,
    );
    refused(&bench, &ON_HOSTILE, "more files than any base has");
    // Texts that are kept: each within its limit.
    let mut text = vec![b'#'; 1 << 20];
    text.truncate((1 << 20) - 512);
    let texts = (0..2000).flat_map(|n| {
        let head = header(
            &format!("etc/ld.so.conf.d/{n}.conf"),
            tar::EntryType::Regular,
            "",
            text.len() as u64,
        );
        [head, text.clone()]
    });
    let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
    texts.for_each(|part| packed.write_all(&part).unwrap());
    add_layer(&bench, &packed.finish().unwrap(), LAYER_ZSTD);
    refused(&bench, &ON_HOSTILE, "more package lists");
}

/// A member of type `x`, and a file that has the name that it gives.
fn long_name(name: &str) -> Vec<u8> {
    let rest = format!(" path={name}\n");
    let mut length = rest.len() + 4;
    if length.to_string().len() != 4 {
        length = rest.len() + length.to_string().len();
    }
    let record = format!("{length}{rest}");
    let mut bytes = header("x", tar::EntryType::XHeader, "", record.len() as u64);
    bytes.extend(record.bytes());
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend(header("x", tar::EntryType::Regular, "", 0));
    bytes
}

#[test]
fn layers_and_sdists_of_gzip_that_are_bombs_are_refused() {
    if !all_bombs() {
        return;
    }
    let bench = Bench::new();
    let head = header("zeros", tar::EntryType::Regular, "", 10 * GIB);
    let bomb = gzip_bomb(&head, &zeros(), 10 << 10);
    add_layer(&bench, &bomb, LAYER_GZIP);
    refused(&bench, &ON_HOSTILE, "times its own size");
    bench.put("images.tar", &bomb);
    refused(
        &bench,
        &["pull", "docker-archive:images.tar", "-o", "copy"],
        "times its own size",
    );
    lock(&bench, "[packages.sdist]", "a-1.0.tar.gz", &bomb);
    refused(&bench, &BUILD, "unpacks to more than");
    let member = header("x", tar::EntryType::Directory, "", 0);
    lock(
        &bench,
        "[packages.sdist]",
        "a-1.0.tar.gz",
        &gzip_bomb(&member, &member.repeat(10_000), 1000),
    );
    refused(&bench, &BUILD, "more files than any archive of sources");
    // Ten million members, all of one name.
    add_layer(
        &bench,
        &zstd_bomb(&member, &member.repeat(10_000), 1000),
        LAYER_ZSTD,
    );
    refused(&bench, &ON_HOSTILE, "more files than any base has");
    let member = |n| header(&format!("a/{n}"), tar::EntryType::Regular, "", 0);
    let many: Vec<u8> = (0..500_001).flat_map(member).collect();
    lock(
        &bench,
        "[packages.sdist]",
        "a-1.0.tar.zst",
        &zstd::encode_all(&many[..], 1).unwrap(),
    );
    refused(&bench, &BUILD, "more files than any archive of sources");
    bench.put("images.tar", &many);
    refused(
        &bench,
        &["pull", "oci-archive:images.tar", "-o", "copy"],
        "more members than any archive of images",
    );
    // As many names as are taken, each another.
    let names = (0..1_000_100).map(|n| {
        header(
            &format!("usr/lib/directory_{:04}/some_file_{n}", n / 100),
            tar::EntryType::Regular,
            "",
            0,
        )
    });
    let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
    names.for_each(|head| packed.write_all(&head).unwrap());
    add_layer(&bench, &packed.finish().unwrap(), LAYER_ZSTD);
    refused(&bench, &ON_HOSTILE, "more files than any base has");
}

#[test]
fn packages_that_are_bombs_are_refused() {
    let head = header("./zeros", tar::EntryType::Regular, "", 10 * GIB);
    let bomb = zstd_bomb(&head, &zeros(), 10 << 10);
    let said = package("data.tar.zst", &bomb).unwrap_err();
    assert!(said.contains("unpacks to more than"), "{said}");
    if all_bombs() {
        let member = header("./x", tar::EntryType::Directory, "", 0);
        let said = package("data.tar.zst", &zstd_bomb(&member, &member.repeat(10_000), 1000)).unwrap_err();
        assert!(said.contains("holds more than"), "{said}");
    }
    // `xz` with a dictionary of a gibibyte, which whoever unpacks it must have.
    let mut options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    options.dict_size(1 << 30);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream =
        liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc64).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(&tar(&[])).unwrap();
    let said = package("data.tar.xz", &encoder.finish().unwrap()).unwrap_err();
    assert!(said.contains("memory"), "{said}");
}

#[test]
fn passwords_that_are_very_long_or_very_many_take_little_memory() {
    let bench = Bench::new();
    bench.0.write("app/main.py", "");
    for (count, length, expected) in [(1, 4 << 20, "--offline"), (20_000, 64, "more credentials than")] {
        let password = "aB3d5f7h".repeat(length / 8);
        let urls = (0..count).map(|n| format!("--find-links https://u:{n}{password}@files.invalid/x\n"));
        let text = format!("{}six==1.17.0\n", urls.collect::<String>());
        bench.0.write("app/requirements.txt", &text);
        let failed = measured(&bench, &BUILD).failed_with(1);
        assert!(
            failed.stderr.contains(expected) && !failed.stderr.contains("aB3d"),
            "{}",
            failed.stderr
        );
    }
}

#[test]
fn documents_that_are_bombs_are_refused() {
    let bench = Bench::new();
    let base = bench.0.path("base");
    let index = layout::index(&base);
    let write = |document: &str| bench.put("base/index.json", document.as_bytes());
    let pull = ["pull", "oci:base", "-o", "copy"];
    let put = |bytes: &[u8], media_type: &str| {
        let digest = Digest::of(bytes);
        fs_err::write(base.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    };
    // An index of an index of an index...
    let mut entry = index["manifests"][0].clone();
    for _ in 0..6 {
        let next = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
        entry = put(next.to_string().as_bytes(), INDEX);
    }
    write(&json!({ "schemaVersion": 2, "manifests": [entry] }).to_string());
    refused(&bench, &pull, "nested too deep");
    refused(&bench, &BUILD, "nested too deep");
    write(&"[".repeat(4 << 20));
    refused(&bench, &pull, "recursion limit");
    write(&format!("{{\"manifests\":[{}0]}}", "[],".repeat(1_300_000)));
    refused(&bench, &pull, "several images");
    let sparse = fs_err::File::create(base.join("index.json")).unwrap();
    sparse.set_len(4 * GIB).unwrap();
    refused(&bench, &pull, "too large");
    // The manifest, and the config.
    let mut manifest = layout::document(&base, &index["manifests"][0]);
    let big = |value: &Value| {
        let mut value = value.clone();
        value["size"] = json!(4 * GIB);
        value
    };
    write(&json!({ "schemaVersion": 2, "manifests": [big(&index["manifests"][0])] }).to_string());
    refused(&bench, &pull, "at most");
    manifest["config"] = big(&manifest["config"]);
    let manifest = put(manifest.to_string().as_bytes(), pyoci::image::MANIFEST);
    write(&json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string());
    refused(&bench, &BUILD, "at most");
    // What is no file: it has no size, and no end.
    for name in ["base/index.json", "base/oci-layout"] {
        let path = bench.0.path(name);
        fs_err::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        refused(&bench, &pull, "not a regular file");
        fs_err::remove_file(&path).unwrap();
        bench.put(name, b"{}");
    }
    let members: [TarMember; 1] = [file("manifest.json", b"[".repeat(5 << 20))];
    bench.put("images.tar", &tar(&members));
    refused(
        &bench,
        &["pull", "docker-archive:images.tar", "-o", "copy"],
        "too large",
    );
}
