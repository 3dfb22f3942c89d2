//! Bad input, each with its message, and an earlier image that stays as it was. Offline, on a base that only looks like one.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{self, Run, Sandbox, contents, lock, run, small_base, wheel};

/// A sandbox with a base, a sound project `good`, and its image at `image`.
struct Bench {
    sandbox: Sandbox,
}

impl Bench {
    fn new() -> Self {
        let sandbox = Sandbox::with_base();
        sandbox.write("good/main.py", "print(1)\n");
        let bench = Self { sandbox };
        bench.run(&["good"], &[]).succeeded();
        bench
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = self.sandbox.pyoci();
        command.arg("build").args(arguments);
        for (flag, value) in [("-o", "image"), ("--base", "oci:base:base")] {
            if !arguments.contains(&flag) {
                command.args([flag, value]);
            }
        }
        run(command.envs(variables.iter().copied()))
    }

    fn project(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        self.sandbox.write(&format!("{name}/main.py"), "print(1)\n");
        for (file, text) in files {
            self.sandbox.write(&format!("{name}/{file}"), text);
        }
        self.sandbox.path(name)
    }

    /// Builds, and checks status, message, stdout, the earlier image, and that nothing temporary is left.
    #[track_caller]
    fn refuses(&self, status: i32, arguments: &[&str], message: &str) {
        self.refuses_with(status, arguments, &[], message);
    }

    #[track_caller]
    fn refuses_with(&self, status: i32, arguments: &[&str], variables: &[(&str, &str)], message: &str) {
        let before = contents(&self.sandbox.path("image"));
        let failed = self.run(arguments, variables).failed_with(status);
        let root = format!("{}/", self.sandbox.path("").display()).replace("//", "/");
        let lines = failed
            .stderr
            .lines()
            .skip_while(|line| !line.starts_with("error: "));
        let said = lines
            .map(|line| line.replace(&root, ""))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            said.starts_with(message),
            "expected\n{message}\nfound\n{}",
            failed.stderr
        );
        assert_eq!(failed.stdout, "");
        assert!(
            before == contents(&self.sandbox.path("image")),
            "the earlier image was touched"
        );
        let left = contents(&self.sandbox.path("cache/pyoci/tmp"));
        assert!(left.is_empty(), "left behind: {:?}", left.keys());
    }
}

#[test]
fn wrong_flags_are_usage_errors() {
    let bench = Bench::new();
    for (flag, value, message) in [
        ("-t", "a b", "`a b` is not a valid tag"),
        ("--entrypoint", "a \"b", "a quote is not closed"),
        ("--entrypoint", "", "the command is empty"),
        ("--env", "NAME", "expected NAME=VALUE"),
        ("--env", "A B=1", "`A B` is not the name of a variable"),
        ("--label", "=x", "expected KEY=VALUE"),
        ("--port", "0", "`0` is not a port"),
        ("--user", "bob", "`bob` is not UID or UID:GID, in numbers"),
        (
            "--platform",
            "windows/amd64",
            "`windows/amd64` is not a supported platform",
        ),
        ("--compression", "lz4", "expected `gzip` or `zstd`, found `lz4`"),
        ("--resolver", "poetry", "expected `uv` or `pip`, found `poetry`"),
    ] {
        let before = contents(&bench.sandbox.path("image"));
        let failed = bench.run(&["good", flag, value], &[]).failed_with(2);
        assert!(failed.stderr.contains(message), "{}", failed.stderr);
        assert!(before == contents(&bench.sandbox.path("image")));
    }
}

