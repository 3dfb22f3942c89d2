//! `layers`: the dependencies in several layers, each found again by what is in it.

use std::collections::BTreeMap;

use crate::support::layout;
use crate::support::{Podman, Sandbox, assert_layout_is_valid, lock, run, small_base, wheel};
use serde_json::Value;

type Files = &'static [(&'static str, &'static str)];

/// Writes a project with a lock of wheels, and a base if there is none.
fn project(sandbox: &Sandbox, name: &str, settings: &str, wheels: &[(&str, Files)]) {
    if !sandbox.path("base").exists() {
        small_base(&sandbox.path("base"), true);
    }
    sandbox.write(&format!("{name}/main.py"), "");
    sandbox.write(
        &format!("{name}/pyproject.toml"),
        &format!("[tool.pyoci]\n{settings}\n"),
    );
    let directory = sandbox.path(&format!("{name}/wheels"));
    let paths: Vec<_> = wheels
        .iter()
        .map(|(name, files)| wheel(&directory, name, "py3-none-any", files))
        .collect();
    sandbox.write(&format!("{name}/pylock.toml"), &lock(&paths));
}

/// The layers of dependencies: their packages, and their digests; and all of stderr.
fn layers(sandbox: &Sandbox, name: &str, options: &[&str]) -> (BTreeMap<String, String>, String) {
    let mut command = sandbox.pyoci();
    command
        .args(["build", name, "--base", "oci:base:base", "--format", "json"])
        .args(["-o", &format!("{name}.image")])
        .args(options);
    let done = run(&mut command).succeeded();
    assert_layout_is_valid(&sandbox.path(&format!("{name}.image")));
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    let layers = report["platforms"][0]["layers"].as_array().unwrap();
    let ours = layers.iter().filter(|layer| layer["kind"] == "dependencies");
    let packages = |layer: &Value| {
        let packages = layer["packages"].as_array().unwrap().iter();
        let names: Vec<_> = packages.map(|p| p["name"].as_str().unwrap().to_owned()).collect();
        names.join(" ")
    };
    let named = ours.map(|layer| (packages(layer), layer["digest"].to_string()));
    (named.collect(), done.stderr)
}

const COMMON: (&str, &str) = ("space/__init__.py", "");

