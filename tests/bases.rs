//! Bases: against Debian's own mirror and real tools where those are asked for, else against a mirror on loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::mirror;
use std::path::Path;
use std::time::SystemTime;

use crate::mirror::{Mirror, deb, key};
use pyoci::base::{self, Options};
use pyoci::debian::{DEFAULT_MIRROR, Keyring, Mirrors, Reuse};
use pyoci::environment::Environment;
use pyoci::http::Client;
use pyoci::image::Base;
use pyoci::platform::Platform;
use pyoci::progress::Progress;
use pyoci::reference::ImageReference;
use pyoci::registry;
use pyoci::store::Store;
use pyoci::tools::Tools;

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
        digest: None,
        mtime: 315_532_800,
        threads: 2,
        keep: pyoci::source::Keep::InStore,
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
#[ignore = "needs the network"]
fn the_recipes_of_this_program_become_bases() {
    let environment = host();
    let tests = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let store = Store::open(&tests.join("cache/pyoci")).unwrap();
    let http = Client::new(&environment, false);
    let tools = Tools {
        store: &store,
        http: &http,
        registries: &registry::Client::new(&environment, registry::Settings::default()),
        environment: &environment,
        progress: &Progress::silent(),
    };
    let mirror = environment.get("PYOCI_DEBIAN_MIRROR").unwrap_or(DEFAULT_MIRROR);
    for (recipe, python) in [("trixie", (3, 13)), ("bookworm", (3, 11))] {
        for platform in ["linux/amd64", "linux/arm64"] {
            let platform: Platform = platform.parse().unwrap();
            let reference = ImageReference::Recipe(recipe.to_owned());
            let base = base::load(&reference, platform, &tools, &options(mirror))
                .unwrap_or_else(|e| panic!("{recipe} {platform}: {e}\n{e:#?}"));
            assert_eq!((base.target.python, base.target.platform), (python, platform));
            let size = base.layers[0].blob.descriptor.size;
            assert!(
                (10_000_000..25_000_000).contains(&size),
                "{recipe} {platform}: {size} bytes"
            );
            let directory = tempfile::tempdir().unwrap();
            write_layout(&base, directory.path());
            let place = format!("oci:{}:base", directory.path().display());
            let again = base::load(&place.parse().unwrap(), platform, &tools, &options(mirror)).unwrap();
            assert_eq!(again.target, base.target);
            assert_eq!(again.directory_links, base.directory_links);
        }
    }
}

const RECIPE: &str = r#"
python = "3.13"
suites = [{ archive = "debian", name = "test" }]
components = ["main"]
packages = ["python3.13"]
[symlinks]
"usr/bin/python3" = "python3.13"
[[users]]
name = "nonroot"
id = 65532
home = "/home/nonroot"
[config]
user = "65532:65532"
"#;

/// A mirror with a Python and a libc that are nothing but their heads, signed with the key.
fn small_mirror(key: &pgp::composed::SignedSecretKey) -> Mirror {
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(64, 0);
    elf[18] = 62;
    let python = [&elf[..], b"\x003.13.5\0"].concat();
    let libc = [&elf[..], b"\0GNU C Library (test) stable release version 2.41.\n"].concat();
    let mut mirror = Mirror::default();
    mirror.package(
        "python3.13",
        "libc6 (>= 2.4)",
        deb("python3.13", &[("usr/bin/python3.13", &python)]),
    );
    mirror.package(
        "libc6",
        "",
        deb(
            "libc6",
            &[
                ("lib/x86_64-linux-gnu/libc.so.6", &libc),
                ("etc/ld.so.conf.d/a.conf", b"/lib/x86_64-linux-gnu\n"),
            ],
        ),
    );
    mirror.package("unrelated", "nothing", deb("unrelated", &[("usr/x", b"x")]));
    mirror.release("Suite: test\nCodename: test\nDate: Sat, 21 Nov 2026 00:00:00 UTC\nValid-Until: Sat, 28 Nov 2026 00:00:00 UTC\n", key);
    mirror
}

/// Builds the base of [`RECIPE`] from a served mirror; an error as the text of its whole chain.
fn build(
    mirror: &Mirror,
    key: &pgp::composed::SignedSecretKey,
    directory: &Path,
    now: u64,
) -> Result<Base, String> {
    let recipe = directory.join("recipe.toml");
    fs_err::write(&recipe, RECIPE).unwrap();
    let environment = Environment::new(
        [],
        "/".into(),
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(now),
    );
    let store = Store::open(&directory.join("store")).unwrap();
    let http = Client::new(&environment, true);
    let tools = Tools {
        store: &store,
        http: &http,
        registries: &registry::Client::new(&environment, registry::Settings::default()),
        environment: &environment,
        progress: &Progress::silent(),
    };
    let mut options = options(&mirror.serve());
    options.keyring = Some(Keyring::from_bytes(&mirror::public(key)).unwrap());
    let platform = "linux/amd64".parse().unwrap();
    base::load(
        &ImageReference::Recipe(recipe.display().to_string()),
        platform,
        &tools,
        &options,
    )
    .map_err(|error| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    })
}

