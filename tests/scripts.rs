//! Scripts that say what they need in their header (PEP 723).

use crate::support::{Podman, Sandbox, layout, lock, wheel};

const SMALL: [&str; 5] = ["--base", "oci:base:base", "--offline", "-o", "image"];

/// The names of the files in a layer of `image`, counted from the top; those of pyoci's own left out.
fn names(sandbox: &Sandbox, from_top: usize) -> Vec<String> {
    let layout = sandbox.path("image");
    let index = layout::index(&layout);
    let manifest = layout::document(&layout, &index["manifests"][0]);
    let layers = manifest["layers"].as_array().unwrap();
    let files = layout::files(&layout, &layers[layers.len() - 1 - from_top], "");
    let names = files.into_iter().map(|(name, _)| name);
    names.filter(|name| !name.starts_with("app/.pyoci/")).collect()
}

#[test]
fn a_script_without_a_header_needs_nothing_and_takes_nothing_of_its_directory() {
    let sandbox = Sandbox::with_base();
    sandbox.write("tool.py", "print('hi')\n");
    sandbox.write("requirements.txt", "flask\n");
    sandbox.write("other.py", "");
    let said = sandbox
        .run(&[&["build", "tool.py"][..], &SMALL].concat())
        .succeeded()
        .stderr;
    assert!(
        said.contains("Requirements none: the script has no header"),
        "{said}"
    );
    assert!(
        said.contains("Start python3 tool.py: the script itself"),
        "{said}"
    );
    assert_eq!(names(&sandbox, 0), ["app/tool.py"]);
}

#[test]
fn a_locked_script_is_built_offline_and_a_changed_header_is_noticed() {
    let sandbox = Sandbox::with_base();
    let file = wheel(&sandbox.path("wheels"), "one", "py3-none-any", &[("one.py", "")]);
    let hash = pyoci::digest::Digest::of(&fs_err::read(file).unwrap());
    let script = "# /// script\n# requires-python = '>=3.12'\n# dependencies = ['one']\n\
        # [tool.uv.sources]\n# one = { path = 'wheels/one-1.0-py3-none-any.whl' }\n\
        # [tool.pyoci]\n# include = ['data']\n# ///\nimport one\n";
    sandbox.write("tool.py", script);
    sandbox.write("data/x.txt", "");
    sandbox.write(
        "tool.py.lock",
        &format!(
            "version = 1\nrequires-python = '>=3.12'\n[manifest]\n\
             requirements = [{{ name = 'one', path = 'wheels/one-1.0-py3-none-any.whl' }}]\n\
             [[package]]\nname = 'one'\nversion = '1.0'\nsource = {{ path = 'wheels/one-1.0-py3-none-any.whl' }}\n\
             wheels = [{{ filename = 'one-1.0-py3-none-any.whl', hash = '{hash}' }}]\n"
        ),
    );
    let build = [&["build", "tool.py"][..], &SMALL].concat();
    let said = sandbox.run(&build).succeeded().stderr;
    assert!(said.contains("tool.py.lock: the script's lock file"), "{said}");
    assert_eq!(names(&sandbox, 0), ["app/data/x.txt", "app/tool.py"]);
    assert!(names(&sandbox, 1).contains(&"deps/one.py".to_owned()));
    sandbox.write("tool.py", &script.replace("['one']", "['one', 'two']"));
    let said = sandbox.run(&build).failed_with(1).stderr;
    assert!(
        said.contains("tool.py.lock no longer fits tool.py: `two` is new"),
        "{said}"
    );
    assert!(said.contains("hint: run `uv lock --script"), "{said}");
}

#[test]
fn a_directory_is_built_with_the_header_of_its_only_script() {
    let sandbox = Sandbox::with_base();
    let file = wheel(
        &sandbox.path("p/wheels"),
        "one",
        "py3-none-any",
        &[("one.py", "")],
    );
    sandbox.write(
        "p/job.py",
        "# /// script\n# dependencies = ['one']\n# ///\nimport one, helper\n",
    );
    sandbox.write("p/helper.py", "");
    let said = sandbox
        .run(&[&["build", "p"][..], &SMALL].concat())
        .failed_with(1)
        .stderr;
    assert!(
        said.contains("Requirements job.py: the script's header"),
        "{said}"
    );
    assert!(said.contains("never resolved"), "{said}");
    sandbox.write("p/pylock.toml", &lock(&[file]));
    let said = sandbox
        .run(&[&["build", "p"][..], &SMALL].concat())
        .failed_with(1)
        .stderr;
    assert!(said.contains("Requirements pylock.toml"), "{said}");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn the_header_says_python_dependencies_and_where_they_come_from() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "libs/shared/pyproject.toml",
        "[project]\nname = 'shared'\nversion = '5'\n",
    );
    sandbox.write("libs/shared/shared.py", "value = 5\n");
    sandbox.write(
        "tools/job.py",
        "# /// script\n# requires-python = '==3.11.*'\n# dependencies = ['six==1.17.0', 'shared']\n\
         # [tool.uv.sources]\n# shared = { path = '../libs/shared' }\n# ///\n\
         import shared, six, sys\nprint(shared.value, six.__version__, sys.version_info[:2], *sys.argv[1:])\n",
    );
    let image = sandbox.build("tools/job.py", &[]);
    assert!(image.stderr.contains("requires-python"), "{}", image.stderr);
    let podman = Podman::new();
    assert_eq!(podman.output(&image, &[], &["x"]), "5 1.17.0 (3, 11) x\n");
}
