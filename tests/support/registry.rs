//! Docker's registry on loopback, with a directory of its own.

use std::process::{Child, Command, Stdio};

use super::http::{free_port, wait_for};

/// A running `docker-registry`; ends with the value.
pub struct Registry {
    process: Child,
    /// Where it listens.
    pub port: u16,
    storage: tempfile::TempDir,
}

impl Registry {
    /// Starts it on a free port.
    pub fn start() -> Self {
        let storage = tempfile::tempdir().unwrap();
        let port = free_port();
        let settings = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: 127.0.0.1:{port}}}\n",
            storage.path().join("data").display()
        );
        let file = storage.path().join("config.yml");
        fs_err::write(&file, settings).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry (tests/setup.sh installs what the tests need)");
        let registry = Self {
            process,
            port,
            storage,
        };
        wait_for(port, "/v2/", String::new);
        registry
    }

    /// `127.0.0.1:PORT/NAME`
    pub fn reference(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
