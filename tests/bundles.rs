//! `pyoci bundle`: directories and archives that run where there is `python3`; on this machine, and in a Debian that has
//! nothing else.
#![allow(
    clippy::unwrap_used,
    reason = "what the test itself cannot do is a failure of the test"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{self, Run, Sandbox, is_root, run};

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

/// A Debian with `python3-minimal`, what it depends on, a shell, and nothing else; made once.
fn debian() -> PathBuf {
    assert!(is_root(), "only root can chroot: run this test as root");
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trixie-python3-minimal");
    let lock = fs_err::File::create(root.with_extension("lock")).unwrap();
    lock.file().lock().unwrap();
    if !root.exists() {
        let making = root.with_extension("making");
        let _ = fs_err::remove_dir_all(&making);
        run(Command::new("mmdebstrap")
            .args(["--variant=extract", "--mode=root"])
            .arg("--include=python3-minimal,dash,coreutils,base-files")
            .arg("trixie")
            .arg(&making))
        .succeeded();
        fs_err::rename(&making, &root).unwrap();
    }
    root
}

/// A place in the Debian for one test.
struct Machine {
    root: PathBuf,
    place: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let root = debian();
        let opt = root.join("opt");
        fs_err::create_dir_all(&opt).unwrap();
        let place = tempfile::Builder::new().prefix("a b ").tempdir_in(opt).unwrap();
        fs_err::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { root, place }
    }

    fn output(&self, name: &str) -> String {
        self.place.path().join(name).display().to_string()
    }

    /// `NAME/run`, to be started in the Debian.
    fn start(&self, name: &str) -> Command {
        let inside = self.place.path().strip_prefix(&self.root).unwrap();
        let mut command = Command::new("chroot");
        command
            .arg(&self.root)
            .arg(Path::new("/").join(inside).join(name).join("run"))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }
}

#[test]
#[ignore = "needs root, the network and what tests/setup.sh installs"]
fn script_runs_in_a_debian_with_python3_minimal_alone() {
    let sandbox = Sandbox::new();
    let machine = Machine::new();
    sandbox.example("script");
    bundle(&sandbox, "script", &machine.output("directory"), &[]).succeeded();
    for ending in ["tar.gz", "tar.zst"] {
        let archive = sandbox.path(&format!("script.{ending}"));
        bundle(&sandbox, "script", archive.to_str().unwrap(), &[]).succeeded();
        unpack(&archive, Path::new(&machine.output(ending)));
    }
    let document = "name: 'two  words'\n\"quo'ted\": 1\n";
    for name in ["directory", "tar.gz", "tar.zst"] {
        let said = run(machine.start(name).args(["get", "name", document])).succeeded();
        assert_eq!(said.stdout, "two  words\n", "{name}");
        let said = run(machine
            .start(name)
            .args(["get", "quo'ted", document])
            .env("PYTHONPATH", "/x"))
        .succeeded();
        assert_eq!(said.stdout, "1\n", "{name}");
        assert!(
            run(machine.start(name).arg("get"))
                .failed_with(1)
                .stderr
                .contains("Usage:")
        );
    }
}

#[test]
#[ignore = "needs root, the network and what tests/setup.sh installs"]
fn a_bundle_for_others_says_so_in_one_line() {
    let sandbox = Sandbox::new();
    let machine = Machine::new();
    sandbox.example("script");
    let arm = if cfg!(target_arch = "aarch64") {
        "linux/amd64"
    } else {
        "linux/arm64"
    };
    for (name, options, words) in [
        (
            "minor",
            ["--python", "3.12"],
            "is Python 3.13, but the packages are for Python 3.12",
        ),
        ("cpu", ["--platform", arm], "this machine is "),
    ] {
        bundle(&sandbox, "script", &machine.output(name), &options).succeeded();
        let refused = run(machine.start(name).args(["get", "a", "a: 1"])).failed_with(1);
        assert!(refused.stderr.contains(words), "{refused:?}");
        assert_eq!((refused.stderr.lines().count(), &*refused.stdout), (1, ""));
    }
    bundle(&sandbox, "script", &machine.output("thin"), &["--thin"]).succeeded();
    let refused = run(machine.start("thin").args(["get", "a", "a: 1"])).failed_with(1);
    assert!(
        refused.stderr.contains("install pip (Debian: python3-pip)"),
        "{refused:?}"
    );
    assert_eq!(refused.stderr.lines().count(), 1);
}

