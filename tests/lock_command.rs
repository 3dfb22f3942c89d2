//! `pyoci lock` and builds from its locks, without network: bases that only look like some, servers on loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mirror;
mod support;

use std::path::Path;
use std::time::{Duration, SystemTime};

use mirror::{Mirror, deb, key};
use pyoci::base::{self, LockedBase, LockedContent};
use pyoci::debian::{Keyring, Mirrors, PackageList, Reuse};
use pyoci::digest::Digest;
use pyoci::environment::Environment;
use pyoci::http::Client;
use pyoci::platform::Platform;
use pyoci::progress::Progress;
use pyoci::registry;
use pyoci::store::Store;
use pyoci::tools::Tools;
use support::{Sandbox, small_base, wheel};

/// A project with a lock of another tool: two wheels beside it.
fn project(sandbox: &Sandbox) {
    small_base(&sandbox.path("base"), true);
    let wheels = sandbox.path("app/wheels");
    let files = [
        wheel(&wheels, "one", "py3-none-any", &[("one.py", "x = 1\n")]),
        wheel(&wheels, "two", "py3-none-any", &[("two.py", "x = 2\n")]),
    ];
    sandbox.write("app/pylock.toml", &support::lock(&files));
    sandbox.write("app/main.py", "import one\n");
}

const BASE: &str = "oci:base:base";
const LOCK: &str = "app/pylock.image.toml";

