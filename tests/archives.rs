//! `oci-archive:` and `docker-archive:`: what others wrote is read, what is written others read, what is wrong is told.

use std::process::Command;

use crate::support::tarball::{self, Member, Pieces, file, gzip, manifest, tar};
use crate::support::{Podman, Run, Sandbox, assert_layout_is_valid, contents, layout, run};
use serde_json::{Value, json};

/// A sandbox with the layout `base` and what it consists of.
fn bench() -> (Sandbox, Pieces) {
    let sandbox = Sandbox::with_base();
    let pieces = Pieces::of(&sandbox.path("base"));
    sandbox.write("app/main.py", "print(1)\n");
    (sandbox, pieces)
}

fn put(sandbox: &Sandbox, name: &str, bytes: impl AsRef<[u8]>) {
    fs_err::write(sandbox.path(name), bytes).unwrap();
}

/// The config of the only image of a layout.
fn config(sandbox: &Sandbox, name: &str) -> Value {
    let directory = sandbox.path(name);
    let index = layout::index(&directory);
    let manifest = layout::document(&directory, &index["manifests"][0]);
    layout::document(&directory, &manifest["config"])
}

#[test]
fn archives_of_docker_of_every_form_are_bases() {
    let (sandbox, pieces) = bench();
    let ids = serde_json::from_slice::<Value>(&pieces.config).unwrap()["rootfs"]["diff_ids"].clone();
    for (form, members) in [
        ("docker 24", pieces.docker_24("example:1")),
        ("docker 25", pieces.docker_25("example:1")),
        ("hard links", pieces.hard_linked("example:1")),
        ("crane", pieces.crane("example:1")),
    ] {
        put(&sandbox, "base.tar", tar(&members));
        put(&sandbox, "base.tar.gz", gzip(&tar(&members)));
        for base in [
            "docker-archive:base.tar",
            "docker-archive:base.tar:docker.io/library/example:1",
            "docker-archive:base.tar:@0",
            "docker-archive:base.tar.gz:example:1",
        ] {
            sandbox
                .run(&["build", "app", "--base", base, "-o", "out"])
                .succeeded();
            let found = config(&sandbox, "out")["rootfs"]["diff_ids"].clone();
            let found = found.as_array().unwrap();
            assert_eq!(json!(found[..found.len() - 1]), ids, "{form} {base}");
        }
        // What has been copied is the config's own bytes.
        sandbox
            .run(&["pull", "docker-archive:base.tar", "-o", "copy"])
            .succeeded();
        assert_eq!(
            config(&sandbox, "copy").to_string().into_bytes(),
            pieces.config,
            "{form}"
        );
    }
}

#[test]
fn the_manifest_of_an_archive_that_is_a_layout_too_keeps_its_digest() {
    let (sandbox, pieces) = bench();
    let members = pieces.docker_25("example:1");
    put(&sandbox, "docker.tar", tar(&members));
    let digest = |source: &str| sandbox.run(&["pull", source, "-o", "copy"]).succeeded().stdout;
    assert_eq!(
        digest("docker-archive:docker.tar"),
        digest("oci-archive:docker.tar")
    );

    // An index that names another image counts for nothing.
    let other = |member: Member| match member {
        Member::File(name, _) if name == "index.json" => {
            file(name, json!({ "schemaVersion": 2, "manifests": [] }).to_string())
        }
        member => member,
    };
    put(
        &sandbox,
        "other.tar",
        tar(&members.into_iter().map(other).collect::<Vec<_>>()),
    );
    assert_ne!(
        digest("docker-archive:other.tar"),
        digest("docker-archive:docker.tar")
    );
}

