//! Each example is built, read by skopeo and umoci, sent to a registry, and run by podman.

use std::process::Command;

use crate::support::{
    Built, Podman, Registry, Sandbox, assert_layout_is_valid, free_port, request, run, wait_for,
};

/// Builds an example; what every image must stand is checked here, what it does is checked by the caller.
fn build(sandbox: &Sandbox, name: &str) -> Built {
    sandbox.example(name);
    let image = sandbox.build(name, &[]);
    assert_layout_is_valid(&image.layout);
    readers_accept(sandbox, &image);
    image
}

fn readers_accept(sandbox: &Sandbox, image: &Built) {
    let skopeo =
        |arguments: &[&str]| run(Command::new("skopeo").arg("--insecure-policy").args(arguments)).succeeded();
    let inspected = skopeo(&["inspect", "--format", "{{.Digest}}", &image.reference()]).stdout;
    assert_eq!(inspected.trim(), image.digest);
    skopeo(&[
        "copy",
        &image.reference(),
        &format!("oci:{}:1", sandbox.path("copy").display()),
    ]);
    let archive = sandbox.path("image.tar");
    skopeo(&[
        "copy",
        &image.reference(),
        &format!("docker-archive:{}:app:1", archive.display()),
    ]);
    let registry = Registry::start();
    let remote = format!("docker://{}", registry.reference("app:1"));
    skopeo(&["copy", "--dest-tls-verify=false", &image.reference(), &remote]);
    let pulled = skopeo(&[
        "inspect",
        "--tls-verify=false",
        "--format",
        "{{.Digest}}",
        &remote,
    ])
    .stdout;
    assert_eq!(
        pulled.trim(),
        image.digest,
        "the registry holds other bytes than the layout"
    );
    let bundle = sandbox.path("bundle");
    let source = format!("{}:{}", image.layout.display(), image.tag);
    run(Command::new("umoci")
        .args(["unpack", "--rootless", "--image", &source])
        .arg(&bundle))
    .succeeded();
    assert!(bundle.join("rootfs/app/.pyoci/entrypoint").is_file());
}

/// Runs a server example and gives its answer to `GET /`; then it must stop at once.
fn answer(image: &Built, ask_more: impl Fn(u16)) -> String {
    let podman = Podman::new();
    let port = free_port();
    let container = podman.start(image, &["--read-only", "-e", &format!("PORT={port}")], &[]);
    let (status, body) = wait_for(port, "/", || container.logs());
    assert_eq!(status, 200, "{body}\n{}", container.logs());
    ask_more(port);
    let took = container.stop();
    assert!(
        took.as_secs_f64() < 5.0,
        "podman stop took {took:?}\n{}",
        container.logs()
    );
    body
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn script_reads_yaml_and_takes_arguments() {
    let sandbox = Sandbox::new();
    let image = build(&sandbox, "script");
    let podman = Podman::new();
    let document = "name: 'two  words'\nother: 1";
    assert_eq!(
        podman.output(&image, &[], &["get", "name", document]),
        "two  words\n"
    );
    let usage = podman.run(&image, &[], &["get"]).failed_with(1);
    assert!(usage.stderr.contains("Usage:"), "{usage:?}");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn flask_answers() {
    let sandbox = Sandbox::new();
    let image = build(&sandbox, "flask");
    assert_eq!(answer(&image, |_| {}).trim(), r#"{"hello":"flask"}"#);
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn fastapi_answers_and_validates() {
    let sandbox = Sandbox::new();
    let image = build(&sandbox, "fastapi");
    let body = answer(&image, |port| {
        let order = |body| request(port, "POST /orders", body).unwrap();
        assert_eq!(
            order(r#"{"item": "tea", "count": 2}"#),
            (200, r#"{"ordered":"2 x tea"}"#.to_owned())
        );
        assert_eq!(order(r#"{"item": "tea", "count": 0}"#).0, 422);
    });
    assert_eq!(body, r#"{"hello":"fastapi"}"#);
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn django_answers_and_its_manage_py_runs() {
    let sandbox = Sandbox::new();
    let image = build(&sandbox, "django");
    assert_eq!(answer(&image, |_| {}), r#"{"hello": "django"}"#);
    let manage = [
        "--entrypoint",
        r#"["/app/.pyoci/entrypoint", "python3", "manage.py"]"#,
    ];
    let checked = Podman::new().output(&image, &manage, &["check"]);
    assert!(checked.contains("no issues"), "{checked}");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn data_computes() {
    let sandbox = Sandbox::new();
    let image = build(&sandbox, "data");
    assert!(
        image.stderr.contains("pylock.toml"),
        "the lock is not named in\n{}",
        image.stderr
    );
    assert_eq!(Podman::new().output(&image, &[], &[]), "Oslo: -1.0\nRome: 12.0\n");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn cli_is_a_console_script_that_knows_its_version() {
    let sandbox = Sandbox::new();
    let image = build(&sandbox, "cli");
    let podman = Podman::new();
    assert_eq!(
        podman.output(&image, &[], &["O'Brien & \"co\""]),
        "hello, O'Brien & \"co\"\n"
    );
    assert_eq!(
        podman.output(&image, &[], &["--version"]),
        "greet, version 3.2.1\n"
    );
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn nodeps_needs_nothing() {
    let sandbox = Sandbox::new();
    let image = build(&sandbox, "nodeps");
    let podman = Podman::new();
    assert!(podman.output(&image, &[], &[]).ends_with("has no arguments\n"));
    assert!(
        podman
            .output(&image, &[], &["", "$HOME"])
            .ends_with("has ['', '$HOME']\n")
    );
}