/// The interpreter that `python3` stands for.
fn system_python() -> String {
    let mut command = Command::new("python3");
    command.args(["-c", "import sys; print(sys.executable)"]);
    run(&mut command).succeeded().stdout.trim().to_owned()
}

#[test]
#[ignore = "needs root, the network and what tests/setup.sh installs"]
fn thin_bundles_install_once_or_not_at_all() {
    let sandbox = Sandbox::new();
    sandbox.example("script");
    let python = system_python();
    bundle(
        &sandbox,
        "script",
        "thin",
        &["--thin", "--target-python", &python],
    )
    .succeeded();
    let names = || {
        let entries = fs_err::read_dir(sandbox.path("thin")).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let before = names();
    assert_eq!(before, ["app", "built", "requirements.txt", "run"]);
    let start = || {
        let mut command = Command::new(sandbox.path("thin/run"));
        command.args(["get", "a", "a: 1"]);
        command
    };
    let refused = |run: Run, words: &str| {
        let run = run.failed_with(1);
        let last = run.stderr.lines().last().unwrap().to_owned();
        assert!(
            last.starts_with("run: cannot install the packages: ") && last.contains(words),
            "{run:?}"
        );
        assert_eq!(names(), before);
    };
    let mut alone = Command::new("unshare");
    alone
        .arg("--net")
        .arg(sandbox.path("thin/run"))
        .args(["get", "a", "a: 1"]);
    refused(run(&mut alone), "the package index cannot be reached");
    // Another user, who may read everything.
    fs_err::set_permissions(sandbox.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    let system = ["--thin", "--target-python", "/usr/bin/python3"];
    bundle(&sandbox, "script", "closed", &system).succeeded();
    let mut nobody = Command::new("setpriv");
    nobody
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(sandbox.path("closed/run"))
        .args(["get", "a", "a: 1"])
        .env("PYOCI_PYTHON", "/usr/bin/python3");
    let said = run(&mut nobody).failed_with(1).stderr;
    let closed = fs_err::canonicalize(sandbox.path("closed")).unwrap();
    let expected = format!("no permission to write to {}\n", closed.display());
    assert_eq!(said, format!("run: cannot install the packages: {expected}"));
    assert!(!closed.join("python_deps").exists());
    let children: Vec<_> = (0..4)
        .map(|_| {
            start()
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut told = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.stdout, b"1\n", "{output:?}");
        told += usize::from(String::from_utf8_lossy(&output.stderr).contains("first start: installing"));
    }
    assert_eq!(told, 1, "it was installed {told} times");
    assert_eq!(
        names(),
        ["app", "built", "python_deps", "requirements.txt", "run"]
    );
}

#[test]
#[ignore = "needs root, the network and what tests/setup.sh installs"]
fn what_was_installed_for_another_lock_is_replaced() {
    let sandbox = Sandbox::new();
    let python = system_python();
    let start = |name: &str| {
        let mut command = Command::new(sandbox.path(name).join("run"));
        assert_eq!(run(command.args(["get", "a", "a: 1"])).succeeded().stdout, "1\n");
    };
    sandbox.example("script");
    let options = ["--thin", "--target-python", &python];
    bundle(&sandbox, "script", "thin", &options).succeeded();
    start("thin");
    sandbox.write("script/requirements.txt", "docopt==0.6.2\nPyYAML==6.0.2\n");
    bundle(&sandbox, "script", "next", &options).succeeded();
    fs_err::rename(sandbox.path("thin/python_deps"), sandbox.path("next/python_deps")).unwrap();
    start("next");
    let new = sandbox.path("next/python_deps");
    let versions: Vec<_> = fs_err::read_dir(new)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    let has = |name: &str| {
        versions
            .iter()
            .any(|v| v.to_string_lossy().to_lowercase() == name)
    };
    assert!(
        has("pyyaml-6.0.2.dist-info") && !has("pyyaml-6.0.3.dist-info"),
        "{versions:?}"
    );
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
