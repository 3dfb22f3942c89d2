//! Where packages are looked for: orders, forms of pages, links, TLS, credentials; against servers on loopback.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{IndexHabits, PackageIndex, Run, Sandbox, contents, free_port, run, wheel};
use pyoci::digest::Digest;

/// A project whose Pipfile.lock has a name and hashes, and no URL.
struct Scene {
    sandbox: Sandbox,
}

impl Scene {
    fn new() -> Self {
        let sandbox = Sandbox::with_base();
        sandbox.write("app/main.py", "print('hello')\n");
        fs_err::create_dir_all(sandbox.path("home")).unwrap();
        Self { sandbox }
    }

    /// The wheel of `thing` in a directory of its own.
    fn wheel(&self, directory: &str, text: &str) -> std::path::PathBuf {
        wheel(
            &self.sandbox.path(directory),
            "thing",
            "py3-none-any",
            &[("thing.py", text)],
        )
    }

    fn index(&self, directory: &str, habits: IndexHabits) -> PackageIndex {
        fs_err::create_dir_all(self.sandbox.path(directory)).unwrap();
        PackageIndex::start(self.sandbox.path(directory), habits)
    }

    fn lock(&self, wheels: &[&Path]) {
        let hashes: Vec<String> = wheels
            .iter()
            .map(|path| Digest::of(&fs_err::read(path).unwrap()).to_string())
            .collect();
        let lock = serde_json::json!({
            "_meta": { "hash": { "sha256": "0" }, "pipfile-spec": 6, "requires": {}, "sources": [] },
            "default": { "thing": { "hashes": hashes, "version": "==1.0" } }, "develop": {},
        });
        self.sandbox.write("app/Pipfile.lock", &lock.to_string());
    }

    fn build(&self, options: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = self.sandbox.pyoci();
        for name in [
            "PIP_FIND_LINKS",
            "PIP_INDEX_URL",
            "UV_INDEX_URL",
            "NETRC",
            "PIP_CERT",
            "REQUESTS_CA_BUNDLE",
        ] {
            command.env_remove(name);
        }
        command
            .args(["build", "app", "--base", "oci:base:base", "-o", "image"])
            .args(options)
            .env("HOME", self.sandbox.path("home"))
            .env("PIP_CONFIG_FILE", "/dev/null")
            .envs(variables.iter().copied());
        run(&mut command)
    }

    /// Whether the image has a text in `thing.py`.
    fn has(&self, text: &str) -> bool {
        contents(&self.sandbox.path("image")).into_values().any(|bytes| {
            let mut inflated = Vec::new();
            let mut gzip = flate2::read::MultiGzDecoder::new(&*bytes);
            let _ = std::io::Read::read_to_end(&mut gzip, &mut inflated);
            inflated
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        })
    }
}

#[test]
fn of_two_indexes_that_know_a_name_the_first_gives_the_file() {
    let scene = Scene::new();
    let (a, b) = (
        scene.wheel("a", "FROM = 'first'\n"),
        scene.wheel("b", "FROM = 'second'\n"),
    );
    scene.lock(&[&a, &b]);
    let html = IndexHabits {
        html: true,
        ..IndexHabits::default()
    };
    let (first, second) = (scene.index("a", html), scene.index("b", IndexHabits::default()));
    scene
        .build(
            &["--extra-index-url", &first.simple(), "-i", &second.simple()],
            &[],
        )
        .succeeded();
    assert!(scene.has("FROM = 'first'") && !scene.has("second"));
    assert!(second.asked().is_empty(), "{:?}", second.asked());
    // The default index is asked last, and only where the first does not know the name.
    let empty = scene.index("none", IndexHabits::default());
    let variables = [
        ("UV_INDEX", empty.simple()),
        ("UV_DEFAULT_INDEX", second.simple()),
    ];
    let variables: Vec<_> = variables.iter().map(|(k, v)| (*k, v.as_str())).collect();
    scene.sandbox.write("app/main.py", "print('again')\n");
    fs_err::remove_dir_all(scene.sandbox.path("cache")).unwrap();
    scene.build(&[], &variables).succeeded();
    assert!(scene.has("FROM = 'second'"));
    assert_eq!(empty.asked()[0].path, "/simple/thing/");
}

#[test]
fn links_are_found_in_directories_and_pages_and_alone_without_an_index() {
    let scene = Scene::new();
    let path = scene.wheel("files", "FROM = 'links'\n");
    scene.lock(&[&path]);
    let index = scene.index("files", IndexHabits::default());
    let run = scene
        .build(&["--no-index", "-i", &index.simple()], &[])
        .failed_with(1);
    assert!(
        run.stderr.contains("is not where it should be") || run.stderr.contains("no file of it"),
        "{}",
        run.stderr
    );
    assert!(index.asked().is_empty());
    let page = format!("{}/links.html", index.url);
    let directory = scene.sandbox.path("files").display().to_string();
    for links in [page.as_str(), &directory, "files"] {
        let _ = fs_err::remove_dir_all(scene.sandbox.path("cache"));
        scene.build(&["--no-index", "-f", links], &[]).succeeded();
        assert!(scene.has("FROM = 'links'"), "{links}");
    }
    let _ = fs_err::remove_dir_all(scene.sandbox.path("cache"));
    scene.sandbox.write(
        "app/pyproject.toml",
        "[tool.pyoci]\nno-index = true\nfind-links = \"../files\"\n",
    );
    scene.build(&[], &[]).succeeded();
}

