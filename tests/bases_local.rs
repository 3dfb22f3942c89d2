//! `--base oci:DIR:TAG`: what the base's config says stays, what is found in its files decides.

use crate::support::{Built, Podman, Sandbox, assert_layout_is_valid, change, layout, python_to_usr_local};
use serde_json::{Value, json};

/// The config of a built image.
fn config(image: &Built) -> Value {
    let index = layout::index(&image.layout);
    let manifest = layout::document(&image.layout, &index["manifests"][0]);
    layout::document(&image.layout, &manifest["config"])
}

fn variable<'a>(config: &'a Value, name: &str) -> Option<&'a str> {
    let variables = config["config"]["Env"].as_array().unwrap().iter();
    let mut values = variables.filter_map(|v| v.as_str()?.split_once('='));
    values.find(|(n, _)| *n == name).map(|(_, value)| value)
}

const TELL: &str = "import os, sys, six\n\
                    print(os.getuid(), os.environ['HOME'], os.environ.get('GREETING'), sys.executable, six.__file__)\n\
                    print(sys.argv[1:])\n";

fn project(sandbox: &Sandbox) {
    sandbox.write("app/requirements.txt", "six==1.17.0\n");
    sandbox.write("app/main.py", TELL);
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn an_image_of_pyoci_is_a_base_too() {
    let sandbox = Sandbox::new();
    sandbox.write("first/below.py", "");
    sandbox.write("first/main.py", "");
    sandbox.build("first", &["--env", "GREETING=hello", "--label", "team=blue"]);
    project(&sandbox);
    let image = sandbox.build("app", &["--base", "oci:first.image:1"]);
    assert_layout_is_valid(&image.layout);
    let config = config(&image);
    assert_eq!(config["config"]["User"], json!("65532:65532"));
    assert_eq!(config["config"]["Labels"]["team"], json!("blue"));
    let podman = Podman::new();
    assert_eq!(
        podman.output(&image, &[], &["a b"]),
        "65532 /home/nonroot hello /usr/bin/python3 /deps/six.py\n['a b']\n"
    );
}

/// Docker's official images have their own Python there, and one of the system must not be found in its place.
#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_base_with_python_under_usr_local_and_a_named_user_keeps_its_config() {
    let sandbox = Sandbox::new();
    sandbox.write("base/main.py", "");
    let base = sandbox.build("base", &[]);
    let rearrange = |root: &std::path::Path| {
        python_to_usr_local(root);
        let passwd = root.join("etc/passwd");
        let users = fs_err::read_to_string(&passwd).unwrap();
        fs_err::write(passwd, users + "worker:x:1234:1235::/srv/worker:/bin/false\n").unwrap();
    };
    let settings = [
        "--clear=config.entrypoint",
        "--clear=config.env",
        "--config.user=worker",
        "--config.cmd=python3",
        "--config.env=PATH=/usr/local/bin:/usr/bin",
        "--config.env=GREETING=hello",
        "--config.stopsignal=SIGINT",
        "--config.label=team=blue",
        "--config.label=org.opencontainers.image.title=the base",
    ];
    change(&sandbox, &base, rearrange, &settings);

    project(&sandbox);
    let image = sandbox.build("app", &["--base", "oci:base.image:1"]);
    assert_layout_is_valid(&image.layout);
    let config = config(&image);
    assert_eq!(config["config"]["User"], json!("1234:1235"));
    assert_eq!(config["config"]["StopSignal"], json!("SIGINT"));
    assert_eq!(config["config"]["Labels"]["team"], json!("blue"));
    let labels = config["config"]["Labels"].as_object().unwrap();
    assert_ne!(
        labels.get("org.opencontainers.image.title"),
        Some(&json!("the base"))
    );
    assert!(config["config"].get("Cmd").is_none(), "{config:#}");
    assert_eq!(variable(&config, "GREETING"), Some("hello"));
    assert_eq!(
        variable(&config, "PATH"),
        Some("/app/.pyoci/bin:/deps/bin:/usr/local/bin:/usr/bin")
    );
    assert_eq!(
        Podman::new().output(&image, &[], &["a b"]),
        "1234 /srv/worker hello /usr/local/bin/python3 /deps/six.py\n['a b']\n"
    );
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_base_that_is_not_there_or_for_another_platform_is_said_so() {
    let sandbox = Sandbox::new();
    sandbox.write("base/main.py", "");
    sandbox.build("base", &[]);
    for (options, expected) in [
        (&["--base", "oci:nothing"][..], "nothing"),
        (&["--base", "oci:base.image:other"], "other"),
        (
            &["--base", "oci:base.image:1", "--platform", "linux/arm64"],
            "linux/arm64",
        ),
        (&["--base", "oci:base.image:1", "--python", "3.11"], "3.11"),
    ] {
        let refused = sandbox.run(&[&["build", "base", "-o", "out"], options].concat());
        let error = refused.failed_with(1).stderr;
        assert!(error.contains("error: ") && error.contains(expected), "{error}");
        assert!(!sandbox.path("out").exists());
    }
}
