//! The files run under the host's Python, in a directory that stands for the image's root.

use std::fs::Permissions;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::*;
use crate::platform::Platform;
use crate::python::Libc;
use crate::tree::Kind;

/// The host's interpreter itself: a version manager's shim would not do in a first line.
fn interpreter() -> String {
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn target(interpreter: &str) -> Target {
    Target {
        platform: Platform::host(),
        libc: Libc::Glibc { major: 2, minor: 41 },
        python: (3, 13),
        python_full: None,
        interpreter: interpreter.to_owned(),
    }
}

/// The runtime files under a temporary root, with their paths moved there.
struct Image {
    directory: tempfile::TempDir,
}

impl Image {
    fn new() -> Self {
        let image = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let roots = [image.path("app/src").display().to_string()];
        for (path, entry) in tree(&target(&interpreter()), &roots).unwrap() {
            if let Kind::File(content) = &entry.kind {
                let text = String::from_utf8(content.read(1 << 20).unwrap()).unwrap();
                let file = image.write(path.as_str(), &image.moved(&text));
                fs_err::set_permissions(file, Permissions::from_mode(entry.mode)).unwrap();
            }
        }
        fs_err::create_dir_all(image.path("app/src")).unwrap();
        fs_err::create_dir_all(image.path("deps")).unwrap();
        image
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn moved(&self, text: &str) -> String {
        let root = self.directory.path().display();
        text.replace("\"/deps\"", &format!("\"{root}/deps\""))
            .replace("\"/app/", &format!("\"{root}/app/"))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.path(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(&file, text).unwrap();
        file
    }

    /// The entrypoint, as a runtime calls it: with the environment of the config and nothing else.
    fn entrypoint(&self) -> Command {
        self.clean(&self.path("app/.pyoci/entrypoint"))
    }

    fn clean(&self, program: &Path) -> Command {
        let root = self.directory.path().display();
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("PYTHONPATH", format!("{root}/app/.pyoci/site:{root}/deps"))
            .current_dir(self.path("app"));
        command
    }

    /// Runs Python code under the entrypoint; gives its output with the root left out.
    fn python(&self, code: &str) -> String {
        let mut command = self.entrypoint();
        self.text(command.args([&interpreter(), "-c", code]))
    }

    fn text(&self, command: &mut Command) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = output(command);
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success() && stderr.is_empty(), "{status} {stderr}");
        let text = String::from_utf8(stdout).unwrap();
        text.trim()
            .replace(&*self.directory.path().display().to_string(), "")
    }
}

/// Runs a command to its end. A script that was just written is busy (ETXTBSY) while another test's thread starts a
/// child: until that child becomes its own program it holds the descriptor that wrote the script.
fn output(command: &mut Command) -> Output {
    loop {
        match command.output() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            output => return output.unwrap(),
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn the_config_names_the_command_and_where_it_ends_only_if_it_has_variables() {
    for (command, entrypoint) in [
        ("python3 main.py", "/app/.pyoci/entrypoint python3 main.py"),
        (
            "serve -p $PORT -v",
            "/app/.pyoci/entrypoint --expand=3 serve -p $PORT -v",
        ),
        ("--expand=9 x", "/app/.pyoci/entrypoint --expand=0 --expand=9 x"),
        ("--set=9 x", "/app/.pyoci/entrypoint --expand=0 --set=0 --set=9 x"),
        (
            "A=1 B=$C run $D x",
            "/app/.pyoci/entrypoint --expand=4 --set=2 A=1 B=$C run $D x",
        ),
    ] {
        assert_eq!(entrypoint_argv(&words(command)), words(entrypoint));
        assert_eq!(command_of(&words(entrypoint)), Some(&words(command)[..]));
    }
    assert_eq!(command_of(&words("python3 main.py")), None);
}

#[test]
fn the_first_line_is_the_targets_interpreter() {
    let tree = tree(&target("/usr/bin/python3.13"), &[]).unwrap();
    let entry = tree.get("app/.pyoci/entrypoint").unwrap();
    let script = entry.content().unwrap().read(1 << 20).unwrap();
    assert!(script.starts_with(b"#!/usr/bin/python3.13 -IS\n\"\"\""));
    assert_eq!(entry.mode, 0o755);
    assert!(tree.get("app/.pyoci/site/roots").is_none());
    for bad in [
        "python3",
        "/a b/python3",
        "/a\n/python3",
        &format!("/{}", "x".repeat(255)),
    ] {
        assert!(
            matches!(super::tree(&target(bad), &[]), Err(Error::Interpreter(_))),
            "{bad}"
        );
    }
    let bad = super::tree(&target("/usr/bin/python3"), &["src".to_owned()]);
    assert!(matches!(bad, Err(Error::Root(_))));
}

#[test]
fn arguments_pass_untouched_and_only_the_command_is_expanded() {
    let image = Image::new();
    let show = image.write(
        "app/show.py",
        "import os, sys\nprint(list(map(os.fsencode, sys.argv[1:])))",
    );
    let command = [
        "$PY",
        &show.display().to_string(),
        "$PORT",
        "${HOST:-0.0.0.0}:${PORT}",
        "a$b${c}",
        "${D:-$PORT}",
    ];
    let odd = ["$$PORT", "${PORT", "$", "$1", "${:-x}", "${EMPTY:-e}", "100%$"];
    let command: Vec<_> = command.into_iter().chain(odd).map(str::to_owned).collect();
    let mut run = image.entrypoint();
    run.args(&entrypoint_argv(&command)[1..])
        .args(["$PORT", "two  words", "\"'\n", ""])
        .arg(std::ffi::OsString::from_vec(vec![0xff, b'$', b'P']))
        .envs([("PY", &*interpreter()), ("PORT", "80"), ("EMPTY", "")]);
    assert_eq!(
        image.text(&mut run),
        r"[b'80', b'0.0.0.0:80', b'a', b'80', b'$PORT', b'${PORT', b'$', b'$1', b'${:-x}', b'e', b'100%$', "
            .to_owned()
            + r#"b'$PORT', b'two  words', b'"\'\n', b'', b'\xff$P']"#
    );
}

#[test]
fn variables_before_the_program_are_set_for_it_alone() {
    let image = Image::new();
    let code = "import os, sys; print(*(os.environ[name] for name in 'ABP'), *sys.argv[1:])";
    let command = [
        "A=1",
        "B=${A}2",
        "P=${Q:-${PORT:-7}}",
        &interpreter(),
        "-c",
        code,
        "$A",
    ];
    let command: Vec<_> = command.map(str::to_owned).into();
    let mut run = image.entrypoint();
    run.args(&entrypoint_argv(&command)[1..]).args(["X=1", "$A"]);
    assert_eq!(image.text(&mut run), "1 12 7  X=1 $A");
}

#[test]
fn what_the_user_passes_as_pythonpath_is_kept_in_the_middle() {
    let image = Image::new();
    let root = image.directory.path().display().to_string();
    let ours = format!("{root}/app/.pyoci/site:{root}/deps");
    for (passed, expected) in [
        (String::new(), "/app/.pyoci/site:/deps"),
        (ours.clone(), "/app/.pyoci/site:/deps"),
        ("/more:/even".to_owned(), "/app/.pyoci/site:/more:/even:/deps"),
        (format!("/more:{ours}"), "/app/.pyoci/site:/more:/deps"),
    ] {
        let mut run = image.entrypoint();
        run.args(["sh", "-c", "echo \"$PYTHONPATH\""])
            .env("PYTHONPATH", passed);
        assert_eq!(image.text(&mut run), expected);
    }
}

#[test]
fn a_command_that_cannot_run_is_one_line_and_the_status_of_a_shell() {
    let image = Image::new();
    image.write("app/plain", "");
    let orphan = image.write("app/orphan", "#!/no/such/python\n");
    fs_err::set_permissions(orphan, Permissions::from_mode(0o755)).unwrap();
    for (command, status, line) in [
        (
            "nope",
            127,
            "cannot run `nope`: not found in PATH (/usr/local/bin:/usr/bin:/bin)",
        ),
        ("/no/such", 127, "cannot run `/no/such`: no such file"),
        (
            "./plain",
            126,
            "cannot run `./plain`: Permission denied (./plain)",
        ),
        (
            "./orphan",
            127,
            "cannot run `./orphan`: ./orphan is there, but the interpreter in its first line is not",
        ),
        ("", 127, "the image has no start command"),
    ] {
        let output = output(image.entrypoint().arg(command));
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            format!("pyoci: {line}\n")
        );
        assert_eq!(output.status.code(), Some(status), "{command}");
    }
}

#[test]
fn the_command_starts_with_default_signals_and_no_extra_descriptors() {
    let image = Image::new();
    // Only what the shell does itself: while it starts another program its signals are blocked.
    let state = "while read -r line; do case $line in SigIgn*|SigBlk*) echo $line;; esac; done </proc/$$/status; \
                 cd /proc/$$/fd; echo *";
    let with = image.text(image.entrypoint().args(["sh", "-c", state]));
    let without = image.text(image.clean(Path::new("/bin/sh")).args(["-c", state]));
    assert_eq!(with, without);
}

#[test]
fn dependencies_come_after_the_standard_library_and_their_pth_files_run() {
    let image = Image::new();
    for name in ["typing", "enum", "uuid", "signal", "types"] {
        image.write(
            &format!("deps/{name}/__init__.py"),
            "raise SystemError('not the standard one')",
        );
    }
    image.write("deps/extra/more.py", "");
    image.write("deps/a.pth", "extra\nimport sys; sys.pth_ran = True\n");
    let path = image.python(
        "import sys, typing, enum, uuid, signal, more; assert sys.pth_ran\n\
         print(*['LIB' if 'lib-dynload' in p else 'BASE' if '-packages' in p else p for p in sys.path if p])",
    );
    let path: Vec<_> = path.split(' ').filter(|p| !p.contains("/python3")).collect();
    assert_eq!(
        path[..5],
        ["/app/.pyoci/site", "LIB", "/app/src", "/deps", "/deps/extra"],
        "{path:?}"
    );
    assert!(path[5..].iter().all(|entry| *entry == "BASE"), "{path:?}");
}

#[test]
fn child_processes_of_every_start_method_see_the_dependencies() {
    let image = Image::new();
    image.write("deps/needed.py", "VALUE = 7");
    let code = "import multiprocessing as m, needed, subprocess, sys\n\
                def f(q):\n    import needed\n    q.put(needed.VALUE)\n\
                if __name__ == '__main__':\n    for method in ('fork', 'spawn', 'forkserver'):\n        \
                c = m.get_context(method); q = c.Queue(); p = c.Process(target=f, args=(q,)); p.start()\n        \
                print(q.get(timeout=60)); p.join()\n    \
                for flags in ('-s', '-S', '-u'):\n        \
                print(subprocess.check_output([sys.executable, flags, '-c', 'import needed; print(needed.VALUE)']))\n";
    let script = image.write("app/methods.py", code);
    let mut run = image.entrypoint();
    run.arg(interpreter()).arg(script);
    assert_eq!(
        image.text(&mut run).split_whitespace().collect::<String>(),
        "777b'7\\n'b'7\\n'b'7\\n'"
    );
}

#[test]
fn a_shadowed_sitecustomize_runs_once_and_one_that_shadows_ours_loses_nothing() {
    let image = Image::new();
    image.write(
        "tracer/sitecustomize.py",
        "import sys; sys.traced = getattr(sys, 'traced', 0) + 1",
    );
    image.write(
        "deps/a.pth",
        "import sys; sys.pth_ran = getattr(sys, 'pth_ran', 0) + 1\n",
    );
    image.write("app/src/own.py", "");
    let code = "import sys, own; print(sys.traced, sys.pth_ran)";
    let tracer = image.path("tracer").display().to_string();
    let mut run = image.entrypoint();
    run.args([&interpreter(), "-c", code]).env("PYTHONPATH", &tracer);
    assert_eq!(image.text(&mut run), "1 1");
    let ours = format!(
        "{tracer}:{0}/app/.pyoci/site:{0}/deps",
        image.directory.path().display()
    );
    let mut run = image.clean(Path::new(&interpreter()));
    assert_eq!(image.text(run.args(["-c", code]).env("PYTHONPATH", ours)), "1 1");
}

#[test]
fn a_fault_at_start_is_one_line_and_the_program_goes_on() {
    let image = Image::new();
    image.write("tracer/sitecustomize.py", "raise ValueError('first\\nsecond')");
    let mut run = image.entrypoint();
    run.args([&interpreter(), "-c", "print('went on')"])
        .env("PYTHONPATH", image.path("tracer"));
    let output = output(&mut run);
    assert_eq!(output.stdout, b"went on\n");
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "pyoci: run_shadowed: ValueError: first second\n"
    );
}

#[test]
fn pid_1_ends_on_sigterm_with_finally_and_output_and_its_forks_die_of_it() {
    let image = Image::new();
    // The files cannot be PID 1 in a test without namespaces, so the process is told that it is.
    let code = "import os, signal, sys, time\n\
                child = os.fork()\n\
                if not child:\n    time.sleep(60); os._exit(1)\n\
                os.kill(child, signal.SIGTERM); print('child', os.waitpid(child, 0)[1])\n\
                try:\n    print('up', end=' '); os.kill(os.getpid_(), signal.SIGTERM); time.sleep(60)\n\
                finally:\n    print('finally')\n";
    let first = "import os; os.getpid_ = os.getpid; os.getpid = lambda: 1";
    let runtime = fs_err::read_to_string(image.path("app/.pyoci/site/_pyoci_runtime.py")).unwrap();
    image.write(
        "app/.pyoci/site/_pyoci_runtime.py",
        &runtime.replacen("import os\n", &format!("{first}\n"), 1),
    );
    let mut run = image.entrypoint();
    let output = output(run.args([&interpreter(), "-c", code]));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "child 15\nup finally\n"
    );
    assert_eq!(output.status.code(), Some(143));
}
