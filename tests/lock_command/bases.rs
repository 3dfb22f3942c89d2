//! The base in a lock: Debian packages that have left the mirror, several platforms, tags that move.

use std::time::{Duration, SystemTime};

use super::{LOCK, project, replace_config};
use crate::mirror::{self, Mirror, deb, key};
use crate::support::{Registry, Sandbox, run};
use pyoci::base::{self, LockedBase, LockedContent, LockedPackages};
use pyoci::debian::{Keyring, Mirrors, PackageList, Reuse};
use pyoci::digest::Digest;
use pyoci::environment::Environment;
use pyoci::http::Client;
use pyoci::platform::Platform;
use pyoci::progress::Progress;
use pyoci::registry;
use pyoci::store::Store;
use pyoci::tools::Tools;

const RECIPE: &str = r#"
python = "3.13"
suites = [{ archive = "debian", name = "test" }]
components = ["main"]
packages = ["python3.13"]
[symlinks]
"usr/bin/python3" = "python3.13"
"#;

/// A mirror with a Python and a libc that are nothing but their heads.
fn small_mirror(key: &pgp::composed::SignedSecretKey) -> Mirror {
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(64, 0);
    elf[18] = 62;
    let python = [&elf[..], b"\x003.13.5\0"].concat();
    let libc = [&elf[..], b"\0GNU C Library (test) stable release version 2.41.\n"].concat();
    let mut mirror = Mirror::default();
    let python = deb("python3.13", &[("usr/bin/python3.13", &python)]);
    mirror.package("python3.13", "libc6 (>= 2.4)", python);
    let libc = deb("libc6", &[("lib/x86_64-linux-gnu/libc.so.6", &libc)]);
    mirror.package("libc6", "", libc);
    let extra = deb("extra", &[("usr/share/extra.txt", b"extra")]);
    mirror.package("extra", "libc6, extra-data", extra);
    let data = deb("extra-data", &[("usr/share/extra-data.txt", b"data")]);
    mirror.package("extra-data", "", data);
    mirror.release(
        "Suite: test\nCodename: test\nDate: Sat, 21 Nov 2026 00:00:00 UTC\n",
        key,
    );
    mirror
}

/// The packages of the recipe, and those that are added to it, as `pyoci lock` finds them.
fn packages(
    recipe: &str,
    added: &[String],
    mirror: &str,
    key: &pgp::composed::SignedSecretKey,
) -> [PackageList; 2] {
    let directory = tempfile::tempdir().unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_hours(498_696);
    let environment = Environment::new([], "/".into(), now);
    let tools = Tools {
        store: &Store::open(directory.path()).unwrap(),
        http: &Client::new(&environment, true),
        registries: &registry::Client::new(&environment, registry::Settings::default()),
        environment: &environment,
        progress: &Progress::silent(),
    };
    let options = base::Options {
        mirrors: Mirrors::new(&mirror.parse().unwrap()),
        keyring: Some(Keyring::from_bytes(&mirror::public(key)).unwrap()),
        reuse: Reuse::Never,
        packages: None,
        digest: None,
        mtime: 315_532_800,
        threads: 1,
        keep: pyoci::source::Keep::InStore,
    };
    let platform = "linux/amd64".parse().unwrap();
    let own = base::recipe_packages(recipe, platform, &tools, &options).unwrap();
    let reference = format!("recipe:{recipe}").parse().unwrap();
    let loaded = base::load(&reference, platform, &tools, &options).unwrap();
    let over = base::added_packages(&reference, &loaded, added, &tools, &options).unwrap();
    [own, over]
}

