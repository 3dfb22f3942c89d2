//! Builds of foreign code (PEP 517): what they find of the user's is nothing, and nothing of what they write is left but the
//! wheel.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::support::{self, Run, Sandbox, run, small_base};
use pyoci::digest::Digest;
use serde_json::{Value, json};

/// A backend in the sdist itself, so that a build needs no index: it looks for what it must not find and puts what it
/// found into the wheel.
const BACKEND: &str = r#"
import base64, hashlib, json, os, pathlib, pwd, zipfile

def look(path):
    try:
        path = pathlib.Path(path)
        return sorted(os.listdir(path)) if path.is_dir() else path.read_text()
    except OSError as error:
        return None

def write(path):
    try:
        pathlib.Path(path).write_text("was here")
        return True
    except OSError:
        return False

def build_wheel(directory, settings=None, metadata=None):
    places = json.loads(pathlib.Path("places.json").read_text())
    seen = {
        "environment": dict(os.environ),
        "read": {path: look(path) for path in places["read"]},
        "written": [path for path in places["write"] if write(path)],
        "home": look(os.path.expanduser("~")),
        "processes": [name for name in os.listdir("/proc") if name.isdigit()],
    }
    files = {
        "seen.json": json.dumps(seen),
        "nosy-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: nosy\nVersion: 1.0\n",
        "nosy-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    name = "nosy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory) / name, "w") as wheel:
        for path, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(text.encode())}\n"
            wheel.writestr(path, text)
        wheel.writestr("nosy-1.0.dist-info/RECORD", record + "nosy-1.0.dist-info/RECORD,,\n")
    return name
"#;

/// A user with secrets in a home that is not below `/tmp`, and a project that requires the nosy sdist.
struct User {
    sandbox: Sandbox,
    home: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        small_base(&sandbox.path("base"), true);
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let home = tempfile::Builder::new()
            .prefix("home-")
            .tempdir_in(place)
            .unwrap();
        let user = Self { sandbox, home };
        for name in [
            ".netrc",
            ".ssh/id_rsa",
            ".config/pip/pip.conf",
            "work/.env",
            "work/main.py",
        ] {
            let path = user.home(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "# s3cret of a file\n").unwrap();
        }
        fs_err::write(user.home("work/pylock.toml"), user.lock()).unwrap();
        user
    }

    fn home(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn lock(&self) -> String {
        let home = |name: &str| self.home(name).display().to_string();
        let places = json!({
            "read": [home(".netrc"), home(".ssh"), home(".ssh/id_rsa"), home(".config/pip/pip.conf"), home("work"), home("work/.env")],
            "write": [home("planted"), home("work/planted"), "/var/tmp/pyoci-planted", "/usr/pyoci-planted"],
        });
        let mut tar = tar::Builder::new(Vec::new());
        for (name, text) in [
            (
                "pyproject.toml",
                "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
            ),
            ("backend.py", BACKEND),
            ("places.json", &places.to_string()),
            ("PKG-INFO", "Metadata-Version: 2.1\nName: nosy\nVersion: 1.0\n"),
        ] {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("nosy-1.0/{name}"), text.as_bytes())
                .unwrap();
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &tar.into_inner().unwrap()).unwrap();
        let bytes = gzip.finish().unwrap();
        fs_err::write(self.home("nosy-1.0.tar.gz"), &bytes).unwrap();
        format!(
            "lock-version = \"1.0\"\ncreated-by = \"test\"\n[[packages]]\nname = \"nosy\"\nversion = \"1.0\"\n\
             sdist = {{ path = \"../nosy-1.0.tar.gz\", hashes = {{ sha256 = \"{}\" }} }}\n",
            Digest::of(&bytes).hex()
        )
    }

    fn build(&self, path: &str, options: &[&str]) -> Run {
        let mut command = self.sandbox.pyoci();
        command
            .args(["build", ".", "--base"])
            .arg(format!("oci:{}:base", self.sandbox.path("base").display()))
            .arg("-o")
            .arg(self.sandbox.path("image"))
            .args(["-v"])
            .args(options)
            .current_dir(self.home("work"))
            .env("HOME", self.home.path())
            .env("PATH", path)
            .env("AWS_SECRET_ACCESS_KEY", "s3cret-of-the-user")
            .env("UV_INDEX_HOUSE_PASSWORD", "s3cret-of-the-user")
            .env(
                "PIP_EXTRA_INDEX_URL",
                "https://me:s3cret-of-the-user@127.0.0.1:9/simple",
            )
            .env("SSH_AUTH_SOCK", "/run/s3cret-of-the-user");
        run(&mut command)
    }

    /// What the backend found: it is in the image.
    fn seen(&self) -> Value {
        let layout = self.sandbox.path("image");
        let index = support::layout::index(&layout);
        let manifest = support::layout::document(&layout, &index["manifests"][0]);
        let layers = manifest["layers"].as_array().unwrap().clone();
        let found = layers
            .iter()
            .flat_map(|layer| support::layout::files(&layout, layer, "deps/seen.json"));
        let (_, bytes) = found.into_iter().next().unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }
}