#[test]
fn what_is_not_there_is_named() {
    let bench = Bench::new();
    let base = |reference: &str, message: &str| {
        format!("error: cannot load the base {reference} (as asked for)\n  cause: {message}")
    };
    bench.refuses(1, &["good", "-r", "no.txt"], "error: -r no.txt: no such file");
    bench.refuses(
        1,
        &["nowhere"],
        "error: there is no project at nowhere\nhint: name the directory",
    );
    bench.sandbox.write("notes.txt", "no program");
    bench.refuses(
        1,
        &["notes.txt"],
        "error: notes.txt is neither a directory nor a Python script",
    );
    let none = base(
        "oci:nowhere",
        "oci:nowhere is not an OCI image layout\n  cause: No such file",
    );
    bench.refuses(1, &["good", "--base", "oci:nowhere"], &none);
    let tag = base(
        "oci:base:x",
        "oci:base has no tag `x`\nhint: its tags: base; for example oci:base:base",
    );
    bench.refuses(1, &["good", "--base", "oci:base:x"], &tag);
    let platform = base(
        "oci:base:base",
        "the image is not there for linux/arm64\nhint: there is linux/amd64",
    );
    bench.refuses(1, &["good", "--platform", "linux/arm64"], &platform);
    let recipe = base(
        "recipe:buster",
        "there is no base recipe `buster`\nhint: there are trixie, trixie-debug, bookworm",
    );
    bench.refuses(1, &["good", "--base", "recipe:buster"], &recipe);
    small_base(&bench.sandbox.path("bare"), false);
    let python = base(
        "oci:bare",
        "the base has no python3 on its PATH (/usr/bin)\nhint: take a base that brings python3",
    );
    bench.refuses(1, &["good", "--base", "oci:bare"], &python);
    bench.refuses(
        1,
        &["good", "--extra", "web"],
        "error: the project has no extra `web`",
    );
    bench.project("offline", &[("requirements.txt", "six\n")]);
    bench.refuses(
        1,
        &["offline", "--offline"],
        "error: offline, and these dependencies were never resolved",
    );
    let locked = "error: --locked needs a lock file, and there is none\nhint: make one";
    bench.refuses(1, &["offline", "--locked"], locked);
    let offline = ["good", "--offline", "--base", "recipe:trixie"];
    bench.refuses(
        1,
        &offline,
        &base(
            "recipe:trixie",
            "the base\'s packages could not be had\n  cause: cannot fetch the release file",
        ),
    );
}

#[test]
fn an_output_that_is_no_layout_is_refused_and_kept() {
    let bench = Bench::new();
    bench.sandbox.write("full/thesis.txt", "mine");
    bench.refuses(
        1,
        &["good", "-o", "full"],
        "error: output full is not empty and not an OCI image layout\nhint: ",
    );
    bench.refuses(
        1,
        &["good", "-o", "good/main.py"],
        "error: output good/main.py is not a directory",
    );
    assert_eq!(
        fs_err::read(bench.sandbox.path("full/thesis.txt")).unwrap(),
        b"mine"
    );
    for (destination, message) in [
        (
            "recipe:x",
            "error: `recipe:x` is not a destination that images can be written to\nhint: use a directory",
        ),
        (
            "docker://UPPER/x",
            "error: `UPPER/x` is not a valid image reference",
        ),
        (
            "docker-archive:good/main.py",
            "error: output good/main.py is there and not",
        ),
    ] {
        bench.refuses(1, &["good", "-o", destination], message);
    }
    bench.refuses(
        1,
        &["good", "--push", "oci:x"],
        "error: `oci:x` is not a repository of a registry",
    );
}

