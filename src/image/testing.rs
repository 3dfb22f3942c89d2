//! Tiny images for unit tests.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Base, BaseOrigin, Index, LAYER_TAR, Run, assemble};
use crate::blob::Blob;
use crate::digest::Digest;
use crate::layer::Layer;
use crate::platform::{Architecture, Platform};
use crate::python::{Libc, Target};

/// A layer that is not compressed, of some bytes.
pub(crate) fn tiny_layer(text: &str) -> Layer {
    let blob = Blob::from_bytes(LAYER_TAR, text.as_bytes().to_vec());
    Layer {
        diff_id: blob.descriptor.digest.clone(),
        blob,
        created_by: text.to_owned(),
    }
}

/// A base with two layers, the first without history, and settings that an image must keep, extend or drop.
pub(crate) fn tiny_base() -> Base {
    let platform = Platform::linux(Architecture::Amd64);
    Base {
        layers: vec![tiny_layer("base one"), tiny_layer("base two")],
        config: json!({
            "architecture": "amd64",
            "os": "linux",
            "x-unknown": [1, 2],
            "config": {
                "Env": ["PATH=/usr/bin", "LANG=C.UTF-8"],
                "Cmd": ["python3"],
                "User": "app",
                "Labels": { "org.opencontainers.image.title": "the base", "kept": "yes" },
            },
            "rootfs": { "type": "layers", "diff_ids": [] },
            "history": [{ "created_by": "ENV", "empty_layer": true }, { "created_by": "first" }],
        }),
        platform,
        origin: BaseOrigin::Recipe {
            name: "tiny".to_owned(),
            packages: Digest::of(b""),
        },
        target: Target {
            platform,
            libc: Libc::Glibc { major: 2, minor: 41 },
            python: (3, 13),
            python_full: None,
            interpreter: "/usr/bin/python3.13".to_owned(),
        },
        directory_links: BTreeMap::new(),
        users: BTreeMap::new(),
        has_shell: false,
    }
}

/// How a tiny image runs.
pub(crate) fn tiny_run() -> Run {
    Run {
        entrypoint: vec!["/app/.pyoci/entrypoint".to_owned(), "main".to_owned()],
        env: [("A".to_owned(), "1".to_owned())].into(),
        path: vec!["/deps/bin".to_owned()],
        user: "65532:65532".to_owned(),
        working_directory: "/app".to_owned(),
        ..Run::default()
    }
}

/// An image of one platform with one layer over the base.
pub(crate) fn tiny_image(text: &str) -> Index {
    let image = assemble(&tiny_base(), vec![tiny_layer(text)], &tiny_run(), 0).unwrap();
    Index::of(vec![image]).unwrap()
}
