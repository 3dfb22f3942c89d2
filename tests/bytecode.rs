//! `--compile`: the image starts from byte-code, its own and the standard library's, always the same.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test that panics has failed; the host's python3 is on its PATH"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::support::{Podman, Sandbox, contents, lock, run, wheel};

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn compiled_images_load_byte_code_that_nobody_checks_again() {
    let sandbox = Sandbox::new();
    sandbox.write("app/requirements.txt", "six==1.17.0\n");
    sandbox.write(
        "app/main.py",
        "import json, sys, six\nprint(six.__cached__, json.__cached__)\n",
    );
    let image = sandbox.build("app", &["--compile"]);
    let podman = Podman::new();
    let paths = "/deps/__pycache__/six.cpython-313.pyc /usr/lib/python3.13/json/__pycache__/__init__.cpython-313.pyc\n";
    assert_eq!(podman.output(&image, &["--read-only"], &[]), paths);
    // `-v` tells where each module's code came from.
    let loud = podman
        .run(&image, &["-e", "PYTHONVERBOSE=1", "--read-only"], &[])
        .succeeded();
    for module in [
        "/deps/__pycache__/six",
        "/usr/lib/python3.13/json/__pycache__/__init__",
    ] {
        let from = format!("code object from '{module}.cpython-313.pyc'");
        assert!(loud.stderr.contains(&from), "{module} was compiled anew");
    }
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn byte_code_made_anew_from_nothing_is_the_same() {
    let sandbox = Sandbox::new();
    sandbox.write("app/requirements.txt", "six==1.17.0\n");
    sandbox.write("app/main.py", "import six\n");
    let with = sandbox.build("app", &["--compile"]);
    let cold = Sandbox::cold();
    cold.write("app/requirements.txt", "six==1.17.0\n");
    cold.write("app/main.py", "import six\n");
    assert_eq!(with.digest, cold.build("app", &["--compile"]).digest);
}

/// A sandbox whose `python3.13` is the host's python3, whatever its version, and writes a line to `starts` whenever it is
/// started to compile.
fn with_a_recorded_python() -> Sandbox {
    let sandbox = Sandbox::with_base();
    let path = std::env::var("PATH").unwrap();
    let found = path
        .split(':')
        .map(|directory| PathBuf::from(directory).join("python3"));
    let python = found.into_iter().find(|file| file.is_file()).unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*print*) echo 3.13 3.13.5 cpython-313 ;;\n\
         *) echo start >>{}; exec {} \"$@\" ;;\nesac\n",
        sandbox.path("starts").display(),
        python.display()
    );
    let program = sandbox.write("bin/python3.13", &script);
    fs_err::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    sandbox
}

/// Writes the wheels `one`, `two` and `three`, each of a module with a text, and their lock.
fn write_project(sandbox: &Sandbox, texts: [&str; 3]) {
    sandbox.write("app/main.py", "");
    let wheels = ["one", "two", "three"]
        .into_iter()
        .zip(texts)
        .map(|(name, text)| {
            let (module, test) = (format!("{name}/__init__.py"), format!("{name}/tests/test.py"));
            let files = [
                (module.as_str(), text),
                (test.as_str(), "x = 1\n"),
                ("bin/tool.py", "tool = 1\n"),
            ];
            wheel(&sandbox.path("app/wheels"), name, "py3-none-any", &files)
        });
    sandbox.write("app/pylock.toml", &lock(&wheels.collect::<Vec<_>>()));
}

