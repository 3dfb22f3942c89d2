//! `pyoci bundle -o NAME.deb`: installed, upgraded, removed and purged in a Debian system of its own; read by dpkg's own
//! tools, apt, lintian and systemd.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{self, Run, Sandbox, run};
use serde_json::Value;

/// Debian with `python3` and apt, made once and kept; its Python is 3.11.
const SUITE: &str = "bookworm";
const PYTHON: [&str; 2] = ["--python", "3.11"];

/// A Debian system in a directory.
struct System {
    root: PathBuf,
    /// Removed with the value.
    _directory: tempfile::TempDir,
}

impl System {
    #[track_caller]
    fn new() -> Self {
        assert!(
            support::is_root(),
            "only root can install packages: run this test as root"
        );
        let archive = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{SUITE}-python3.tar"));
        {
            // Also between processes: some runners give each test its own.
            let making = fs_err::File::create(archive.with_extension("lock")).unwrap();
            making.file().lock().unwrap();
            if !archive.exists() {
                let beside = archive.with_extension("new.tar");
                run(Command::new("mmdebstrap")
                    .args(["--variant=apt", "--include=python3", SUITE])
                    .arg(&beside))
                .succeeded();
                fs_err::rename(beside, &archive).unwrap();
            }
        }
        let directory = tempfile::Builder::new().prefix("pyoci-deb-").tempdir().unwrap();
        let root = directory.path().join("root");
        fs_err::create_dir(&root).unwrap();
        run(Command::new("tar")
            .args(["--exclude=./dev/*", "-xf"])
            .arg(&archive)
            .arg("-C")
            .arg(&root))
        .succeeded();
        // No device: whoever may not make one can still run this.
        fs_err::write(root.join("dev/null"), "").unwrap();
        Self {
            root,
            _directory: directory,
        }
    }

    /// A command in it, with nothing of this machine's environment.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("chroot");
        command
            .arg(&self.root)
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("HOME", "/root");
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Run {
        run(self.command(program).args(arguments))
    }

    /// Puts a package into its `/tmp`.
    fn bring(&self, package: &Path) -> String {
        let name = package.file_name().unwrap().to_str().unwrap();
        fs_err::copy(package, self.root.join("tmp").join(name)).unwrap();
        format!("/tmp/{name}")
    }

    /// All paths but for what dpkg itself and the tests change.
    fn files(&self) -> Vec<String> {
        let found = run(Command::new("find")
            .current_dir(&self.root)
            .args([".", "-path", "./tmp/*", "-prune", "-o", "-print"]));
        let changed = |path: &&str| {
            path.starts_with("./var/lib/dpkg/")
                || path.starts_with("./var/cache/")
                || path.starts_with("./var/lib/apt/")
                || path.starts_with("./var/log/")
                // dpkg removes directories that are empty and that no other package has, also this one.
                || *path == "./opt"
        };
        let mut files: Vec<String> = found
            .succeeded()
            .stdout
            .lines()
            .filter(|path| !changed(path))
            .map(str::to_owned)
            .collect();
        files.sort();
        files
    }
}

/// Makes a package of a project in the sandbox; gives its path and the report.
#[track_caller]
fn package(sandbox: &Sandbox, project: &str, output: &str, options: &[&str]) -> (PathBuf, Value) {
    let mut command = sandbox.pyoci();
    command
        .args(["bundle", project, "-o", output, "--format", "json"])
        .args(PYTHON)
        .args(options);
    let report = serde_json::from_str(&run(&mut command).succeeded().stdout).unwrap();
    (sandbox.path(output), report)
}

/// A project without packages that prints what it was given.
fn small_project(sandbox: &Sandbox, version: &str) {
    let text = format!(
        "[project]\nname = 'Small_App'\nversion = '{version}'\ndescription = 'Prints what it was given'\n\
         requires-python = '>=3.9'\nauthors = [{{ name = 'Ann', email = 'ann@example.org' }}]\n\
         urls = {{ Homepage = 'https://example.org/small' }}\n"
    );
    sandbox.write("small/pyproject.toml", &text);
    let lock = "lock-version = \"1.0\"\ncreated-by = \"test\"\npackages = []\n";
    sandbox.write("small/pylock.toml", lock);
    sandbox.write("small/settings.toml", &format!("of = '{version}'\n"));
    sandbox.write(
        "small/main.py",
        "import os, sys, pathlib\n\
         here = pathlib.Path(__file__).parent\n\
         print(sys.argv[1:], (here / 'settings.toml').read_text().strip())\n\
         sys.exit(int(os.environ.get('STATUS', 0)))\n",
    );
}

