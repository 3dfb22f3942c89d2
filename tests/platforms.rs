//! Several platforms: one index, each image with the wheels of its own CPU.

use std::process::Command;

use crate::support::{Registry, Sandbox, assert_layout_is_valid, layout, run};
use serde_json::{Value, json};

/// `e_machine` of x86-64 and `AArch64` (ELF gABI).
const MACHINES: [(&str, u16); 2] = [("amd64", 62), ("arm64", 183)];

/// The CPU that each ELF file is for.
fn machines(files: &[(String, Vec<u8>)]) -> Vec<u16> {
    let machine = |(name, bytes): &(String, Vec<u8>)| {
        assert_eq!(&bytes[..4], b"\x7fELF", "{name}");
        u16::from_le_bytes([bytes[18], bytes[19]])
    };
    files.iter().map(machine).collect()
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn one_index_holds_an_image_with_its_own_wheels_for_each_platform() {
    let sandbox = Sandbox::new();
    sandbox.example("data");
    let image = sandbox.build("data", &["--platform", "linux/amd64,linux/arm64"]);
    assert_layout_is_valid(&image.layout);

    // One entry for the tag: `skopeo` and `podman` refuse a layout with two of the same name.
    let index = layout::index(&image.layout);
    let [entry] = index["manifests"].as_array().unwrap().as_slice() else {
        panic!("{index:#}")
    };
    assert_eq!(entry["digest"], json!(image.digest));
    assert_eq!(
        entry["annotations"]["org.opencontainers.image.ref.name"],
        json!("1")
    );
    let nested = layout::document(&image.layout, entry);
    let raw = run(Command::new("skopeo").args(["inspect", "--raw", &image.reference()])).succeeded();
    assert_eq!(serde_json::from_str::<Value>(&raw.stdout).unwrap(), nested);

    let images = nested["manifests"].as_array().unwrap();
    assert_eq!(images.len(), MACHINES.len());
    let mut apps = Vec::new();
    for (descriptor, (architecture, machine)) in images.iter().zip(MACHINES) {
        assert_eq!(
            descriptor["platform"],
            json!({ "architecture": architecture, "os": "linux" })
        );
        let manifest = layout::document(&image.layout, descriptor);
        let config = layout::document(&image.layout, &manifest["config"]);
        assert_eq!(config["architecture"], json!(architecture));
        let [base, dependencies, app] = manifest["layers"].as_array().unwrap().as_slice() else {
            panic!("{manifest:#}")
        };
        let interpreter = layout::files(&image.layout, base, "bin/python3.13");
        assert_eq!(machines(&interpreter), [machine]);
        let extensions = layout::files(&image.layout, dependencies, ".so");
        assert!(extensions.len() > 50, "{}", extensions.len());
        assert!(
            machines(&extensions).iter().all(|found| *found == machine),
            "{architecture}"
        );
        apps.push(app["digest"].clone());
    }
    assert_eq!(apps[0], apps[1], "the app is the same for both, so its layer is");

    let registry = Registry::start();
    let remote = format!("docker://{}", registry.reference("data:1"));
    let skopeo =
        |arguments: &[&str]| run(Command::new("skopeo").arg("--insecure-policy").args(arguments)).succeeded();
    skopeo(&[
        "copy",
        "--all",
        "--dest-tls-verify=false",
        &image.reference(),
        &remote,
    ]);
    for (architecture, _) in MACHINES {
        let chosen = ["--override-arch", architecture, "inspect", "--tls-verify=false"];
        let format = ["--format", "{{.Architecture}}", remote.as_str()];
        let inspected = skopeo(&[&chosen[..], &format[..]].concat());
        assert_eq!(inspected.stdout.trim(), architecture);
    }
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_package_without_a_wheel_for_one_of_them_is_named_with_what_it_offers() {
    let sandbox = Sandbox::new();
    sandbox.write("app/main.py", "");
    let image = sandbox.build("app", &[]);
    let wheel = "fast-1.2-cp313-cp313-manylinux_2_28_x86_64.whl";
    let hash = "0".repeat(64);
    sandbox.write(
        "app/pylock.toml",
        &format!(
            "lock-version = '1.0'\ncreated-by = 'test'\n[[packages]]\nname = 'fast'\nversion = '1.2'\n\
             wheels = [{{ url = 'https://127.0.0.1:1/{wheel}', hashes = {{ sha256 = '{hash}' }} }}]\n"
        ),
    );
    let mut command = sandbox.pyoci();
    command.args(["build", "app", "-t", "1", "-o", "app.image"]);
    let refused = run(command.args(["--platform", "linux/arm64,linux/amd64"])).failed_with(1);
    let message = refused
        .stderr
        .split_once("error: ")
        .map_or("", |(_, message)| message);
    for part in [
        "linux/arm64",
        "fast 1.2",
        "has no wheel for",
        "manylinux_2_28_x86_64",
        "hint: ",
    ] {
        assert!(message.contains(part), "{part} is not in\n{}", refused.stderr);
    }
    assert_eq!(refused.stdout, "");
    assert_eq!(
        layout::index(&image.layout)["manifests"][0]["digest"],
        json!(image.digest)
    );
}
