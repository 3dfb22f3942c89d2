//! Archives as others write them, and layers as others read them.

use super::*;

// Zip archives as others write them.

/// A zip whose entries have data descriptors, or are zip64, as a tree.
fn tree_of_zip(bytes: &[u8]) -> Tree {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), bytes).unwrap();
    let archive = Arc::new(RandomFile::open(file.path()).unwrap());
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut tree = Tree::new();
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index).unwrap();
        let method = match entry.compression() {
            zip::CompressionMethod::Stored => Method::Stored,
            _ => Method::Deflated,
        };
        let member = Member {
            archive: Arc::clone(&archive),
            offset: entry.data_start().unwrap(),
            compressed_size: entry.compressed_size(),
            size: entry.size(),
            crc32: entry.crc32(),
            digest: None,
            method,
        };
        add(
            &mut tree,
            &entry.name().unwrap(),
            Content::Member(Box::new(member)),
        );
    }
    tree
}

#[test]
fn members_with_data_descriptors_and_zip64_sizes_come_back() {
    let python = r#"
import io, sys, zipfile
class Pipe(io.RawIOBase):
    def writable(self): return True
    def write(self, data): return sys.stdout.buffer.write(data)
with zipfile.ZipFile(Pipe(), "w", zipfile.ZIP_DEFLATED) as archive:
    for name, method, size in [("a", 8, 100), ("b", 8, 90000), ("c", 0, 5000), ("d", 8, 0)]:
        info = zipfile.ZipInfo(name)
        info.compress_type = method
        with archive.open(info, "w", force_zip64=name in "bc") as out:
            out.write(bytes(i * i // 7 % 251 for i in range(size)))
"#;
    let output = run(Command::new("python3").args(["-c", python]));
    // Bit 3 of the flags: the sizes follow the data.
    assert_eq!(output.stdout[6] & 8, 8);
    let tree = tree_of_zip(&output.stdout);
    assert_eq!(tree.len(), 4);
    assert_holds(&gunzip(&gzip(&tree, 2).0), &tree);
}

// Readers in other languages.

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}

/// What `sha256sum` would print of each regular file in the tree, by name.
fn sums(tree: &Tree) -> Vec<String> {
    let file = |(path, entry): (&TreePath, &Entry)| {
        let content = entry.content()?.read(u64::MAX).unwrap();
        Some(format!("{} {path}", Digest::of(&content).hex()))
    };
    let mut sums: Vec<_> = tree.iter().filter_map(file).collect();
    sums.sort();
    sums
}

/// The same of a directory.
fn sums_below(root: &Path) -> Vec<String> {
    fn walk(root: &Path, directory: &Path, sums: &mut Vec<String>) {
        for entry in fs_err::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs_err::symlink_metadata(&path).unwrap();
            if kind.is_dir() {
                walk(root, &path, sums);
            } else if kind.is_file() {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                sums.push(format!(
                    "{} {name}",
                    Digest::of(&fs_err::read(&path).unwrap()).hex()
                ));
            }
        }
    }
    let mut sums = Vec::new();
    walk(root, root, &mut sums);
    sums.sort();
    sums
}

#[test]
fn gzip_gnu_tar_and_bsdtar_read_it() {
    let tree = tree_of_shapes();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("layer.tar.gz");
    fs_err::write(&file, gzip(&tree, 2).0).unwrap();
    run(Command::new("gzip").arg("-t").arg(&file));
    for tool in ["tar", "bsdtar"] {
        let root = directory.path().join(tool);
        fs_err::create_dir(&root).unwrap();
        let output = run(Command::new(tool)
            .args(["--no-same-owner", "-xzf"])
            .arg(&file)
            .arg("-C")
            .arg(&root)
            .env("LC_ALL", "C.UTF-8"));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{tool}");
        assert_eq!(sums_below(&root), sums(&tree), "{tool}");
    }
}

#[test]
fn python_reads_it_from_a_file_and_as_a_stream() {
    let tree = tree_of_shapes();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), gzip(&tree, 2).0).unwrap();
    let python = r"
