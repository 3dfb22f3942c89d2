//! `pyoci lock` and builds from its locks, without network: bases that only look like some, servers on loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bases;

use std::path::Path;

use crate::mirror::Mirror;
use crate::support::{self, Sandbox, run, small_base, wheel};
use pyoci::digest::Digest;

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