#[test]
fn copies_through_archives_are_exact_and_always_the_same_bytes() {
    let (sandbox, _) = bench();
    let original = sandbox
        .run(&["pull", "oci:base", "-o", "copy"])
        .succeeded()
        .stdout;
    let steps = [
        ("oci:base", "oci-archive:1.tar:v1"),
        ("oci-archive:1.tar:v1", "docker-archive:2.tar:me/app:1"),
        ("docker-archive:2.tar:me/app:1", "oci-archive:3.tar:v1"),
        ("oci-archive:3.tar:v1", "docker-archive:4.tar:me/app:1"),
        ("docker-archive:4.tar", "oci:back"),
    ];
    for (from, to) in steps {
        assert_eq!(
            sandbox.run(&["pull", from, "-o", to]).succeeded().stdout,
            original,
            "{to}"
        );
    }
    let bytes = |name: &str| fs_err::read(sandbox.path(name)).unwrap();
    assert!(
        bytes("2.tar") == bytes("4.tar"),
        "the second copy differs from the first"
    );
    let of = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).contains("docker.io/me/app:1");
    assert!(of(bytes("2.tar")) && !of(bytes("1.tar")));
    assert_eq!(
        contents(&sandbox.path("back/blobs"))
            .into_values()
            .collect::<Vec<_>>(),
        contents(&sandbox.path("copy/blobs"))
            .into_values()
            .collect::<Vec<_>>()
    );
}

#[test]
fn of_several_images_one_must_be_named() {
    let (sandbox, pieces) = bench();
    let mut members = pieces.docker_24("example:1");
    members.retain(|m| !matches!(m, Member::File(name, _) if name == "manifest.json"));
    let config = members.iter().find_map(|m| match m {
        Member::File(name, _) if name.contains(".json") => Some(name.clone()),
        _ => None,
    });
    let id = pyoci::digest::Digest::of(b"id 0").hex();
    let entry =
        |tags: Value| json!({ "Config": config, "RepoTags": tags, "Layers": [format!("{id}/layer.tar")] });
    let mut one = serde_json::from_slice::<Value>(&pieces.config).unwrap();
    one["rootfs"]["diff_ids"].as_array_mut().unwrap().truncate(1);
    for member in &mut members {
        if let Member::File(name, bytes) = member
            && Some(&*name) == config.as_ref()
        {
            *bytes = one.to_string().into_bytes();
        }
    }
    let list = json!([entry(json!(["example:1", "example:2"])), entry(Value::Null)]);
    members.push(file("manifest.json", list.to_string()));
    put(&sandbox, "two.tar", tar(&members));
    for name in ["", ":other:1", ":@2", ":example"] {
        let failed = sandbox.run(&["pull", &format!("docker-archive:two.tar{name}"), "-o", "copy"]);
        let error = failed.failed_with(1).stderr;
        assert!(error.contains("example:1, example:2, @1"), "{error}");
    }
    for name in [":example:2", ":docker.io/library/example:1", ":@0", ":@1"] {
        let source = format!("docker-archive:two.tar{name}");
        sandbox.run(&["pull", &source, "-o", "copy"]).succeeded();
    }
}

/// A sandbox with an image at every kind of destination, for sources that are wrong.
struct Wrong {
    sandbox: Sandbox,
    pieces: Pieces,
}

const DESTINATIONS: [&str; 3] = ["copy", "oci-archive:copy.tar", "docker-archive:copy-docker.tar"];

impl Wrong {
    fn new() -> Self {
        let (sandbox, pieces) = bench();
        for to in DESTINATIONS {
            sandbox.run(&["pull", "oci:base", "-o", to]).succeeded();
        }
        Self { sandbox, pieces }
    }

    /// Copies from an archive that is wrong, and checks what is said and that nothing else has changed.
    #[track_caller]
    fn refuses(&self, source: &str, expected: &str) {
        let state = || {
            let mut files = contents(&self.sandbox.path(""));
            files.retain(|path, _| !path.starts_with(self.sandbox.path("cache")));
            files
        };
        let before = state();
        for to in DESTINATIONS {
            let Run { stderr, stdout, .. } = self.sandbox.run(&["pull", source, "-o", to]).failed_with(1);
            assert!(
                stderr.contains("error: ") && stderr.contains(expected),
                "{source}: expected {expected:?} in {stderr}"
            );
            assert!(!stderr.contains("panicked") && stdout.is_empty(), "{stderr}");
        }
        assert!(state() == before, "{source} changed something");
    }

    #[track_caller]
    fn docker(&self, members: &[Member], expected: &str) {
        self.bytes(tar(members), expected);
    }

