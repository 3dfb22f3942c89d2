//! `--base-blobs=reference`: a layout without what the base's registry has, and where it can go from there.

use std::path::Path;

use crate::support::{Registry, Sandbox, assert_layout_is_valid, layout};

fn blobs(layout: &Path) -> usize {
    fs_err::read_dir(layout.join("blobs/sha256")).unwrap().count()
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn the_base_is_left_in_its_registry_and_taken_from_there() {
    let (registry, other) = (Registry::start(), Registry::start());
    let sandbox = Sandbox::new();
    sandbox.example("nodeps");
    sandbox.write("app/main.py", "print('hello')\n");
    let base = registry.reference("base:1");
    sandbox.run(&["build", "nodeps", "--push", &base]).succeeded();

    let full = sandbox.build("app", &["--base", &base]);
    assert_layout_is_valid(&full.layout);
    let options = ["build", "app", "--base", &base, "-t", "1", "-o", "shallow"];
    let run = sandbox
        .run(&[&options[..], &["--base-blobs", "reference"]].concat())
        .succeeded();
    assert_eq!(run.stdout.trim_end(), full.digest);
    assert!(run.stderr.contains("2 layers of the base"), "{}", run.stderr);
    let shallow = sandbox.path("shallow");
    assert_eq!(blobs(&shallow) + 2, blobs(&full.layout));
    let entry = &layout::index(&shallow)["manifests"][0];
    assert_eq!(entry["digest"], full.digest);

    // The same registry mounts them, another gets them straight from the first.
    let _ = registry.asked();
    let there = registry.reference("app:1");
    let pushed = sandbox.run(&["push", "shallow", &there]).succeeded();
    let name = registry.reference("app");
    assert_eq!(pushed.stdout.trim_end(), format!("{name}@{}", full.digest));
    let asked = registry.asked();
    assert_eq!(
        asked.iter().filter(|line| line.contains("mount=")).count(),
        2,
        "{asked:#?}"
    );
    assert!(
        !asked
            .iter()
            .any(|line| line.starts_with("GET") && line.contains("/blobs/")),
        "{asked:#?}"
    );
    let elsewhere = other.reference("app:1");
    sandbox.run(&["push", "shallow", &elsewhere]).succeeded();
    sandbox.run(&["pull", &elsewhere, "-o", "back"]).succeeded();
    let back = sandbox.path("back");
    assert_layout_is_valid(&back);
    assert_eq!(layout::index(&back)["manifests"][0]["digest"], full.digest);
    assert_eq!(blobs(&back), blobs(&full.layout));

    // Nothing else has it once the registry is gone: said, not passed over.
    drop(registry);
    let run = sandbox.run(&["pull", "oci:shallow:1", "-o", "oci-archive:x.tar"]);
    let run = run.failed_with(1);
    assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    assert!(!sandbox.path("x.tar").exists());
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_base_that_no_registry_has_cannot_be_left_out() {
    let sandbox = Sandbox::new();
    sandbox.example("nodeps");
    let run = sandbox
        .run(&["build", "nodeps", "-o", "image", "--base-blobs", "reference"])
        .failed_with(1);
    assert!(
        run.stderr
            .starts_with("error: --base-blobs=reference: the base is not in a registry"),
        "{}",
        run.stderr
    );
    assert!(!sandbox.path("image").exists());
}
