//! `pyoci bundle`: directories and archives that run where there is `python3`; on this machine, and in a Debian that has
//! nothing else.
#![allow(
    clippy::unwrap_used,
    reason = "what the test itself cannot do is a failure of the test"
)]

mod machines;
mod thin;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{self, Run, Sandbox, run};

/// Says all that it is given.
const ECHO: &str =
    "import os, sys\nprint(sys.argv[1:], os.environ.get('PYTHONPATH'), os.getcwd(), sep='\\n')\n";

fn bundle(sandbox: &Sandbox, project: &str, output: &str, options: &[&str]) -> Run {
    let mut arguments = vec!["bundle", project, "-o", output];
    arguments.extend(options);
    sandbox.run(&arguments)
}

/// A project of one file that takes any Python.
fn echo(sandbox: &Sandbox) -> PathBuf {
    sandbox.write("echo/main.py", ECHO);
    bundle(sandbox, "echo", "out", &[]).succeeded();
    sandbox.path("out")
}

fn unpack(archive: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    run(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(to)).succeeded();
}

/// Path, mode, date and content of all that is in a directory.
fn listing(directory: &Path) -> BTreeMap<String, (u32, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs_err::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs_err::symlink_metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                open.push(path.clone());
                Vec::new()
            } else {
                fs_err::read(&path).unwrap()
            };
            let name = path.strip_prefix(directory).unwrap().display().to_string();
            all.insert(name, (metadata.mode(), metadata.mtime(), content));
        }
    }
    all
}

/// The interpreter that `python3` stands for.
fn system_python() -> String {
    let mut command = Command::new("python3");
    command.args(["-c", "import sys; print(sys.executable)"]);
    run(&mut command).succeeded().stdout.trim().to_owned()
}

#[test]
fn arguments_pass_untouched_from_any_directory_through_links_and_with_blanks_in_the_path() {
    let sandbox = Sandbox::new();
    let out = echo(&sandbox);
    let strange = sandbox.path("a 'b'\n$c");
    fs_err::rename(&out, &strange).unwrap();
    let link = sandbox.path("link");
    std::os::unix::fs::symlink("to run", &link).unwrap();
    std::os::unix::fs::symlink(strange.join("run"), sandbox.path("to run")).unwrap();
    let arguments = ["a b", "", "'\"$HOME\\", "x\ny\n", "-c", "--expand=1", "*"];
    let place = sandbox.path("");
    for (program, directory) in [
        (strange.join("run"), Path::new("/")),
        (link, Path::new("/usr")),
        (PathBuf::from("./run"), &*strange),
        (PathBuf::from("./to run"), &*place),
    ] {
        let said = run(Command::new(&program)
            .args(arguments)
            .current_dir(directory)
            .env("PYTHONPATH", "/kept:/too"))
        .succeeded()
        .stdout;
        let here = fs_err::canonicalize(&strange).unwrap().display().to_string();
        let expected = format!(
            "['a b', '', '\\'\"$HOME\\\\', 'x\\ny\\n', '-c', '--expand=1', '*']\n\
             {here}/app/.pyoci/site:/kept:/too:{here}/python_deps\n{}\n",
            fs_err::canonicalize(directory).unwrap().display()
        );
        assert_eq!(said, expected, "{}", program.display());
    }
}

