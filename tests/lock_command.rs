//! `pyoci lock` and builds from its locks, without network: bases that only look like some, servers on loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::mirror;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::mirror::{Mirror, deb, key};
use crate::support::{self, Registry, Sandbox, run, small_base, wheel};
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
    let sandbox = Sandbox::with_base();
    let mut server = Mirror::default();
    let mut hashes = Vec::new();
    for name in ["one", "two"] {
        let file = wheel(&sandbox.path("w"), name, "py3-none-any", &[("x.txt", name)][..0]);
        let bytes = fs_err::read(&file).unwrap();
        let (file, digest) = (
            file.file_name().unwrap().to_str().unwrap().to_owned(),
            Digest::of(&bytes),
        );
        let python = if name == "two" {
            ""
        } else {
            " data-requires-python='&gt;=3.8'"
        };
        let page = format!("<a href='../../{file}#sha256={}'{python}>x</a>", digest.hex());
        let old = page.replace("3.8", "3.14");
        server.put(&format!("newer/{name}/"), old.as_bytes());
        server.put(&format!("simple/{name}/"), page.as_bytes());
        server.put(&file, &bytes);
        hashes.push(digest.hex());
    }
    let root = server.serve();
    let index = format!("{root}/simple");
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
    let newer = format!("--index-url {root}/newer\none==1.0 --hash=sha256:{}\n", hashes[0]);
    sandbox.write("app/requirements.txt", &newer);
    let error = build().failed_with(1).stderr;
    assert!(error.contains("one 1.0") && error.contains(">=3.14"), "{error}");
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
fn a_script_has_a_lock_of_its_own_that_notices_a_changed_header() {
    let sandbox = Sandbox::with_base();
    let file = wheel(&sandbox.path("wheels"), "one", "py3-none-any", &[("one.py", "")]);
    let hash = Digest::of(&fs_err::read(file).unwrap());
    let script = "# /// script\n# requires-python = '>=3.12'\n# dependencies = ['one']\n\
        # [tool.uv.sources]\n# one = { path = 'wheels/one-1.0-py3-none-any.whl' }\n# ///\nimport one\n";
    sandbox.write("my.tool.py", script);
    let uv = format!(
        "version = 1\nrequires-python = '>=3.12'\n[manifest]\n\
         requirements = [{{ name = 'one', path = 'wheels/one-1.0-py3-none-any.whl' }}]\n\
         [[package]]\nname = 'one'\nversion = '1.0'\nsource = {{ path = 'wheels/one-1.0-py3-none-any.whl' }}\n\
         wheels = [{{ filename = 'one-1.0-py3-none-any.whl', hash = '{hash}' }}]\n"
    );
    sandbox.write("my.tool.py.lock", &uv);
    let lock = ["lock", "my.tool.py", "--base", BASE, "--offline"];
    let made = sandbox.run(&lock).succeeded();
    let name = "pylock.my-tool.toml";
    assert_eq!(made.stdout.trim(), sandbox.path(name).display().to_string());
    let again = sandbox.run(&lock).succeeded();
    assert!(again.stderr.contains("nothing has changed"), "{}", again.stderr);
    // The header is told too, so uv's lock is no longer needed.
    fs_err::remove_file(sandbox.path("my.tool.py.lock")).unwrap();
    let text = fs_err::read_to_string(sandbox.path(name)).unwrap();
    let own: Vec<&str> = text
        .lines()
        .filter(|l| !l.starts_with("\"my.tool.py.lock\" = ") && !l.starts_with("lock = "))
        .collect();
    sandbox.write(name, &own.join("\n"));
    let build = ["build", "my.tool.py", "-o", "image", "--offline"];
    let done = sandbox.run(&build).succeeded();
    assert!(
        done.stderr
            .contains("pylock.my-tool.toml: the script's lock file"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("locked in pylock.my-tool.toml"),
        "{}",
        done.stderr
    );
    sandbox.write("my.tool.py", &script.replace("['one']", "['one>=1']"));
    let stale = sandbox.run(&build).failed_with(1);
    let expected = "no longer fits my.tool.py: `one>=1` is required now; `one` is no longer required";
    assert!(stale.stderr.contains(expected), "{}", stale.stderr);
    sandbox.write("my.tool.py", &script.replace("wheels/", "wheel/"));
    let stale = sandbox.run(&build).failed_with(1);
    assert!(
        stale.stderr.contains("[tool.uv] of my.tool.py was changed"),
        "{}",
        stale.stderr
    );
    // It is not the lock of the directory that the script is in.
    sandbox.write("pyproject.toml", "[project]\nname = 'x'\nversion = '1'\n");
    let unlocked = ["build", ".", "-o", "image", "--offline", "--base", BASE];
    let unlocked = sandbox.run(&unlocked).failed_with(1);
    let expected = "these dependencies were never resolved";
    assert!(unlocked.stderr.contains(expected), "{}", unlocked.stderr);
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

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn what_other_tools_export_with_hashes_is_installed_without_a_resolver() {
    let sandbox = Sandbox::with_base();
    for name in ["uv-export", "pip-compile", "poetry-export"] {
        let file = format!(
            "{}/tests/locks/requirements/{name}.txt",
            env!("CARGO_MANIFEST_DIR")
        );
        sandbox.write(&format!("{name}/main.py"), "");
        fs_err::copy(file, sandbox.path(&format!("{name}/requirements.txt"))).unwrap();
        let mut command = sandbox.pyoci();
        command.env("PATH", "/nowhere").env_remove("PIP_FIND_LINKS");
        command.args([
            "build", name, "--base", BASE, "--locked", "-o", "image", "--format", "json",
        ]);
        let report: serde_json::Value = serde_json::from_str(&run(&mut command).succeeded().stdout).unwrap();
        let packages = report["platforms"][0]["layers"][1]["packages"].to_string();
        for package in ["httpx", "h2", "hpack", "markupsafe"] {
            assert!(packages.contains(&format!("\"{package}\"")), "{name}: {packages}");
        }
        assert!(!packages.contains("tzdata"), "{name}: for Windows only");
    }
}
