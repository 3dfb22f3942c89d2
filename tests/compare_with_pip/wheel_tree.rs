//! Installs wheels and prints the tree as JSON lines: the half of `tests/compare_with_pip.sh` that is pyoci's.
//!
//! `wheel_tree INTERPRETER X.Y REQUESTED,... WHEEL...`
#![allow(
    clippy::print_stderr,
    reason = "a tool of the tests: its output is read by a script"
)]

#[path = "listing.rs"]
mod listing;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Instant;

use pyoci::paths::TreePath;
use pyoci::python::PackageName;
use pyoci::wheel::{self, InstallOptions, Wheel};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [interpreter, version, requested, wheels @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: wheel_tree INTERPRETER X.Y REQUESTED,... WHEEL...");
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
    let target = listing::target(interpreter, version)?;
    let options = InstallOptions {
        prefix: &TreePath::new("deps")?,
        target: &target,
        exclude: &globset::GlobSet::empty(),
        requested: &requested,
    };
    let count = wheels.len();
    let installed = wheel::install_all(wheels, &options)?;
    let placed = lap();
    let out = io::BufWriter::new(io::stdout().lock());
    listing::write(&installed.tree, "deps", out)?;
    for warning in installed.warnings {
        eprintln!("warning: {warning}");
    }
    eprintln!(
        "{count} wheels, {} entries: open {opened:?}, verify {verified:?}, install {placed:?}",
        installed.tree.len(),
    );
    Ok(())
}

fn open(path: &str) -> anyhow::Result<Wheel> {
    let name = path.rsplit('/').next().unwrap_or(path);
    Ok(Wheel::open(Path::new(path), name)?)
}