#[test]
fn the_app_replaces_the_script_so_that_its_status_and_signals_are_its_own() {
    let sandbox = Sandbox::new();
    let source = "import os, sys, time\nif sys.argv[1] == 'exit':\n    sys.exit(int(sys.argv[2]))\n\
                  print(os.getpid(), flush=True)\ntime.sleep(60)\n";
    sandbox.write("app/main.py", source);
    bundle(&sandbox, "app", "out", &[]).succeeded();
    let start = || Command::new(sandbox.path("out/run"));
    run(start().args(["exit", "37"])).failed_with(37);
    let mut child = start().arg("sleep").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    assert_eq!(
        line.trim(),
        child.id().to_string(),
        "another process than the one that was started"
    );
    run(Command::new("kill").args(["-TERM", line.trim()])).succeeded();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[test]
fn a_bundle_is_the_same_twice_anywhere() {
    let sandbox = Sandbox::new();
    sandbox.write("one/echo/main.py", ECHO);
    sandbox.write("two/deeper/echo/main.py", ECHO);
    for (project, name, umask, zone) in [
        ("one/echo", "first", "022", "UTC"),
        ("two/deeper/echo", "second", "077", "Asia/Tokyo"),
    ] {
        for output in [
            name.to_owned(),
            format!("{name}.tar.gz"),
            format!("{name}.tar.zst"),
        ] {
            let pyoci = sandbox.pyoci();
            let mut shell = Command::new("sh");
            shell
                .arg("-c")
                .arg(format!("umask {umask}; exec \"$@\""))
                .arg("sh")
                .arg(pyoci.get_program())
                .args(["bundle", project, "-q", "-o", &output])
                .env_clear()
                .envs(pyoci.get_envs().filter_map(|(name, value)| Some((name, value?))))
                .env("TZ", zone)
                .current_dir(sandbox.path(""));
            assert_eq!(
                run(&mut shell).succeeded().stdout,
                format!("{}\n", sandbox.path(&output).display())
            );
        }
    }
    let read = |name: &str| fs_err::read(sandbox.path(name)).unwrap();
    assert!(read("first.tar.gz") == read("second.tar.gz"));
    assert!(read("first.tar.zst") == read("second.tar.zst"));
    let directory = listing(&sandbox.path("first"));
    assert_eq!(directory, listing(&sandbox.path("second")));
    for archive in ["first.tar.gz", "first.tar.zst"] {
        let to = sandbox.path(&format!("{archive}.d"));
        unpack(&sandbox.path(archive), &to);
        assert_eq!(listing(&to), directory, "{archive}");
    }
    let dates: Vec<i64> = directory.values().map(|(_, date, _)| *date).collect();
    assert!(dates.iter().all(|date| *date == 315_532_800), "{dates:?}");
}

#[test]
fn a_bundle_is_replaced_as_a_whole_and_nothing_else_is() {
    let sandbox = Sandbox::new();
    let out = echo(&sandbox);
    fs_err::write(out.join("app/old.txt"), "of the app").unwrap();
    sandbox.write("echo/main.py", "print('new')\n");
    bundle(&sandbox, "echo", "out/", &[]).succeeded();
    assert_eq!(
        run(&mut Command::new(out.join("run"))).succeeded().stdout,
        "new\n"
    );
    assert!(!out.join("app/old.txt").exists());
    sandbox.write("mine/run", "#!/bin/sh\n# mine\n");
    fs_err::write(out.join("notes"), "mine").unwrap();
    sandbox.write("file", "mine");
    std::os::unix::fs::symlink("out", sandbox.path("link")).unwrap();
    for (output, reason) in [
        ("mine", "it has no `run` that pyoci made"),
        ("out", "it has notes"),
        ("file", "it is no directory"),
        ("link", "it is a link"),
    ] {
        let refused = bundle(&sandbox, "echo", output, &[]).failed_with(1);
        assert!(refused.stderr.contains(reason), "{refused:?}");
    }
    let names: Vec<_> = fs_err::read_dir(sandbox.path(""))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    let left = names
        .iter()
        .any(|name| name.to_string_lossy().contains(".pyoci-"));
    assert!(!left, "{names:?}");
}

#[test]
fn nothing_is_written_by_a_dry_run_and_json_says_what_is_needed() {
    let sandbox = Sandbox::new();
    sandbox.write("echo/main.py", ECHO);
    let text = sandbox.run(&["bundle", "echo", "--dry-run"]).succeeded();
    assert_eq!(text.stdout, "");
    assert!(
        text.stderr.contains("Needs Python 3.7 or later, any CPU"),
        "{text:?}"
    );
    let json = bundle(&sandbox, "echo", "out", &["--dry-run", "--format", "json"]).succeeded();
    assert!(!sandbox.path("out").exists());
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        json["needs"]["python"],
        serde_json::json!({ "first": "3.7", "last": null })
    );
    assert_eq!(json["start"]["directory"], "caller");
    let refused = sandbox.run(&["bundle", "echo"]).failed_with(1);
    assert!(
        refused.stderr.contains("hint: pyoci bundle -o app/"),
        "{refused:?}"
    );
}

