//! Projects become app trees: what is in `/app`, and what Python then sees of the project.

use std::path::Path;
use std::process::Command;

use pyoci::platform::Platform;
use pyoci::progress::Progress;
use pyoci::project::{AppOptions, Distribution, Packaging, Project, Settings, Surroundings};
use pyoci::python::{Libc, Target};
use pyoci::tree::{Kind, Owner, Tree};
use pyoci::wheel::Wheel;

fn target() -> Target {
    Target {
        platform: Platform::host(),
        libc: Libc::Glibc { major: 2, minor: 41 },
        python: (3, 13),
        python_full: None,
        interpreter: "/usr/bin/python3.13".into(),
    }
}

fn write(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
}

fn tree_of(project: &Project, distribution: Option<&Distribution>) -> Tree {
    let files = project.files(&[], &Progress::silent()).unwrap();
    let surroundings = Surroundings {
        installed: &|_| false,
        shell: false,
        unbuilt: false,
    };
    let start = project.start(&files, distribution, surroundings).unwrap();
    let options = AppOptions {
        target: &target(),
        owner: Owner {
            uid: 65532,
            gid: 65532,
        },
        home: None,
        runtime: pyoci::project::Runtime::Image,
    };
    project.tree(files, distribution, &start, options).unwrap()
}

/// Lays a tree out on disk, so that a real Python can look at it.
fn unpack(tree: &Tree, root: &Path) {
    for (path, entry) in tree.iter() {
        let at = root.join(path.as_str());
        match &entry.kind {
            Kind::Directory => fs_err::create_dir_all(at).unwrap(),
            Kind::File(content) => fs_err::write(at, content.read(1 << 20).unwrap()).unwrap(),
            Kind::Symlink(target) => std::os::unix::fs::symlink(target, at).unwrap(),
        }
    }
}