#[test]
fn what_was_taken_back_is_a_warning_as_it_is_locked() {
    let scene = Scene::new();
    let path = scene.wheel("files", "X = 1\n");
    scene.lock(&[&path]);
    let habits = IndexHabits {
        yanked: vec!["thing-1.0-py3-none-any.whl".to_owned()],
        ..IndexHabits::default()
    };
    let index = scene.index("files", habits);
    let run = scene.build(&["-i", &index.simple()], &[]).succeeded();
    assert!(run.stderr.contains("taken back by its authors"), "{}", run.stderr);
}

#[test]
fn a_redirect_to_another_server_takes_no_password_along() {
    let scene = Scene::new();
    let path = scene.wheel("files", "X = 1\n");
    scene.lock(&[&path]);
    let other = scene.index("files", IndexHabits::default());
    let login = ("me".to_owned(), "Pa55-w0rd".to_owned());
    let habits = IndexHabits {
        login: Some(login),
        redirect: Some(other.url.clone()),
        ..IndexHabits::default()
    };
    let index = scene.index("files", habits);
    scene
        .build(&["-i", &index.simple_with("me", "Pa55-w0rd")], &[])
        .succeeded();
    let asked = other.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].authorization, "");
    assert!(index.asked().iter().all(|asked| !asked.authorization.is_empty()));
}

#[test]
fn the_logins_of_uv_poetry_and_pdm_open_their_indexes() {
    for (text, variables) in [
        (
            "[[tool.uv.index]]\nname = 'own'\nurl = 'URL'\n",
            [
                ("UV_INDEX_OWN_USERNAME", "me"),
                ("UV_INDEX_OWN_PASSWORD", "Pa55-w0rd"),
            ],
        ),
        (
            "[[tool.poetry.source]]\nname = 'own'\nurl = 'URL'\n",
            [
                ("POETRY_HTTP_BASIC_OWN_USERNAME", "me"),
                ("POETRY_HTTP_BASIC_OWN_PASSWORD", "Pa55-w0rd"),
            ],
        ),
        (
            "[[tool.pdm.source]]\nname = 'own'\nurl = 'URL'\nusername = '${ME}'\npassword = '${WORD}'\n",
            [("ME", "me"), ("WORD", "Pa55-w0rd")],
        ),
    ] {
        let scene = Scene::new();
        let path = scene.wheel("files", "X = 1\n");
        scene.lock(&[&path]);
        let login = Some(("me".to_owned(), "Pa55-w0rd".to_owned()));
        let index = scene.index(
            "files",
            IndexHabits {
                login,
                ..IndexHabits::default()
            },
        );
        scene
            .sandbox
            .write("app/pyproject.toml", &text.replace("URL", &index.simple()));
        scene.build(&[], &variables).succeeded();
        let run = Scene::build(&scene, &["--upgrade"], &[]);
        assert!(!run.stderr.contains("Pa55"), "{}", run.stderr);
    }
}

