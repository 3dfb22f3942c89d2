//! The parts of a build, each alone, on input made here: `cargo bench --bench parts [-- NAME]`.
//!
//! The limit of all that reads or writes bytes is `sha256`. Whole commands are compared by `benches/all.sh`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{Cursor, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pyoci::debian::Deb;
use pyoci::digest::Digest;
use pyoci::layer::{self, Compression};
use pyoci::lock::pylock;
use pyoci::paths::TreePath;
use pyoci::platform::{Architecture, Platform};
use pyoci::python::{Libc, Target};
use pyoci::tree::{Content, Entry, Tree};
use pyoci::wheel::{InstallOptions, Wheel, install_all};

/// Files of a wheel.
const FILES: usize = 1000;

criterion_group! {
    name = parts;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = hashing, wheels, layers, trees, locks, packages
}
criterion_main!(parts);

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sha256");
    let bytes = vec![7; 16 << 20];
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("16 MiB", |bencher| bencher.iter(|| Digest::of(black_box(&bytes))));
}

fn wheels(criterion: &mut Criterion) {
    let scene = Scene::new();
    let mut group = criterion.benchmark_group("wheel");
    group.throughput(Throughput::Elements(FILES as u64));
    group.bench_function("open: zip, METADATA, RECORD", |bencher| {
        bencher.iter(|| scene.open());
    });
    let wheel = scene.open();
    group.bench_function("install", |bencher| bencher.iter(|| install(&wheel)));
    group.throughput(Throughput::Bytes(install(&wheel).size()));
    group.bench_function("inflate and check every file", |bencher| {
        bencher.iter(|| wheel.verify_record().unwrap());
    });
}

fn layers(criterion: &mut Criterion) {
    let scene = Scene::new();
    let tree = install(&scene.open());
    let mut group = criterion.benchmark_group("layer");
    group.throughput(Throughput::Bytes(tree.size()));
    for (name, compression, threads) in [
        ("gzip, spliced, 1 thread", Compression::Gzip, 1),
        ("gzip, spliced, 2 threads", Compression::Gzip, 2),
        ("zstd, 2 threads", Compression::Zstd, 2),
    ] {
        let options = layer::Options {
            mtime: 315_532_800,
            compression,
            threads,
        };
        let write = || layer::write(&tree, &options, &mut std::io::sink()).unwrap();
        group.bench_function(name, |bencher| bencher.iter(write));
    }
    let plain: Tree = copied(&tree);
    let options = layer::Options {
        mtime: 315_532_800,
        compression: Compression::Gzip,
        threads: 2,
    };
    let write = || layer::write(&plain, &options, &mut std::io::sink()).unwrap();
    group.bench_function("gzip, compressed anew, 2 threads", |bencher| bencher.iter(write));
}

fn trees(criterion: &mut Criterion) {
    let paths: Vec<TreePath> = (0..10_000)
        .map(|n| TreePath::new(&format!("deps/package_{}/part_{}/module_{n}.py", n % 50, n % 7)).unwrap())
        .collect();
    let insert = || {
        let mut tree = Tree::new();
        for path in &paths {
            tree.insert(path.clone(), Entry::file(Content::bytes(*b""), false))
                .unwrap();
        }
        tree
    };
    let mut group = criterion.benchmark_group("tree");
    group.throughput(Throughput::Elements(paths.len() as u64));
    group.bench_function("insert 10,000 files", |bencher| bencher.iter(insert));
    let tree = insert();
    group.bench_function("digest of 10,000 files", |bencher| {
        bencher.iter(|| tree.digest().unwrap());
    });
}

fn locks(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pylock.toml");
    let mut text = "lock-version = \"1.0\"\ncreated-by = \"bench\"\n".to_owned();
    for n in 0..300 {
        let marker = [
            "sys_platform != 'win32'",
            "python_version >= '3.9' and os_name == 'posix'",
        ][n % 2];
        write!(
            text,
            "\n[[packages]]\nname = \"p{n}\"\nversion = \"1.{n}\"\nmarker = \"{marker}\"\nwheels = ["
        )
        .unwrap();
        for tag in [
            "cp312-cp312-macosx_11_0_arm64",
            "cp313-cp313-win_amd64",
            "cp313-cp313-manylinux_2_28_x86_64",
            "py3-none-any",
        ] {
            let hash = Digest::of(format!("{n}{tag}").as_bytes());
            let hash = hash.hex();
            let name = format!("p{n}-1.{n}-{tag}.whl");
            write!(text, "\n  {{ name = \"{name}\", url = \"https://x.invalid/{name}\", hashes = {{ sha256 = \"{hash}\" }} }},")
                .unwrap();
        }
        text += "\n]\n";
    }
    fs_err::write(&file, text).unwrap();
    let mut group = criterion.benchmark_group("lock");
    group.throughput(Throughput::Elements(300));
    group.bench_function("read 300 packages", |bencher| {
        bencher.iter(|| pylock::read(&file).unwrap());
    });
    let (lock, target) = (pylock::read(&file).unwrap(), target());
    let select = || lock.select(&target, &BTreeSet::new(), &BTreeSet::new()).unwrap();
    group.bench_function("select: markers and tags of 300 packages", |bencher| {
        bencher.iter(select);
    });
}