#[test]
fn files_that_cannot_be_understood_are_named_with_their_line() {
    let bench = Bench::new();
    let project = "[project]\nname = \"x\"\nversion = \"1\"\n";
    let tool = |text: &str| format!("{project}[tool.pyoci]\n{text}\n");
    for (file, text, message) in [
        (
            "pyproject.toml",
            tool("entrypont = \"x\""),
            ":5: `entrypont` is not a setting of [tool.pyoci]\nhint: did you mean `entrypoint`?",
        ),
        (
            "pyproject.toml",
            tool("ports = 1"),
            ":5: ports: expected an array, found an integer",
        ),
        ("pyproject.toml", "[project\n".to_owned(), ":1: unclosed table"),
        (
            "pyproject.toml",
            format!("{project}dependencies = [\"a b c\"]\n"),
            ":4: requirement `a b c` is wrong at character 3",
        ),
        (
            "pyproject.toml",
            format!("{project}requires-python = \">=3.14\"\n"),
            ":4: requires-python is `>=3.14`, but the base has Python 3.13.5\nhint: ",
        ),
        (
            "pylock.toml",
            "lock-version = \"1.0\"\n[[packages]\n".to_owned(),
            ":2: unclosed array table",
        ),
        (
            "pylock.toml",
            "lock-version = \"9.0\"\ncreated-by = \"x\"\npackages = []\n".to_owned(),
            ":1: lock-version 9.0 is not supported (1.0 is)",
        ),
        (
            "requirements.txt",
            "# c\nfoo\nfoo bar ==\n".to_owned(),
            ":3: invalid requirement\n  cause: ",
        ),
        (
            "requirements.txt",
            "--foo\n".to_owned(),
            ":1: unknown option `--foo`",
        ),
        (
            "Procfile",
            "web: x \"y\n".to_owned(),
            ":1: `x \"y` a quote is not closed",
        ),
    ] {
        let directory = bench.project("bad", &[(file, &text)]);
        bench.refuses(1, &["bad"], &format!("error: bad/{file}{message}"));
        fs_err::remove_dir_all(directory).unwrap();
    }
    bench.refuses(
        1,
        &["good", "--exclude", "["],
        "error: exclude: `[` is not a pattern: ",
    );
    for (name, value, message) in [
        ("PYOCI_PORT", "x", "environment: PYOCI_PORT: `x` is not a port"),
        (
            "PYOCI_OFFLINE",
            "maybe",
            "environment: PYOCI_OFFLINE: expected true or false, found `maybe`",
        ),
        (
            "SOURCE_DATE_EPOCH",
            "x",
            "SOURCE_DATE_EPOCH=x is not a number of seconds since 1970",
        ),
    ] {
        bench.refuses_with(1, &["good"], &[(name, value)], &format!("error: {message}"));
    }
}

#[test]
fn garbage_in_any_file_is_an_error_and_never_a_panic() {
    let bench = Bench::new();
    let mut state = 1_u32;
    let mut garbage = |length: usize| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    };
    let files = [
        "pyproject.toml",
        "pylock.toml",
        "requirements.txt",
        "Procfile",
        ".python-version",
        ".gitignore",
        "main.py",
    ];
    for file in files {
        for bytes in [
            garbage(1),
            garbage(64),
            garbage(5000),
            b"\0\0\n[[[\n".to_vec(),
            vec![b'['; 20_000],
        ] {
            let directory = bench.project("bad", &[]);
            fs_err::write(directory.join(file), &bytes).unwrap();
            let built = bench.run(&["bad", "--offline", "-o", "other"], &[]);
            assert!(
                matches!(built.status, Some(0 | 1)),
                "{file} {bytes:?}\n{}",
                built.stderr
            );
            assert!(!built.stderr.contains("panicked"), "{}", built.stderr);
            fs_err::remove_dir_all(directory).unwrap();
        }
    }
}