#[test]
fn a_lock_holds_packages_and_base_fast_and_says_when_it_no_longer_fits() {
    let sandbox = Sandbox::cold();
    project(&sandbox);
    let missing = sandbox
        .run(&["lock", "app", "--check", "-o", LOCK])
        .failed_with(1);
    assert!(
        missing.stderr.contains("there is no pylock.image.toml"),
        "{}",
        missing.stderr
    );
    let made = sandbox
        .run(&["lock", "app", "--base", BASE, "-o", LOCK])
        .succeeded();
    assert_eq!(made.stdout.trim(), sandbox.path(LOCK).display().to_string());
    let text = fs_err::read_to_string(sandbox.path(LOCK)).unwrap();
    for part in [
        "created-by = \"pyoci\"",
        "requires-python = \"==3.13.*\"",
        "path = \"wheels/one-1.0-py3-none-any.whl\"",
        "reference = \"oci:base:base\"",
        "platforms = [\"linux/amd64\"]",
        "\"pylock.toml\" = \"sha256:",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    // The same question gives the same bytes, and one that is answered already changes nothing.
    let again = sandbox
        .run(&["lock", "app", "--base", BASE, "-o", LOCK])
        .succeeded();
    assert!(again.stderr.contains("nothing has changed"), "{}", again.stderr);
    sandbox
        .run(&["lock", "app", "--base", BASE, "-o", LOCK, "--upgrade"])
        .succeeded();
    assert_eq!(fs_err::read_to_string(sandbox.path(LOCK)).unwrap(), text);
    sandbox
        .run(&["lock", "app", "--base", BASE, "-o", LOCK, "--check"])
        .succeeded();
    // The base is the locked one.
    let built = sandbox.build("app", &["--lock", LOCK]);
    assert!(
        built.stderr.contains("locked in pylock.image.toml"),
        "{}",
        built.stderr
    );
    let layout = sandbox.path("base/index.json");
    let other = fs_err::read_to_string(&layout).unwrap();
    fs_err::remove_dir_all(sandbox.path("base")).unwrap();
    small_base(&sandbox.path("base"), true);
    let changed = fs_err::read_to_string(&layout).unwrap();
    assert_eq!(changed, other, "the base is made alike");
    replace_config(&sandbox.path("base"));
    let refused = sandbox
        .run(&["build", "app", "--lock", LOCK, "-o", "image"])
        .failed_with(1);
    assert!(
        refused.stderr.contains("is not the base that was locked"),
        "{}",
        refused.stderr
    );
    let told = sandbox
        .run(&[
            "build",
            "app",
            "--lock",
            LOCK,
            "-o",
            "image",
            "--base",
            "oci:./base:base",
        ])
        .succeeded();
    assert!(told.stderr.contains("which is locked"), "{}", told.stderr);
    // What it was made from has changed.
    let source = fs_err::read_to_string(sandbox.path("app/pylock.toml")).unwrap();
    sandbox.write("app/pylock.toml", &format!("{source}# changed\n"));
    for command in [
        &["build", "app", "--lock", LOCK, "-o", "image"][..],
        &["lock", "app", "--base", BASE, "-o", LOCK, "--check"],
    ] {
        let stale = sandbox.run(command).failed_with(1);
        let expected = "pylock.image.toml no longer fits pylock.toml: pylock.toml was changed";
        assert!(stale.stderr.contains(expected), "{}", stale.stderr);
        assert!(stale.stderr.contains("run `pyoci lock`"), "{}", stale.stderr);
    }
}

/// Gives the base another config, as a tag that moved has.
fn replace_config(layout: &Path) {
    let read =
        |path: &Path| -> serde_json::Value { serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap() };
    let blob = |value: &serde_json::Value| {
        let bytes = serde_json::to_vec(value).unwrap();
        let digest = Digest::of(&bytes);
        fs_err::write(layout.join("blobs/sha256").join(digest.hex()), &bytes).unwrap();
        (digest, bytes.len())
    };
    let mut index = read(&layout.join("index.json"));
    let place = |d: &serde_json::Value| {
        let digest = d["digest"]
            .as_str()
            .unwrap()
            .trim_start_matches("sha256:")
            .to_owned();
        layout.join("blobs/sha256").join(digest)
    };
    let mut manifest = read(&place(&index["manifests"][0]));
    let mut config = read(&place(&manifest["config"]));
    config["author"] = "someone else".into();
    let (digest, size) = blob(&config);
    manifest["config"]["digest"] = digest.to_string().into();
    manifest["config"]["size"] = size.into();
    let (digest, size) = blob(&manifest);
    index["manifests"][0]["digest"] = digest.to_string().into();
    index["manifests"][0]["size"] = size.into();
    fs_err::write(layout.join("index.json"), index.to_string()).unwrap();
}

#[test]
fn locks_of_other_tools_are_not_replaced_and_names_follow_the_rule() {
    let sandbox = Sandbox::cold();
    project(&sandbox);
    let foreign = sandbox.run(&["lock", "app", "--base", BASE]).failed_with(1);
    assert!(
        foreign
            .stderr
            .contains("pylock.toml was made by test, and is not replaced"),
        "{}",
        foreign.stderr
    );
    let named = sandbox
        .run(&["lock", "app", "--base", BASE, "-o", "app/my.lock"])
        .failed_with(1);
    assert!(
        named.stderr.contains("is not the name of a lock file"),
        "{}",
        named.stderr
    );
}

#[test]
fn hashed_requirements_are_a_lock_that_needs_no_resolver() {
    let sandbox = Sandbox::cold();
    small_base(&sandbox.path("base"), true);
    let mut server = Mirror::default();
    let mut hashes = Vec::new();
    for name in ["one", "two"] {
        let file = wheel(&sandbox.path("w"), name, "py3-none-any", &[("x.txt", name)][..0]);
        let bytes = fs_err::read(&file).unwrap();
        let (file, digest) = (
            file.file_name().unwrap().to_str().unwrap().to_owned(),
            Digest::of(&bytes),
        );
        let page = format!("<a href='../../{file}#sha256={}'>x</a>", digest.hex());
        server.put(&format!("simple/{name}/"), page.as_bytes());
        server.put(&file, &bytes);
        hashes.push(digest.hex().to_owned());
    }
    let index = format!("{}/simple", server.serve());
    let requirements = |second: &str| {
        sandbox.write(
            "app/requirements.txt",
            &format!(
                "--index-url {index}\none==1.0 \\\n    --hash=sha256:{} \\\n    --hash=sha256:{}\n-r more.txt\n",
                hashes[0],
                "0".repeat(64)
            ),
        );
        sandbox.write("app/more.txt", second);
    };
    sandbox.write("app/main.py", "");
    let build = || {
        let mut command = sandbox.pyoci();
        // Neither uv nor Python is there.
        command.env("PATH", "/nowhere").env_remove("PIP_FIND_LINKS");
        command.args(["build", "app", "--base", BASE, "--locked", "-o", "image"]);
        support::run(&mut command)
    };
    requirements(&format!(
        "two==1.0 --hash=sha256:{}\nnever==1 ; sys_platform == 'win32' --hash=sha256:{}\n",
        hashes[1], hashes[1]
    ));
    let image = build().succeeded();
    assert!(
        image.stderr.contains("nothing is resolved (2 for"),
        "{}",
        image.stderr
    );
    requirements("two==1.0\n");
    let error = build().failed_with(1).stderr;
    assert!(error.contains("more.txt:1: no hash is given"), "{error}");
    requirements(&format!("two>=1.0 --hash=sha256:{}\n", hashes[1]));
    let error = build().failed_with(1).stderr;
    assert!(error.contains("more.txt:1: the version is not pinned"), "{error}");
    requirements(&format!("two==1.0 --hash=sha256:{}\n", "1".repeat(64)));
    let error = build().failed_with(1).stderr;
    assert!(
        error.contains("no file of two 1.0 has a hash that is given in"),
        "{error}"
    );
    requirements(&format!("two==1.0 --hash=sha256:{}\n-c bound.txt\n", hashes[1]));
    sandbox.write("app/bound.txt", "two<1\n");
    let error = build().failed_with(1).stderr;
    assert!(error.contains("more.txt:1 pins a version that"), "{error}");
}

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
    mirror.release(
        "Suite: test\nCodename: test\nDate: Sat, 21 Nov 2026 00:00:00 UTC\n",
        key,
    );
    mirror
}

