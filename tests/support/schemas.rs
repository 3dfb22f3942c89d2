//! The JSON schemas that the OCI image-spec itself publishes, as Debian packages them.

use std::error::Error;
use std::path::Path;

use jsonschema::{Draft, Retrieve, Uri};
use serde_json::Value;

const SCHEMAS: &str = "/usr/share/gocode/src/github.com/opencontainers/image-spec/schema";

/// Checks `oci-layout`, the index, and every manifest, nested index and config of a layout.
#[track_caller]
pub fn assert_layout_is_valid(layout: &Path) {
    check("image-layout-schema.json", &read(&layout.join("oci-layout")));
    let index = read(&layout.join("index.json"));
    check("image-index-schema.json", &index);
    assert!(check_manifests(layout, &index) > 0, "no manifest in {index}");
}

/// Checks what an index refers to; how many manifests there are.
fn check_manifests(layout: &Path, index: &Value) -> usize {
    let mut manifests = 0;
    for descriptor in index["manifests"].as_array().unwrap() {
        let document = read(&blob(layout, descriptor));
        if document["mediaType"] == "application/vnd.oci.image.index.v1+json" {
            check("image-index-schema.json", &document);
            manifests += check_manifests(layout, &document);
        } else {
            check("image-manifest-schema.json", &document);
            check("config-schema.json", &read(&blob(layout, &document["config"])));
            manifests += 1;
        }
    }
    manifests
}

fn blob(layout: &Path, descriptor: &Value) -> std::path::PathBuf {
    let digest = descriptor["digest"].as_str().unwrap();
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(file).unwrap()).unwrap()
}

#[track_caller]
fn check(schema: &str, document: &Value) {
    let schema = read(&Path::new(SCHEMAS).join(schema));
    let validator = jsonschema::options()
        .with_draft(Draft::Draft4)
        .with_retriever(Directory)
        .build(&schema)
        .unwrap();
    let faults: Vec<_> = validator
        .iter_errors(document)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{faults:#?} in {document:#}");
}

/// The schemas name each other by URLs whose last component is the file's name.
struct Directory;

impl Retrieve for Directory {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        let path = uri.path().as_str();
        let name = path.rsplit('/').next().unwrap_or(path);
        let text = fs_err::read(Path::new(SCHEMAS).join(name))?;
        Ok(serde_json::from_slice(&text)?)
    }
}
