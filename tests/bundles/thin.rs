//! Thin bundles: what they install when they first start.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use super::{bundle, system_python};
use crate::support::{Run, Sandbox, run};

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
