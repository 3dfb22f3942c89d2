//! What is in an image layout: its JSON documents, and the files of its layers.

use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

/// `index.json` of a layout.
pub fn index(layout: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(layout.join("index.json")).unwrap()).unwrap()
}

/// The bytes of the blob that a descriptor names.
pub fn blob(layout: &Path, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap();
    fs_err::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap()
}

/// The JSON document that a descriptor names.
pub fn document(layout: &Path, descriptor: &Value) -> Value {
    serde_json::from_slice(&blob(layout, descriptor)).unwrap()
}

/// All regular files of a gzip layer whose path ends in `end`, each with its bytes.
pub fn files(layout: &Path, layer: &Value, end: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = blob(layout, layer);
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(&*bytes));
    let mut files = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        if entry.header().entry_type().is_file() && path.ends_with(end) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.push((path, content));
        }
    }
    files
}
