//! No credential that a build held is in a byte of what it leaves: image, cache, logs, reports, errors.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;

use crate::support::{IndexHabits, PackageIndex, Run, Sandbox, contents, run, wheel};
use base64::Engine as _;
use pyoci::digest::Digest;

const USER: &str = "dep/loyer";
const PASSWORD: &str = "Xy7+s3cr3t/w0rd";
/// As a URL has them.
const ENCODED: (&str, &str) = ("dep%2Floyer", "Xy7%2Bs3cr3t%2Fw0rd");

/// A project, a base, and a guarded index that has `thing` and `other`.
struct Scene {
    sandbox: Sandbox,
    index: PackageIndex,
    wheels: Vec<PathBuf>,
}

impl Scene {
    fn new() -> Self {
        let sandbox = Sandbox::with_base();
        let files = sandbox.path("files");
        let wheels = vec![
            wheel(
                &files,
                "thing",
                "py3-none-any",
                &[("thing/__init__.py", "THING = 1\n")],
            ),
            wheel(&files, "other", "py3-none-any", &[("other.py", "OTHER = 1\n")]),
        ];
        let habits = IndexHabits {
            login: Some((USER.to_owned(), PASSWORD.to_owned())),
            ..IndexHabits::default()
        };
        let index = PackageIndex::start(files, habits);
        sandbox.write("app/main.py", "print('hello')\n");
        fs_err::create_dir_all(sandbox.path("home")).unwrap();
        Self {
            sandbox,
            index,
            wheels,
        }
    }

    fn url(&self) -> String {
        self.index.simple_with(ENCODED.0, ENCODED.1)
    }

    fn netrc(&self) -> String {
        let text = format!("machine 127.0.0.1 login {USER} password {PASSWORD}\n");
        self.sandbox.write("netrc", &text).display().to_string()
    }

    /// `pyoci build`, telling all that it can tell.
    fn build(&self, options: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = self.sandbox.pyoci();
        for name in ["PIP_FIND_LINKS", "PIP_INDEX_URL", "UV_INDEX_URL", "NETRC"] {
            command.env_remove(name);
        }
        command
            .args(["build", "app", "--base", "oci:base:base", "-o", "image", "-v"])
            .args(["--format", "json", "--metadata-file", "metadata.json"])
            .args(options)
            .env("HOME", self.sandbox.path("home"))
            .env("PIP_CONFIG_FILE", "/dev/null")
            .envs(variables.iter().copied());
        run(&mut command)
    }

    /// A pylock.toml whose URLs have no password.
    fn pylock(&self) -> String {
        let mut text = "lock-version = \"1.0\"\ncreated-by = \"test\"\n".to_owned();
        for path in &self.wheels {
            let file = path.file_name().unwrap().to_str().unwrap();
            let name = file.split('-').next().unwrap();
            let hex = Digest::of(&fs_err::read(path).unwrap()).hex();
            let _ = write!(
                text,
                "[[packages]]\nname = \"{name}\"\nversion = \"1.0\"\nwheels = [{{ url = \"{}/files/{file}\", hashes = {{ sha256 = \"{hex}\" }} }}]\n",
                self.index.url
            );
        }
        text
    }

    /// A uv.lock of the project `demo` that requires both.
    fn uv_lock(&self) -> String {
        let mut text = "version = 1\nrevision = 3\nrequires-python = \">=3.8\"\n\n\
            [[package]]\nname = \"demo\"\nversion = \"1\"\nsource = { virtual = \".\" }\n\
            dependencies = [{ name = \"other\" }, { name = \"thing\" }]\n\n[package.metadata]\n\
            requires-dist = [{ name = \"other\", index = \"INDEX\" }, { name = \"thing\", index = \"INDEX\" }]\n"
            .replace("INDEX", self.index.simple().trim_end_matches('/'));
        for path in &self.wheels {
            let file = path.file_name().unwrap().to_str().unwrap();
            let name = file.split('-').next().unwrap();
            let hex = Digest::of(&fs_err::read(path).unwrap()).hex();
            let _ = write!(
                text,
                "\n[[package]]\nname = \"{name}\"\nversion = \"1.0\"\nsource = {{ registry = \"{}\" }}\n\
                 wheels = [{{ url = \"{}/files/{file}\", hash = \"sha256:{hex}\" }}]\n",
                self.index.simple().trim_end_matches('/'),
                self.index.url
            );
        }
        text
    }