#[test]
fn a_password_in_a_file_of_the_app_is_in_no_bundle() {
    let sandbox = Sandbox::new();
    sandbox.write("echo/main.py", ECHO);
    sandbox.write("echo/notes.txt", "the password is Tr0ub4dor-and-3\n");
    for output in ["out", "out.tar.gz", "out.tar.zst"] {
        let index = "https://me:Tr0ub4dor-and-3@localhost:9/simple";
        let refused = run(sandbox
            .pyoci()
            .args(["bundle", "echo", "-o", output])
            .env("PIP_INDEX_URL", index))
        .failed_with(1);
        assert!(refused.stderr.contains("notes.txt"), "{refused:?}");
        assert!(!refused.stderr.contains("Tr0ub4dor"), "{refused:?}");
        assert!(!sandbox.path(output).exists(), "{output}");
    }
}

#[test]
fn variables_expand_and_the_directory_is_the_one_that_was_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "app/main.py",
        "import os, sys\nprint(sys.argv[1:], os.environ['A'], os.environ['B'], os.getcwd())\n",
    );
    let command = "B=\"x $A\" python3 main.py ${PORT:-80} '$$HOME'";
    let options = ["--entrypoint", command, "--env", "A=it's", "--cwd", "app"];
    bundle(&sandbox, "app", "out", &options).succeeded();
    let mut start = Command::new(sandbox.path("out/run"));
    let app = fs_err::canonicalize(sandbox.path("out/app")).unwrap();
    let said = run(start.arg("more").current_dir("/").env("PORT", "8080"))
        .succeeded()
        .stdout;
    assert_eq!(
        said,
        format!("['8080', '$HOME', 'more'] it's x it's {}\n", app.display())
    );
    let said = run(start.env("A", "given").env_remove("PORT")).succeeded().stdout;
    assert_eq!(
        said,
        format!("['80', '$HOME', 'more'] given x given {}\n", app.display())
    );
}

/// What the check says with another machine under it.
fn fault(sandbox: &Sandbox, needs: &str, machine: &str) -> String {
    let site = sandbox.path("out/app/.pyoci/site");
    fs_err::write(site.join("_pyoci_needs.py"), needs).unwrap();
    let code = format!(
        "import os, sys\n{machine}\nsys.path.insert(0, sys.argv[1])\nimport _pyoci_bundle\nprint(_pyoci_bundle.fault())"
    );
    run(Command::new("python3").args(["-c", &code]).arg(site))
        .succeeded()
        .stdout
}