#[test]
fn wheels_that_are_not_what_they_should_be_are_refused() {
    let bench = Bench::new();
    let any = "py3-none-any";
    let place = |name: &str| bench.project(name, &[]).join("wheels");
    let locked =
        |name: &str, wheels: &[PathBuf]| bench.sandbox.write(&format!("{name}/pylock.toml"), &lock(wheels));

    let foo = wheel(&place("hash"), "foo", any, &[("foo.py", "1")]);
    let file = locked("hash", std::slice::from_ref(&foo));
    let text = fs_err::read_to_string(&file).unwrap();
    let right = pyoci::digest::Digest::of(&fs_err::read(&foo).unwrap());
    fs_err::write(&file, text.replace(&right.hex(), &"0".repeat(64))).unwrap();
    let wrong = "error: hash/wheels/foo-1.0-py3-none-any.whl is not the file of foo 1.0 that was locked: expected sha256:00";
    bench.refuses(1, &["hash"], wrong);

    let foo = wheel(&place("cut"), "foo", any, &[("foo.py", &"1".repeat(1000))]);
    let bytes = fs_err::read(&foo).unwrap();
    fs_err::write(&foo, &bytes[..bytes.len() / 2]).unwrap();
    locked("cut", &[foo]);
    let cut = "error: wheel foo-1.0-py3-none-any.whl is not a sound zip archive\n  cause: it is not a zip archive, or it is cut off";
    bench.refuses(1, &["cut"], cut);

    let foo = wheel(&place("leaves"), "foo", any, &[("../evil.py", "1")]);
    locked("leaves", &[foo]);
    let leaves = "error: wheel foo-1.0-py3-none-any.whl is not a sound zip archive\n  cause: a member's name is refused\n  \
                  cause: path \"../evil.py\" leaves its directory";
    bench.refuses(1, &["leaves"], leaves);

    let one = wheel(&place("both"), "one", any, &[("shared/a.py", "1")]);
    let two = wheel(&place("both"), "two", any, &[("shared/a.py", "2")]);
    locked("both", &[one, two]);
    let both = "error: one-1.0-py3-none-any.whl and two-1.0-py3-none-any.whl both own shared/a.py, with different contents\nhint: ";
    bench.refuses(1, &["both"], both);

    let foo = wheel(
        &place("windows"),
        "foo",
        "cp313-cp313-win_amd64",
        &[("foo.py", "1")],
    );
    locked("windows", &[foo]);
    let none = "error: foo 1.0 has no wheel for CPython 3.13 on linux/amd64 with glibc 2.41: the lock has wheels for cp313 on win_amd64";
    bench.refuses(1, &["windows"], none);
}

#[test]
fn a_project_that_cannot_start_or_leaves_itself_is_refused() {
    let bench = Bench::new();
    let directory = bench.project("idle", &[("foo.py", "")]);
    fs_err::remove_file(directory.join("main.py")).unwrap();
    let idle = "error: cannot tell how idle starts\nhint: say it: --entrypoint \"";
    bench.refuses(1, &["idle"], idle);
    let directory = bench.project("link", &[]);
    symlink("../../secret", directory.join("out")).unwrap();
    bench.refuses(
        1,
        &["link"],
        "error: symbolic link link/out leaves the project: it leads to ../../secret\nhint: ",
    );
}

#[test]
fn what_may_not_be_read_is_named() {
    let mut bench = Bench::new();
    let locked = bench.project("locked", &[]);
    fs_err::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
    if support::is_root() {
        // Root may read everything.
        bench.sandbox.give_away();
    }
    let message = "error: cannot read the project\n  cause: failed to open file `locked/pyproject.toml`: Permission denied";
    bench.refuses(1, &["locked"], message);
    fs_err::set_permissions(&locked, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_killed_build_leaves_the_old_image_or_the_new_one() {
    let bench = Bench::new();
    let image = bench.sandbox.path("image");
    let digest_of = |run: Run| run.succeeded().stdout;
    for round in 0_u64..20 {
        bench.sandbox.write(
            "good/main.py",
            &format!("print({round})\n{}", "# \n".repeat(20_000)),
        );
        let mut command = bench.sandbox.pyoci();
        command.args(["build", "good", "-o", "image", "--base", "oci:base:base"]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(round * 7 % 60));
        child.kill().unwrap();
        child.wait().unwrap();
        support::assert_layout_is_valid(&image);
    }
    let one = digest_of(bench.run(&["good"], &[]));
    support::assert_layout_is_valid(&image);
    let two = digest_of(bench.run(&["good", "-o", "fresh"], &[]));
    assert_eq!(one, two);
    let names = |directory: &str| -> Vec<PathBuf> {
        let root = bench.sandbox.path(directory);
        contents(&root)
            .into_keys()
            .map(|p| p.strip_prefix(&root).unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("image"), names("fresh"), "something was left behind");
}
