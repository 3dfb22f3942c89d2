//! How fast a directory of wheels becomes a layer, by hand: any wheels, compression, number of threads.
//!
//! `cargo bench --bench layer_of_wheels -- DIR [gzip|zstd] [THREADS] [RUNS] [OUTPUT]`
#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark"
)]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyoci::blob::RandomFile;
use pyoci::layer::{Compression, Options, write};
use pyoci::paths::TreePath;
use pyoci::tree::{Content, Entry, Member, Method, Tree};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let Some(directory) = arguments.first() else {
        println!("no directory of wheels given: nothing measured");
        return;
    };
    let tree = tree_of(Path::new(directory));
    let compression = match arguments.get(1).map(String::as_str) {
        Some("zstd") => Compression::Zstd,
        _ => Compression::Gzip,
    };
    let number = |at: usize, default| arguments.get(at).map_or(default, |n| n.parse().unwrap());
    let options = Options {
        mtime: 315_532_800,
        compression,
        threads: number(2, 2),
    };

    let mut times = Vec::new();
    let mut written = None;
    for _ in 0..number(3, 10) {
        let start = Instant::now();
        written = Some(write(&tree, &options, &mut std::io::sink()).unwrap());
        times.push(start.elapsed());
    }
    if let Some(file) = arguments.get(4) {
        let mut out = std::io::BufWriter::new(fs_err::File::create(file).unwrap());
        write(&tree, &options, &mut out).unwrap();
        out.flush().unwrap();
    }
    times.sort();
    let written = written.unwrap();
    println!("{} entries, {} bytes of content", tree.len(), tree.size());
    println!("blob of {} bytes, {}", written.size, written.digest);
    let shown = |d: Duration| format!("{:.1} ms", d.as_secs_f64() * 1000.0);
    println!(
        "fastest {}, median {}",
        shown(times[0]),
        shown(times[times.len() / 2])
    );
    println!("peak memory {}", peak_memory());
}

/// The members of all wheels in a directory, where they would be below `deps`.
fn tree_of(directory: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut wheels: Vec<_> = fs_err::read_dir(directory)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    wheels.retain(|p| p.extension().is_some_and(|e| e == "whl"));
    wheels.sort();
    for wheel in wheels {
        let archive = Arc::new(RandomFile::open(&wheel).unwrap());
        let mut zip = zip::ZipArchive::new(fs_err::File::open(&wheel).unwrap()).unwrap();
        for index in 0..zip.len() {
            let file = zip.by_index_raw(index).unwrap();
            if file.is_dir() {
                continue;
            }
            let method = match file.compression() {
                zip::CompressionMethod::Stored => Method::Stored,
                _ => Method::Deflated,
            };
            let member = Member {
                archive: Arc::clone(&archive),
                offset: file.data_start().unwrap(),
                compressed_size: file.compressed_size(),
                size: file.size(),
                crc32: file.crc32(),
                digest: None,
                method,
            };
            let path = TreePath::new(&format!("deps/{}", file.name().unwrap())).unwrap();
            // Wheels of one set may share a file, such as a licence; the first stays.
            let _ = tree.insert(path, Entry::file(Content::Member(Box::new(member)), false));
        }
    }
    tree
}

fn peak_memory() -> String {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.unwrap_or("unknown").trim().to_owned()
}