    /// Fails if the password is in anything that is left, in any form.
    #[track_caller]
    fn assert_kept(&self, run: &Run) {
        let texts = [("stdout", &run.stdout), ("stderr", &run.stderr)];
        let mut all: Vec<(String, Vec<u8>)> =
            texts.map(|(n, t)| (n.to_owned(), t.clone().into_bytes())).into();
        for place in ["image", "cache", "home"] {
            let files = contents(&self.sandbox.path(place)).into_iter();
            all.extend(files.map(|(path, bytes)| (path.display().to_string(), bytes)));
        }
        if let Ok(bytes) = fs_err::read(self.sandbox.path("metadata.json")) {
            all.push(("metadata.json".to_owned(), bytes));
        }
        for (name, bytes) in all {
            let mut inflated = Vec::new();
            let _ = flate2::read::MultiGzDecoder::new(&*bytes).read_to_end(&mut inflated);
            for form in forms() {
                for (bytes, how) in [(&bytes, ""), (&inflated, ", inflated")] {
                    let found = bytes.windows(form.len()).any(|window| window == form.as_bytes());
                    assert!(!found, "`{form}` is in {name}{how}");
                }
            }
        }
    }
}

/// The spellings of the password, written down here and not asked of the program.
fn forms() -> Vec<String> {
    let base64 = base64::engine::general_purpose::STANDARD_NO_PAD;
    vec![
        PASSWORD.to_owned(),
        ENCODED.1.to_owned(),
        ENCODED.1.to_lowercase(),
        base64.encode(format!("{USER}:{PASSWORD}")),
        base64.encode(PASSWORD),
    ]
}

/// The files of the dependencies that an image has.
fn installed(scene: &Scene) -> Vec<String> {
    let mut names = Vec::new();
    for bytes in contents(&scene.sandbox.path("image")).into_values() {
        let mut tar = tar::Archive::new(flate2::read::MultiGzDecoder::new(&*bytes));
        for entry in tar.entries().into_iter().flatten().flatten() {
            names.push(entry.path().unwrap().display().to_string());
        }
    }
    names.retain(|name| name.starts_with("deps/") && !name.contains(".dist-info") && !name.ends_with('/'));
    names.sort();
    names
}

#[track_caller]
fn assert_built(scene: &Scene, run: Run) {
    let run = run.succeeded();
    assert_eq!(installed(scene), ["deps/other.py", "deps/thing/__init__.py"]);
    scene.assert_kept(&run);
}

#[test]
fn a_pylock_is_built_with_the_password_of_netrc() {
    let scene = Scene::new();
    scene.sandbox.write("app/pylock.toml", &scene.pylock());
    assert_built(&scene, scene.build(&[], &[("NETRC", &scene.netrc())]));
}

#[test]
fn a_pylock_is_built_with_the_password_of_the_index_url_in_a_flag() {
    let scene = Scene::new();
    scene.sandbox.write("app/pylock.toml", &scene.pylock());
    assert_built(&scene, scene.build(&["--extra-index-url", &scene.url()], &[]));
}

#[test]
fn a_uv_lock_is_built_with_the_password_of_a_named_index() {
    let scene = Scene::new();
    scene.sandbox.write("app/uv.lock", &scene.uv_lock());
    let pyproject = format!(
        "[project]\nname = 'demo'\nversion = '1'\nrequires-python = '>=3.8'\ndependencies = ['thing', 'other']\n\
         [tool.uv]\npackage = false\n[tool.uv.sources]\nthing = {{ index = 'in-house' }}\nother = {{ index = 'in-house' }}\n\
         [[tool.uv.index]]\nname = 'in-house'\nurl = '{}'\nexplicit = true\n",
        scene.index.simple()
    );
    scene.sandbox.write("app/pyproject.toml", &pyproject);
    let variables = [
        ("UV_INDEX_IN_HOUSE_USERNAME", USER),
        ("UV_INDEX_IN_HOUSE_PASSWORD", PASSWORD),
    ];
    assert_built(&scene, scene.build(&[], &variables));
}

