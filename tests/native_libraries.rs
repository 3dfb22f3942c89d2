//! Native libraries that wheels need: found, named, and added from Debian.

use crate::support::{self, Podman, Sandbox, assert_layout_is_valid, layout, run};
use serde_json::Value;

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn missing_libraries_are_named_with_their_package_and_the_packages_make_the_app_run() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "app/main.py",
        "import pyodbc, ctypes.util\nprint(ctypes.util.find_library('odbc'))\n",
    );
    sandbox.write("app/requirements.txt", "pyodbc\nscikit-learn\npsycopg2-binary\n");
    let without = sandbox.build("app", &["-v"]);
    // A mirror may give an index of files that is not the signed one: it is not believed, and the warning has no name.
    let named = !without
        .stderr
        .contains("Contents-amd64.gz was not kept: expected sha256:");
    let warnings: Vec<_> = without
        .stderr
        .lines()
        .filter(|l| l.starts_with("warning:"))
        .collect();
    assert_eq!(
        warnings.len(),
        1,
        "scikit-learn and psycopg2 bring all that they need: {warnings:?}"
    );
    assert!(
        warnings[0].contains("pyodbc: /deps/pyodbc")
            && warnings[0].contains("libodbc.so.2")
            && warnings[0].contains("Debian's libodbc2") == named,
        "{warnings:?}"
    );
    // Found again when nothing is made.
    assert_eq!(sandbox.build("app", &[]).stderr.contains("libodbc2"), named);
    let strict = sandbox
        .run(&["build", "app", "-o", "strict", "--strict"])
        .failed_with(1);
    assert!(
        strict.stderr.contains("error: 1 native library is missing"),
        "{}",
        strict.stderr
    );
    assert!(!sandbox.path("strict").exists());

    let with = sandbox.build("app", &["--package", "libodbc2", "--strict"]);
    assert_layout_is_valid(&with.layout);
    assert!(!with.stderr.contains("warning:"), "{}", with.stderr);
    let output = Podman::new().output(&with, &[], &[]);
    assert!(output.contains("libodbc.so.2"), "{output}");
    let index = layout::index(&with.layout);
    let manifest = layout::document(&with.layout, &index["manifests"][0]);
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 4);

    // On another base it is the image that a build there gives.
    let debug = ["--base", "recipe:trixie-debug"];
    let mut command = sandbox.pyoci();
    command
        .args(["rebase", &with.reference(), "-o", "rebased"])
        .args(debug);
    let rebased = run(&mut command).succeeded();
    let built = sandbox.build("app", &[&["--package", "libodbc2"][..], &debug].concat());
    assert_eq!(rebased.stdout.trim_end(), built.digest);
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn packages_go_over_a_base_that_is_an_image_of_debian_and_over_nothing_else() {
    let sandbox = Sandbox::new();
    sandbox.write("plain/main.py", "");
    let base = sandbox.build("plain", &[]);
    sandbox.write(
        "app/main.py",
        "import ctypes\nctypes.CDLL('libgomp.so.1')\nprint('loaded')\n",
    );
    sandbox.write("app/pyproject.toml", "[tool.pyoci]\npackages = [\"libgomp1\"]\n");
    let mut command = sandbox.pyoci();
    command.args([
        "build",
        "app",
        "--base",
        &base.reference(),
        "-o",
        "image",
        "-t",
        "1",
        "--format",
        "json",
    ]);
    let report: Value = serde_json::from_str(&run(&mut command).succeeded().stdout).unwrap();
    let layers = report["platforms"][0]["layers"].as_array().unwrap();
    let added = layers.iter().find(|layer| layer["kind"] == "packages").unwrap();
    let names: Vec<_> = added["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].clone())
        .collect();
    assert_eq!(names, ["libgomp1"], "gcc-14-base and libc6 are there");
    let image = support::Built {
        layout: sandbox.path("image"),
        tag: "1".to_owned(),
        digest: String::new(),
        stderr: String::new(),
    };
    assert!(Podman::new().output(&image, &[], &[]).contains("loaded"));
}

#[test]
fn packages_over_a_base_that_is_not_debian_are_refused() {
    let sandbox = Sandbox::with_base();
    sandbox.write("app/main.py", "");
    let arguments = [
        "build",
        "app",
        "--base",
        "oci:base:base",
        "-o",
        "image",
        "--package",
        "libgomp1",
    ];
    let stderr = sandbox.run(&arguments).failed_with(1).stderr;
    assert!(
        stderr.contains("is not Debian") && stderr.contains("hint: "),
        "{stderr}"
    );
}