    #[track_caller]
    fn bytes(&self, bytes: impl AsRef<[u8]>, expected: &str) {
        put(&self.sandbox, "bad.tar", bytes);
        self.refuses("docker-archive:bad.tar", expected);
    }

    /// A good archive with one member more.
    fn with(&self, member: Member) -> Vec<Member> {
        let mut members = self.pieces.crane("example:1");
        members.push(member);
        members
    }

    /// A good archive with another member in the place of its `manifest.json`, which is the last.
    fn instead(&self, member: Member) -> Vec<Member> {
        let mut members = self.pieces.crane("example:1");
        members.pop();
        members.push(member);
        members
    }
}

#[test]
fn archives_with_wrong_members_are_refused_and_earlier_images_stay() {
    let wrong = Wrong::new();
    for (member, expected) in [
        (file("manifest.json", "[]"), "two members of this name"),
        (file("./manifest.json", "[]"), "two members of this name"),
        (file("../../etc/passwd", "x"), "leaves its directory"),
        (
            Member::Symlink("x/y".into(), "../../z".into()),
            "leaves the archive",
        ),
    ] {
        wrong.docker(&wrong.with(member), expected);
    }
    for kind in [
        tar::EntryType::Regular,
        tar::EntryType::GNULongName,
        tar::EntryType::XHeader,
    ] {
        let is_file = kind == tar::EntryType::Regular;
        for (size, of_file) in [
            (1 << 40, "manifest.json: the archive is cut off"),
            (u64::MAX / 2, "manifest.json: the archive is cut off"),
            (u64::MAX, "impossible size"),
        ] {
            let mut bytes = tarball::header("manifest.json", kind, "", size);
            bytes.resize(4096, b'x');
            wrong.bytes(bytes, if is_file { of_file } else { "at most" });
        }
    }
    // A plain layer whose bytes are others: found when they are read.
    let mut changed = wrong.pieces.docker_24("example:1");
    for member in &mut changed {
        if let Member::File(name, bytes) = member
            && name.ends_with("layer.tar")
        {
            bytes[0] ^= 1;
        }
    }
    wrong.docker(&changed, "content has digest");
    wrong.bytes("x".repeat(100), "not a tar archive");
    wrong.bytes("x".repeat(10_000), "not a tar archive");
    wrong.bytes(&gzip(&tar(&changed))[..1000], "cannot read the archive");
    wrong.refuses("oci-archive:bad.tar", "cannot read the archive");
    wrong.refuses("oci-archive:nothing.tar", "nothing.tar");
    wrong.refuses("docker-archive:copy.tar", "has no manifest.json");
}

