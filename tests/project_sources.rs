//! Requirements that come of no index: directories, repositories, URLs; and what a directory next door changes.

use std::path::Path;
use std::process::Command;

use crate::support::{self, Podman, Sandbox, layout, lock, run, small_base, wheel};

const SMALL: [&str; 5] = ["--base", "oci:base:base", "--offline", "-o", "image"];

/// All layers of `image` that a build added to a base of one layer, lowest first.
fn layers(layout: &Path) -> Vec<serde_json::Value> {
    let index = layout::index(layout);
    let manifest = layout::document(layout, &index["manifests"][0]);
    manifest["layers"].as_array().unwrap()[1..].to_vec()
}

#[test]
fn an_editable_wheel_is_refused_by_name() {
    let sandbox = Sandbox::with_base();
    sandbox.write("app/main.py", "");
    for (file, text, leads_to) in [
        ("demo.pth", "/home/me/demo/src\n", "/home/me/demo/src"),
        ("__editable___demo_finder.py", "", "the sources on the machine"),
    ] {
        let made = wheel(
            &sandbox.path("app/wheels"),
            "demo",
            "py3-none-any",
            &[(file, text)],
        );
        sandbox.write("app/pylock.toml", &lock(&[made]));
        let said = sandbox
            .run(&[&["build", "app"][..], &SMALL].concat())
            .failed_with(1)
            .stderr;
        let expected =
            format!("demo-1.0-py3-none-any.whl is an editable install: {file} leads to {leads_to}");
        assert!(said.contains(&expected) && said.contains("hint: "), "{said}");
    }
    let made = wheel(
        &sandbox.path("app/wheels"),
        "demo",
        "py3-none-any",
        &[("demo.pth", "demo_src\n")],
    );
    sandbox.write("app/pylock.toml", &lock(&[made]));
    sandbox.run(&[&["build", "app"][..], &SMALL].concat()).succeeded();
}

