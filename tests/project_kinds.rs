//! Projects as their tools lay them out: built untouched, and started.

use std::path::Path;
use std::process::Command;

use crate::support::{self, IndexHabits, PackageIndex, Podman, Sandbox, run, wheel};

const SETUP: &str = "from setuptools import setup\n\
    setup(name='old-school', version='2.0', py_modules=['old'], install_requires=['six==1.17.0'],\n\
    \x20     extras_require={'colour': ['termcolor==3.1.0']}, entry_points={'console_scripts': ['old=old:main']})\n";
const OLD: &str = "def main():\n    import importlib.util, six\n    \
    print('six', six.__version__, importlib.util.find_spec('termcolor') is not None)\n";
/// A project of setuptools that is one module.
const MODULE: &str = "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n\
    [project]\nname = 'NAME'\nversion = '1.0'\n[tool.setuptools]\npy-modules = ['NAME']\n";

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_project_of_setup_py_alone_with_its_extras() {
    let sandbox = Sandbox::new();
    sandbox.write("old/setup.py", SETUP);
    sandbox.write("old/old.py", OLD);
    let podman = Podman::new();
    let image = sandbox.build("old", &[]);
    assert_eq!(podman.output(&image, &[], &[]), "six 1.17.0 False\n");
    let image = sandbox.build("old", &["--extra", "colour"]);
    assert_eq!(podman.output(&image, &[], &[]), "six 1.17.0 True\n");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn every_backend_gives_its_version_its_script_and_its_data() {
    let package = "\"\"\"A package.\"\"\"\n__version__ = '3.7'\ndef main():\n    \
        import importlib.metadata as m, importlib.resources as r\n    \
        print(m.version('kind'), r.files('pkg').joinpath('data.txt').read_text())\n";
    let dynamic = "[project]\nname = 'kind'\ndynamic = ['version']\nscripts = { kind = 'pkg:main' }\n";
    let backend = |requires: &str, backend: &str| {
        format!("[build-system]\nrequires = ['{requires}']\nbuild-backend = '{backend}'\n")
    };
    let hatch = "[tool.hatch.version]\npath = 'pkg/__init__.py'\n\
        [tool.hatch.build.targets.wheel]\npackages = ['pkg']\n";
    let pdm = "[tool.pdm.version]\nsource = 'file'\npath = 'pkg/__init__.py'\n[tool.pdm.build]\nincludes = ['pkg']\n";
    let flit =
        dynamic.replace("['version']", "['version', 'description']") + "[tool.flit.module]\nname = 'pkg'\n";
    let poetry = "[tool.poetry]\nname = 'kind'\nversion = '3.7'\ndescription = ''\nauthors = []\n\
        packages = [{ include = 'pkg' }]\n[tool.poetry.scripts]\nkind = 'pkg:main'\n";
    let podman = Podman::new();
    for (name, text) in [
        ("hatch", backend("hatchling", "hatchling.build") + dynamic + hatch),
        ("flit", backend("flit_core>=3.4", "flit_core.buildapi") + &flit),
        ("pdm", backend("pdm-backend", "pdm.backend") + dynamic + pdm),
        (
            "poetry",
            backend("poetry-core", "poetry.core.masonry.api") + poetry,
        ),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write(&format!("{name}/pyproject.toml"), &text);
        sandbox.write(&format!("{name}/pkg/__init__.py"), package);
        sandbox.write(&format!("{name}/pkg/data.txt"), name);
        let image = sandbox.build(name, &[]);
        assert_eq!(podman.output(&image, &[], &[]), format!("3.7 {name}\n"));
    }
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn package_data_follows_manifest_in_also_in_a_dependency() {
    let sandbox = Sandbox::new();
    let setup = "from setuptools import setup\n\
        setup(name='NAME', version='1', packages=['NAME'], include_package_data=True)\n";
    let package = "from importlib.resources import files\n\
        def names():\n    return sorted(f.name for f in files(__name__).iterdir() if f.name.endswith('.txt'))\n";
    for name in ["own", "lib"] {
        let of = |file: &str, text: &str| sandbox.write(&format!("{name}/{file}"), text);
        of("setup.py", &setup.replace("NAME", name));
        of("MANIFEST.in", &format!("include {name}/in.txt\n"));
        of(&format!("{name}/__init__.py"), package);
        of(&format!("{name}/in.txt"), "");
        of(&format!("{name}/out.txt"), "");
    }
    sandbox.write("own/requirements.txt", "../lib\n");
    sandbox.write(
        "own/main.py",
        "import own, lib\nprint(own.names(), lib.names())\n",
    );
    let image = sandbox.build("own", &["--entrypoint", "python3 main.py"]);
    // The project's own directory is there as it is; what is installed has what its backend takes.
    let expected = "['in.txt', 'out.txt'] ['in.txt']\n";
    assert_eq!(Podman::new().output(&image, &[], &[]), expected);
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn namespace_packages_reach_over_dependencies_and_the_project() {
    let sandbox = Sandbox::new();
    let old = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n";
    for name in ["one", "two"] {
        let text = MODULE.replace(
            "py-modules = ['NAME']",
            "packages = ['ns.NAME', 'old', 'old.NAME']",
        );
        sandbox.write(&format!("{name}/pyproject.toml"), &text.replace("NAME", name));
        for package in ["ns", "old"] {
            sandbox.write(&format!("{name}/{package}/{name}/__init__.py"), "");
        }
        sandbox.write(&format!("{name}/old/__init__.py"), old);
    }
    sandbox.write("app/requirements.txt", "../one\n../two\n");
    sandbox.write("app/ns/own/__init__.py", "");
    sandbox.write("app/old/__init__.py", old);
    sandbox.write("app/old/own/__init__.py", "");
    let program = "import ns.one, ns.two, ns.own, old.one, old.two, old.own\nprint('all')\n";
    sandbox.write("app/main.py", program);
    let image = sandbox.build("app", &[]);
    assert_eq!(Podman::new().output(&image, &[], &[]), "all\n");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_dependency_group_takes_the_groups_that_it_includes() {
    let sandbox = Sandbox::new();
    let text = "[project]\nname = 'grouped'\nversion = '1'\n[dependency-groups]\nbase = ['six==1.17.0']\n\
        dev = [{ include-group = 'base' }, 'idna==3.10']\nother = ['toolz']\n";
    sandbox.write("app/pyproject.toml", text);
    sandbox.write(
        "app/main.py",
        "import six, idna\nprint(six.__version__, idna.__version__)\n",
    );
    let image = sandbox.build("app", &["--group", "dev"]);
    assert_eq!(Podman::new().output(&image, &[], &[]), "1.17.0 3.10\n");
    assert!(!image.stderr.contains("toolz"), "{}", image.stderr);
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_workspace_of_uv_needs_no_lock_and_paths_of_pdm_and_pipenv_become_wheels() {
    let sandbox = Sandbox::new();
    let lib = |place: &str| {
        sandbox.write(&format!("{place}/pyproject.toml"), &MODULE.replace("NAME", "lib"));
        sandbox.write(&format!("{place}/lib.py"), &format!("value = '{place}'\n"));
    };
    let program = "import lib\nprint(lib.value, lib.__file__)\n";
    let project =
        "[project]\nname = 'root'\nversion = '1'\nrequires-python = '>=3.11'\ndependencies = ['lib']\n";
    lib("uv/packages/lib");
    let workspace =
        "[tool.uv.workspace]\nmembers = ['packages/*']\n[tool.uv.sources]\nlib = { workspace = true }\n";
    sandbox.write("uv/pyproject.toml", &format!("{project}{workspace}"));
    lib("pdm/lib");
    let own = project.replace("['lib']", "[]");
    sandbox.write(
        "pdm/pyproject.toml",
        &format!("{own}[tool.pdm.dev-dependencies]\ndev = ['-e file:///${{PROJECT_ROOT}}/lib#egg=lib']\n"),
    );
    sandbox.write(
        "pdm/pdm.lock",
        "[metadata]\ngroups = ['default', 'dev']\nstrategy = ['inherit_metadata']\nlock_version = '4.5.0'\n\
         [[package]]\nname = 'lib'\nversion = '1.0'\neditable = true\npath = './lib'\nsummary = ''\ngroups = ['dev']\n",
    );
    lib("pipenv/lib");
    sandbox.write(
        "pipenv/Pipfile",
        "[packages]\nlib = { path = './lib', editable = true }\n",
    );
    sandbox.write(
        "pipenv/Pipfile.lock",
        r#"{"_meta": {"pipfile-spec": 6, "requires": {}, "sources": []},
        "default": {"lib": {"editable": true, "path": "./lib"}}, "develop": {}}"#,
    );
    let podman = Podman::new();
    for (name, place, options) in [
        ("uv", "uv/packages/lib", &[][..]),
        ("pdm", "pdm/lib", &["--group", "dev"]),
        ("pipenv", "pipenv/lib", &[]),
    ] {
        sandbox.write(&format!("{name}/main.py"), program);
        let image = sandbox.build(name, options);
        assert_eq!(podman.output(&image, &[], &[]), format!("{place} /deps/lib.py\n"));
    }
}

/// Writes a `.tar.gz` of these files.
fn archive(path: &Path, files: &[(&str, String)]) {
    let file = fs_err::File::create(path).unwrap();
    let gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    let mut builder = tar::Builder::new(gzip);
    for (name, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap();
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn wheels_sdists_and_subdirectories_of_archives_come_from_their_urls() {
    let sandbox = Sandbox::new();
    let files = sandbox.path("files");
    wheel(&files, "one", "py3-none-any", &[("one.py", "")]);
    let module = |name: &str| MODULE.replace("NAME", name);
    let info = "Metadata-Version: 2.1\nName: two\nVersion: 1.0\n".to_owned();
    archive(
        &files.join("two-1.0.tar.gz"),
        &[
            ("two-1.0/PKG-INFO", info),
            ("two-1.0/pyproject.toml", module("two")),
            ("two-1.0/two.py", String::new()),
        ],
    );
    archive(
        &files.join("main.tar.gz"),
        &[
            ("mono-main/README.md", String::new()),
            ("mono-main/libs/three/pyproject.toml", module("three")),
            ("mono-main/libs/three/three.py", String::new()),
        ],
    );
    let index = PackageIndex::start(files, IndexHabits::default());
    let url = format!("{}/files", index.url);
    sandbox.write(
        "app/requirements.txt",
        &format!(
            "one @ {url}/one-1.0-py3-none-any.whl\ntwo @ {url}/two-1.0.tar.gz\n\
             three @ {url}/main.tar.gz#subdirectory=libs/three\n"
        ),
    );
    sandbox.write("app/main.py", "import one, two, three\nprint(three.__file__)\n");
    let image = sandbox.build("app", &[]);
    assert_eq!(Podman::new().output(&image, &[], &[]), "/deps/three.py\n");
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(directory);
    git.args([
        "-c",
        "user.name=T",
        "-c",
        "user.email=t@example.org",
        "-c",
        "protocol.file.allow=always",
    ]);
    run(git.args(arguments)).succeeded().stdout.trim().to_owned()
}

/// A `pylock.toml` with a commit of the repository `repo`.
fn locked_commit(sandbox: &Sandbox, commit: &str) {
    let text = format!(
        "lock-version = '1.0'\ncreated-by = 'test'\n[[packages]]\nname = 'outer'\n\
         vcs = {{ type = 'git', url = 'file://{}', commit-id = '{commit}' }}\n",
        sandbox.path("repo").display()
    );
    sandbox.write("app/pylock.toml", &text);
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_repository_is_built_with_its_submodules() {
    let sandbox = Sandbox::new();
    sandbox.write("inner/outer.py", "value = 'of the submodule'\n");
    let text = MODULE
        .replace("NAME", "outer")
        .replace("py-modules", "package-dir = { '' = 'inner' }\npy-modules");
    sandbox.write("repo/pyproject.toml", &text);
    for name in ["inner", "repo"] {
        let place = sandbox.path(name);
        git(&place, &["init", "--quiet"]);
        if name == "repo" {
            let from = sandbox.path("inner").display().to_string();
            git(&place, &["submodule", "--quiet", "add", &from, "inner"]);
        }
        git(&place, &["add", "."]);
        git(&place, &["commit", "--quiet", "-m", "one"]);
    }
    locked_commit(&sandbox, &git(&sandbox.path("repo"), &["rev-parse", "HEAD"]));
    sandbox.write("app/main.py", "import outer\nprint(outer.value)\n");
    let mut command = sandbox.pyoci();
    command.args(["build", "app", "-t", "1", "-o", "image"]);
    command.env("GIT_CONFIG_COUNT", "1");
    command.env("GIT_CONFIG_KEY_0", "protocol.file.allow");
    command.env("GIT_CONFIG_VALUE_0", "always");
    let done = run(&mut command).succeeded();
    let image = support::Built {
        layout: sandbox.path("image"),
        tag: "1".to_owned(),
        digest: done.stdout.trim_end().to_owned(),
        stderr: done.stderr,
    };
    assert_eq!(Podman::new().output(&image, &[], &[]), "of the submodule\n");
}

#[test]
fn a_repository_needs_git_and_says_so() {
    let sandbox = Sandbox::with_base();
    locked_commit(&sandbox, "0123456789abcdef0123456789abcdef01234567");
    sandbox.write("app/main.py", "");
    let mut command = sandbox.pyoci();
    command.env("PATH", "/nowhere");
    command.args(["build", "app", "--base", "oci:base:base", "-o", "image"]);
    let said = run(&mut command).failed_with(1).stderr;
    assert!(
        said.contains("outer") && said.contains("git, which fetches it, is not installed"),
        "{said}"
    );
    assert!(said.contains("hint: install git"), "{said}");
}

#[test]
fn the_files_of_setuptools_tell_name_and_python_before_anything_is_built() {
    let sandbox = Sandbox::with_base();
    let explain = |more: &[&str]| {
        sandbox.run(
            &[
                &["explain", "checkout", "--base", "oci:base:base", "--offline"][..],
                more,
            ]
            .concat(),
        )
    };
    sandbox.write(
        "checkout/pylock.toml",
        "lock-version = '1.0'\ncreated-by = 'test'\npackages = []\n",
    );
    sandbox.write("checkout/setup.py", "import setuptools\nsetuptools.setup()\n");
    let cfg = "[metadata]\nname = tool\nversion = attr: tool.__version__\n[options]\npy_modules = tool\n\
        [options.entry_points]\nconsole_scripts =\n    tool = tool:main\n    tools = tool:main\n";
    sandbox.write("checkout/setup.cfg", cfg);
    sandbox.write("checkout/tool.py", "");
    let said = explain(&[]).succeeded().stdout;
    assert!(said.contains("tool in "), "{said}");
    assert!(
        said.contains("tool: the console script named like the project"),
        "{said}"
    );
    let wants = cfg.replace("[options]\n", "[options]\npython_requires = >=3.14\n");
    sandbox.write("checkout/setup.cfg", &wants);
    let said = explain(&[]).failed_with(1).stderr;
    assert!(
        said.contains("setup.cfg:5: ") && said.contains(">=3.14"),
        "{said}"
    );
}
