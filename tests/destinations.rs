//! Several destinations in one build, `--load`, and the files that tell what was built.

use crate::support::{self, Podman, Registry, Sandbox, assert_layout_is_valid, layout, run};
use serde_json::Value;

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn one_build_goes_everywhere_at_once() {
    let registry = Registry::start();
    let sandbox = Sandbox::new();
    sandbox.example("nodeps");
    let (push, two) = (registry.reference("app"), registry.reference("two:2"));
    let docker = format!("docker://{two}");
    let mut arguments = vec!["build", "nodeps", "-t", "1", "-o", "image", "-o", "oci:more:x"];
    arguments.extend(["-o", "oci-archive:a.tar", "-o", "docker-archive:b.tar:me/app"]);
    arguments.extend(["-o", &docker, "--push", &push]);
    arguments.extend(["--metadata-file", "meta.json", "--iidfile", "id"]);
    let built = sandbox.run(&arguments).succeeded();
    let layout = sandbox.path("image");
    assert_layout_is_valid(&layout);
    let entry = layout::index(&layout)["manifests"][0].clone();
    let digest = entry["digest"].as_str().unwrap();
    let repositories = [two.trim_end_matches(":2"), &push];
    let lines = repositories.map(|repository| format!("{repository}@{digest}\n"));
    assert_eq!(built.stdout, lines.concat());

    let tagged = format!("{push}:1");
    for source in ["oci:more:x", "oci:more:1", "oci-archive:a.tar:1", &tagged, &two] {
        let target = "oci:copy:c";
        let copied = sandbox.run(&["pull", source, "-o", target]).succeeded();
        assert_eq!(copied.stdout.trim_end(), digest, "{source}");
    }
    let manifest = layout::document(&layout, &entry);
    let metadata: Value = serde_json::from_slice(&fs_err::read(sandbox.path("meta.json")).unwrap()).unwrap();
    assert_eq!(metadata["containerimage.digest"], digest);
    assert_eq!(
        metadata["containerimage.config.digest"],
        manifest["config"]["digest"]
    );
    let names = metadata["image.name"].as_str().unwrap();
    assert!(names.contains(&tagged) && names.contains(&two), "{names}");
    let id = fs_err::read_to_string(sandbox.path("id")).unwrap();
    assert_eq!(manifest["config"]["digest"], id);
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn an_image_is_handed_to_podman() {
    let sandbox = Sandbox::new();
    sandbox.example("nodeps");
    let podman = Podman::new();
    // pyoci finds this podman, which is the one of the machine with the storage of the test.
    let program = podman.command();
    let words: Vec<_> = program
        .get_args()
        .map(|word| format!("'{}'", word.display()))
        .collect();
    let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/containers.conf");
    let script = format!(
        "#!/bin/sh\nCONTAINERS_CONF='{settings}' exec /usr/bin/podman {} \"$@\"\n",
        words.join(" ")
    );
    let file = sandbox.write("bin/podman", &script);
    support::run(std::process::Command::new("chmod").arg("+x").arg(&file)).succeeded();
    let path = format!("{}:/usr/bin:/bin", sandbox.path("bin").display());
    let load = |name: &str| {
        let mut command = sandbox.pyoci();
        command
            .args(["build", "nodeps", "-t", "3", name])
            .env("PATH", &path);
        run(&mut command)
    };
    load("--load").succeeded();
    load("--load=me/other").succeeded();
    for name in ["nodeps:3", "me/other:3"] {
        let mut command = podman.command();
        let output = run(command.args(["run", "--rm", name])).succeeded();
        assert!(!output.stdout.is_empty(), "{name}");
    }
}