/// The packages of the recipe, as `pyoci lock` finds them.
fn packages(recipe: &str, mirror: &str, key: &pgp::composed::SignedSecretKey) -> PackageList {
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
    base::recipe_packages(recipe, "linux/amd64".parse().unwrap(), &tools, &options).unwrap()
}

#[test]
fn packages_that_have_left_the_mirror_come_from_the_snapshot_service() {
    let key = key(1);
    let mut mirror = small_mirror(&key);
    let shared = tempfile::tempdir().unwrap();
    let recipe = shared.path().join("recipe.toml");
    fs_err::write(&recipe, RECIPE).unwrap();
    let recipe = recipe.display().to_string();
    let list = packages(&recipe, &mirror.serve(), &key);
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
        let flags = ["--debian-mirror", mirror, "--debian-snapshot", snapshot];
        sandbox.run(&[&["build", "app", "-o", "image"][..], &flags].concat())
    };
    // Of the mirror only the pool is asked: a lock needs no list, whatever has become of it.
    mirror.edit("InRelease", |_| "no longer signed".to_owned());
    let nowhere = Mirror::default().serve();
    let first = build(&mirror.serve(), &nowhere).succeeded();
    // A year later.
    let mut snapshot = Mirror::default();
    for package in list.packages() {
        let bytes = mirror.drop_package(&package.name);
        let name = package.filename.rsplit('/').next().unwrap();
        let hash = format!("{:0>40}", package.name.len());
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
    let hash = format!("file/{:0>40}", "libc6".len());
    snapshot.put(&hash, &vec![0; usize::try_from(list.packages()[0].size).unwrap()]);
    let wrong = build(&mirror, &snapshot.serve()).failed_with(1);
    assert!(wrong.stderr.contains("sha256:"), "{}", wrong.stderr);
}