/// What a build said of the wheels that it compiled, how many compilers it started, and the digest.
fn compile(sandbox: &Sandbox, options: &[&str], hash_seed: &str) -> (Vec<String>, usize, String) {
    let _ = fs_err::remove_file(sandbox.path("starts"));
    let path = format!(
        "{}:{}",
        sandbox.path("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = sandbox.pyoci();
    command
        .args([
            "build",
            "app",
            "--base",
            "oci:base:base",
            "-o",
            "image",
            "--compile",
            "-v",
        ])
        .args(options)
        .env("PATH", path)
        .env("PYTHONHASHSEED", hash_seed);
    let done = run(&mut command).succeeded();
    let lines = done.stderr.lines().filter(|line| line.ends_with(", compiled"));
    let name = |line: &str| {
        line.split("byte-code of ")
            .nth(1)
            .unwrap()
            .split('-')
            .next()
            .unwrap()
            .to_owned()
    };
    let starts = fs_err::read_to_string(sandbox.path("starts")).unwrap_or_default();
    (lines.map(name).collect(), starts.lines().count(), done.stdout)
}

#[test]
fn only_the_wheel_that_changed_is_compiled_and_the_image_is_that_of_an_empty_cache() {
    let (first, changed) = (
        ["a = {1, 2}\n", "b = 2\n", "c = 3\n"],
        ["a = {1, 2}\n", "b = {'x', 'y'}\n", "c = 3\n"],
    );
    let sandbox = with_a_recorded_python();
    write_project(&sandbox, first);
    let (compiled, starts, before) = compile(&sandbox, &[], "1");
    assert_eq!((compiled.len(), starts), (3, 1));
    assert_eq!(compile(&sandbox, &[], "2"), (vec![], 0, before.clone()));

    write_project(&sandbox, changed);
    let (compiled, starts, after) = compile(&sandbox, &[], "3");
    assert_eq!((compiled, starts), (vec!["two".to_owned()], 1));
    assert_ne!(after, before);
    let cold = with_a_recorded_python();
    write_project(&cold, changed);
    assert_eq!(compile(&cold, &[], "random").2, after);

    // Other files of the same wheels in another layer: nothing is compiled for it, in one layer or in several.
    let (compiled, starts, excluded) = compile(&sandbox, &["--exclude", "*/tests/**"], "1");
    assert_eq!((compiled, starts), (vec![], 0));
    assert_ne!(excluded, after);
    let (compiled, starts, _) = compile(&sandbox, &["--exclude", "bin/*", "--layers", "groups"], "1");
    // `bin/tool.py` is the first wheel's, as all three have it.
    assert_eq!((compiled, starts), (vec!["one".to_owned()], 1));
}

#[test]
fn byte_code_that_was_damaged_in_the_cache_is_made_again_and_the_image_is_the_same() {
    let sandbox = with_a_recorded_python();
    write_project(&sandbox, ["a = 1\n", "b = 2\n", "c = 3\n"]);
    let (_, _, good) = compile(&sandbox, &[], "0");
    let packs = contents(&sandbox.path("cache/pyoci/packs"));
    assert_eq!(packs.len(), 3);
    for (path, mut bytes) in packs {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs_err::remove_file(&path).unwrap();
        fs_err::write(&path, bytes).unwrap();
    }
    // The layer itself must be made again.
    fs_err::remove_dir_all(sandbox.path("cache/pyoci/blobs")).unwrap();
    let (compiled, _, again) = compile(&sandbox, &[], "0");
    assert_eq!((compiled.len(), again), (3, good));
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn sources_of_any_encoding_have_byte_code_by_the_interpreter_of_the_base() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "app/main.py",
        "import os, japanese, latin\nprint([os.path.exists(m.__cached__) for m in (japanese, latin)])\n",
    );
    let files = [
        ("japanese.py", "# -*- coding: shift_jis -*-\nx = 1\n"),
        ("latin.py", "# -*- coding: iso-8859-15 -*-\ne = 'e'\n"),
    ];
    let wheels = [wheel(
        &sandbox.path("app/wheels"),
        "encodings",
        "py3-none-any",
        &files,
    )];
    sandbox.write("app/pylock.toml", &lock(&wheels));
    let image = sandbox.build("app", &["--compile"]);
    assert_eq!(Podman::new().output(&image, &[], &[]), "[True, True]\n");
}