fn search_path() -> String {
    #[allow(clippy::disallowed_methods, reason = "the tests run the machine's programs")]
    std::env::var("PATH").unwrap()
}

fn assert_environment_is_clean(seen: &Value, home: &Path) {
    let environment: BTreeMap<String, String> = serde_json::from_value(seen["environment"].clone()).unwrap();
    for (name, value) in &environment {
        assert!(!value.contains("s3cret"), "{name} holds {value}");
    }
    assert_ne!(environment["HOME"], home.display().to_string());
    for name in [
        "SSH_AUTH_SOCK",
        "AWS_SECRET_ACCESS_KEY",
        "PIP_EXTRA_INDEX_URL",
        "NETRC",
    ] {
        assert!(!environment.contains_key(name), "{name}");
    }
    assert_eq!(seen["home"], json!([]), "a home of its own, and empty");
}

#[test]
#[ignore = "needs bubblewrap, and the network for uv"]
fn foreign_code_sees_nothing_of_the_users_in_its_sandbox_and_writes_nowhere() {
    let user = User::new();
    let built = user.build(&search_path(), &[]).succeeded();
    assert!(
        built.stderr.contains("builds run in a sandbox (bwrap)"),
        "{}",
        built.stderr
    );
    assert!(
        built.stderr.contains("Built nosy 1.0 from sdist"),
        "{}",
        built.stderr
    );
    let seen = user.seen();
    assert_environment_is_clean(&seen, user.home.path());
    for (path, found) in seen["read"].as_object().unwrap() {
        assert!(found.is_null(), "{path}: {found}");
    }
    // What it may write where something is hidden goes with the sandbox.
    let written: Vec<String> = serde_json::from_value(seen["written"].clone()).unwrap();
    assert!(!written.contains(&"/usr/pyoci-planted".to_owned()), "{written:?}");
    assert!(
        seen["processes"].as_array().unwrap().len() < 8,
        "{}",
        seen["processes"]
    );
    for left in ["/var/tmp/pyoci-planted", "/usr/pyoci-planted"].map(PathBuf::from) {
        assert!(!left.exists(), "{}", left.display());
    }
    assert!(!user.home("planted").exists() && !user.home("work/planted").exists());
}

#[test]
#[ignore = "needs the network for uv"]
fn where_bubblewrap_does_not_work_a_build_runs_without_it_and_its_environment_is_as_clean() {
    let user = User::new();
    let fake = user.sandbox.write(
        "bin/bwrap",
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n",
    );
    fs_err::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", user.sandbox.path("bin").display(), search_path());
    let built = user.build(&path, &[]).succeeded();
    let expected = "builds run without a sandbox: bwrap: No permissions to create new namespace";
    assert!(built.stderr.contains(expected), "{}", built.stderr);
    assert_environment_is_clean(&user.seen(), user.home.path());
    fs_err::remove_file("/var/tmp/pyoci-planted").unwrap();
    let _ = fs_err::remove_file("/usr/pyoci-planted");
}

#[test]
fn nothing_is_built_where_that_is_forbidden() {
    let user = User::new();
    let refused = user.build(&search_path(), &["--no-build"]).failed_with(1);
    assert!(refused.stderr.contains("nosy 1.0"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--no-build"), "{}", refused.stderr);
}
