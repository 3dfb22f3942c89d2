//! A directory of its own for one test, and the built `pyoci` run in it.
#![allow(
    clippy::disallowed_methods,
    reason = "the tests decide what of the machine's environment pyoci sees"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Run, run};

/// Variables that say how this machine reaches the package index and the Debian mirror; all others are left out.
const PASSED: [&str; 14] = [
    "HOME",
    "PATH",
    "NETRC",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_CONFIG_HOME",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];
const PASSED_PREFIXES: [&str; 3] = ["PIP_", "UV_", "PYOCI_DEBIAN_"];

/// A directory that is removed with the value, and a cache that all tests share.
pub struct Sandbox {
    directory: tempfile::TempDir,
    cache: PathBuf,
    /// Whether all in it belongs to [`NOBODY`], as whom `pyoci` is run.
    given_away: bool,
}

/// A user and group who may do nothing.
const NOBODY: &str = "65534";

/// An image that was built.
pub struct Built {
    /// The layout's directory.
    pub layout: PathBuf,
    /// The tag in it.
    pub tag: String,
    /// What was printed: the digest.
    pub digest: String,
    /// The progress.
    pub stderr: String,
}

impl Built {
    /// `oci:DIR:TAG`, as skopeo and podman name it.
    pub fn reference(&self) -> String {
        format!("oci:{}:{}", self.layout.display(), self.tag)
    }
}

impl Sandbox {
    /// An empty directory; the cache is kept between runs, so that a base is assembled once.
    pub fn new() -> Self {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        fs_err::create_dir_all(&cache).unwrap();
        Self {
            directory: tempfile::Builder::new().prefix("pyoci-").tempdir().unwrap(),
            cache,
            given_away: false,
        }
    }

    /// The same with a cold cache of its own.
    pub fn cold() -> Self {
        let mut sandbox = Self::new();
        sandbox.cache = sandbox.path("cache");
        sandbox
    }

    /// A cold one with the small base, which only looks like a base of Python, at `oci:base:base`.
    pub fn with_base() -> Self {
        let sandbox = Self::cold();
        super::small_base(&sandbox.path("base"), true);
        sandbox
    }

    /// Gives all that is there to a user who is not root, as whom `pyoci` is run from now on, with a home in the directory.
    #[track_caller]
    pub fn give_away(&mut self) {
        assert!(
            is_root(),
            "only root can run pyoci as another user: run this test as root"
        );
        fs_err::set_permissions(self.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
        fs_err::create_dir_all(self.path("home")).unwrap();
        // Where cargo puts it others may not look.
        fs_err::copy(binary(), self.path("pyoci")).unwrap();
        let owner = format!("{NOBODY}:{NOBODY}");
        run(Command::new("chown").arg("-R").arg(owner).arg(self.path(""))).succeeded();
        self.given_away = true;
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file and the directories above it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.path(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(&file, text).unwrap();
        file
    }

    /// A copy of one of `examples/`, under the same name.
    pub fn example(&self, name: &str) -> PathBuf {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let to = self.path(name);
        copy(&from, &to);
        to
    }

    /// `pyoci`, to be run in the directory with an environment that is the same everywhere.
    pub fn pyoci(&self) -> Command {
        let mut command = if self.given_away {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
                .arg(self.path("pyoci"));
            command
        } else {
            Command::new(binary())
        };
        let passed = std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            PASSED.contains(&&*name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        });
        command
            .env_clear()
            .envs(passed)
            .env("XDG_CACHE_HOME", &self.cache)
            .current_dir(self.directory.path());
        if self.given_away {
            command.env("HOME", self.path("home"));
        }
        command
    }

    /// Runs `pyoci` with arguments.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Run {
        run(self.pyoci().args(arguments))
    }

    /// Builds a project of the sandbox to `NAME.image`, tag `1`, and checks that stdout is a digest and nothing else.
    #[track_caller]
    pub fn build(&self, project: &str, options: &[&str]) -> Built {
        let layout = self.path(&format!("{project}.image"));
        let mut command = self.pyoci();
        command
            .args(["build", project, "-t", "1", "-o"])
            .arg(&layout)
            .args(options);
        let Run { stdout, stderr, .. } = run(&mut command).succeeded();
        let hex = stdout
            .strip_prefix("sha256:")
            .and_then(|rest| rest.strip_suffix('\n'));
        assert!(
            hex.is_some_and(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit())),
            "{stdout:?}"
        );
        Built {
            layout,
            tag: "1".to_owned(),
            digest: stdout.trim_end().to_owned(),
            stderr,
        }
    }
}

/// The `pyoci` that was built with the tests, or the one that `PYOCI_BINARY` names: an optimized one for long runs.
fn binary() -> PathBuf {
    std::env::var_os("PYOCI_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_pyoci").into(), PathBuf::from)
}

/// Whether the tests run as root, who may do everything.
pub fn is_root() -> bool {
    run(Command::new("id").arg("-u")).succeeded().stdout.trim() == "0"
}

fn copy(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs_err::copy(entry.path(), target).unwrap();
        }
    }
}