#[test]
fn large_data_files_have_a_layer_that_a_change_of_the_code_leaves() {
    let sandbox = Sandbox::with_base();
    sandbox.write("app/main.py", "print(1)\n");
    let large = fs_err::File::create(sandbox.path("app/model.bin")).unwrap();
    large.set_len((32 << 20) + 1).unwrap();
    let build = || {
        let report = sandbox
            .run(&[&["build", "app", "--format", "json"][..], &SMALL].concat())
            .succeeded();
        let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
        let layers = report["platforms"][0]["layers"].as_array().unwrap().clone();
        let kinds: Vec<_> = layers
            .iter()
            .map(|layer| layer["kind"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(kinds, ["base", "app-data", "app"]);
        (layers[1]["digest"].clone(), layers[2]["digest"].clone())
    };
    let first = build();
    let [data, app] = &layers(&sandbox.path("image"))[..] else {
        panic!("two layers");
    };
    let names = |layer| {
        layout::files(&sandbox.path("image"), layer, "")
            .into_iter()
            .map(|(name, _)| name)
    };
    assert_eq!(names(data).collect::<Vec<_>>(), ["app/model.bin"]);
    assert!(names(app).any(|name| name == "app/main.py") && names(app).all(|name| name != "app/model.bin"));
    support::assert_layout_is_valid(&sandbox.path("image"));
    sandbox.write("app/main.py", "print(2)\n");
    let second = build();
    assert_eq!(first.0, second.0);
    assert_ne!(first.1, second.1);
    small_base(&sandbox.path("new"), true);
    let rebased = sandbox
        .run(&["rebase", "oci:image", "--base", "oci:new:base", "-o", "moved"])
        .succeeded();
    assert_eq!(
        layers(&sandbox.path("moved")),
        layers(&sandbox.path("image")),
        "{}",
        rebased.stderr
    );
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.arg("-C")
        .arg(directory)
        .args(["-c", "user.name=T", "-c", "user.email=t@example.org"]);
    run(git.args(arguments)).succeeded().stdout.trim().to_owned()
}

/// A repository with a project in a subdirectory, tagged `v1`; gives the commit.
fn repository(sandbox: &Sandbox) -> String {
    let project = "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n\
        [project]\nname = 'distant'\nversion = '1'\n[tool.setuptools]\npy-modules = ['distant']\n";
    sandbox.write("repo/sub/pyproject.toml", project);
    sandbox.write("repo/sub/distant.py", "value = 'from the tag'\n");
    let repo = sandbox.path("repo");
    git(&repo, &["init", "--quiet", "--initial-branch=main"]);
    git(&repo, &["add", "."]);
    git(&repo, &["commit", "--quiet", "-m", "one"]);
    git(&repo, &["tag", "v1"]);
    let commit = git(&repo, &["rev-parse", "HEAD"]);
    sandbox.write("repo/sub/distant.py", "value = 'later'\n");
    git(&repo, &["commit", "--quiet", "-am", "two"]);
    commit
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_repository_at_a_tag_is_built_once_from_its_commit() {
    let sandbox = Sandbox::new();
    let commit = repository(&sandbox);
    let url = format!(
        "git+file://{}@v1#subdirectory=sub",
        sandbox.path("repo").display()
    );
    sandbox.write("app/requirements.txt", &format!("distant @ {url}\n"));
    sandbox.write("app/main.py", "import distant\nprint(distant.value)\n");
    let image = sandbox.build("app", &[]);
    assert_eq!(Podman::new().output(&image, &[], &[]), "from the tag\n");
    // A lock of poetry's names the same commit: the wheel is that of the first build.
    sandbox.write("poetic/main.py", "import distant\nprint(distant.value)\n");
    let source = format!(
        "[[package]]\nname = 'distant'\nversion = '1'\ndescription = ''\noptional = false\npython-versions = '*'\n\
         groups = ['main']\nfiles = []\ndevelop = false\n[package.source]\ntype = 'git'\nurl = 'file://{}'\n\
         reference = 'v1'\nresolved_reference = '{commit}'\nsubdirectory = 'sub'\n\
         [metadata]\nlock-version = '2.1'\npython-versions = '*'\ncontent-hash = ''\n",
        sandbox.path("repo").display()
    );
    sandbox.write("poetic/poetry.lock", &source);
    let image = sandbox.build("poetic", &["--offline"]);
    assert_eq!(Podman::new().output(&image, &[], &[]), "from the tag\n");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn directories_next_door_are_installed_as_they_are_now() {
    let sandbox = Sandbox::new();
    for name in ["one", "two", "three"] {
        let project = format!(
            "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n\
             [project]\nname = '{name}'\nversion = '1'\nreadme = '../README.md'\n[tool.setuptools]\npy-modules = ['{name}']\n"
        );
        sandbox.write(
            &format!("{name}/pyproject.toml"),
            &project.replace("readme = '../README.md'\n", ""),
        );
        sandbox.write(&format!("{name}/{name}.py"), "value = 1\n");
    }
    let two = sandbox.path("two").display().to_string();
    sandbox.write(
        "app/requirements.txt",
        &format!("-e ../one\ntwo @ file://{two}\n../three\n"),
    );
    let program = "import one, two, three\nprint(one.value, two.value, three.value, one.__file__)\n";
    sandbox.write("app/main.py", program);
    let podman = Podman::new();
    let first = sandbox.build("app", &[]);
    assert_eq!(podman.output(&first, &[], &[]), "1 1 1 /deps/one.py\n");
    let again = sandbox.build("app", &["--offline"]);
    assert_eq!(again.digest, first.digest);
    for name in ["one", "two", "three"] {
        assert!(again.stderr.contains(&format!("Kept {name}")), "{}", again.stderr);
    }
    sandbox.write("one/one.py", "value = 2\n");
    let changed = sandbox.build("app", &[]);
    assert_eq!(podman.output(&changed, &[], &[]), "2 1 1 /deps/one.py\n");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_version_from_git_above_the_project_is_kept_until_the_next_tag() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "mono/app/pyproject.toml",
        "[build-system]\nrequires = ['setuptools', 'setuptools-scm>=8']\nbuild-backend = 'setuptools.build_meta'\n\
         [project]\nname = 'mono-app'\ndynamic = ['version', 'readme']\n[tool.setuptools]\npy-modules = ['main']\n\
         [tool.setuptools_scm]\nroot = '..'\n[tool.setuptools.dynamic]\nreadme = { file = 'README.md' }\n",
    );
    sandbox.write("mono/app/README.md", "# App\n");
    sandbox.write(
        "mono/app/main.py",
        "import importlib.metadata as m\nprint(m.version('mono-app'))\n",
    );
    sandbox.write("mono/lib/x.py", "");
    let mono = sandbox.path("mono");
    git(&mono, &["init", "--quiet"]);
    git(&mono, &["add", "."]);
    git(&mono, &["commit", "--quiet", "-m", "one"]);
    git(&mono, &["tag", "v1.5"]);
    let podman = Podman::new();
    let build = |options: &[&str]| {
        let image = sandbox.build("mono/app", options);
        (podman.output(&image, &[], &[]), image.stderr)
    };
    assert_eq!(build(&[]).0, "1.5\n");
    let (version, said) = build(&["--offline"]);
    assert!(version == "1.5\n" && said.contains("Kept mono-app"), "{said}");
    git(&mono, &["tag", "-d", "v1.5"]);
    git(&mono, &["tag", "v1.6"]);
    assert_eq!(build(&[]).0, "1.6\n");
    fs_err::remove_dir_all(mono.join(".git")).unwrap();
    let command = ["build", "mono/app", "-o", "image"];
    let said = sandbox.run(&command).failed_with(1).stderr;
    assert!(said.contains("hint: its version is asked of git"), "{said}");
    let mut pretended = sandbox.pyoci();
    pretended
        .args(command)
        .env("SETUPTOOLS_SCM_PRETEND_VERSION", "9.9");
    run(&mut pretended).succeeded();
}