fn packages(criterion: &mut Criterion) {
    let deb = deb();
    let mut group = criterion.benchmark_group("deb");
    group.throughput(Throughput::Bytes(deb.len() as u64));
    group.bench_function("unpack (xz)", |bencher| {
        bencher.iter(|| Deb::read(Cursor::new(&deb), &|_| false).unwrap());
    });
}

/// A wheel on disk.
struct Scene {
    _directory: tempfile::TempDir,
    wheel: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let wheel = directory.path().join("bench-1.0-py3-none-any.whl");
        write_wheel(&wheel);
        Self {
            _directory: directory,
            wheel,
        }
    }

    fn open(&self) -> Wheel {
        Wheel::open(&self.wheel, "bench-1.0-py3-none-any.whl").unwrap()
    }
}

/// As wheels are: some hundred bytes to some hundred kilobytes, most of them small, text that compresses to a third or so.
fn write_wheel(path: &Path) {
    let mut zip = zip::ZipWriter::new(fs_err::File::create(path).unwrap());
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    let mut record = String::new();
    let mut add = |name: &str, content: &[u8]| {
        zip.start_file(name, options).unwrap();
        zip.write_all(content).unwrap();
    };
    for n in 0..FILES {
        let name = format!("bench/part_{}/module_{n}.py", n % 20);
        let content = content(n);
        add(&name, &content);
        writeln!(record, "{name},{},{}", base64_of(&content), content.len()).unwrap();
    }
    for (name, content) in [
        ("METADATA", "Metadata-Version: 2.1\nName: bench\nVersion: 1.0\n"),
        (
            "WHEEL",
            "Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        ),
    ] {
        let name = format!("bench-1.0.dist-info/{name}");
        add(&name, content.as_bytes());
        writeln!(
            record,
            "{name},{},{}",
            base64_of(content.as_bytes()),
            content.len()
        )
        .unwrap();
    }
    record += "bench-1.0.dist-info/RECORD,,\n";
    add("bench-1.0.dist-info/RECORD", record.as_bytes());
    zip.finish().unwrap();
}

/// A file of a wheel; every tenth is large.
fn content(number: usize) -> Vec<u8> {
    let lines = if number.is_multiple_of(10) { 5000 } else { 200 };
    let mut random = u32::try_from(number).unwrap() + 1;
    let mut text = String::new();
    for _ in 0..lines {
        // Numerical Recipes' generator: the same bytes everywhere.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        writeln!(text, "    value_{} = function({})", random >> 22, random >> 12).unwrap();
    }
    text.into_bytes()
}

fn base64_of(content: &[u8]) -> String {
    use base64::Engine as _;
    let digest = Digest::of(content);
    let hex = digest.hex();
    let bytes = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    let encoded = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bytes.collect::<Vec<_>>());
    format!("sha256={encoded}")
}

fn install(wheel: &Wheel) -> Tree {
    let options = InstallOptions {
        prefix: &TreePath::new("deps").unwrap(),
        target: &target(),
        exclude: &globset::GlobSet::empty(),
        requested: &BTreeSet::new(),
    };
    install_all(vec![wheel.clone()], &options).unwrap().tree
}

/// The same files, none of them a member of a zip.
fn copied(tree: &Tree) -> Tree {
    let mut copy = Tree::new();
    for (path, entry) in tree.iter() {
        let entry = match entry.content() {
            Some(content) => {
                let mut bytes = Vec::new();
                content.open().unwrap().read_to_end(&mut bytes).unwrap();
                Entry::file(Content::bytes(bytes), false)
            }
            None => entry.clone(),
        };
        copy.insert(path.clone(), entry).unwrap();
    }
    copy
}

fn target() -> Target {
    Target {
        platform: Platform::linux(Architecture::Amd64),
        libc: Libc::Glibc { major: 2, minor: 41 },
        python: (3, 13),
        python_full: Some("3.13.5".to_owned()),
        interpreter: "/usr/bin/python3.13".to_owned(),
    }
}

/// A Debian package of 200 files (deb(5)).
fn deb() -> Vec<u8> {
    let mut data = tar::Builder::new(Vec::new());
    for n in 0..200 {
        append(&mut data, &format!("./usr/share/bench/file_{n}"), &content(n));
    }
    let mut control = tar::Builder::new(Vec::new());
    append(
        &mut control,
        "./control",
        b"Package: bench\nVersion: 1\nArchitecture: all\n",
    );
    let mut deb = b"!<arch>\n".to_vec();
    for (name, content) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.xz", xz(&control.into_inner().unwrap())),
        ("data.tar.xz", xz(&data.into_inner().unwrap())),
    ] {
        writeln!(
            deb,
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`",
            0,
            0,
            0,
            100_644,
            content.len()
        )
        .unwrap();
        deb.extend(&content);
        if content.len() % 2 == 1 {
            deb.push(b'\n');
        }
    }
    deb
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    archive.append_data(&mut header, path, content).unwrap();
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
