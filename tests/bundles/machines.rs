//! Bundles in a Debian that has `python3-minimal` and nothing else, and for machines other than this one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{bundle, unpack};
use crate::support::{Sandbox, is_root, run};

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