#[test]
fn a_wrong_password_is_told_as_one_and_not_shown() {
    let scene = Scene::new();
    scene.sandbox.write("app/pylock.toml", &scene.pylock());
    let wrong = scene.index.simple_with("me", "Wr0ng-passw0rd");
    let run = scene.build(&["-i", &wrong], &[]).failed_with(1);
    assert!(run.stderr.contains("refused the credentials"), "{}", run.stderr);
    assert!(
        run.stderr.contains("hint: check the credentials"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("Wr0ng"), "{}", run.stderr);
    assert!(!scene.sandbox.path("image").exists());
}

#[test]
fn a_password_in_a_file_of_the_app_fails_the_build_and_names_the_file() {
    let scene = Scene::new();
    scene.sandbox.write("app/pylock.toml", &scene.pylock());
    for (name, text) in [
        ("settings.ini", format!("index = {}\n", scene.url())),
        ("deep/er/notes.txt", format!("{}{PASSWORD}", "x".repeat(300_000))),
        ("header.json", format!("{{\"a\": \"Basic {}\"}}", forms()[3])),
    ] {
        let file = scene.sandbox.write(&format!("app/{name}"), &text);
        let run = scene.build(&[], &[("NETRC", &scene.netrc())]).failed_with(1);
        let expected = format!("app/{name} holds the password of 127.0.0.1");
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
        assert!(run.stderr.contains("hint: "), "{}", run.stderr);
        assert!(!scene.sandbox.path("image").exists());
        scene.assert_kept(&run);
        fs_err::remove_file(file).unwrap();
    }
    assert_built(&scene, scene.build(&[], &[("NETRC", &scene.netrc())]));
}

#[test]
fn a_layer_of_an_earlier_build_that_knew_no_password_is_looked_at_again() {
    let scene = Scene::new();
    scene.sandbox.write("app/notes.txt", PASSWORD);
    scene.build(&[], &[]).succeeded();
    fs_err::remove_dir_all(scene.sandbox.path("image")).unwrap();
    let run = scene.build(&[], &[("NETRC", &scene.netrc())]).failed_with(1);
    assert!(run.stderr.contains("made by an earlier build"), "{}", run.stderr);
    assert!(!scene.sandbox.path("image").exists());
}

#[test]
fn a_password_in_a_wheel_or_in_the_config_fails_the_build() {
    let mut scene = Scene::new();
    let text = format!(
        "# {}\nURL = 'http://{}:{}@x/'\n",
        "y".repeat(20_000),
        ENCODED.0,
        ENCODED.1
    );
    let path = wheel(
        &scene.sandbox.path("files"),
        "leaky",
        "py3-none-any",
        &[("leaky.py", &text)],
    );
    let netrc = scene.netrc();
    scene.sandbox.write("app/pylock.toml", &scene.pylock());
    let run = scene
        .build(&["--label", &format!("a=b {PASSWORD}")], &[("NETRC", &netrc)])
        .failed_with(1);
    assert!(
        run.stderr.contains("the config for linux/amd64 holds"),
        "{}",
        run.stderr
    );
    assert!(!scene.sandbox.path("image").exists());
    scene.assert_kept(&run);

    scene.wheels.push(path);
    scene.sandbox.write("app/pylock.toml", &scene.pylock());
    let run = scene.build(&[], &[("NETRC", &netrc)]).failed_with(1);
    assert!(
        run.stderr.contains("deps/leaky.py holds the password"),
        "{}",
        run.stderr
    );
    assert!(!scene.sandbox.path("image").exists());
}

#[test]
fn requirements_with_a_password_stay_out_of_the_app() {
    let scene = Scene::new();
    scene.sandbox.write("app/pylock.toml", &scene.pylock());
    let line = |url: &str| format!("--index-url {url}\nthing\n");
    scene.sandbox.write("app/requirements.txt", &line(&scene.url()));
    assert_built(&scene, scene.build(&[], &[("NETRC", &scene.netrc())]));
    // The way out that the documentation names.
    let variable = line("http://${USER_OF_INDEX}:${PASSWORD_OF_INDEX}@h/simple/");
    scene.sandbox.write("app/requirements.txt", &variable);
    assert_built(&scene, scene.build(&[], &[("NETRC", &scene.netrc())]));
}

/// uv resolves: its program comes from PyPI if the cache of the tests does not have it.
fn requirements_of(scene: &Scene, text: &str) {
    scene.sandbox.write("app/requirements.txt", text);
}

#[test]
#[ignore = "needs the network: uv resolves"]
fn requirements_are_resolved_and_built_with_the_password_of_a_variable() {
    for (variable, index) in [
        ("PIP_INDEX_URL", true),
        ("UV_DEFAULT_INDEX", true),
        ("UV_INDEX", true),
        ("NETRC", false),
    ] {
        let scene = Scene::new();
        requirements_of(&scene, "thing\nother\n");
        if index {
            assert_built(&scene, scene.build(&[], &[(variable, &scene.url())]));
        } else {
            let options = ["-i", &scene.index.simple()];
            assert_built(&scene, scene.build(&options, &[(variable, &scene.netrc())]));
        }
    }
}

#[test]
#[ignore = "needs the network: uv resolves"]
fn requirements_name_the_password_by_variables() {
    let scene = Scene::new();
    let place = scene
        .index
        .simple()
        .replace("http://", "http://${INDEX_USER}:${INDEX_PASSWORD}@");
    requirements_of(&scene, &format!("--index-url {place}\nthing\nother\n"));
    let variables = [("INDEX_USER", ENCODED.0), ("INDEX_PASSWORD", ENCODED.1)];
    assert_built(&scene, scene.build(&[], &variables));
    // What was resolved is remembered without it, and found again.
    fs_err::remove_dir_all(scene.sandbox.path("image")).unwrap();
    assert_built(&scene, scene.build(&[], &variables));
}

#[test]
#[ignore = "needs the network: uv resolves"]
fn a_project_of_uv_is_resolved_with_the_password_of_its_named_index() {
    let scene = Scene::new();
    let pyproject = format!(
        "[project]\nname = 'demo'\nversion = '1'\nrequires-python = '>=3.8'\ndependencies = ['thing', 'other']\n\
         [tool.uv]\npackage = false\n[tool.uv.sources]\nthing = [{{ index = 'in-house', marker = \"sys_platform == 'linux'\" }}]\nother = {{ index = 'in-house' }}\n\
         [[tool.uv.index]]\nname = 'in-house'\nurl = '{}'\nexplicit = true\n",
        scene.index.simple()
    );
    scene.sandbox.write("app/pyproject.toml", &pyproject);
    let variables = [
        ("UV_INDEX_IN_HOUSE_USERNAME", USER),
        ("UV_INDEX_IN_HOUSE_PASSWORD", PASSWORD),
    ];
    assert_built(&scene, scene.build(&[], &variables));
}

#[test]
#[ignore = "needs the network: uv resolves"]
fn an_index_that_refuses_the_password_is_not_told_as_one_without_the_package() {
    let scene = Scene::new();
    requirements_of(&scene, "thing\n");
    let wrong = scene.index.simple_with("me", "Wr0ng-passw0rd");
    let run = scene.build(&["-i", &wrong], &[]).failed_with(1);
    assert!(run.stderr.contains("refused the credentials"), "{}", run.stderr);
    assert!(!run.stderr.contains("Wr0ng"), "{}", run.stderr);
}

#[test]
#[ignore = "needs the network: uv builds"]
fn an_sdist_sees_no_password_where_it_is_built() {
    let scene = Scene::new();
    let setup = "import os, pathlib, sys\nprint(sorted(os.environ.items()), file=sys.stderr)\n\
        from setuptools import setup\npathlib.Path('seen.py').write_text(repr(dict(os.environ)))\n\
        setup(name='noisy', version='1.0', py_modules=['seen'])\n";
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    for (name, text) in [
        ("noisy-1.0/setup.py", setup),
        (
            "noisy-1.0/PKG-INFO",
            "Metadata-Version: 2.1\nName: noisy\nVersion: 1.0\n",
        ),
        (
            "noisy-1.0/pyproject.toml",
            "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n",
        ),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    let bytes = tar.into_inner().unwrap().finish().unwrap();
    fs_err::write(scene.sandbox.path("files/noisy-1.0.tar.gz"), &bytes).unwrap();
    let lock = format!(
        "lock-version = \"1.0\"\ncreated-by = \"test\"\n[[packages]]\nname = \"noisy\"\nversion = \"1.0\"\n\
         sdist = {{ url = \"{}/files/noisy-1.0.tar.gz\", hashes = {{ sha256 = \"{}\" }} }}\n",
        scene.index.url,
        Digest::of(&bytes).hex()
    );
    scene.sandbox.write("app/pylock.toml", &lock);
    // The index with the password, and PyPI for setuptools.
    let run = scene.build(&["--extra-index-url", &scene.url()], &[]).succeeded();
    assert_eq!(installed(&scene), ["deps/seen.py"]);
    scene.assert_kept(&run);
    // What the build requires is looked for on the index all the same.
    let asked = scene.index.asked();
    let setuptools = asked
        .iter()
        .find(|asked| asked.path == "/simple/setuptools/")
        .unwrap();
    assert_eq!(
        setuptools.authorization,
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"))
        )
    );
}
