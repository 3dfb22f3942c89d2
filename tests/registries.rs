//! The registry client against Debian's docker-registry on loopback: plain, with passwords, with TLS.
#![allow(
    clippy::unwrap_used,
    reason = "a failure of the harness is a failure of the test"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use crate::support::{Guard, Registry, run};
use pyoci::blob::{Blob, Descriptor};
use pyoci::environment::Environment;
use pyoci::image::{Closure, to_oci};
use pyoci::progress::Progress;
use pyoci::reference::RegistryReference;
use pyoci::registry::{self, Client, Credential, RegistryBlob, Settings, Upload};
use pyoci::sink;
use pyoci::source::{self, Keep, RegistrySource};
use pyoci::store::Store;

#[track_caller]
fn skopeo(arguments: &[&str]) -> String {
    run(Command::new("skopeo").args(arguments)).succeeded().stdout
}

fn environment(home: &Path, more: &[(&str, &str)]) -> Environment {
    let home = ("HOME".to_owned(), home.display().to_string());
    let more = more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Environment::new(more.chain([home]), "/".into(), SystemTime::UNIX_EPOCH)
}

/// An image of two platforms whose layers differ in `seed`.
fn image(seed: u8) -> Closure {
    let (mut blobs, mut documents, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    for (n, architecture) in [(0, "amd64"), (1, "arm64")] {
        let bytes: Vec<u8> = (0..400_000_u32)
            .map(|i| seed ^ ((i / 7) ^ i.wrapping_mul(i) ^ n).to_le_bytes()[0])
            .collect();
        let layer = Blob::from_bytes("application/vnd.oci.image.layer.v1.tar", bytes);
        let diff_id = layer.descriptor.digest.to_string();
        let config = serde_json::json!({"architecture": architecture, "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [diff_id]}, "config": {}});
        let config = Blob::from_bytes(pyoci::image::CONFIG, config.to_string().into_bytes());
        let document = serde_json::json!({"schemaVersion": 2, "mediaType": pyoci::image::MANIFEST,
            "config": to_oci(&config.descriptor).unwrap(), "layers": [to_oci(&layer.descriptor).unwrap()]});
        let document = Blob::from_bytes(pyoci::image::MANIFEST, document.to_string().into_bytes());
        let mut entry = serde_json::to_value(to_oci(&document.descriptor).unwrap()).unwrap();
        entry["platform"] = serde_json::json!({"architecture": architecture, "os": "linux"});
        entries.push(entry);
        blobs.extend([layer, config]);
        documents.push(document);
    }
    let index =
        serde_json::json!({"schemaVersion": 2, "mediaType": pyoci::image::INDEX, "manifests": entries});
    // Spelled in a way of its own: bytes are to be kept.
    let index = Blob::from_bytes(pyoci::image::INDEX, serde_json::to_vec_pretty(&index).unwrap());
    let descriptor = to_oci(&index.descriptor).unwrap();
    documents.push(index);
    Closure {
        descriptor,
        documents,
        blobs,
    }
}

fn reference(registry: &Registry, name: &str) -> RegistryReference {
    registry.reference(name).parse().unwrap()
}

fn push(image: &Closure, to: &RegistryReference, client: &Client) -> sink::registry::Pushed {
    sink::registry::write(image, to, &[], client, &Progress::silent()).unwrap()
}

/// Everything that a reference names, downloaded.
fn pull(from: &RegistryReference, client: &Client) -> BTreeMap<String, Vec<u8>> {
    let scratch = tempfile::tempdir().unwrap();
    let store = Store::open(&scratch.path().join("cache")).unwrap();
    let source = RegistrySource::new(from, client, &store, Keep::Nowhere);
    let closure = source::closure(&source).unwrap();
    let read = |blob: &Blob| {
        (
            blob.descriptor.digest.to_string(),
            blob.read_verified(1 << 30).unwrap(),
        )
    };
    closure.all().map(read).collect()
}

fn contents(image: &Closure) -> BTreeMap<String, Vec<u8>> {
    let read = |blob: &Blob| {
        (
            blob.descriptor.digest.to_string(),
            blob.read_verified(1 << 30).unwrap(),
        )
    };
    image.all().map(read).collect()
}

#[test]
#[ignore = "needs what tests/setup.sh installs"]
fn an_image_goes_to_a_plain_registry_and_comes_back() {
    let home = tempfile::tempdir().unwrap();
    let registry = Registry::start();
    let client = Client::new(&environment(home.path(), &[]), Settings::default());
    let (image, there) = (image(1), reference(&registry, "a/b:1"));
    let pushed = push(&image, &there, &client);
    assert_eq!((pushed.sent.blobs, pushed.existing.blobs), (4, 0));
    assert_eq!(pushed.references, [registry.reference("a/b:1")]);
    registry.asked();
    assert_eq!(pull(&there, &client), contents(&image));
    // Again: nothing is sent but the documents.
    registry.asked();
    let again = push(&image, &there, &client);
    assert_eq!((again.sent.blobs, again.existing.blobs), (0, 4));
    let asked = registry.asked();
    assert!(
        asked.iter().any(|a| a.starts_with("HEAD /v2/a/b/blobs/")),
        "{asked:#?}"
    );
    assert!(!asked.iter().any(|a| a.contains("uploads")), "{asked:#?}");
    // What others see is the same.
    let raw = skopeo(&[
        "inspect",
        "--raw",
        "--tls-verify=false",
        &format!("docker://{}", registry.reference("a/b:1")),
    ]);
    assert_eq!(raw.as_bytes(), image.root().read_verified(1 << 20).unwrap());
    let copy = home.path().join("copy");
    skopeo(&[
        "copy",
        "--all",
        "--src-tls-verify=false",
        &format!("docker://{}", registry.reference("a/b:1")),
        &format!("oci:{}:x", copy.display()),
    ]);
    assert_eq!(
        client.tag_digest(&there.repository, "1").unwrap(),
        Some(image.digest().clone())
    );
    assert_eq!(client.tag_digest(&there.repository, "2").unwrap(), None);
}

#[test]
#[ignore = "needs what tests/setup.sh installs"]
fn blobs_of_another_repository_are_mounted_and_of_another_registry_streamed() {
    let home = tempfile::tempdir().unwrap();
    let (registry, other) = (Registry::start(), Registry::start());
    let client = Client::new(&environment(home.path(), &[]), Settings::default());
    let image = image(2);
    let first = reference(&registry, "first:1");
    push(&image, &first, &client);
    let store = Store::open(&home.path().join("cache")).unwrap();
    let source = RegistrySource::new(&first, &client, &store, Keep::Nowhere);
    let closure = source::closure(&source).unwrap();
    let pushed = push(&closure, &reference(&registry, "second:1"), &client);
    assert_eq!((pushed.sent.blobs, pushed.mounted.blobs), (0, 4));
    let pushed = push(&closure, &reference(&other, "third:1"), &client);
    assert_eq!((pushed.sent.blobs, pushed.mounted.blobs), (4, 0));
    assert_eq!(pull(&reference(&other, "third:1"), &client), contents(&image));
}

#[test]
#[ignore = "needs what tests/setup.sh installs"]
fn passwords_are_asked_for_and_found() {
    let home = tempfile::tempdir().unwrap();
    let registry = Registry::guarded(Guard::Password);
    let environment = environment(home.path(), &[]);
    let anonymous = Client::new(&environment, Settings::default());
    let (image, there) = (image(3), reference(&registry, "a:1"));
    let host = format!("127.0.0.1:{}", registry.port);
    let refused = sink::registry::write(&image, &there, &[], &anonymous, &Progress::silent()).unwrap_err();
    assert_eq!(refused.hint(), Some(format!("pyoci login {host}")), "{refused}");
    let settings = Settings::default();
    let credential = |password: &str| Credential::Password {
        user: "me".to_owned(),
        password: password.to_owned(),
    };
    let error = registry::login(&environment, &settings, &host, &credential("wrong")).unwrap_err();
    assert!(matches!(error, registry::Error::Credentials { .. }), "{error}");
    let file = registry::login(&environment, &settings, &host, &credential("s3cret")).unwrap();
    assert_eq!(file, home.path().join(".config/containers/auth.json"));
    let client = Client::new(&environment, settings.clone());
    push(&image, &there, &client);
    assert_eq!(pull(&there, &client), contents(&image));
    let authfile = format!("--authfile={}", file.display());
    skopeo(&[
        "inspect",
        &authfile,
        "--tls-verify=false",
        &format!("docker://{}", registry.reference("a:1")),
        "--override-arch=amd64",
    ]);
    assert_eq!(
        registry::logout(&environment, &settings, &host).unwrap(),
        Some(file)
    );
    assert_eq!(registry::logout(&environment, &settings, &host).unwrap(), None);
}

#[test]
#[ignore = "needs what tests/setup.sh installs"]
fn a_private_authority_is_trusted_where_certs_d_says_so() {
    let home = tempfile::tempdir().unwrap();
    let registry = Registry::guarded(Guard::Tls);
    let environment = environment(home.path(), &[]);
    let host = format!("127.0.0.1:{}", registry.port);
    let settings = |insecure| Settings {
        insecure,
        ..Settings::default()
    };
    let credential = Credential::Password {
        user: "me".to_owned(),
        password: "s3cret".to_owned(),
    };
    let error = registry::login(&environment, &settings(false), &host, &credential).unwrap_err();
    assert!(error.hint().unwrap().contains("certs.d"), "{error:?}");
    registry::login(&environment, &settings(true), &host, &credential).unwrap();
    let (image, there) = (image(4), reference(&registry, "a:1"));
    push(&image, &there, &Client::new(&environment, settings(true)));
    let directory = home.path().join(".config/containers/certs.d").join(&host);
    fs_err::create_dir_all(&directory).unwrap();
    fs_err::copy(registry.authority(), directory.join("ca.crt")).unwrap();
    let client = Client::new(&environment, settings(false));
    assert_eq!(pull(&there, &client), contents(&image));
}

#[test]
#[ignore = "needs what tests/setup.sh installs"]
fn a_large_blob_goes_in_pieces_and_is_kept_in_the_store_once() {
    let home = tempfile::tempdir().unwrap();
    let registry = Registry::start();
    let client = Client::new(&environment(home.path(), &[]), Settings::default());
    let repository = reference(&registry, "large").repository;
    let bytes: Arc<[u8]> = vec![7_u8; 300 * 1024 * 1024].into();
    let blob = Blob {
        descriptor: Descriptor::of("application/octet-stream", &bytes),
        content: Arc::new(bytes),
    };
    let progress = Progress::silent();
    assert_eq!(
        client.upload(&repository, &blob, &progress).unwrap(),
        Upload::Sent
    );
    assert_eq!(
        client.upload(&repository, &blob, &progress).unwrap(),
        Upload::Existing
    );
    let patches = registry
        .asked()
        .iter()
        .filter(|a| a.starts_with("PATCH "))
        .count();
    assert_eq!(patches, 5);
    let store = Store::open(&home.path().join("store")).unwrap();
    let there = RegistryBlob::new(&client, &repository, &blob.descriptor, Some(&store)).blob();
    for _ in 0..2 {
        std::io::copy(&mut there.open_verified().unwrap(), &mut std::io::sink()).unwrap();
    }
    let asked = registry.asked();
    assert_eq!(
        asked.iter().filter(|a| a.starts_with("GET ")).count(),
        1,
        "{asked:?}"
    );
    assert!(there.content.path().unwrap().starts_with(store.root()));
}