#[test]
fn packages_that_have_left_the_mirror_come_from_the_snapshot_service() {
    let key = key(1);
    let mut mirror = small_mirror(&key);
    let shared = tempfile::tempdir().unwrap();
    let recipe = shared.path().join("recipe.toml");
    fs_err::write(&recipe, RECIPE).unwrap();
    let recipe = recipe.display().to_string();
    let asked = ["extra".to_owned()];
    let [list, over] = packages(&recipe, &asked, &mirror.serve(), &key);
    let names: Vec<_> = over.packages().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["extra", "extra-data"]);
    let platform: Platform = "linux/amd64".parse().unwrap();
    let base = LockedBase {
        reference: format!("recipe:{recipe}"),
        content: LockedContent::Recipe {
            recipe: LockedBase::recipe_digest(&recipe).unwrap(),
            packages: [(platform, list.clone())].into(),
        },
    };
    let mut own = toml::Table::new();
    own.insert("base".to_owned(), base.to_table().into());
    let added = LockedPackages {
        asked: asked.clone().into(),
        packages: [(platform, over.clone())].into(),
    };
    own.insert("packages".to_owned(), added.to_table().into());
    let tool: toml::Table = [(
        "tool".to_owned(),
        toml::Table::from_iter([("pyoci".to_owned(), own.into())]).into(),
    )]
    .into_iter()
    .collect();
    let lock = format!("lock-version = \"1.0\"\ncreated-by = \"pyoci\"\npackages = []\n{tool}");
    let build = |mirror: &str, snapshot: &str| {
        let sandbox = Sandbox::cold();
        sandbox.write("app/main.py", "print(1)\n");
        sandbox.write("app/pylock.toml", &lock);
        let flags = [
            "--debian-mirror",
            mirror,
            "--debian-snapshot",
            snapshot,
            "--package",
            "extra",
        ];
        sandbox.run(&[&["build", "app", "-o", "image"][..], &flags].concat())
    };
    // Of the mirror only the pool is asked: a lock needs no list, whatever has become of it.
    mirror.edit("InRelease", |_| "no longer signed".to_owned());
    let nowhere = Mirror::default().serve();
    let first = build(&mirror.serve(), &nowhere).succeeded();
    assert!(first.stderr.contains("extra, extra-data"), "{}", first.stderr);
    // What is asked for is a part of what the lock was made from.
    let sandbox = Sandbox::cold();
    sandbox.write("app/pylock.toml", &lock);
    let stale = sandbox
        .run(&["build", "app", "-o", "image", "--package", "other"])
        .failed_with(1);
    let expected = "Debian package `other` is asked for now; Debian package `extra` is no longer asked for";
    assert!(stale.stderr.contains(expected), "{}", stale.stderr);
    // A year later.
    let mut snapshot = Mirror::default();
    for package in list.packages().iter().chain(over.packages()) {
        let bytes = mirror.drop_package(&package.name);
        let name = package.filename.rsplit('/').next().unwrap();
        let hash = Digest::of(package.name.as_bytes()).hex()[..40].to_owned();
        snapshot.put(
            &format!(
                "mr/binary/{}/{}/binfiles?fileinfo=1",
                package.name, package.version
            ),
            format!(
                r#"{{"_comment": "x", "result": [{{"hash": "{hash}", "architecture": "amd64"}}],
                "fileinfo": {{"ffff": [{{"name": "other.deb", "size": 1}}],
                "{hash}": [{{"name": "{name}", "size": {}, "archive_name": "debian"}}]}}}}"#,
                package.size
            )
            .as_bytes(),
        );
        snapshot.put(&format!("file/{hash}"), &bytes);
    }
    let mirror = mirror.serve();
    let later = build(&mirror, &snapshot.serve()).succeeded();
    assert_eq!(later.stdout, first.stdout, "the same lock, the same image");
    let gone = build(&mirror, &nowhere).failed_with(1);
    assert!(gone.stderr.contains("the snapshot service at"), "{}", gone.stderr);
    // What comes is verified, wherever it comes from.
    snapshot.edit("binfiles?fileinfo=1", |text| {
        text.replace("other.deb", "another.deb")
    });
    let hash = Digest::of(b"libc6").hex()[..40].to_owned();
    snapshot.put(
        &format!("file/{hash}"),
        &vec![0; usize::try_from(list.packages()[0].size).unwrap()],
    );
    let wrong = build(&mirror, &snapshot.serve()).failed_with(1);
    assert!(wrong.stderr.contains("sha256:"), "{}", wrong.stderr);
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_lock_for_two_platforms_has_their_wheels_and_debian_packages() {
    let sandbox = Sandbox::new();
    sandbox.write("app/requirements.txt", "markupsafe==3.0.2\nidna==3.10\n");
    sandbox.write("app/main.py", "");
    let platforms = ["--platform", "linux/amd64,linux/arm64"];
    let package = ["--package", "libgomp1"];
    let lock = [&["lock", "app"][..], &platforms, &package].concat();
    sandbox.run(&lock).succeeded();
    let text = fs_err::read_to_string(sandbox.path("app/pylock.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let added = table["tool"]["pyoci"]["packages"].as_table().unwrap();
    for platform in ["linux/amd64", "linux/arm64"] {
        let lines = added[platform].as_array().unwrap();
        let architecture = format!(" {} ", &platform[6..]);
        assert!(
            lines.iter().any(|line| {
                let line = line.as_str().unwrap();
                line.starts_with("libgomp1 ") && line.contains(&architecture)
            }),
            "{lines:?}"
        );
    }
    let packages = table["packages"].as_array().unwrap();
    let of = |name: &str| -> Vec<_> {
        let own = |package: &&toml::Value| package["name"].as_str() == Some(name);
        packages.iter().filter(own).collect()
    };
    assert_eq!(of("idna").len(), 1, "{text}");
    assert!(of("idna")[0].get("marker").is_none(), "{text}");
    let wheels = of("markupsafe")
        .iter()
        .map(ToString::to_string)
        .collect::<String>();
    assert!(
        wheels.contains("x86_64.whl") && wheels.contains("aarch64.whl"),
        "{wheels}"
    );
    let build = |options: &[&str]| {
        let all = [&platforms[..], options].concat();
        sandbox.build("app", &all)
    };
    let first = build(&package);
    let again = build(&[&package[..], &["--offline", "--locked"]].concat());
    assert_eq!(again.digest, first.digest);
    sandbox.run(&[&lock[..], &["--check"]].concat()).succeeded();
    let stale = sandbox.run(&["build", "app", "-o", "image"]).failed_with(1);
    assert!(
        stale
            .stderr
            .contains("Debian package `libgomp1` is no longer asked for"),
        "{}",
        stale.stderr
    );
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_base_of_a_registry_stays_the_one_that_was_locked_when_its_tag_moves() {
    let sandbox = Sandbox::cold();
    project(&sandbox);
    let registry = Registry::start();
    let reference = registry.reference("base:1");
    let push = || {
        let mut skopeo = std::process::Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--dest-tls-verify=false"]);
        skopeo.arg(format!("oci:{}:base", sandbox.path("base").display()));
        run(skopeo.arg(format!("docker://{reference}"))).succeeded();
    };
    push();
    let lock = ["lock", "app", "--base", &reference, "-o", LOCK];
    sandbox.run(&lock).succeeded();
    let text = fs_err::read_to_string(sandbox.path(LOCK)).unwrap();
    let index = fs_err::read_to_string(sandbox.path("base/index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    assert!(text.contains(&format!("digest = \"{digest}\"")), "{text}");
    let first = sandbox.build("app", &["--lock", LOCK]);
    replace_config(&sandbox.path("base"));
    push();
    let later = sandbox.build("app", &["--lock", LOCK, "--upgrade"]);
    assert_eq!(later.digest, first.digest);
    // What a tag stood for in this very second is not asked again: so the platforms of one command agree.
    std::thread::sleep(Duration::from_millis(1100));
    let told = sandbox.run(&[&lock[..], &["--upgrade"]].concat()).succeeded();
    let text = fs_err::read_to_string(sandbox.path(LOCK)).unwrap();
    assert!(!text.contains(&digest), "{text}\n{}", told.stderr);
    assert_ne!(sandbox.build("app", &["--lock", LOCK]).digest, first.digest);
}