fn fields(package: &Path) -> String {
    run(Command::new("dpkg-deb").arg("--field").arg(package))
        .succeeded()
        .stdout
}

fn assert_no_lintian_error(package: &Path) {
    let found = run(Command::new("lintian")
        .args(["--allow-root", "--fail-on", "error"])
        .arg(package));
    let errors: Vec<_> = found
        .stdout
        .lines()
        .filter(|line| line.starts_with("E:"))
        .collect();
    assert!(
        errors.is_empty() && found.status == Some(0),
        "{errors:#?}\n{}",
        found.stderr
    );
}

#[track_caller]
fn assert_same(before: &[String], after: &[String]) {
    let only = |these: &[String], those: &[String]| {
        let lacking = these.iter().filter(|path| !those.contains(path));
        lacking.cloned().collect::<Vec<_>>()
    };
    let (gone, new) = (only(before, after), only(after, before));
    assert!(
        gone.is_empty() && new.is_empty(),
        "gone: {gone:#?}\nleft behind: {new:#?}"
    );
}

#[test]
fn a_package_of_pure_python_says_what_the_project_says() {
    let sandbox = Sandbox::new();
    small_project(&sandbox, "1.2rc1");
    let (file, report) = package(
        &sandbox,
        "small",
        "small.deb",
        &["--config", "settings.toml", "--offline"],
    );
    let deb = pyoci::debian::Deb::read(fs_err::File::open(&file).unwrap(), &|_| false).unwrap();
    for line in [
        "Package: small-app\nVersion: 1.2.0~rc1-1\nArchitecture: all\nMaintainer: Ann <ann@example.org>\n",
        "Depends: python3 (>= 3.9)\n",
        "Homepage: https://example.org/small\nDescription: Prints what it was given\n",
    ] {
        assert!(deb.control.contains(line), "{}", deb.control);
    }
    assert_eq!(report["form"], "deb");
    assert_eq!(report["package"]["conffiles"][0], "/etc/small-app/settings.toml");
    let link = |path: &str| format!("{:?}", deb.tree.get(path).unwrap().kind);
    assert!(link("usr/bin/small-app").contains("/opt/small-app/run"));
    assert!(link("opt/small-app/app/settings.toml").contains("/etc/small-app/settings.toml"));

    // Another umask, another directory, a dry run in between.
    run(Command::new("cp")
        .arg("-r")
        .arg(sandbox.path("small"))
        .arg(sandbox.path("elsewhere")))
    .succeeded();
    let dry = sandbox
        .run(&["bundle", "small", "-o", "dry.deb", "--dry-run", "--offline"])
        .succeeded();
    assert!(
        dry.stderr.contains("small-app 1.2.0~rc1-1 (all)") && !sandbox.path("dry.deb").exists(),
        "{}",
        dry.stderr
    );
    let pyoci = sandbox.pyoci();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "umask 077; exec \"$0\" \"$@\""])
        .arg(pyoci.get_program());
    shell.env_clear().current_dir(sandbox.path(""));
    for (name, value) in pyoci.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell.args([
        "bundle",
        "elsewhere",
        "-o",
        "deeper/other.deb",
        "--config",
        "./settings.toml",
        "--offline",
    ]);
    run(shell.args(PYTHON)).succeeded();
    assert!(fs_err::read(&file).unwrap() == fs_err::read(sandbox.path("deeper/other.deb")).unwrap());
}

