//! `pyoci push`, `pull`, `build --push`, `--base` and `login` against Debian's docker-registry on loopback, with what
//! skopeo and podman make of the result.
#![allow(
    clippy::unwrap_used,
    reason = "a failure of the harness is a failure of the test"
)]

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{
    self, Built, Guard, Podman, Registry, Run, Sandbox, change, contents, layout, python_to_usr_local, run,
    small_base,
};
use serde_json::{Value, json};

/// base64 of `me:s3cret`
const PAIR: &str = "bWU6czNjcmV0";
const TELL: &str = "import sys, six\nprint(sys.executable, six.__file__)\n";

/// `pyoci` with a home of its own, in which there are no credentials.
fn pyoci(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.pyoci();
    command
        .env("HOME", sandbox.path("home"))
        .env_remove("XDG_CONFIG_HOME")
        .args(arguments);
    command
}

/// The image `base` of the sandbox, small and not to be run.
fn small(sandbox: &Sandbox) -> &'static str {
    small_base(&sandbox.path("base"), true);
    "oci:base:base"
}

#[track_caller]
fn skopeo(arguments: &[&str]) -> Run {
    run(Command::new("skopeo").args(arguments)).succeeded()
}

/// Requests that change a registry, without those for manifests.
fn changes(asked: &[String]) -> Vec<&String> {
    let changing = |line: &&String| ["POST ", "PUT ", "PATCH "].iter().any(|m| line.starts_with(m));
    asked
        .iter()
        .filter(changing)
        .filter(|line| !line.contains("/manifests/"))
        .collect()
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn two_platforms_are_pushed_mounted_copied_and_pulled_byte_by_byte() {
    let sandbox = Sandbox::new();
    let registry = Registry::start();
    sandbox.write("app/main.py", "print('hello')\n");
    let platforms = ["--platform", "linux/amd64", "--platform", "linux/arm64"];
    let image = sandbox.build("app", &platforms);
    let (first, second) = (registry.reference("me/app:1"), registry.reference("other/app:1"));
    let line = |name: &str| format!("{}@{}\n", registry.reference(name), image.digest);

    registry.asked();
    let pushed = run(&mut pyoci(&sandbox, &["push", "app.image", &first])).succeeded();
    assert_eq!(pushed.stdout, line("me/app"));
    let asked = registry.asked();
    assert_eq!(
        changes(&asked).len(),
        2 * 5,
        "begun and ended; both have one app layer: {asked:#?}"
    );
    // Again: what is known is not sent, nor is an upload begun.
    run(&mut pyoci(&sandbox, &["push", "app.image", &first])).succeeded();
    let asked = registry.asked();
    assert!(changes(&asked).is_empty(), "{asked:#?}");
    // Into another repository: mounted, not one byte is read.
    let pushed = run(&mut pyoci(&sandbox, &["push", &first, &second])).succeeded();
    assert_eq!(pushed.stdout, line("other/app"));
    let asked = registry.asked();
    let mounted = changes(&asked);
    let mounts =
        |l: &&String| l.contains("mount=sha256") && l.contains("from=me%2Fapp") && l.ends_with(" 201");
    assert!(mounted.len() == 5 && mounted.iter().all(mounts), "{asked:#?}");
    assert!(
        !asked
            .iter()
            .any(|l| l.starts_with("GET") && l.contains("/blobs/")),
        "{asked:#?}"
    );

    // What comes back, by us and by skopeo, is what there was.
    let blobs = |name: &str| {
        contents(&sandbox.path(name).join("blobs"))
            .into_values()
            .collect::<Vec<_>>()
    };
    run(&mut pyoci(&sandbox, &["pull", &second, "-o", "pulled"])).succeeded();
    assert!(blobs("pulled") == blobs("app.image"));
    let copy = format!("oci:{}:1", sandbox.path("copied").display());
    let docker = format!("docker://{second}");
    skopeo(&[
        "copy",
        "--all",
        "--quiet",
        "--src-tls-verify=false",
        &docker,
        &copy,
    ]);
    assert!(blobs("copied") == blobs("app.image"));
    // And what skopeo pushes is pulled by us.
    let third = registry.reference("third/app:1");
    let docker = format!("docker://{third}");
    skopeo(&[
        "copy",
        "--all",
        "--quiet",
        "--dest-tls-verify=false",
        &copy,
        &docker,
    ]);
    run(&mut pyoci(&sandbox, &["pull", &third, "-o", "from-skopeo"])).succeeded();
    assert!(blobs("from-skopeo") == blobs("app.image"));

    let podman = Podman::new();
    run(podman
        .command()
        .args(["pull", "--quiet", "--tls-verify=false", &second]))
    .succeeded();
    let mut command = podman.command();
    command.args(["run", "--rm", "--pull=never", &second]);
    assert_eq!(run(&mut command).succeeded().stdout, "hello\n");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_build_is_pushed_and_a_change_of_the_app_moves_little() {
    let sandbox = Sandbox::new();
    let registry = Registry::start();
    sandbox.write("app/requirements.txt", "six==1.17.0\n");
    sandbox.write("app/main.py", TELL);
    let reference = registry.reference("me/app:1");
    let build = ["build", "app", "--push", &reference];
    let first = run(sandbox.pyoci().args(build)).succeeded();
    let digest = first.stdout.trim_end().rsplit_once('@').unwrap().1.to_owned();
    assert_eq!(
        first.stdout,
        format!("{}@{digest}\n", registry.reference("me/app"))
    );
    sandbox.write("app/more.py", "");
    registry.asked();
    let second = run(sandbox.pyoci().args(build)).succeeded();
    assert_ne!(first.stdout, second.stdout);
    let asked = registry.asked();
    // The app's layer and the config.
    assert_eq!(changes(&asked).len(), 4, "{asked:#?}");
    let podman = Podman::new();
    run(podman
        .command()
        .args(["pull", "--quiet", "--tls-verify=false", &reference]))
    .succeeded();
    let mut command = podman.command();
    command.args(["run", "--rm", "--pull=never", &reference]);
    assert_eq!(
        run(&mut command).succeeded().stdout,
        "/usr/bin/python3 /deps/six.py\n"
    );
}

/// Every place where podman and docker look, one at a time; without any it is refused with what to do.
#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn credentials_are_found_where_podman_and_docker_keep_them() {
    let sandbox = Sandbox::new();
    let registry = Registry::guarded(Guard::Password);
    let (image, host) = (small(&sandbox), format!("127.0.0.1:{}", registry.port));
    let reference = registry.reference("me/app:1");
    let push = || pyoci(&sandbox, &["push", image, &reference]);
    let refused = run(&mut push()).failed_with(1);
    assert!(
        refused.stderr.contains(&format!("hint: pyoci login {host}")),
        "{}",
        refused.stderr
    );

    let auths = |pair: &str| json!({ "auths": { &host: { "auth": pair } } }).to_string();
    let wrong = sandbox.write("wrong.json", &auths("bWU6d3Jvbmc="));
    let right = sandbox.write("right.json", &auths(PAIR));
    let directory = |name: &str| sandbox.write(name, &auths(PAIR)).parent().unwrap().to_owned();
    run(push()
        .arg("--authfile")
        .arg(&right)
        .env("REGISTRY_AUTH_FILE", &wrong))
    .succeeded();
    run(push()
        .env("REGISTRY_AUTH_FILE", &right)
        .env("DOCKER_CONFIG", sandbox.path("none")))
    .succeeded();
    let refused = run(push().env("REGISTRY_AUTH_FILE", &wrong)).failed_with(1);
    assert!(
        refused.stderr.contains("hint: ") && !refused.stderr.contains("wrong"),
        "{}",
        refused.stderr
    );
    let runtime = directory("runtime/containers/auth.json");
    run(push().env("XDG_RUNTIME_DIR", runtime.parent().unwrap())).succeeded();
    run(push().env("DOCKER_CONFIG", directory("docker/config.json"))).succeeded();
    for name in ["home/.config/containers/auth.json", "home/.docker/config.json"] {
        let file = sandbox.write(name, &auths(PAIR));
        run(&mut push()).succeeded();
        fs_err::remove_file(file).unwrap();
    }
    run(&mut push()).failed_with(1);

    // A program that keeps them, for this registry or for all; it comes before what stands in the file.
    let script = format!(
        "#!/bin/sh\nread host\n[ \"$1 $host\" = 'get {host}' ] || exit 1\n\
         echo '{{\"ServerURL\":\"{host}\",\"Username\":\"me\",\"Secret\":\"s3cret\"}}'\n"
    );
    let program = sandbox.write("bin/docker-credential-test", &script);
    fs_err::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", sandbox.path("bin").display());
    let wrong = json!({ &host: { "auth": "bWU6d3Jvbmc=" } });
    for text in [
        json!({ "credHelpers": { &host: "test" }, "auths": wrong }),
        json!({ "credsStore": "test" }),
        json!({ "credsStore": "none", "credHelpers": { &host: "test" } }),
    ] {
        let file = sandbox.write("helper.json", &text.to_string());
        run(push().env("REGISTRY_AUTH_FILE", file).env("PATH", &path)).succeeded();
    }
    let file = sandbox.write(
        "helper.json",
        &json!({ "credHelpers": { &host: "none" } }).to_string(),
    );
    let refused = run(push().env("REGISTRY_AUTH_FILE", file)).failed_with(1);
    assert!(
        refused.stderr.contains("docker-credential-none"),
        "{}",
        refused.stderr
    );
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn who_logs_in_with_pyoci_is_logged_in_for_podman_too() {
    let sandbox = Sandbox::new();
    let registry = Registry::guarded(Guard::Password);
    let (image, host) = (small(&sandbox), format!("127.0.0.1:{}", registry.port));
    let reference = registry.reference("me/app:1");
    let login = |password: &str| {
        let file = fs_err::File::open(sandbox.write("password", password)).unwrap();
        let arguments = ["login", &host, "-u", "me", "--password-stdin"];
        run(pyoci(&sandbox, &arguments).stdin(file.into_parts().0))
    };
    let refused = login("wrong\n").failed_with(1);
    assert!(!refused.stderr.contains("wrong"), "{}", refused.stderr);
    login("s3cret\n").succeeded();
    run(&mut pyoci(&sandbox, &["push", image, &reference])).succeeded();
    let authfile = sandbox.path("home/.config/containers/auth.json");
    let podman = Podman::new();
    let mut command = podman.command();
    command.args(["pull", "--quiet", "--tls-verify=false", "--authfile"]);
    run(command.arg(&authfile).arg(&reference)).succeeded();
    run(&mut pyoci(&sandbox, &["logout", &host])).succeeded();
    run(&mut pyoci(&sandbox, &["push", image, &reference])).failed_with(1);
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_private_authority_is_trusted_by_ssl_cert_file_and_certs_d() {
    let sandbox = Sandbox::new();
    let registry = Registry::guarded(Guard::Tls);
    let (image, host) = (small(&sandbox), format!("127.0.0.1:{}", registry.port));
    let reference = registry.reference("me/app:1");
    let auths = json!({ "auths": { &host: { "auth": PAIR } } });
    sandbox.write("home/.config/containers/auth.json", &auths.to_string());
    let push = || pyoci(&sandbox, &["push", image, &reference]);
    let refused = run(&mut push()).failed_with(1);
    for word in ["hint: ", "SSL_CERT_FILE", "certs.d"] {
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
    run(push().env("SSL_CERT_FILE", registry.authority())).succeeded();
    run(push().arg("--insecure")).succeeded();
    let directory = format!("home/.config/containers/certs.d/{host}/ca.crt");
    sandbox.write(&directory, &fs_err::read_to_string(registry.authority()).unwrap());
    run(&mut push()).succeeded();
    run(&mut pyoci(&sandbox, &["pull", &reference, "-o", "pulled"])).succeeded();
    let blobs = |name: &str| {
        contents(&sandbox.path(name).join("blobs"))
            .into_values()
            .collect::<Vec<_>>()
    };
    assert!(blobs("pulled") == blobs("base"));
}

/// The digest that skopeo finds under a reference.
fn digest(reference: &str) -> String {
    let docker = format!("docker://{reference}");
    let format = [
        "inspect",
        "--tls-verify=false",
        "--format",
        "{{.Digest}}",
        &docker,
    ];
    skopeo(&format).stdout.trim().to_owned()
}

/// The manifest of a built image.
fn manifest(image: &Built) -> Value {
    let index = layout::index(&image.layout);
    layout::document(&image.layout, &index["manifests"][0])
}

/// An image with Python under /usr/local in a registry, as OCI has it and as Docker's schema 2; and what it was made of.
fn as_docker_hub_has_it(sandbox: &Sandbox, registry: &Registry) -> (Built, [String; 2]) {
    sandbox.write("base/main.py", "");
    let base = sandbox.build("base", &[]);
    let settings = [
        "--clear=config.entrypoint",
        "--clear=config.env",
        "--config.cmd=python3",
        "--config.env=PATH=/usr/local/bin:/usr/bin",
    ];
    change(sandbox, &base, python_to_usr_local, &settings);
    let references = ["3.13-slim", "v2"].map(|tag| registry.reference(&format!("library/python:{tag}")));
    for (format, to) in ["oci", "v2s2"].iter().zip(&references) {
        let (from, to) = (base.reference(), format!("docker://{to}"));
        skopeo(&[
            "copy",
            "--quiet",
            "--dest-tls-verify=false",
            "--format",
            format,
            &from,
            &to,
        ]);
    }
    (base, references)
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn an_image_as_docker_hub_has_it_is_a_base() {
    let sandbox = Sandbox::cold();
    let registry = Registry::start();
    let (base, [oci, docker]) = as_docker_hub_has_it(&sandbox, &registry);
    sandbox.write("app/requirements.txt", "six==1.17.0\n");
    sandbox.write("app/main.py", TELL);

    registry.asked();
    let image = sandbox.build("app", &["--base", &oci]);
    let built = manifest(&image);
    assert_eq!(
        built["annotations"]["org.opencontainers.image.base.name"],
        json!(oci)
    );
    assert_eq!(
        built["annotations"]["org.opencontainers.image.base.digest"],
        json!(digest(&oci))
    );
    let below = manifest(&base)["layers"].clone();
    let of = |layers: &Value, n: usize| layers[n]["digest"].clone();
    let layers = below.as_array().unwrap().len();
    assert!(
        (0..layers).all(|n| of(&built["layers"], n) == of(&below, n)),
        "{built:#}"
    );
    let podman = Podman::new();
    assert_eq!(
        podman.output(&image, &[], &[]),
        "/usr/local/bin/python3 /deps/six.py\n"
    );

    // Another project on the same base reads no layer of it.
    let reads = |asked: &[String]| {
        let layer = |n: usize| of(&below, n).as_str().unwrap().to_owned();
        let of_layers = |l: &&String| l.starts_with("GET") && (0..layers).any(|n| l.contains(&layer(n)));
        asked.iter().filter(of_layers).count()
    };
    // What umoci added; the others are in the cache, as they were made here.
    assert_eq!(reads(&registry.asked()), 1);
    sandbox.write("other/main.py", "print('other')\n");
    let other = sandbox.build("other", &["--base", &oci]);
    assert_eq!(reads(&registry.asked()), 0);
    assert_eq!(podman.output(&other, &[], &[]), "other\n");
    // Nor does a push of it back to where the base is: the layers are mounted.
    let pushed = registry.reference("me/other:1");
    run(sandbox
        .pyoci()
        .args(["build", "other", "--base", &oci, "--push", &pushed]))
    .succeeded();
    let asked = registry.asked();
    assert_eq!(reads(&asked), 0, "{asked:#?}");
    let mounts = asked
        .iter()
        .filter(|l| l.contains("mount=") && l.ends_with(" 201"));
    assert_eq!(mounts.count(), layers, "{asked:#?}");

    // By digest, by tag and digest, and as Docker's schema 2: the same layers, the same program.
    let name = registry.reference("library/python");
    for (reference, from) in [
        (format!("{name}@{}", digest(&oci)), &oci),
        (format!("{oci}@{}", digest(&oci)), &oci),
        (docker.clone(), &docker),
        (format!("docker://{docker}"), &docker),
    ] {
        let image = sandbox.build("app", &["--base", &reference]);
        let built = manifest(&image);
        let annotations = &built["annotations"];
        assert_eq!(
            annotations["org.opencontainers.image.base.digest"],
            json!(digest(from)),
            "{reference}"
        );
        let told = annotations["org.opencontainers.image.base.name"]
            .as_str()
            .unwrap();
        assert!(told.starts_with(&name), "{told}");
        assert_eq!(of(&built["layers"], 0), of(&below, 0));
        assert!(
            built["layers"][0]["mediaType"]
                .as_str()
                .unwrap()
                .starts_with("application/vnd.oci.")
        );
        support::assert_layout_is_valid(&image.layout);
    }
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn what_is_not_there_or_no_reference_is_told() {
    let sandbox = Sandbox::new();
    let registry = Registry::start();
    let image = small(&sandbox);
    run(&mut pyoci(
        &sandbox,
        &["push", image, &registry.reference("me/app:1")],
    ))
    .succeeded();
    sandbox.write("app/main.py", "");
    let port = support::free_port();
    let zero = format!("sha256:{:064}", 0);
    for (reference, word) in [
        (registry.reference("me/app:2"), "does not exist"),
        (registry.reference("nobody:1"), "does not exist"),
        (registry.reference(&format!("me/app@{zero}")), "does not exist"),
        (registry.reference("me/app:1@sha256:12"), "sha256:12"),
        (registry.reference("UPPER:1"), "UPPER"),
        (registry.reference("me/app:a b"), "a b"),
        (format!("127.0.0.1:{port}/a:1"), "127.0.0.1"),
        ("no.such.host.invalid/a:1".to_owned(), "no.such.host.invalid"),
    ] {
        for arguments in [
            &["pull", &reference, "-o", "out"][..],
            &["build", "app", "--base", &reference, "-o", "out"],
        ] {
            let told = run(&mut pyoci(&sandbox, arguments));
            let Run { status, stderr, .. } = &told;
            assert!(matches!(status, Some(1 | 2)), "{told:?}");
            assert!(
                stderr.contains("error: ") && stderr.contains(word),
                "{arguments:?}\n{stderr}"
            );
            assert!(word != "does not exist" || stderr.contains("hint: "), "{stderr}");
            assert!(!sandbox.path("out").exists());
        }
    }
}
