//! Docker's registry on loopback, with a directory of its own.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::http::{free_port, wait_for};

/// A running `docker-registry`; ends with the value.
pub struct Registry {
    process: Child,
    /// Where it listens.
    pub port: u16,
    storage: tempfile::TempDir,
}

/// How a registry is guarded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Not at all.
    Open,
    /// By user `me` and password `s3cret`.
    Password,
    /// By a certificate of an authority of its own, and the password.
    Tls,
}

impl Registry {
    /// Starts it on a free port.
    pub fn start() -> Self {
        Self::guarded(Guard::Open)
    }

    /// Starts it on a free port with a guard.
    pub fn guarded(guard: Guard) -> Self {
        let storage = tempfile::tempdir().unwrap();
        let port = free_port();
        let at = |name: &str| storage.path().join(name).display().to_string();
        let mut settings = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n",
            at("data")
        );
        if guard != Guard::Open {
            tool("htpasswd", &["-Bbc", &at("htpasswd"), "me", "s3cret"]);
            let _ = writeln!(
                settings,
                "auth: {{htpasswd: {{realm: test, path: {}}}}}",
                at("htpasswd")
            );
        }
        let _ = write!(settings, "http:\n  addr: 127.0.0.1:{port}\n");
        if guard == Guard::Tls {
            certificates(&at);
            let (certificate, key) = (at("server.crt"), at("server.key"));
            let _ = writeln!(settings, "  tls: {{certificate: {certificate}, key: {key}}}");
        }
        let file = storage.path().join("config.yml");
        fs_err::write(&file, settings).unwrap();
        let log = fs_err::File::create(storage.path().join("access.log")).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(log.into_parts().0)
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

    /// The certificate of the authority, where there is one.
    pub fn authority(&self) -> PathBuf {
        self.storage.path().join("ca.crt")
    }

    /// What was asked since it was asked for the last time, as `METHOD /path status`.
    pub fn asked(&self) -> Vec<String> {
        let log = self.storage.path().join("access.log");
        let text = fs_err::read_to_string(&log).unwrap();
        // The process goes on where it was: what it writes next stands after a hole.
        fs_err::OpenOptions::new()
            .write(true)
            .open(&log)
            .unwrap()
            .set_len(0)
            .unwrap();
        let line = |line: &str| {
            let mut parts = line.split('"').skip(1);
            let (request, status) = (parts.next()?, parts.next()?);
            let (request, _) = request.rsplit_once(' ')?;
            Some(format!("{request} {}", status.split_whitespace().next()?))
        };
        text.lines().filter_map(line).collect()
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

/// An authority, and a certificate of it for loopback.
fn certificates(at: &dyn Fn(&str) -> String) {
    let key = ["req", "-newkey", "rsa:2048", "-nodes", "-sha256"];
    let (ca, ca_key, csr) = (at("ca.crt"), at("ca.key"), at("server.csr"));
    let mut own = key.to_vec();
    own.extend([
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=test authority",
        "-keyout",
        &ca_key,
        "-out",
        &ca,
    ]);
    tool("openssl", &own);
    let server_key = at("server.key");
    let mut request = key.to_vec();
    request.extend(["-subj", "/CN=127.0.0.1", "-keyout", &server_key, "-out", &csr]);
    tool("openssl", &request);
    let names = at("names.txt");
    fs_err::write(&names, "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    let server = at("server.crt");
    let mut sign = vec!["x509", "-req", "-sha256", "-days", "2", "-CAcreateserial"];
    sign.extend([
        "-in", &csr, "-CA", &ca, "-CAkey", &ca_key, "-extfile", &names, "-out", &server,
    ]);
    tool("openssl", &sign);
}

fn tool(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {errors}");
}
