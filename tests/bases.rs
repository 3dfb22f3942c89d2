//! Bases: against Debian's own mirror and real tools where those are asked for, else against a mirror on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking; ignored ones tell what they saw"
)]

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pyoci::base::{self, Options, Tools};
use pyoci::debian::{DEFAULT_MIRROR, Mirrors, Reuse};
use pyoci::environment::Environment;
use pyoci::http::Client;
use pyoci::image::Base;
use pyoci::platform::Platform;
use pyoci::progress::Progress;
use pyoci::reference::ImageReference;
use pyoci::store::Store;

#[allow(
    clippy::disallowed_methods,
    reason = "tests read clock and environment as the cli layer does"
)]
fn host() -> Environment {
    Environment::new(std::env::vars(), "/".into(), SystemTime::now())
}

fn options(mirror: &str) -> Options {
    Options {
        mirrors: Mirrors::new(&mirror.parse().unwrap()),
        keyring: None,
        reuse: Reuse::Day,
        packages: None,
        mtime: 315_532_800,
        threads: 2,
    }
}

/// Writes a bare base as an image layout with the tag `base`.
fn write_layout(base: &Base, directory: &Path) {
    let blobs = directory.join("blobs/sha256");
    fs_err::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = pyoci::digest::Digest::of(bytes);
        fs_err::write(blobs.join(digest.hex()), bytes).unwrap();
        serde_json::json!({ "digest": digest, "size": bytes.len() })
    };
    let described = |mut descriptor: serde_json::Value, media_type: &str| {
        descriptor["mediaType"] = media_type.into();
        descriptor
    };
    let layers: Vec<_> = base
        .layers
        .iter()
        .map(|layer| {
            let bytes = layer.blob.read_verified(u64::MAX).unwrap();
            described(put(&bytes), &layer.blob.descriptor.media_type)
        })
        .collect();
    let config = described(
        put(&serde_json::to_vec(&base.config).unwrap()),
        pyoci::image::CONFIG,
    );
    let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": pyoci::image::MANIFEST, "config": config, "layers": layers });
    let mut manifest = described(
        put(&serde_json::to_vec(&manifest).unwrap()),
        pyoci::image::MANIFEST,
    );
    manifest["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": "base" });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs_err::write(directory.join("index.json"), index.to_string()).unwrap();
    fs_err::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

#[test]
#[ignore = "downloads from Debian's mirror; PYOCI_TEST_BASES names the directory for store and layouts"]
fn the_recipes_of_this_program_become_bases() {
    let environment = host();
    let root = PathBuf::from(environment.get("PYOCI_TEST_BASES").unwrap());
    let store = Store::open(&root.join("store")).unwrap();
    let http = Client::new(&environment, false);
    let progress = Progress::new(|event| eprintln!("{event:?}"));
    let tools = Tools {
        store: &store,
        http: &http,
        environment: &environment,
        progress: &progress,
    };
    let wanted = environment
        .get("PYOCI_TEST_RECIPES")
        .unwrap_or("trixie,bookworm")
        .to_owned();
    for recipe in wanted.split(',') {
        for platform in environment
            .get("PYOCI_TEST_PLATFORMS")
            .unwrap_or("linux/amd64")
            .split(',')
        {
            let platform: Platform = platform.parse().unwrap();
            let started = std::time::Instant::now();
            let reference = ImageReference::Recipe(recipe.to_owned());
            let base = base::load(&reference, platform, &tools, &options(DEFAULT_MIRROR))
                .unwrap_or_else(|e| panic!("{e}\n{e:#?}"));
            eprintln!(
                "{recipe} {platform}: {} in {:?}, {} bytes",
                base.target,
                started.elapsed(),
                base.layers[0].blob.descriptor.size
            );
            eprintln!(
                "{:?} {:?}\n{:?}\n{}",
                base.target, base.origin, base.users, base.config
            );
            let directory = root.join(format!("{recipe}-{}", platform.architecture));
            let _ = fs_err::remove_dir_all(&directory);
            write_layout(&base, &directory);
            let again = base::load(
                &format!("oci:{}:base", directory.display()).parse().unwrap(),
                platform,
                &tools,
                &options(DEFAULT_MIRROR),
            )
            .unwrap();
            assert_eq!(again.target, base.target);
            assert_eq!(again.directory_links, base.directory_links);
        }
    }
}