/// `openssl s_server` that gives the files of a directory.
struct TlsServer {
    child: Child,
    port: u16,
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl TlsServer {
    fn start(scene: &Scene, directory: &str, options: &[&str]) -> Self {
        let port = free_port();
        let child = Command::new("openssl")
            .args([
                "s_server",
                "-quiet",
                "-WWW",
                "-cert",
                "../server.pem",
                "-key",
                "../server.pem",
            ])
            .args(["-accept", &format!("127.0.0.1:{port}")])
            .args(options)
            .current_dir(scene.sandbox.path(directory))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Self { child, port }
    }
}

/// A certificate signed by itself, and its key, in one file.
fn certificate(scene: &Scene, name: &str) {
    let (key, certificate) = (scene.sandbox.path("key"), scene.sandbox.path("certificate"));
    let mut command = Command::new("openssl");
    command
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    run(&mut command).succeeded();
    let text = [key, certificate]
        .map(|path| fs_err::read_to_string(path).unwrap())
        .concat();
    scene.sandbox.write(name, &text);
}

#[test]
fn a_server_of_ones_own_is_reached_with_its_authority_and_a_client_certificate() {
    let scene = Scene::new();
    let path = scene.wheel("files", "X = 1\n");
    scene.lock(&[&path]);
    let hex = Digest::of(&fs_err::read(&path).unwrap()).hex();
    let page = format!("<a href='thing-1.0-py3-none-any.whl#sha256={hex}'>x</a>");
    scene.sandbox.write("files/links.html", &page);
    certificate(&scene, "server.pem");
    certificate(&scene, "client.pem");
    let server = TlsServer::start(&scene, "files", &[]);
    let links = format!("https://localhost:{}/links.html", server.port);
    let options = ["--no-index", "-f", links.as_str()];
    let run = scene.build(&options, &[]).failed_with(1);
    assert!(run.stderr.contains("--trusted-host"), "{}", run.stderr);
    let authority = scene.sandbox.path("server.pem").display().to_string();
    scene.build(&options, &[("PIP_CERT", &authority)]).succeeded();
    let _ = fs_err::remove_dir_all(scene.sandbox.path("cache"));
    let trusted = [&options[..], &["--trusted-host", "localhost"]].concat();
    let run = scene.build(&trusted, &[]).succeeded();
    assert!(
        run.stderr.contains("warning: localhost is trusted"),
        "{}",
        run.stderr
    );
    let _ = fs_err::remove_dir_all(scene.sandbox.path("cache"));
    let elsewhere = [&options[..], &["--trusted-host", "example.org"]].concat();
    scene.build(&elsewhere, &[]).failed_with(1);

    let guarded = TlsServer::start(&scene, "files", &["-Verify", "1", "-CAfile", "../client.pem"]);
    let links = format!("https://localhost:{}/links.html", guarded.port);
    let options = ["--no-index", "-f", links.as_str()];
    scene.build(&options, &[("PIP_CERT", &authority)]).failed_with(1);
    let client = scene.sandbox.path("client.pem").display().to_string();
    for name in ["PIP_CLIENT_CERT", "SSL_CLIENT_CERT"] {
        let _ = fs_err::remove_dir_all(scene.sandbox.path("cache"));
        scene
            .build(&options, &[("PIP_CERT", &authority), (name, &client)])
            .succeeded();
    }
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn pip_reaches_a_guarded_index_whatever_names_it_and_keeps_no_password() {
    const PASSWORD: &str = "gu4rded-by-m3-alone";
    let scene = Scene::new();
    scene.wheel("files", "FROM = 'guarded'\n");
    let login = Some(("me".to_owned(), PASSWORD.to_owned()));
    let index = scene.index(
        "files",
        IndexHabits {
            login,
            ..IndexHabits::default()
        },
    );
    scene.sandbox.write("app/requirements.txt", "thing\n");
    let build = |variables: &[(&str, &str)]| {
        let mut command = scene.sandbox.pyoci();
        command
            .env_remove("PIP_FIND_LINKS")
            .envs(variables.iter().copied());
        command.args([
            "build",
            "app",
            "--base",
            "recipe:bookworm",
            "--resolver",
            "pip",
            "-o",
            "image",
        ]);
        run(&mut command)
    };
    let with = index.simple_with("me", PASSWORD);
    let settings = format!(
        "[[tool.uv.index]]\nname = 'own'\nurl = '{}'\ndefault = true\n",
        index.simple()
    );
    let logins = [
        ("UV_INDEX_OWN_USERNAME", "me"),
        ("UV_INDEX_OWN_PASSWORD", PASSWORD),
    ];
    for (project, variables) in [
        ("", &[("UV_DEFAULT_INDEX", with.as_str())][..]),
        (&settings, &logins),
    ] {
        scene.sandbox.write("app/pyproject.toml", project);
        let done = build(variables).succeeded();
        assert!(done.stderr.contains("1 packages with pip"), "{}", done.stderr);
        assert!(!done.stderr.contains(PASSWORD), "{}", done.stderr);
        assert!(scene.has("FROM = 'guarded'"));
        for (path, bytes) in contents(&scene.sandbox.path("cache")) {
            let found = bytes
                .windows(PASSWORD.len())
                .any(|window| window == PASSWORD.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
    scene.sandbox.write("app/pyproject.toml", &settings);
    let refused = build(&[]).failed_with(1);
    assert!(refused.stderr.contains("thing"), "{}", refused.stderr);
}

#[test]
fn what_is_explained_shows_no_password() {
    let scene = Scene::new();
    let path = scene.wheel("files", "");
    scene.lock(&[&path]);
    let index = scene.index("files", IndexHabits::default());
    let password = "expl4ined-to-nobody";
    for format in ["text", "json"] {
        let mut command = scene.sandbox.pyoci();
        command.env("UV_DEFAULT_INDEX", index.simple_with("me", password));
        command.args(["explain", "app", "--base", "oci:base:base", "--format", format]);
        command.args(["--entrypoint", &format!("python3 main.py --token {password}")]);
        let done = run(&mut command).succeeded();
        assert!(
            done.stdout.contains("main.py --token ****") || format == "json",
            "{}",
            done.stdout
        );
        assert!(
            !done.stdout.contains(password) && !done.stderr.contains(password),
            "{}",
            done.stdout
        );
    }
}