#[test]
fn what_cannot_be_a_package_is_refused_before_anything_is_written() {
    let sandbox = Sandbox::new();
    small_project(&sandbox, "1.0");
    for (options, error) in [
        (
            &["-o", "x.deb", "--config", "none.toml"][..],
            "--config none.toml: the project has no such file",
        ),
        (
            &["-o", "x.deb", "--config", ".."],
            "--config ..: the project has no such file",
        ),
        (
            &["-o", "x.deb", "--prefix", "/usr/lib"],
            "--prefix /usr/lib is not a directory",
        ),
        (
            &["-o", "x.deb", "--prefix", "/opt/a b"],
            "--prefix /opt/a b is not a directory",
        ),
        (
            &["-o", "x.deb", "--prefix", "opt/x"],
            "--prefix opt/x is not a directory",
        ),
        (
            &["-o", "x.deb", "--maintainer", "Ann"],
            "`Ann` is not a maintainer",
        ),
        (
            &["-o", "x.deb", "--package-version", "one"],
            "`one` is not a version",
        ),
        (
            &["-o", "x.deb", "--thin"],
            "--thin: a Debian package brings all its files",
        ),
        (
            &["-o", "directory", "--service"],
            "--service is for Debian packages",
        ),
    ] {
        let arguments = [&["bundle", "small", "--offline"], options].concat();
        let stderr = sandbox.run(&arguments).failed_with(1).stderr;
        assert!(
            stderr.contains(&format!("error: {error}")) && stderr.contains("hint: "),
            "{stderr}"
        );
        assert!(!sandbox.path("x.deb").exists() && !sandbox.path("directory").exists());
    }
    sandbox.write("x.deb", "precious");
    let stderr = sandbox
        .run(&["bundle", "small", "--offline", "-o", "x.deb"])
        .failed_with(1)
        .stderr;
    assert!(stderr.contains("no Debian package"), "{stderr}");
    assert_eq!(fs_err::read_to_string(sandbox.path("x.deb")).unwrap(), "precious");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_package_is_installed_upgraded_removed_and_purged_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let system = System::new();
    small_project(&sandbox, "1.0rc1");
    let options = ["--config", "settings.toml"];
    let first = package(&sandbox, "small", "first.deb", &options).0;
    small_project(&sandbox, "1.0");
    let second = package(&sandbox, "small", "second.deb", &options).0;
    let (first, second) = (system.bring(&first), system.bring(&second));

    let before = system.files();
    system.run("dpkg", &["-i", &first]).succeeded();
    let awkward = ["two words", "quote\"'s", "line\nbreak", "$HOME", "", "*"];
    let said = system.run("small-app", &awkward).succeeded().stdout;
    assert_eq!(
        said,
        "['two words', 'quote\"\\'s', 'line\\nbreak', '$HOME', '', '*'] of = '1.0rc1'\n"
    );
    let status = run(system.command("small-app").env("STATUS", "7")).failed_with(7);
    assert_eq!(status.stderr, "");
    system.run("dpkg", &["--verify", "small-app"]).succeeded();

    // What the administrator has changed stays.
    let settings = system.root.join("etc/small-app/settings.toml");
    fs_err::write(&settings, "of = 'the administrator'\n").unwrap();
    system
        .run("dpkg", &["--force-confold", "-i", &second])
        .succeeded();
    assert_eq!(
        system.run("small-app", &[]).succeeded().stdout,
        "[] of = 'the administrator'\n"
    );
    let version = system.run("dpkg-query", &["-W", "-f", "${Version}", "small-app"]);
    assert_eq!(version.succeeded().stdout, "1.0.0-1");
    let new = system.root.join("etc/small-app/settings.toml.dpkg-dist");
    assert_eq!(fs_err::read_to_string(new).unwrap(), "of = '1.0'\n");
    // An older one is a downgrade.
    let back = system.run("apt-get", &["install", "-y", &first]);
    assert!(back.status != Some(0), "{}", back.stdout);

    system.run("dpkg", &["-r", "small-app"]).succeeded();
    assert!(settings.exists() && !system.root.join("opt/small-app").exists());
    system.run("dpkg", &["-P", "small-app"]).succeeded();
    assert_same(&before, &system.files());
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_package_with_native_code_is_installed_by_apt_and_runs() {
    let sandbox = Sandbox::new();
    let system = System::new();
    sandbox.example("script");
    let (file, report) = package(
        &sandbox,
        "script",
        "script.deb",
        &[
            // Debian has a command `script`.
            "--name",
            "docopt-script",
            "--package-version",
            "2.1",
            "--maintainer",
            "Ann <ann@example.org>",
        ],
    );
    let depends = report["package"]["depends"].to_string();
    assert!(
        depends.starts_with("[\"python3 (>= 3.11)\",\"python3 (<< 3.12)\",\"libc6 (>= 2."),
        "{depends}"
    );
    assert_eq!(report["package"]["architecture"], "amd64");
    assert!(fields(&file).contains("Version: 2.1.0-1\n"));
    let contents = run(Command::new("dpkg-deb").arg("--contents").arg(&file))
        .succeeded()
        .stdout;
    assert!(
        contents.lines().all(|line| line.contains(" root/root ")),
        "{contents}"
    );
    assert!(
        contents.contains("./usr/bin/docopt-script -> /opt/docopt-script/run"),
        "{contents}"
    );
    run(Command::new("dpkg-deb").arg("--info").arg(&file)).succeeded();
    assert_no_lintian_error(&file);

    let before = system.files();
    let inside = system.bring(&file);
    system
        .run("apt-get", &["install", "-y", &format!(".{inside}")])
        .succeeded();
    let loaded = "import yaml; print(yaml.__with_libyaml__)";
    let mut python = system.command("python3");
    python
        .args(["-c", loaded])
        .env("PYTHONPATH", "/opt/docopt-script/python_deps")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    assert_eq!(run(&mut python).succeeded().stdout, "True\n");
    let help = system.run("docopt-script", &["--help"]).succeeded().stdout;
    assert!(help.to_lowercase().contains("usage"), "{help}");
    system
        .run("apt-get", &["purge", "-y", "docopt-script"])
        .succeeded();
    assert_same(&before, &system.files());
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_service_satisfies_systemd_and_lintian_and_is_purged() {
    let sandbox = Sandbox::new();
    let system = System::new();
    sandbox.example("fastapi");
    let (file, report) = package(&sandbox, "fastapi", "fastapi.deb", &["--service"]);
    assert_eq!(report["package"]["service"], true);
    assert_no_lintian_error(&file);
    // The targets that the unit refers to.
    run(Command::new("cp")
        .args(["-r", "/lib/systemd/system/."])
        .arg(system.root.join("usr/lib/systemd/system")))
    .succeeded();
    let before = system.files();
    let inside = system.bring(&file);
    system.run("dpkg", &["-i", &inside]).succeeded();
    let unit = system.root.join("usr/lib/systemd/system/fastapi-example.service");
    assert!(unit.exists());
    assert!(
        system
            .root
            .join("etc/systemd/system/multi-user.target.wants/fastapi-example.service")
            .is_symlink(),
        "it starts with the system"
    );
    // Where its files are: systemd looks at the program too.
    let verified = run(Command::new("systemd-analyze")
        .arg("verify")
        .arg("--root")
        .arg(&system.root)
        .arg("fastapi-example.service"));
    let complaints: Vec<_> = verified
        .stderr
        .lines()
        .filter(|line| line.contains("fastapi-example"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    system.run("dpkg", &["-r", "fastapi-example"]).succeeded();
    system.run("dpkg", &["-P", "fastapi-example"]).succeeded();
    assert_same(&before, &system.files());
}

/// Sorts versions, equal ones on one line.
const SORT: &str = "
import itertools, sys
from pip._vendor.packaging.version import Version
versions = sorted(sys.stdin.read().split(), key=Version)
for _, equal in itertools.groupby(versions, key=Version):
    print(*equal)
";

#[test]
#[ignore = "needs dpkg and pip"]
fn dpkg_orders_versions_as_packaging_does() {
    use std::io::Write as _;
    let mut versions = Vec::new();
    for release in ["1", "1.0", "1.0.0.0", "1.0.0.1", "1.1", "1.10", "1!1.0"] {
        for pre in ["", "a1", "b2", "rc1", "rc10"] {
            for post in ["", ".post1", ".post2.dev1"] {
                for rest in ["", ".dev0", "+u", ".dev3+u"] {
                    if !(post.contains("dev") && rest.contains("dev")) {
                        versions.push(format!("{release}{pre}{post}{rest}"));
                    }
                }
            }
        }
    }
    let mut python = Command::new("python3");
    python
        .args(["-c", SORT])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = python.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(versions.join("\n").as_bytes())
        .unwrap();
    let sorted = child.wait_with_output().unwrap();
    assert!(sorted.status.success());
    let sorted = String::from_utf8(sorted.stdout).unwrap();
    let groups: Vec<Vec<String>> = sorted
        .lines()
        .map(|line| {
            let debian = |text: &str| pyoci::project::debian::package_version(text).unwrap();
            line.split(' ').map(debian).collect()
        })
        .collect();
    assert!(groups.len() > 200, "{}", groups.len());
    for group in &groups {
        assert!(group.iter().all(|version| *version == group[0]), "{group:?}");
    }
    for pair in groups.windows(2) {
        let (left, right) = (&pair[0][0], &pair[1][0]);
        let compared = run(Command::new("dpkg").args(["--compare-versions", left, "lt", right]));
        assert_eq!(compared.status, Some(0), "{left} < {right}\n{}", compared.stderr);
    }
}
