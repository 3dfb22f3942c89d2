//! Small things to build with: a base that only looks like one, wheels, and a lock of them. Nothing in them runs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use pyoci::digest::Digest;
use serde_json::json;

/// An ELF header for amd64 with some text after it: enough to be taken for a program.
fn program(text: &str) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(64, 0);
    bytes[18] = 62;
    bytes.extend(text.as_bytes());
    bytes
}

/// Writes a layout with the tag `base`: CPython 3.13.5, if `python`, on glibc 2.41.
pub fn small_base(directory: &Path, python: bool) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut file = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    if python {
        file("usr/bin/python3.13", &program("\u{0}3.13.5\u{0}"));
        file("usr/bin/python3", &program("\u{0}3.13.5\u{0}"));
    }
    let libc = "\u{0}GNU C Library (test) stable release version 2.41.\n";
    file("usr/lib/libc.so.6", &program(libc));
    let tar = tar.into_inner().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let blobs = directory.join("blobs/sha256");
    fs_err::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8], media_type: &str| {
        let digest = Digest::of(bytes);
        fs_err::write(blobs.join(digest.hex()), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    };
    let layer = put(
        &gzip.finish().unwrap(),
        "application/vnd.oci.image.layer.v1.tar+gzip",
    );
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "Env": ["PATH=/usr/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&tar)] },
    });
    let config = put(config.to_string().as_bytes(), pyoci::image::CONFIG);
    let manifest = json!({ "schemaVersion": 2, "mediaType": pyoci::image::MANIFEST, "config": config, "layers": [layer] });
    let mut manifest = put(manifest.to_string().as_bytes(), pyoci::image::MANIFEST);
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "base" });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs_err::write(directory.join("index.json"), index.to_string()).unwrap();
    fs_err::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

/// Writes a wheel of version 1.0 with files and a right RECORD.
pub fn wheel(directory: &Path, name: &str, tag: &str, files: &[(&str, &str)]) -> PathBuf {
    let info = |file: &str| format!("{name}-1.0.dist-info/{file}");
    let mut all: Vec<(String, String)> = files
        .iter()
        .map(|(n, t)| ((*n).to_owned(), (*t).to_owned()))
        .collect();
    all.push((
        info("METADATA"),
        format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"),
    ));
    all.push((
        info("WHEEL"),
        format!("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n"),
    ));
    let mut record = String::new();
    for (n, t) in &all {
        let _ = writeln!(record, "{n},sha256={},{}", base64_of(t), t.len());
    }
    let _ = writeln!(record, "{},,", info("RECORD"));
    all.push((info("RECORD"), record));
    fs_err::create_dir_all(directory).unwrap();
    let path = directory.join(format!("{name}-1.0-{tag}.whl"));
    let mut zip = zip::ZipWriter::new(fs_err::File::create(&path).unwrap());
    for (name, text) in all {
        let options = zip::write::SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
        zip.start_file(name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    path
}

/// The SHA-256 of a text as RECORD has it: base64 for URLs, no padding (RFC 4648).
fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(text.as_bytes()))
}

/// The text of a `pylock.toml` beside the directory `wheels`.
pub fn lock(wheels: &[PathBuf]) -> String {
    let mut text = "lock-version = \"1.0\"\ncreated-by = \"test\"\n".to_owned();
    for path in wheels {
        let file = path.file_name().unwrap().to_str().unwrap();
        let name = file.split('-').next().unwrap();
        let bytes = fs_err::read(path).unwrap();
        let _ = writeln!(
            text,
            "[[packages]]\nname = \"{name}\"\nversion = \"1.0\"\n[[packages.wheels]]\nname = \"{file}\"\n\
             path = \"wheels/{file}\"\nsize = {}\nhashes.sha256 = \"{}\"",
            bytes.len(),
            Digest::of(&bytes).hex()
        );
    }
    text
}

/// Every file below a directory, with its bytes.
pub fn contents(directory: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut all = std::collections::BTreeMap::new();
    for entry in fs_err::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            all.insert(path.clone(), fs_err::read(&path).unwrap());
        }
    }
    all
}
