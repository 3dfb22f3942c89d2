//! podman with a storage of its own: images are loaded from a layout, run, and gone with the value.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::process::{Run, run};
use super::sandbox::Built;

/// A storage directory and the settings of `tests/containers.conf`.
pub struct Podman {
    // A short name: podman takes at most 50 characters for its run directory.
    storage: tempfile::TempDir,
    driver: &'static str,
}

impl Podman {
    /// An empty storage; overlay where it works, else vfs.
    pub fn new() -> Self {
        let storage = tempfile::Builder::new().prefix("pod-").tempdir().unwrap();
        let mut podman = Self {
            storage,
            driver: "overlay",
        };
        if run(podman.command().arg("info")).status != Some(0) {
            podman.driver = "vfs";
            podman.storage = tempfile::Builder::new().prefix("pod-").tempdir().unwrap();
        }
        podman
    }

    /// `podman`, with our storage and settings.
    pub fn command(&self) -> Command {
        let mut command = Command::new("podman");
        let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/containers.conf");
        command
            .env("CONTAINERS_CONF", settings)
            .arg("--root")
            .arg(self.storage.path().join("s"))
            .arg("--runroot")
            .arg(self.storage.path().join("r"))
            .args(["--storage-driver", self.driver]);
        command
    }

    /// `podman run --rm OPTIONS IMAGE ARGUMENTS`.
    #[track_caller]
    pub fn run(&self, image: &Built, options: &[&str], arguments: &[&str]) -> Run {
        let mut command = self.command();
        command.args(["run", "--rm", "--quiet"]).args(options);
        run(named(&mut command, image).args(arguments))
    }

    /// What `podman run` printed, after a check that it succeeded.
    #[track_caller]
    pub fn output(&self, image: &Built, options: &[&str], arguments: &[&str]) -> String {
        self.run(image, options, arguments).succeeded().stdout
    }

    /// Starts a container in the background.
    #[track_caller]
    pub fn start(&self, image: &Built, options: &[&str], arguments: &[&str]) -> Container<'_> {
        let mut command = self.command();
        // conmon keeps the pipes of the command that starts it, so the id goes to a file.
        let id = self.storage.path().join("container");
        let _ = fs_err::remove_file(&id);
        command
            .args(["run", "--detach", "--quiet", "--cidfile"])
            .arg(&id)
            .args(options);
        named(&mut command, image).args(arguments);
        let status = command.stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{command:?}");
        Container {
            podman: self,
            id: fs_err::read_to_string(&id).unwrap().trim().to_owned(),
        }
    }
}

/// Names the image by a relative path: podman makes a repository name of it, which has no capital letters.
fn named<'a>(command: &'a mut Command, image: &Built) -> &'a mut Command {
    let (directory, name) = (image.layout.parent(), image.layout.file_name());
    let name = name.unwrap().to_string_lossy();
    command
        .current_dir(directory.unwrap())
        .arg(format!("oci:{name}:{}", image.tag))
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self
            .command()
            .args(["rm", "--all", "--force", "--time", "0"])
            .output();
        let _ = self.command().args(["rmi", "--all", "--force"]).output();
    }
}

/// A container in the background.
pub struct Container<'a> {
    podman: &'a Podman,
    id: String,
}

impl Container<'_> {
    /// Stops it with SIGTERM, waiting up to 10 s before SIGKILL; how long that took.
    #[track_caller]
    pub fn stop(&self) -> Duration {
        let start = Instant::now();
        run(self.podman.command().args(["stop", "--time", "10", &self.id])).succeeded();
        start.elapsed()
    }

    /// All that it has printed.
    pub fn logs(&self) -> String {
        let Run { stdout, stderr, .. } = run(self.podman.command().args(["logs", &self.id]));
        stdout + &stderr
    }

    /// Its exit status, once it has ended.
    #[track_caller]
    pub fn exit_status(&self) -> String {
        let format = ["inspect", "--format", "{{.State.ExitCode}}", &self.id];
        run(self.podman.command().args(format))
            .succeeded()
            .stdout
            .trim()
            .to_owned()
    }
}
