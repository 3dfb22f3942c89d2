//! Installs wheels and prints the tree as JSON lines: the half of `tests/compare_with_pip.sh` that is pyoci's.
//!
//! `wheel_tree INTERPRETER REQUESTED,... WHEEL...`; the interpreter's name must end with its version (`python3.11`).
#![allow(
    clippy::print_stderr,
    reason = "a tool of the tests: its output is read by a script"
)]

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use pyoci::digest::Digest;
use pyoci::paths::TreePath;
use pyoci::python::{Libc, PackageName, Target};
use pyoci::wheel::{self, InstallOptions, Wheel};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [interpreter, requested, wheels @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: wheel_tree INTERPRETER REQUESTED,... WHEEL...");
    };
    let requested: BTreeSet<PackageName> = requested.split(',').filter_map(|n| n.parse().ok()).collect();
    let mut clock = Instant::now();
    let mut lap = || std::mem::replace(&mut clock, Instant::now()).elapsed();
    let wheels = wheels
        .iter()
        .map(|path| open(path))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let opened = lap();
    for wheel in &wheels {
        wheel.verify_record()?;
    }
    let verified = lap();
    let target = target_of(interpreter)?;
    let options = InstallOptions {
        prefix: &TreePath::new("deps")?,
        target: &target,
        exclude: &globset::GlobSet::empty(),
        requested: &requested,
    };
    let installed = wheel::install_all(&wheels, &options)?;
    let placed = lap();
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (path, entry) in installed.tree.iter() {
        let Some(path) = path.strip_prefix("deps") else {
            continue;
        };
        let line = match entry.content() {
            None => serde_json::json!({"path": path, "mode": entry.mode}),
            Some(content) => {
                let (digest, size) = Digest::of_reader(content.open()?)?;
                let text = if path.ends_with("/RECORD") {
                    Some(String::from_utf8(content.read(1 << 30)?)?)
                } else {
                    None
                };
                serde_json::json!({
                    "path": path, "mode": entry.mode, "sha256": digest.hex(), "size": size, "text": text
                })
            }
        };
        writeln!(out, "{line}")?;
    }
    for warning in installed.warnings {
        eprintln!("warning: {warning}");
    }
    eprintln!(
        "{} wheels, {} entries: open {opened:?}, verify {verified:?}, install {placed:?}",
        wheels.len(),
        installed.tree.len(),
    );
    Ok(())
}

fn open(path: &str) -> anyhow::Result<Wheel> {
    let name = path.rsplit('/').next().unwrap_or(path);
    Ok(Wheel::open(Path::new(path), name)?)
}

fn target_of(interpreter: &str) -> anyhow::Result<Target> {
    let version = interpreter.rsplit("python").next().unwrap_or_default();
    let (major, minor) = version
        .split_once('.')
        .context("the interpreter's name has no version")?;
    Ok(Target {
        platform: "linux/amd64".parse()?,
        libc: Libc::Glibc { major: 2, minor: 41 },
        python: (major.parse()?, minor.parse()?),
        python_full: None,
        interpreter: interpreter.to_owned(),
    })
}
