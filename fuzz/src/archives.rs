//! Archives with names in them: wheels and source distributions.

use std::collections::BTreeSet;
use std::io::Write as _;

use pyoci::layer::{self, Compression, Options};
use pyoci::lock::subdirectory::repack;
use pyoci::tree::{Content, Entry, Kind, Tree};
use pyoci::wheel::{InstallOptions, Wheel, install_all};

use super::{layers, scene};

/// Files that are larger are not read: the fuzzer's time is better spent.
const MOST: u64 = 4 << 20;

/// A wheel: opened, read, installed, and written as a layer, which must hold what reading gives.
pub fn wheel(data: &[u8]) {
    let directory = scene::directory();
    let path = directory.path().join("wheel");
    scene::write(&path, data);
    let Ok(wheel) = Wheel::open(&path, "a-1-py3-none-any.whl") else {
        return;
    };
    if wheel.files().any(|(_, content)| content.size() > MOST) {
        return;
    }
    let _ = wheel.verify_record();
    let prefix = "deps".parse().expect("a path");
    let options = InstallOptions {
        prefix: &prefix,
        target: &scene::target(),
        exclude: &globset::GlobSet::empty(),
        requested: &BTreeSet::new(),
    };
    let Ok(installed) = install_all(vec![wheel.clone(), wheel], &options) else {
        return;
    };
    let Ok(carried) = diff_id(&installed.tree) else {
        return;
    };
    let plain = in_memory(&installed.tree);
    assert_eq!(
        diff_id(&plain).ok(),
        Some(carried),
        "the layer is what reading gives"
    );
}

/// The same tree with all contents read.
fn in_memory(tree: &Tree) -> Tree {
    let mut plain = Tree::new();
    for (path, entry) in tree.iter() {
        let mut entry: Entry = entry.clone();
        if let Kind::File(content) = &entry.kind {
            let bytes = content.read(MOST).expect("what went into a layer can be read");
            entry.kind = Kind::File(Content::bytes(bytes));
        }
        plain.insert(path.clone(), entry).expect("a tree");
    }
    plain
}

fn diff_id(tree: &Tree) -> Result<pyoci::digest::Digest, layer::Error> {
    let options = Options {
        mtime: 315_532_800,
        compression: Compression::Gzip,
        threads: 1,
    };
    layer::write(tree, &options, &mut std::io::sink()).map(|written| written.diff_id)
}

/// The tar of a source distribution, of which a subdirectory is taken: what is written can be read again.
pub fn sdist(data: &[u8]) {
    for bytes in [data.to_vec(), layers::with_sums(data)] {
        let directory = scene::directory();
        let [old, new] = ["old.tar.gz", "new.tar.gz"].map(|name| directory.path().join(name));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        gzip.write_all(&bytes).expect("memory");
        scene::write(&old, &gzip.finish().expect("memory"));
        if repack(&old, "sub", &new).is_err() {
            continue;
        }
        let written = fs_err::File::open(&new).expect("a file");
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(written));
        for entry in archive.entries().expect("a tar") {
            let entry = entry.expect("a member");
            assert!(entry.path().is_ok_and(|path| path.starts_with("project")));
        }
    }
}
