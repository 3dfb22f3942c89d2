//! `pyoci rebase`: the dependencies and the app of an image, on another base, as they are.

use crate::support::{self, Built, Podman, Sandbox, assert_layout_is_valid, layout};
use serde_json::Value;

/// The manifest and the config of a built image.
fn documents(image: &Built) -> (Value, Value) {
    let index = layout::index(&image.layout);
    let manifest = layout::document(&image.layout, &index["manifests"][0]);
    let config = layout::document(&image.layout, &manifest["config"]);
    (manifest, config)
}

fn layers(image: &Built) -> Vec<String> {
    let (manifest, _) = documents(image);
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|l| l["digest"].to_string()).collect()
}

/// What `pyoci rebase` made of an image.
fn rebased(sandbox: &Sandbox, image: &Built, base: &str, name: &str) -> Built {
    let mut command = sandbox.pyoci();
    command
        .args(["rebase", &image.reference(), "--base", base])
        .args(["-o", name]);
    let run = support::run(&mut command).succeeded();
    Built {
        layout: sandbox.path(name),
        tag: "1".to_owned(),
        digest: run.stdout.trim_end().to_owned(),
        stderr: run.stderr,
    }
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn on_a_later_base_it_is_the_image_that_a_build_there_gives_and_runs() {
    let sandbox = Sandbox::new();
    sandbox.example("script");
    let options = ["--env", "GREETING=hello", "--label", "team=blue", "--port", "80"];
    let image = sandbox.build("script", &options);
    // Other packages and another time: what a later assembly of a recipe differs in.
    let later = ["--base", "recipe:trixie-debug"];
    let rebased = rebased(&sandbox, &image, "recipe:trixie-debug", "rebased");
    assert_layout_is_valid(&rebased.layout);
    let (before, after) = (layers(&image), layers(&rebased));
    assert_eq!(before[1..], after[1..]);
    assert_ne!(before[0], after[0]);

    let built = sandbox.build("script", &[&options[..], &later].concat());
    assert_eq!(rebased.digest, built.digest);
    let help = Podman::new().output(&rebased, &[], &["--help"]);
    assert!(help.contains("Usage"), "{help}");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn on_a_base_with_another_python_it_is_refused_with_the_reason() {
    let sandbox = Sandbox::new();
    sandbox.example("nodeps");
    let image = sandbox.build("nodeps", &[]);
    let run = sandbox
        .run(&[
            "rebase",
            &image.reference(),
            "--base",
            "recipe:bookworm",
            "-o",
            "out",
        ])
        .failed_with(1);
    let reason = "the image was built for Python 3.13, the new base has 3.11";
    assert!(run.stderr.contains(reason), "{}", run.stderr);
    assert!(!sandbox.path("out").exists());
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn for_every_platform_of_the_image() {
    let sandbox = Sandbox::new();
    sandbox.example("nodeps");
    let platforms = ["--platform", "linux/amd64,linux/arm64"];
    let image = sandbox.build("nodeps", &platforms);
    let rebased = rebased(&sandbox, &image, "recipe:trixie-debug", "rebased");
    assert_layout_is_valid(&rebased.layout);
    let built = sandbox.build(
        "nodeps",
        &[&platforms[..], &["--base", "recipe:trixie-debug"]].concat(),
    );
    assert_eq!(rebased.digest, built.digest);
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn an_image_that_pyoci_did_not_build_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.example("nodeps");
    let image = sandbox.build("nodeps", &[]);
    support::run(std::process::Command::new("umoci").args([
        "config",
        "--image",
        image.reference().trim_start_matches("oci:"),
        "--clear=config.labels",
    ]))
    .succeeded();
    let run = sandbox
        .run(&[
            "rebase",
            &image.reference(),
            "--base",
            "recipe:trixie",
            "-o",
            "out",
        ])
        .failed_with(1);
    assert!(run.stderr.contains("was not built by pyoci"), "{}", run.stderr);
}