#[test]
fn the_layer_of_one_wheel_is_the_same_in_every_project() {
    let sandbox = Sandbox::cold();
    let (a, b): (Files, Files) = (&[COMMON, ("space/a.py", "a")], &[COMMON, ("space/b.py", "b")]);
    project(
        &sandbox,
        "one",
        "layers = { own = ['a'], more = ['b*'] }",
        &[("a", a), ("b", b), ("c", &[("c.py", "")])],
    );
    project(
        &sandbox,
        "other",
        "layers = { x = ['a'] }",
        &[("a", a), ("d", &[("d.py", "")])],
    );
    project(&sandbox, "alone", "", &[("a", a)]);
    let (one, stderr) = layers(&sandbox, "one", &[]);
    assert_eq!(one.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(stderr.contains("in 3 layers, 0 unchanged"), "{stderr}");
    let (other, stderr) = layers(&sandbox, "other", &[]);
    assert_eq!(other["a"], one["a"]);
    assert!(stderr.contains("in 2 layers, 1 unchanged"), "{stderr}");
    let (alone, _) = layers(&sandbox, "alone", &[]);
    assert_eq!(alone["a"], one["a"]);
    // A layer that was made alone is found again beside others.
    let cold = Sandbox::cold();
    project(&cold, "alone", "", &[("a", a)]);
    project(&cold, "one", "layers = { own = ['a'] }", &[("a", a), ("b", b)]);
    assert_eq!(layers(&cold, "alone", &[]).0["a"], one["a"]);
    let (again, stderr) = layers(&cold, "one", &[]);
    assert_eq!((&again["a"], &again["b"]), (&one["a"], &one["b"]));
    assert!(stderr.contains("1 unchanged"), "{stderr}");
}

#[test]
fn with_groups_one_package_more_changes_one_layer() {
    let sandbox = Sandbox::cold();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let wheels: Vec<(&str, Files)> = names.iter().map(|name| (*name, &[][..])).collect();
    project(&sandbox, "before", "", &wheels[1..]);
    project(&sandbox, "after", "", &wheels);
    let (before, _) = layers(&sandbox, "before", &["--layers", "groups"]);
    let (after, _) = layers(&sandbox, "after", &["--layers", "groups"]);
    assert!(before.len() > 4, "{before:?}");
    let new = after
        .iter()
        .filter(|(_, digest)| !before.values().any(|d| d == *digest));
    assert_eq!(new.count(), 1, "{before:?} {after:?}");
    // Nothing is made again, and nothing is asked of the wheels.
    fs_err::remove_dir_all(sandbox.path("after/wheels")).unwrap();
    let (same, stderr) = layers(&sandbox, "after", &["--layers", "groups"]);
    assert_eq!(same, after);
    let all = format!("in {} layers, {0} unchanged", after.len());
    assert!(stderr.contains(&all), "{stderr}");
}

#[test]
fn different_files_of_two_layers_at_one_path_are_refused_with_both_wheels() {
    let sandbox = Sandbox::cold();
    let settings = "layers = { a = ['a'], b = ['b'] }";
    let wheels: [(&str, Files); 2] = [("a", &[("same.py", "1")]), ("b", &[("same.py", "2")])];
    project(&sandbox, "two", settings, &wheels);
    let below: [(&str, Files); 2] = [("a", &[("same", "1")]), ("b", &[("same/x.py", "2")])];
    project(&sandbox, "below", settings, &below);
    for name in ["two", "below"] {
        // The second time the layers are there, and still not fit for each other.
        for _ in 0..2 {
            let done = sandbox.run(&["build", name, "--base", "oci:base:base", "-o", "image"]);
            let stderr = done.failed_with(1).stderr;
            assert!(
                stderr.contains("a-1.0-py3-none-any.whl") && stderr.contains("b-1.0-py3-none-any.whl"),
                "{stderr}"
            );
        }
    }
    let out = [
        "build",
        "two",
        "--base",
        "oci:base:base",
        "-o",
        "image",
        "--exclude",
        "same.py",
    ];
    let stderr = sandbox.run(&out).succeeded().stderr;
    assert!(
        stderr.contains("Excluded 2 files of the dependencies, 2 B"),
        "{stderr}"
    );
    let stderr = sandbox.run(&out).succeeded().stderr;
    assert!(
        stderr.contains("Excluded 2 files"),
        "said again when nothing is made: {stderr}"
    );
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn what_several_layers_hold_runs_as_one() {
    let sandbox = Sandbox::new();
    let app = "import google.protobuf, google.auth, pytest, subprocess\n\
        print(subprocess.run(['pytest', '--version'], capture_output=True, text=True, check=True).stdout)\n\
        import distutils\nprint('ok')\n";
    sandbox.write("app/main.py", app);
    sandbox.write(
        "app/requirements.txt",
        "protobuf\ngoogle-auth\npytest\nsetuptools\n",
    );
    let single = sandbox.build("app", &[]);
    let output = Podman::new().output(&single, &[], &[]);
    for options in [&["--layers", "groups"][..], &["--layers", "groups", "--compile"]] {
        let image = sandbox.build("app", options);
        assert_layout_is_valid(&image.layout);
        assert!(output.contains("ok"), "{output}");
        assert_eq!(Podman::new().output(&image, &[], &[]), output);
    }
}

#[test]
fn files_are_laid_together_also_where_there_are_too_many_to_hold_in_memory() {
    const EACH: usize = 6000;
    let sandbox = Sandbox::cold();
    small_base(&sandbox.path("base"), true);
    sandbox.write("many/main.py", "");
    let write = |names: &[&str], clash: &str| {
        let paths = names.iter().map(|name| {
            let own = (0..EACH).map(|n| (format!("many/{n:04}/{name}.py"), format!("NUMBER = {n}\n")));
            let shared = [("many/__init__.py".to_owned(), clash.replace("NAME", name))];
            let files: Vec<(String, String)> = own.chain(shared).collect();
            let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
            wheel(&sandbox.path("many/wheels"), name, "py3-none-any", &files)
        });
        sandbox.write("many/pylock.toml", &lock(&paths.collect::<Vec<_>>()));
    };
    write(&["a", "b", "c"], "");
    let built = sandbox.build("many", &["--base", "oci:base:base"]);
    assert_layout_is_valid(&built.layout);
    let index = layout::index(&built.layout);
    let manifest = layout::document(&built.layout, &index["manifests"][0]);
    let layers = manifest["layers"].as_array().unwrap();
    let found: Vec<_> = layers
        .iter()
        .map(|layer| layout::files(&built.layout, layer, ".py"))
        .find(|files| files.len() > EACH)
        .unwrap();
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        names.is_sorted() && names.len() == 3 * EACH + 1,
        "{}",
        names.len()
    );
    for (name, text) in &found[..3 * EACH] {
        let number: usize = name.split('/').nth(2).unwrap().parse().unwrap();
        assert_eq!(text, format!("NUMBER = {number}\n").as_bytes(), "{name}");
    }
    // The wheel that differs is one whose list was not held.
    write(&["a", "b", "c"], "NAME = 'NAME'\n");
    let mut command = sandbox.pyoci();
    command.args([
        "build",
        "many",
        "--base",
        "oci:base:base",
        "-o",
        "many.image",
        "-t",
        "1",
    ]);
    let refused = run(&mut command).failed_with(1);
    assert!(refused.stderr.contains("many/__init__.py"), "{}", refused.stderr);
    assert_eq!(layout::index(&built.layout), index);
}