/// 2026-11-22
const NOW: u64 = 1_795_305_600;

#[test]
fn a_recipe_becomes_the_same_base_on_every_machine_and_is_read_again() {
    let key = key(1);
    let mirror = small_mirror(&key);
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let base = build(&mirror, &key, one.path(), NOW).unwrap();
    let again = build(&mirror, &key, other.path(), NOW + 100).unwrap();
    assert_eq!(
        base.target.to_string(),
        "CPython 3.13 on linux/amd64 with glibc 2.41"
    );
    assert_eq!(base.target.interpreter, "/usr/bin/python3.13");
    assert_eq!(base.target.python_full.as_deref(), Some("3.13.5"));
    assert_eq!(base.users["nonroot"].uid, 65532);
    let links: Vec<_> = base
        .directory_links
        .iter()
        .map(|(p, t)| (p.as_str(), t.as_str()))
        .collect();
    assert_eq!(links, [("bin", "/usr/bin"), ("lib", "/usr/lib")]);
    assert_eq!(base.config, again.config);
    assert_eq!(base.layers[0].diff_id, again.layers[0].diff_id);
    assert_eq!(base.layers[0].blob.descriptor, again.layers[0].blob.descriptor);
    let directory = one.path().join("layout");
    write_layout(&base, &directory);
    let environment = Environment::new([], "/".into(), SystemTime::UNIX_EPOCH);
    let (store, http) = (
        Store::open(&other.path().join("third")).unwrap(),
        Client::new(&environment, true),
    );
    let tools = Tools {
        store: &store,
        http: &http,
        registries: &registry::Client::new(&environment, registry::Settings::default()),
        environment: &environment,
        progress: &Progress::silent(),
    };
    let load = |tag: &str, platform: &str| {
        let reference = format!("oci:{}{tag}", directory.display()).parse().unwrap();
        base::load(
            &reference,
            platform.parse().unwrap(),
            &tools,
            &options(DEFAULT_MIRROR),
        )
    };
    assert_eq!(load(":base", "linux/amd64").unwrap().target, base.target);
    assert_eq!(load("", "linux/amd64").unwrap().config, base.config);
    assert!(
        load(":other", "linux/amd64")
            .unwrap_err()
            .hint()
            .unwrap()
            .contains("base")
    );
    assert!(
        load(":base", "linux/arm64")
            .unwrap_err()
            .hint()
            .unwrap()
            .contains("linux/amd64")
    );
}

/// Spoils a mirror.
type Break = fn(&mut Mirror);

#[test]
fn what_is_not_exactly_what_debian_signed_is_refused() {
    let (good, bad) = (key(1), key(2));
    let cases: [(&str, Break, &str); 8] = [
        (
            "text before",
            |m| m.edit("InRelease", |t| format!("Suite: evil\n{t}")),
            "does not begin with the signed message",
        ),
        (
            "text after",
            |m| m.edit("InRelease", |t| format!("{t}Suite: evil\n")),
            "does not end with the signature",
        ),
        (
            "truncated",
            |m| m.edit("InRelease", |t| t[..t.len() - 40].to_owned()),
            "does not end with the signature",
        ),
        (
            "changed",
            |m| m.edit("InRelease", |t| t.replace("Date: Sat", "Date: Sun")),
            "no good signature",
        ),
        (
            "unsigned line",
            |m| m.edit("InRelease", |t| t.replace("\nDate:", "\nX: y\nDate:")),
            "no good signature",
        ),
        (
            "header",
            |m| m.edit("InRelease", |t| t.replacen("Hash: ", "Suite: evil\nHash: ", 1)),
            "something else than `Hash:`",
        ),
        (
            "index",
            |m| m.edit("Packages", |t| t.replace("Version: 1", "Version: 2")),
            "expected sha256:",
        ),
        ("package", |m| m.damage("libc6"), "expected sha256:"),
    ];
    for (name, damage, expected) in cases {
        let mut mirror = small_mirror(&good);
        damage(&mut mirror);
        let directory = tempfile::tempdir().unwrap();
        let error = build(&mirror, &good, directory.path(), NOW).unwrap_err();
        assert!(error.contains(expected), "{name}: {error}");
    }
    let directory = tempfile::tempdir().unwrap();
    let error = build(&small_mirror(&bad), &good, directory.path(), NOW).unwrap_err();
    assert!(error.contains("no good signature by a trusted key"), "{error}");
    let error = build(&small_mirror(&good), &good, directory.path(), NOW + 7 * 86_400).unwrap_err();
    assert!(error.contains("valid until Sat, 28 Nov 2026"), "{error}");
    let mut other = small_mirror(&good);
    other.release("Suite: older\nCodename: older\n", &good);
    let error = build(&other, &good, directory.path(), NOW).unwrap_err();
    assert!(error.contains("is of older, not of test"), "{error}");
}