#[test]
fn archives_with_wrong_documents_are_refused_and_earlier_images_stay() {
    let wrong = Wrong::new();
    let good = wrong.pieces.crane("example:1");
    let name = |at: usize| match &good[at] {
        Member::File(name, _) => name.clone(),
        _ => unreachable!("crane writes files only"),
    };
    let (config, layer) = (name(0), name(1));
    let missing = [layer.clone(), "nothing.tar".to_owned(), "nothing.tar".to_owned()];
    let same = [layer.clone(), layer.clone(), layer.clone()];
    for (member, expected) in [
        (file("other", ""), "has no manifest.json"),
        (file("manifest.json", "[]"), "holds no image"),
        (file("manifest.json", "{}"), "malformed: manifest.json"),
        (file("manifest.json", "[{"), "malformed: manifest.json"),
        (manifest("../config.json", &[], &[]), "has no ../config.json"),
        (manifest(&config, &[], &missing), "has no nothing.tar"),
        (manifest(&config, &[], &missing[..1]), "1 layers and 3 diff_ids"),
        (manifest(&layer, &[], &missing), "malformed"),
        (manifest(&config, &[], &same), "the config says sha256:"),
    ] {
        wrong.docker(&wrong.instead(member), expected);
    }
    let mut looped = wrong.instead(manifest("a", &[], &[]));
    looped.push(Member::Symlink("a".into(), "b".into()));
    looped.push(Member::Symlink("b".into(), "a".into()));
    wrong.docker(&looped, "has no a");
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_refused() {
    let (sandbox, _) = bench();
    sandbox
        .run(&["pull", "oci:base", "-o", "docker-archive:whole.tar:me/app:1"])
        .succeeded();
    let whole = fs_err::read(sandbox.path("whole.tar")).unwrap();
    // Without the two blocks at its end it still has everything.
    for length in (0..whole.len() - 1024).step_by(311) {
        put(&sandbox, "bad.tar", &whole[..length]);
        for transport in ["docker-archive", "oci-archive"] {
            let failed = sandbox
                .run(&["pull", &format!("{transport}:bad.tar"), "-o", "copy"])
                .failed_with(1);
            assert!(
                failed.stderr.contains("error: ") && !failed.stderr.contains("panicked"),
                "{}",
                failed.stderr
            );
        }
    }
    assert!(!sandbox.path("copy").exists());
}

#[test]
fn what_is_no_archive_is_not_overwritten() {
    let (sandbox, _) = bench();
    sandbox.write("thesis.txt", "mine");
    for to in [
        "oci-archive:thesis.txt",
        "docker-archive:thesis.txt",
        "oci-archive:app",
        "oci-archive:/dev/null",
    ] {
        for arguments in [
            ["pull", "oci:base", "-o", to].as_slice(),
            &["build", "app", "--base", "oci:base", "-o", to],
        ] {
            let error = sandbox.run(arguments).failed_with(1).stderr;
            assert!(error.contains("is there and not"), "{error}");
            // Nothing was done before.
            assert!(!error.contains("Base"), "{error}");
        }
    }
    assert_eq!(fs_err::read(sandbox.path("thesis.txt")).unwrap(), b"mine");
}

fn skopeo(sandbox: &Sandbox, from: &str, to: &str) {
    let mut command = Command::new("skopeo");
    command
        .current_dir(sandbox.path(""))
        .args(["copy", "--quiet", from, to]);
    run(&mut command).succeeded();
}

/// `podman load`, and the names that the image then has.
fn load(podman: &Podman, archive: &std::path::Path) -> Vec<String> {
    run(podman.command().args(["load", "--quiet", "-i"]).arg(archive)).succeeded();
    let names = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
    let names = run(podman.command().args(names)).succeeded().stdout;
    names.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn skopeo_and_podman_read_our_archives_and_we_read_theirs() {
    let sandbox = Sandbox::new();
    sandbox.write("app/main.py", "import sys\nprint('hello', sys.argv[1:])\n");
    let built = sandbox.build("app", &["--tag", "2"]);
    let digest = format!("{}\n", built.digest);
    let pull = |from: &str, to: &str| sandbox.run(&["pull", from, "-o", to]).succeeded().stdout;
    assert_eq!(pull("oci:app.image:1", "oci-archive:ours.tar:1"), digest);
    assert_eq!(
        pull("oci:app.image:1", "docker-archive:docker.tar:me/app:1"),
        digest
    );

    skopeo(&sandbox, "oci-archive:ours.tar:1", "oci:from-oci:1");
    skopeo(
        &sandbox,
        "docker-archive:docker.tar:me/app:1",
        "oci:from-docker:1",
    );
    assert_layout_is_valid(&sandbox.path("from-docker"));
    assert_eq!(pull("oci:from-oci:1", "copy"), digest);
    skopeo(&sandbox, "oci:app.image:1", "oci-archive:theirs.tar:1");
    assert_eq!(pull("oci-archive:theirs.tar:1", "copy"), digest);
    skopeo(
        &sandbox,
        "oci:app.image:1",
        "docker-archive:theirs-docker.tar:me/app:1",
    );
    run(Command::new("umoci")
        .current_dir(sandbox.path(""))
        .args(["stat", "--image", "from-docker:1"]))
    .succeeded();

    let podman = Podman::new();
    let hello = |name: &str| {
        let mut command = podman.command();
        let said = run(command.args(["run", "--rm", "--quiet", name, "a b"]))
            .succeeded()
            .stdout;
        assert_eq!(said, "hello ['a b']\n", "{name}");
    };
    assert_eq!(load(&podman, &sandbox.path("docker.tar")), ["docker.io/me/app:1"]);
    hello("me/app:1");
    for (format, name) in [
        ("docker-archive", "podman.tar"),
        ("oci-archive", "podman-oci.tar"),
    ] {
        let mut command = podman.command();
        command
            .args(["save", "--quiet", "--format", format, "-o"])
            .arg(sandbox.path(name))
            .arg("me/app:1");
        run(&mut command).succeeded();
    }
    // Several names: podman takes those of `manifest.json`, which have no registry.
    pull("oci:app.image:1", "docker-archive:named.tar:ghcr.io/me/app:1");
    let names = load(&podman, &sandbox.path("named.tar"));
    assert!(names.contains(&"ghcr.io/me/app:1".to_owned()), "{names:?}");
    hello("ghcr.io/me/app:1");

    sandbox.write("next/main.py", "import sys\nprint('next', sys.argv[1:])\n");
    for base in [
        "docker-archive:docker.tar",
        "docker-archive:theirs-docker.tar",
        "docker-archive:podman.tar:docker.io/me/app:1",
        "oci-archive:podman-oci.tar",
        "oci-archive:ours.tar:1",
    ] {
        let image = sandbox.build("next", &["--base", base]);
        assert_layout_is_valid(&image.layout);
        assert_eq!(podman.output(&image, &[], &["x"]), "next ['x']\n", "{base}");
    }
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn layers_of_zstd_are_plain_in_archives_of_docker_and_run() {
    let sandbox = Sandbox::new();
    sandbox.write("app/main.py", "print('hello')\n");
    sandbox
        .run(&[
            "build",
            "app",
            "-t",
            "1",
            "--compression",
            "zstd",
            "-o",
            "docker-archive:z.tar:me/app",
        ])
        .succeeded();
    let listed = run(Command::new("tar")
        .arg("xOf")
        .arg(sandbox.path("z.tar"))
        .arg("index.json"))
    .succeeded();
    assert!(listed.stdout.contains("docker.io/me/app:1"), "{}", listed.stdout);
    let podman = Podman::new();
    load(&podman, &sandbox.path("z.tar"));
    let said = run(podman.command().args(["run", "--rm", "me/app:1"]))
        .succeeded()
        .stdout;
    assert_eq!(said, "hello\n");
    sandbox
        .run(&["pull", "docker-archive:z.tar", "-o", "plain"])
        .succeeded();
    let directory = sandbox.path("plain");
    assert_layout_is_valid(&directory);
    let manifest = layout::document(&directory, &layout::index(&directory)["manifests"][0]);
    for layer in manifest["layers"].as_array().unwrap() {
        assert_ne!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
    }
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn images_for_several_platforms_go_into_archives_of_layouts_only() {
    let sandbox = Sandbox::new();
    sandbox.write("app/main.py", "print('hello')\n");
    let platforms = ["--platform", "linux/amd64", "--platform", "linux/arm64"];
    let build = |to: &str| sandbox.run(&[&["build", "app", "-t", "1", "-o", to], &platforms[..]].concat());
    let error = build("docker-archive:d.tar").failed_with(1).stderr;
    assert!(
        error.contains("linux/amd64, linux/arm64") && error.contains("--platform"),
        "{error}"
    );
    assert!(!sandbox.path("d.tar").exists());
    let digest = build("oci-archive:o.tar").succeeded().stdout;
    assert_eq!(
        sandbox
            .run(&["pull", "oci-archive:o.tar:1", "-o", "copy"])
            .succeeded()
            .stdout,
        digest
    );
    assert_layout_is_valid(&sandbox.path("copy"));
    for architecture in ["amd64", "arm64"] {
        let mut command = Command::new("skopeo");
        command.current_dir(sandbox.path("")).args([
            "--override-arch",
            architecture,
            "inspect",
            "oci-archive:o.tar:1",
        ]);
        let found = run(&mut command).succeeded().stdout;
        assert!(
            found.contains(&format!("\"Architecture\": \"{architecture}\"")),
            "{found}"
        );
    }
}