import hashlib, sys, tarfile
with tarfile.open(sys.argv[1], sys.argv[2]) as tar:
    for member in tar:
        if member.isreg():
            print(hashlib.sha256(tar.extractfile(member).read()).hexdigest(), member.name)
";
    for mode in ["r:gz", "r|gz"] {
        let output = run(Command::new("python3")
            .args(["-X", "utf8", "-c", python])
            .arg(file.path())
            .arg(mode));
        let mut lines: Vec<_> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        assert_eq!(lines, sums(&tree), "{mode}");
    }
}

/// Writes an OCI image layout with one image of one layer, tagged `t`.
fn write_layout(root: &Path, blob: &[u8], written: &Written) {
    let blobs = root.join("blobs/sha256");
    fs_err::create_dir_all(&blobs).unwrap();
    let put = |media_type: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs_err::write(blobs.join(digest.hex()), bytes).unwrap();
        serde_json::json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    };
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [written.diff_id] },
    });
    let config = put(
        "application/vnd.oci.image.config.v1+json",
        config.to_string().as_bytes(),
    );
    let layers = [put(written.media_type, blob)];
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers });
    let mut manifest = put(media_type, manifest.to_string().as_bytes());
    manifest["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": "t" });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs_err::write(root.join("index.json"), index.to_string()).unwrap();
    fs_err::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

#[test]
fn skopeo_and_umoci_read_it() {
    let tree = tree_of_shapes();
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (blob, written) = gzip(&tree, 2);
    write_layout(&at("layout"), &blob, &written);
    let image = format!("oci:{}:t", at("layout").display());

    // Go's compress/gzip: what comes out must be the tar.
    let plain = format!("dir:{}", at("plain").display());
    run(Command::new("skopeo")
        .args(["copy", "--dest-decompress", &image, &plain])
        .env("HOME", directory.path()));
    let tar = fs_err::read(at("plain").join(written.diff_id.hex())).unwrap();
    assert_eq!(Digest::of(&tar), written.diff_id);
    assert_holds(&tar, &tree);

    let layout = format!("{}:t", at("layout").display());
    run(Command::new("umoci")
        .args(["unpack", "--rootless", "--image", &layout])
        .arg(at("bundle"))
        .env("HOME", directory.path()));
    assert_eq!(sums_below(&at("bundle").join("rootfs")), sums(&tree));

    let mut blob = Vec::new();
    let written = layer::write(&tree, &options(Compression::Zstd, 2), &mut blob).unwrap();
    write_layout(&at("zstd"), &blob, &written);
    let (image, plain) = (
        format!("oci:{}:t", at("zstd").display()),
        format!("dir:{}", at("plain-zstd").display()),
    );
    run(Command::new("skopeo")
        .args(["copy", "--dest-decompress", &image, &plain])
        .env("HOME", directory.path()));
    assert_eq!(
        Digest::of(&fs_err::read(at("plain-zstd").join(written.diff_id.hex())).unwrap()),
        written.diff_id
    );
}

#[test]
fn the_own_reader_finds_what_was_written() {
    let tree = tree_of_shapes();
    for compression in [Compression::Gzip, Compression::Zstd] {
        let mut blob = Vec::new();
        layer::write(&tree, &options(compression, 2), &mut blob).unwrap();
        let mut reader = LayerReader::new(Box::new(std::io::Cursor::new(blob))).unwrap();
        for (path, entry) in tree.iter() {
            let found = reader.next_member().unwrap().unwrap();
            assert_eq!((&found.path, found.mode), (path, entry.mode));
            match entry.content() {
                Some(content) => {
                    assert_eq!((found.kind, found.size), (FoundKind::File, content.size()));
                    assert!(reader.read_content(u64::MAX).unwrap() == content.read(u64::MAX).unwrap());
                }
                None => assert_ne!(found.kind, FoundKind::File),
            }
        }
        assert_eq!(reader.next_member().unwrap(), None);
    }
}
