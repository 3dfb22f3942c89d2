//! The tree of installed wheels is the one that `pip install --target --no-compile` leaves, but for the differences in
//! `docs/differences-from-pip.md`. Needs `python3` with pip; no network. `tests/compare_with_pip.sh` does the same with
//! packages from the index.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "compare_with_pip/listing.rs"]
mod listing;
#[path = "../src/wheel/made.rs"]
mod made;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use made::MadeWheel;
use pyoci::paths::TreePath;
use pyoci::wheel::{self, InstallOptions, Wheel};

/// Installs the wheels with pyoci and with pip and compares.
fn assert_equal_to_pip(made: Vec<MadeWheel>) {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = made
        .into_iter()
        .map(|wheel| wheel.write(directory.path()))
        .collect();
    let wheels: Vec<Wheel> = paths
        .iter()
        .map(|path| Wheel::open(path, path.file_name().unwrap().to_str().unwrap()).unwrap())
        .collect();
    let host = python(&[
        "-c",
        "import sys; print(sys.executable, '%d.%d' % sys.version_info[:2])",
    ]);
    let (interpreter, version) = host.trim().rsplit_once(' ').unwrap();
    let requested: BTreeSet<_> = wheels.iter().map(|wheel| wheel.name().clone()).collect();
    let options = InstallOptions {
        prefix: &TreePath::new("deps").unwrap(),
        target: &listing::target(interpreter, version).unwrap(),
        exclude: &globset::GlobSet::empty(),
        requested: &requested,
    };
    let installed = wheel::install_all(wheels, &options).unwrap();
    let lines = directory.path().join("listing");
    listing::write(&installed.tree, "deps", fs_err::File::create(&lines).unwrap()).unwrap();
    let compare = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compare_with_pip/compare.py");
    let mut arguments = vec![compare, lines.to_str().unwrap()];
    arguments.extend(paths.iter().map(|path| path.to_str().unwrap()));
    python(&arguments);
}

fn python(arguments: &[&str]) -> String {
    let output = Command::new("python3")
        .args(arguments)
        .output()
        .expect("python3 is needed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[test]
fn a_package_with_a_program_and_unusual_names() {
    assert_equal_to_pip(vec![
        MadeWheel::new("demo_package")
            .file("demo/__init__.py", "")
            .file("demo/a, \"b\" & ü.txt", "x")
            .file("demo/data/empty", "")
            .file_with_mode("demo/tool.sh", "#!/bin/sh\n", 0o100_755)
            .file_with_mode("demo/group-executable", "", 0o100_610)
            .file_with_mode("demo/no-file-type", "", 0o755)
            .file("top.py", "x = 1\n".repeat(10_000).as_str()),
    ]);
}

#[test]
fn every_data_scheme() {
    assert_equal_to_pip(vec![
        MadeWheel::new("Demo_Package")
            .file("demo/__init__.py", "")
            .file("{data}/purelib/demo/pure.py", "")
            .file("{data}/platlib/demo/plat.py", "")
            .file("{data}/headers/deep/demo.h", "")
            .file("{data}/data/share/man/man1/demo.1", "")
            .file("{data}/data/etc/demo.conf", "")
            .file_with_mode("{data}/data/bin/from-data", "#!/bin/sh\n", 0o100_755)
            .file_with_mode("{data}/scripts/shell", "#!/bin/sh\n", 0o100_755)
            .file_with_mode("{data}/scripts/plain", "#!python\nprint(1)\n", 0o100_755)
            .file_with_mode("{data}/scripts/window", "#!pythonw -E\r\nprint(1)\r\n", 0o100_755)
            .file_with_mode("{data}/scripts/only-a-line", "#!python", 0o100_755),
    ]);
}

#[test]
fn scripts_of_entry_points_and_the_wrappers_that_they_replace() {
    let points = "[console_scripts]\nrun = demo.cli:main\nwith-extra = demo:Class.run [extra]\n\
                  pip = demo:pip\npip2 = demo:pip\neasy_install = demo:e\neasy_install-2.7 = demo:e\n\
                  [gui_scripts]\nwindow = demo:gui\n\n[other]\nx = y\n";
    assert_equal_to_pip(vec![
        MadeWheel::new("demo")
            .file("{info}/entry_points.txt", points)
            .file_with_mode("{data}/scripts/run", "#!python\nold", 0o100_755)
            .file_with_mode("{data}/scripts/run-script.py", "#!python\nold", 0o100_755)
            .file_with_mode("{data}/scripts/window.exe", "MZ", 0o100_755)
            .file_with_mode("{data}/scripts/other", "#!python\nnew", 0o100_755),
    ]);
}

#[test]
fn packages_that_share_a_namespace() {
    assert_equal_to_pip(vec![
        MadeWheel::new("one")
            .file("ns/one/__init__.py", "")
            .file("{data}/data/share/one", ""),
        MadeWheel::new("two")
            .file("ns/two/__init__.py", "")
            .file("{data}/data/share/two", ""),
        MadeWheel::new("three")
            .file("ns/three.py", "")
            .file("ns/one/three.py", ""),
    ]);
}

#[test]
fn signatures_and_licences_beside_record() {
    assert_equal_to_pip(vec![
        MadeWheel::new("demo")
            .file("{info}/licenses/LICENSE", "free")
            .file("{info}/RECORD.jws", "{}")
            .row("{info}/RECORD.jws", None),
    ]);
}
