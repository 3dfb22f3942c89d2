//! What a running container does: user, read-only root, PYTHONPATH, arguments, stopping, .pth files, children.

use crate::support::{Built, Podman, Sandbox};

/// A project whose program tells about itself, or runs the code that it is given.
fn build(sandbox: &Sandbox, requirements: &str, program: &str, options: &[&str]) -> Built {
    sandbox.write("app/requirements.txt", requirements);
    sandbox.write("app/main.py", program);
    sandbox.build("app", options)
}

/// The program that runs its first argument.
const RUN: &str = "import sys\nexec(sys.argv.pop(1))\n";

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn it_runs_as_nonroot_on_a_read_only_root() {
    let sandbox = Sandbox::new();
    let image = build(&sandbox, "", RUN, &[]);
    let podman = Podman::new();
    let tell = "import os, pwd; print(os.getuid(), os.getgid(), os.environ['HOME'], os.environ['USER'], \
                os.path.isdir(os.environ['HOME']), os.getcwd())";
    let expected = "65532 65532 /home/nonroot nonroot True /app\n";
    assert_eq!(podman.output(&image, &[], &[tell]), expected);
    assert_eq!(podman.output(&image, &["--read-only"], &[tell]), expected);
    let temporary = "import tempfile; print(tempfile.TemporaryFile().write(b'12'))";
    assert_eq!(podman.output(&image, &["--read-only"], &[temporary]), "2\n");
    let write = "try: open('/app/x', 'w')\nexcept OSError as e: print(type(e).__name__)";
    assert_eq!(podman.output(&image, &[], &[write]), "PermissionError\n");
    assert_eq!(
        podman.output(
            &image,
            &["--user", "4711:4711"],
            &["import os; print(os.getuid())"]
        ),
        "4711\n"
    );
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_passed_pythonpath_stands_between_ours() {
    let sandbox = Sandbox::new();
    let image = build(&sandbox, "six==1.17.0\n", RUN, &[]);
    let podman = Podman::new();
    let tell = "import os, six; print(os.environ['PYTHONPATH'], six.__file__)";
    let passed = podman.output(&image, &["-e", "PYTHONPATH=/more"], &[tell]);
    assert_eq!(passed, "/app/.pyoci/site:/more:/deps /deps/six.py\n");
    assert_eq!(
        podman.output(&image, &[], &[tell]),
        "/app/.pyoci/site:/deps /deps/six.py\n"
    );
    // An orchestrator's `command:` goes past the entrypoint; the config's Env is still there.
    let bypass = podman.output(&image, &["--entrypoint", "python3"], &["-c", tell]);
    assert_eq!(bypass, "/app/.pyoci/site:/deps /deps/six.py\n");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn arguments_arrive_exactly_and_only_the_command_is_expanded() {
    let sandbox = Sandbox::new();
    let program = "import sys\nprint(sys.argv[1:])\n";
    let image = build(
        &sandbox,
        "",
        program,
        &["--entrypoint", "python3 main.py '${NAME:-nobody}' $PORT"],
    );
    let arguments = [
        "two  words",
        "it's \"quoted\"",
        "line\nbreak",
        "$PORT",
        "",
        "ü",
        "--expand=1",
    ];
    let output = Podman::new().output(&image, &["-e", "PORT=80"], &arguments);
    let expected =
        r#"['nobody', '80', 'two  words', 'it\'s "quoted"', 'line\nbreak', '$PORT', '', 'ü', '--expand=1']"#;
    assert_eq!(output, format!("{expected}\n"));
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_missing_command_is_one_line_and_127() {
    let sandbox = Sandbox::new();
    let image = build(&sandbox, "", "", &["--entrypoint", "no-such-program"]);
    let run = Podman::new().run(&image, &[], &[]).failed_with(127);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(
        run.stderr.starts_with("pyoci: cannot run `no-such-program`"),
        "{}",
        run.stderr
    );
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn podman_stop_is_quick_and_finally_runs_and_no_output_is_lost() {
    let sandbox = Sandbox::new();
    let program = "import sys, time\ntry:\n    print('up', end=' ')\n    time.sleep(60)\n\
                   finally:\n    print('finally', end=' ')\n    sys.stderr.write('last words')\n";
    let image = build(&sandbox, "", program, &[]);
    let podman = Podman::new();
    // Buffered output is what an unhandled signal would lose.
    let container = podman.start(&image, &["-e", "PYTHONUNBUFFERED="], &[]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let took = container.stop();
    let logs = container.logs();
    assert!(
        logs.contains("up finally") && logs.contains("last words"),
        "{logs:?}"
    );
    assert_eq!(container.exit_status(), "143");
    assert!(took.as_secs_f64() < 1.0, "podman stop took {took:?}");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn pth_files_of_setuptools_and_coverage_are_honoured() {
    let sandbox = Sandbox::new();
    let image = build(&sandbox, "setuptools==80.9.0\ncoverage==7.13.0\n", RUN, &[]);
    let podman = Podman::new();
    let hack =
        "import sys; print('_distutils_hack' in sys.modules); import distutils; print(distutils.__file__)";
    assert_eq!(
        podman.output(&image, &[], &[hack]),
        "True\n/deps/setuptools/_distutils/__init__.py\n"
    );
    let child = "import subprocess, sys; open('/tmp/c.py', 'w').write('print(1)'); \
                 subprocess.run([sys.executable, '/tmp/c.py'], check=True); \
                 import os; print([f for f in os.listdir('/tmp') if f.startswith('.coverage')] != [])";
    sandbox.write("rc", "");
    let options = [
        "-e",
        "COVERAGE_PROCESS_START=/dev/null",
        "-e",
        "COVERAGE_FILE=/tmp/.coverage",
    ];
    assert_eq!(podman.output(&image, &options, &[child]), "1\nTrue\n");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn every_kind_of_child_sees_the_dependencies() {
    let sandbox = Sandbox::new();
    let program = "import multiprocessing as m, os, subprocess, sys\n\
                   def f(q):\n    import six\n    q.put(six.__file__)\n\
                   if __name__ == '__main__':\n    for method in ('fork', 'spawn', 'forkserver'):\n        \
                   c = m.get_context(method); q = c.Queue(); p = c.Process(target=f, args=(q,))\n        \
                   p.start(); print(q.get(timeout=60)); p.join()\n    \
                   for command in (['python3'], [sys.executable], ['python3', '-P'], ['python3', '-s'], ['python3', '-S']):\n        \
                   print(subprocess.check_output(command + ['-c', 'import six; print(six.__file__)'], text=True), end='')\n    \
                   print(os.popen('true').close() if os.path.exists('/bin/sh') else None)\n";
    let image = build(&sandbox, "six==1.17.0\n", program, &[]);
    let output = Podman::new().output(&image, &[], &[]);
    assert_eq!(output, "/deps/six.py\n".repeat(8) + "None\n");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn distributions_named_like_the_standard_library_do_not_break_it() {
    let sandbox = Sandbox::new();
    let requirements = "enum34==1.1.10\nuuid==1.30\ntyping==3.10.0.0\ndataclasses==0.8\npathlib==1.0.1\n";
    let tell = "import enum, uuid, typing, dataclasses, pathlib, re, json, asyncio\n\
                print([m.__name__ for m in (enum, uuid, typing, dataclasses, pathlib) if '/deps' in m.__file__])\n";
    let image = build(&sandbox, requirements, tell, &[]);
    assert_eq!(Podman::new().output(&image, &[], &[]), "[]\n");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn what_is_open_takes_new_files_and_keeps_the_projects_own() {
    let sandbox = Sandbox::new();
    sandbox.write("app/data/kept.txt", "kept");
    let image = build(&sandbox, "", RUN, &["--writable", "."]);
    let program = "import os\n\
        open('new.db', 'w').write('1')\n\
        os.makedirs('data/logs')\n\
        open('data/logs/x', 'w').close()\n\
        for change in (lambda: open('data/kept.txt', 'w'), lambda: os.remove('main.py'), \
                       lambda: os.rename('data', 'other'), lambda: open('.pyoci/site/x.py', 'w')):\n\
        \x20   try: change()\n\
        \x20   except PermissionError as error: print(error.strerror)\n";
    let refused = "Permission denied\nOperation not permitted\nOperation not permitted\nPermission denied\n";
    assert_eq!(Podman::new().output(&image, &[], &[program]), refused);
}