/// What a Python program prints with the app's site directory and roots on its path.
fn python(root: &Path, program: &str) -> String {
    let roots = fs_err::read_to_string(root.join("app/.pyoci/site/roots")).unwrap_or_default();
    let mut path = vec![root.join("app/.pyoci/site")];
    path.extend(roots.lines().map(|line| root.join(line.trim_start_matches('/'))));
    let path = std::env::join_paths(path).unwrap();
    let output = Command::new("python3")
        .args(["-B", "-c", program])
        .env("PYTHONPATH", path)
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const CLI: &str = r#"
[project]
name = "Demo.Cli"
version = "1.0-beta2"
dependencies = ["requests>=2; python_version > '3'", "x @ https://me:secret@host/x.whl"]
[project.optional-dependencies]
Fast_Mode = ["uvloop; sys_platform == 'linux' or os_name == 'nt'"]
[project.scripts]
demo = "demo.main:run"
[project.entry-points."demo.plugins"]
one = "demo"
[build-system]
requires = ["hatchling>=1.20"]
build-backend = "hatchling.build"
[tool.pyoci]
writable = ["data/", "state"]
"#;

#[test]
fn a_src_layout_with_static_metadata_is_importable_and_knows_itself() {
    let directory = tempfile::tempdir().unwrap();
    write(
        directory.path(),
        &[
            ("pyproject.toml", CLI),
            ("src/demo/__init__.py", "here = 1\n"),
            ("data/db", ""),
        ],
    );
    let project = Project::discover(directory.path(), Settings::default()).unwrap();
    let Packaging::Static(metadata) = project.packaging().unwrap() else {
        panic!("the metadata is static");
    };
    let tree = tree_of(&project, Some(&Distribution::Static(metadata)));
    let owner = |path: &str| tree.get(path).unwrap().owner.uid;
    assert_eq!(
        (owner("app/data/db"), owner("app/state"), owner("app/src")),
        (65532, 65532, 0)
    );
    assert_eq!(tree.get("app/.pyoci/bin/demo").unwrap().mode, 0o755);
    let out = tempfile::tempdir().unwrap();
    unpack(&tree, out.path());
    let program = "import demo, importlib.metadata as m; d = m.distribution('demo-cli'); \
        print(d.version, demo.here, d.metadata['Name']); print(*d.requires, sep='\\n'); \
        print([e.value for e in m.entry_points(group='demo.plugins')]); \
        print(all(f.locate().exists() for f in d.files))";
    assert_eq!(
        python(out.path(), program),
        [
            "1.0b2 1 Demo.Cli",
            "requests>=2 ; python_version > \"3\"",
            "x @ https://host/x.whl",
            "uvloop ; (sys_platform == \"linux\" or os_name == \"nt\") and extra == \"fast-mode\"",
            "['demo']",
            "True",
        ]
        .join("\n")
    );
}

#[test]
fn what_cannot_be_taken_from_pyproject_is_built() {
    for (pyproject, reason) in [
        (
            "[project]\nname='x'\ndynamic=['version']\n[build-system]\nrequires=['flit_core']\nbuild-backend='flit_core.buildapi'",
            "its version is dynamic",
        ),
        (
            "[project]\nname='x'\nversion='1'\n[build-system]\nrequires=['maturin']\nbuild-backend='maturin'",
            "the build backend `maturin` may add files",
        ),
        (
            "[project]\nname='x'\nversion='1'\n[build-system]\nrequires=['setuptools', 'cython']\nbuild-backend='setuptools.build_meta'",
            "its build requires `cython`",
        ),
        (
            "[tool.poetry]\nname='x'\n[build-system]\nrequires=['poetry-core']\nbuild-backend='poetry.core.masonry.api'",
            "pyproject.toml has no [project]",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &[("pyproject.toml", pyproject), ("x.py", "")]);
        let project = Project::discover(directory.path(), Settings::default()).unwrap();
        match project.packaging().unwrap() {
            Packaging::Build { reason: said } => assert_eq!(said, reason),
            other => panic!("{reason}: {other:?}"),
        }
    }
}

#[test]
fn a_built_wheel_completes_the_packages_of_the_tree() {
    use std::io::Write as _;
    let directory = tempfile::tempdir().unwrap();
    write(
        directory.path(),
        &[
            (
                "pyproject.toml",
                "[project]\nname='demo'\ndynamic=['version']\n[build-system]\nrequires=['x']\n",
            ),
            ("src/demo/__init__.py", "from ._version import v\n"),
            ("src/demo/data.txt", "tree"),
            ("main.py", ""),
        ],
    );
    let files = [
        ("demo/__init__.py", "from ._version import v\n"),
        ("demo/_version.py", "v = 7\n"),
        ("generated/__init__.py", "g = 8\n"),
        (
            "demo-7.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: demo\nVersion: 7\n",
        ),
        (
            "demo-7.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        ),
        (
            "demo-7.dist-info/entry_points.txt",
            "[console_scripts]\ndemo = demo:v\n",
        ),
    ];
    let row = |name: &str, text: &str| {
        use base64::Engine as _;
        use sha2::Digest as _;
        let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(text));
        format!("{name},sha256={hash},{}\n", text.len())
    };
    let record: String = files.iter().map(|(name, text)| row(name, text)).collect();
    let record = record + "demo-7.dist-info/RECORD,,\n";
    let name = "demo-7-py3-none-any.whl";
    let file = tempfile::tempdir().unwrap();
    let mut zip = zip::ZipWriter::new(fs_err::File::create(file.path().join(name)).unwrap());
    for (name, text) in files
        .iter()
        .copied()
        .chain([("demo-7.dist-info/RECORD", record.as_str())])
    {
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    let wheel = Wheel::open(&file.path().join(name), name).unwrap();
    let project = Project::discover(directory.path(), Settings::default()).unwrap();
    let tree = tree_of(&project, Some(&Distribution::Built(Box::new(wheel))));
    for path in [
        "app/src/demo/_version.py",
        "app/src/demo/data.txt",
        "app/.pyoci/site/generated/__init__.py",
        "app/.pyoci/bin/demo",
    ] {
        assert!(tree.get(path).is_some(), "{path}");
    }
    assert!(
        tree.get("app/.pyoci/site/demo").is_none(),
        "there is one copy of the package"
    );
    let out = tempfile::tempdir().unwrap();
    unpack(&tree, out.path());
    let program = "import demo, generated, importlib.metadata as m; d = m.distribution('demo'); \
        print(demo.v, generated.g, d.version, all(f.locate().exists() for f in d.files))";
    assert_eq!(python(out.path(), program), "7 8 7 True");
}