#[test]
fn what_the_machine_lacks_is_said_in_one_line() {
    let sandbox = Sandbox::new();
    echo(&sandbox);
    let needs = "PYTHON = (3, 7), None\nMACHINE = 'x86_64'\nLIBC = ('glibc', (2, 28))\n";
    let uname = "os.uname = lambda: type('', (), {'machine': 'aarch64'})";
    let glibc =
        "os.uname = lambda: type('', (), {'machine': 'x86_64'})\nos.confstr = lambda name: 'glibc 2.17'";
    let musl = "os.uname = lambda: type('', (), {'machine': 'x86_64'})\ndel os.confstr";
    assert_eq!(
        fault(&sandbox, needs, uname),
        "this machine is aarch64, but the packages are for x86_64\n"
    );
    assert_eq!(
        fault(&sandbox, needs, glibc),
        "this machine has glibc 2.17, but the packages need 2.28 or later\n"
    );
    assert!(fault(&sandbox, needs, musl).ends_with("runs on musl, but the packages are for glibc\n"));
    let any = "PYTHON = (3, 7), None\nMACHINE = None\nLIBC = None\n";
    assert_eq!(fault(&sandbox, any, uname), "None\n");
    fault(
        &sandbox,
        "PYTHON = (3, 99), None\nMACHINE = None\nLIBC = None\n",
        "",
    );
    let started = run(Command::new(sandbox.path("out/run")).arg("x")).failed_with(1);
    assert!(started.stderr.starts_with("run: /"), "{started:?}");
    assert!(
        started
            .stderr
            .ends_with(", but the packages are for Python 3.99 or later\n"),
        "{started:?}"
    );
    assert_eq!((started.stderr.lines().count(), &*started.stdout), (1, ""));
    let none = run(Command::new(sandbox.path("out/run")).env("PYOCI_PYTHON", "python3.98")).failed_with(127);
    assert!(
        none.stderr.starts_with("run: python3.98 is not on PATH"),
        "{none:?}"
    );
}

#[test]
fn run_is_plain_posix_shell() {
    let sandbox = Sandbox::new();
    let out = echo(&sandbox);
    for shell in [&["dash"][..], &["bash", "--posix"], &["busybox", "sh"]] {
        let Ok(probe) = Command::new(shell[0]).arg("--help").output() else {
            continue;
        };
        drop(probe);
        let said = run(Command::new(shell[0])
            .args(&shell[1..])
            .arg(out.join("run"))
            .arg("a  b"));
        assert!(said.succeeded().stdout.starts_with("['a  b']\n"), "{shell:?}");
    }
    if Command::new("shellcheck").arg("--version").output().is_ok() {
        run(Command::new("shellcheck")
            .args(["--shell", "sh"])
            .arg(out.join("run")))
        .succeeded();
    }
}

#[test]
fn the_name_of_a_variable_that_a_shell_would_run_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("echo/main.py", ECHO);
    for name in ["A}$(touch$IFS/tmp/x)", "A;reboot", "A.B", "1A", "A-B"] {
        let order = ["bundle", "echo", "-o", "out", "--env", &format!("{name}=1")];
        let failed = sandbox.run(&order).failed_with(1);
        let message = format!("error: a bundle cannot set the variable `{name}`\nhint: ");
        assert!(failed.stderr.contains(&message), "{}", failed.stderr);
        assert!(!sandbox.path("out").exists());
    }
}
#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn every_example_runs_as_a_bundle() {
    let sandbox = Sandbox::new();
    let python = system_python();
    let make = |name: &str| {
        sandbox.example(name);
        let out = format!("{name}.bundle");
        bundle(&sandbox, name, &out, &["--target-python", &python]).succeeded();
        sandbox.path(&out).join("run")
    };
    let said =
        |name: &str, arguments: &[&str]| run(Command::new(make(name)).args(arguments)).succeeded().stdout;
    assert_eq!(said("script", &["get", "a", "a: x"]), "x\n");
    assert_eq!(said("cli", &["O'Brien & \"co\""]), "hello, O'Brien & \"co\"\n");
    assert!(said("nodeps", &["", "$HOME"]).ends_with("has ['', '$HOME']\n"));
    assert_eq!(said("data", &[]), "Oslo: -1.0\nRome: 12.0\n");
    for (name, answer) in [
        ("flask", r#"{"hello":"flask"}"#),
        ("fastapi", r#"{"hello":"fastapi"}"#),
        ("django", r#"{"hello": "django"}"#),
    ] {
        let port = support::free_port();
        let mut child = Command::new(make(name))
            .env("PORT", port.to_string())
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (status, body) = support::wait_for(port, "/", || format!("{name} does not answer"));
        let _ = run(Command::new("kill").arg(child.id().to_string()));
        child.wait().unwrap();
        assert_eq!((status, body.trim()), (200, answer));
    }
}
