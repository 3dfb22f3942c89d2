//! Credentials as people and services leave them about: none of them is in a byte of what any command leaves.

use std::process::Command;

use crate::support::{Run, Sandbox, contents, lock, run, wheel};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Files in the home of whoever builds; `@` is where the canary sits.
const HOME: [(&str, &str); 20] = [
    (".netrc", "machine h.invalid login me password @\n"),
    (".pypirc", "[pypi]\nusername = __token__\npassword = @\n"),
    (
        ".pip/pip.conf",
        "[global]\nextra-index-url = https://me:@@h.invalid/simple\n",
    ),
    (
        ".config/pip/pip.conf",
        "[global]\nextra-index-url = https://me:@@h.invalid/simple\n",
    ),
    (
        ".config/uv/uv.toml",
        "[[index]]\nurl = \"https://me:@@h.invalid/simple\"\n",
    ),
    (
        ".docker/config.json",
        "{\"auths\": {\"h.invalid\": {\"auth\": \"BASE64\"}}}",
    ),
    (
        ".config/containers/auth.json",
        "{\"auths\": {\"i.invalid\": {\"auth\": \"BASE64\"}}}",
    ),
    (".aws/credentials", "[default]\naws_secret_access_key = @\n"),
    (".ssh/id_ed25519", "@"),
    (".kube/config", "users: [{user: {token: @}}]\n"),
    (".npmrc", "//registry.npmjs.org/:_authToken=@\n"),
    (".git-credentials", "https://me:@@github.com\n"),
    (
        ".gitconfig",
        "[url \"https://me:@@h.invalid/\"]\n\tinsteadOf = https://h.invalid/\n",
    ),
    (".cargo/credentials.toml", "[registry]\ntoken = \"@\"\n"),
    (
        ".config/gcloud/application_default_credentials.json",
        "{\"refresh_token\": \"@\"}",
    ),
    (".azure/msal_token_cache.json", "{\"secret\": \"@\"}"),
    (".pgpass", "h:5432:d:me:@\n"),
    (".config/gh/hosts.yml", "github.com:\n  oauth_token: @\n"),
    (".gnupg/private-keys-v1.d/k.key", "@"),
    (".bash_history", "export TOKEN=@\n"),
];

/// Files in the project's directory, none of which anybody wants in an image.
const PROJECT: [(&str, &str); 39] = [
    (".env", "TOKEN=@\n"),
    (".env.local", "TOKEN=@\n"),
    (".env.production", "TOKEN=@\n"),
    (".env.staging.local", "TOKEN=@\n"),
    ("services/worker/.env", "TOKEN=@\n"),
    (".envrc", "export TOKEN=@\n"),
    (".netrc", "machine h password @\n"),
    ("_netrc", "machine h password @\n"),
    (".pypirc", "[pypi]\npassword = @\n"),
    ("conf/.pypirc", "[pypi]\npassword = @\n"),
    (
        "pip.conf",
        "[global]\nindex-url = https://me:@@h.invalid/simple\n",
    ),
    (
        "deploy/pip.ini",
        "[global]\nindex-url = https://me:@@h.invalid/simple\n",
    ),
    (
        ".git/config",
        "[remote \"origin\"]\n\turl = https://x-access-token:@@github.com/me/it\n",
    ),
    (".git/packed", "@"),
    (
        "vendored/.git/config",
        "[remote \"origin\"]\n\turl = https://me:@@github.com/me/it\n",
    ),
    (".git-credentials", "https://me:@@github.com\n"),
    (".hg/hgrc", "[paths]\ndefault = https://me:@@h/\n"),
    (".npmrc", "//registry.npmjs.org/:_authToken=@\n"),
    ("frontend/.npmrc", "//registry.npmjs.org/:_authToken=@\n"),
    (".yarnrc.yml", "npmAuthToken: @\n"),
    (
        ".docker/config.json",
        "{\"auths\": {\"h\": {\"auth\": \"BASE64\"}}}",
    ),
    (
        "ci/.docker/config.json",
        "{\"auths\": {\"h\": {\"auth\": \"BASE64\"}}}",
    ),
    (".dockercfg", "{\"h\": {\"auth\": \"BASE64\"}}"),
    (".aws/credentials", "[default]\naws_secret_access_key = @\n"),
    (".ssh/id_rsa", "@"),
    ("id_rsa", "@"),
    ("deploy/id_ed25519", "@"),
    (".kube/config", "token: @\n"),
    (".gnupg/secring.gpg", "@"),
    (".azure/token.json", "@"),
    (".pgpass", "h:5432:d:me:@\n"),
    (".vault-token", "@"),
    (
        "tls/server.key",
        "-----BEGIN PRIVATE KEY-----\n@\n-----END PRIVATE KEY-----\n",
    ),
    (
        "tls/both.pem",
        "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----\n@\n",
    ),
    ("tls/store.p12", "@"),
    (".streamlit/secrets.toml", "token = \"@\"\n"),
    (
        "requirements-dev.txt",
        "--index-url https://me:@@h.invalid/simple\nthing\n",
    ),
    (
        "Pipfile",
        "[[source]]\nurl = \"https://me:@@h.invalid/simple\"\nname = \"h\"\nverify_ssl = true\n",
    ),
    (
        ".venv/pip.conf",
        "[global]\nindex-url = https://me:@@h.invalid/simple\n",
    ),
];

/// Variables of whoever builds.
const VARIABLES: [(&str, &str); 20] = [
    ("UV_INDEX", "house=https://me:@@h.invalid/simple"),
    ("PIP_EXTRA_INDEX_URL", "https://me:@@h.invalid/simple"),
    ("UV_INDEX_HOUSE_PASSWORD", "@"),
    ("UV_PUBLISH_TOKEN", "@"),
    ("POETRY_HTTP_BASIC_HOUSE_PASSWORD", "@"),
    ("POETRY_PYPI_TOKEN_PYPI", "@"),
    ("PDM_PUBLISH_PASSWORD", "@"),
    ("TWINE_PASSWORD", "@"),
    ("AWS_SECRET_ACCESS_KEY", "@"),
    ("AWS_SESSION_TOKEN", "@"),
    ("GITHUB_TOKEN", "@"),
    ("GH_TOKEN", "@"),
    ("CI_JOB_TOKEN", "@"),
    ("NPM_TOKEN", "@"),
    (
        "DOCKER_AUTH_CONFIG",
        "{\"auths\": {\"h\": {\"auth\": \"BASE64\"}}}",
    ),
    ("DATABASE_URL", "postgres://me:@@h/d"),
    ("SECRET_KEY", "@"),
    ("HF_TOKEN", "@"),
    ("OPENAI_API_KEY", "@"),
    ("all_proxy", "http://me:@@h.invalid:3128"),
];

/// In a file that belongs into the image: it must be found, or the search finds nothing.
const WANTED: &str = "c4n4ry-that-belongs-there";

fn canary(number: usize) -> String {
    format!("c4n4ry-{number:03}-Qz7Rk2Xw")
}

fn filled(template: &str, number: usize) -> String {
    let canary = canary(number);
    let base64 = STANDARD_NO_PAD.encode(format!("me:{canary}"));
    // `@@` is a canary and the sign that ends the password of a URL.
    let text = template.replace("BASE64", &base64).replace("@@", "\0");
    text.replace('@', &canary).replace('\0', &format!("{canary}@"))
}

struct Scene {
    sandbox: Sandbox,
    planted: usize,
}

impl Scene {
    fn new() -> Self {
        let sandbox = Sandbox::with_base();
        let any = "py3-none-any";
        let wheels = vec![wheel(
            &sandbox.path("app/wheels"),
            "thing",
            any,
            &[("thing.py", "THING = 1\n")],
        )];
        sandbox.write("app/pylock.toml", &lock(&wheels));
        sandbox.write("app/main.py", &format!("print('{WANTED}')\n"));
        sandbox.write("app/.venv/pyvenv.cfg", "home = /usr/bin\n");
        let mut planted = 0;
        for (place, files) in [("home", &HOME[..]), ("app", &PROJECT[..])] {
            for (name, template) in files {
                sandbox.write(&format!("{place}/{name}"), &filled(template, planted));
                planted += 1;
            }
        }
        Self { sandbox, planted }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.pyoci();
        for name in [
            "PIP_FIND_LINKS",
            "PIP_INDEX_URL",
            "UV_INDEX_URL",
            "NETRC",
            "XDG_CONFIG_HOME",
        ] {
            command.env_remove(name);
        }
        command.args(arguments).env("HOME", self.sandbox.path("home"));
        for (number, (name, template)) in VARIABLES.iter().enumerate() {
            command.env(name, filled(template, self.planted + number));
        }
        command
    }

    /// All canaries, as they are and as HTTP and auth files have them.
    fn forms(&self) -> Vec<String> {
        let all = (0..self.planted + VARIABLES.len()).map(canary);
        all.flat_map(|canary| [STANDARD_NO_PAD.encode(format!("me:{canary}")), canary])
            .collect()
    }

    /// Fails if one is in what commands left or said.
    #[track_caller]
    fn assert_none(&self, runs: &[Run]) {
        let forms = self.forms();
        let search = aho_corasick::AhoCorasick::new(&forms).unwrap();
        for (place, bytes) in self.left(runs) {
            let found = search
                .find(&bytes)
                .map(|found| &forms[found.pattern().as_usize()]);
            assert_eq!(found, None, "in {place}");
        }
    }

    /// Every byte that commands left or said, and where: compressed files also as they were.
    fn left(&self, runs: &[Run]) -> Vec<(String, Vec<u8>)> {
        let mut all = Vec::new();
        for run in runs {
            all.push((
                format!("stdout of {}", run.command),
                run.stdout.clone().into_bytes(),
            ));
            all.push((
                format!("stderr of {}", run.command),
                run.stderr.clone().into_bytes(),
            ));
        }
        for (path, bytes) in contents(&self.sandbox.path("")) {
            let name = path
                .strip_prefix(self.sandbox.path(""))
                .unwrap()
                .display()
                .to_string();
            if !["home/", "app/", "broken/", "toml/"]
                .iter()
                .any(|planted| name.starts_with(planted))
            {
                all.extend(unpacked(&name, bytes));
            }
        }
        all
    }
}

/// A file, and what is compressed in it: itself, or the members of an `ar` or `tar` archive.
fn unpacked(name: &str, bytes: Vec<u8>) -> Vec<(String, Vec<u8>)> {
    let mut inner = Vec::new();
    let inflated = match &bytes[..bytes.len().min(6)] {
        [0x1f, 0x8b, ..] => read(flate2::read::MultiGzDecoder::new(&*bytes)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => read(zstd::Decoder::new(&*bytes).unwrap()),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => read(liblzma::read::XzDecoder::new(&*bytes)),
        _ => Vec::new(),
    };
    if !inflated.is_empty() {
        inner.extend(unpacked(&format!("{name}, unpacked"), inflated));
    }
    if bytes.starts_with(b"!<arch>\n") {
        let mut at = 8;
        while at + 60 <= bytes.len() {
            let field =
                |from: usize, to: usize| std::str::from_utf8(&bytes[at + from..at + to]).unwrap().trim();
            let size: usize = field(48, 58).parse().unwrap();
            let member = bytes[at + 60..at + 60 + size].to_vec();
            inner.extend(unpacked(&format!("{name}: {}", field(0, 16)), member));
            at += 60 + size + size % 2;
        }
    } else if bytes.len() > 512 && &bytes[257..262] == b"ustar" {
        for entry in tar::Archive::new(&*bytes).entries().unwrap() {
            let entry = entry.unwrap();
            let member = format!("{name}: {}", entry.path().unwrap().display());
            // What is not compressed has been seen in the whole.
            inner.extend(unpacked(&member, read(entry)).into_iter().skip(1));
        }
    }
    inner.insert(0, (name.to_owned(), bytes));
    inner
}

fn read(mut reader: impl std::io::Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn no_canary_is_in_an_image_a_bundle_a_package_a_log_or_the_cache() {
    let scene = Scene::new();
    assert!(scene.planted + VARIABLES.len() >= 60);
    let outputs = [
        "-o",
        "image",
        "-o",
        "oci-archive:image.tar",
        "-o",
        "docker-archive:docker.tar",
    ];
    let told = [
        "--base",
        "oci:base:base",
        "--format",
        "json",
        "--metadata-file",
        "metadata.json",
        "-v",
    ];
    let package = [
        "--package-version",
        "1.0",
        "--maintainer",
        "A <a@b.example>",
        "-v",
    ];
    let runs = [
        run(&mut scene.command(&[&["build", "app"][..], &outputs, &told].concat())),
        run(&mut scene.command(&[
            "build",
            "app",
            "-o",
            "zstd",
            "--compression",
            "zstd",
            "--base",
            "oci:base:base",
            "-v",
        ])),
        run(&mut scene.command(&[
            "explain",
            "app",
            "--base",
            "oci:base:base",
            "--format",
            "json",
            "-v",
        ])),
        run(&mut scene.command(&["bundle", "app", "-o", "bundle", "-v", "--format", "json"])),
        run(&mut scene.command(&["bundle", "app", "-o", "bundle.tar.gz", "-v"])),
        run(&mut scene.command(&["bundle", "app", "-o", "bundle.tar.zst", "-v"])),
        run(&mut scene.command(&[&["bundle", "app", "-o", "app.deb"][..], &package].concat())),
    ];
    let runs = runs.map(Run::succeeded);
    scene.assert_none(&runs);
    // The same search finds what is there.
    let left = scene.left(&runs);
    for output in [
        "image/",
        "image.tar",
        "docker.tar",
        "zstd/",
        "bundle/",
        "bundle.tar.gz",
        "bundle.tar.zst",
        "app.deb",
    ] {
        let of_output = left.iter().filter(|(place, _)| place.starts_with(output));
        let mut found =
            of_output.filter(|(_, bytes)| bytes.windows(WANTED.len()).any(|part| part == WANTED.as_bytes()));
        assert!(found.next().is_some(), "the search does not see into {output}");
    }
    // The user is told of what was left out where it may be missed.
    for name in [
        ".env",
        ".npmrc",
        "tls/server.key",
        ".streamlit/secrets.toml",
        "requirements-dev.txt",
        ".aws/",
    ] {
        assert!(runs[0].stderr.contains(name), "{name}: {}", runs[0].stderr);
    }
}

#[test]
fn no_canary_is_in_what_a_command_says_that_fails() {
    let scene = Scene::new();
    scene.sandbox.write(
        "broken/config.json",
        &filled("{\"auths\": {\"h\": \"@\" nonsense", 0),
    );
    scene.sandbox.write("bare/main.py", "print(1)\n");
    scene.sandbox.write("bare/requirements.txt", "thing\n");
    scene.sandbox.write(
        "toml/pyproject.toml",
        &filled("[tool.pyoci]\nindex-url = \"https://me:@@h/\nx", 1),
    );
    scene.sandbox.write("toml/main.py", "print(1)\n");
    let base = ["--base", "oci:base:base", "-v", "-o", "image"];
    let build =
        |project: &str, more: &[&str]| scene.command(&[&["build", project][..], &base, more].concat());
    let with = filled("https://me:@@127.0.0.1:9/simple", 2);
    let password = filled("https://me:@@127.0.0.1:9/simple", 3);
    let mut broken = scene.command(&["build", "app", "--base", "127.0.0.1:9/x", "-o", "image", "-v"]);
    broken.env("DOCKER_CONFIG", scene.sandbox.path("broken"));
    let runs = [
        run(&mut build("bare", &["--offline", "--index-url", &with])),
        run(&mut build("bare", &["--locked", "--extra-index-url", &with])),
        run(&mut build("toml", &[])),
        run(&mut build(
            "app",
            &["--label", &format!("a={password}"), "-i", &password],
        )),
        run(&mut build(
            "app",
            &[
                "--strict",
                "--env",
                &filled("A=https://me:@@h", 4),
                "-r",
                "none.txt",
            ],
        )),
        run(&mut broken),
    ];
    let runs = runs.map(|run| run.failed_with(1));
    scene.assert_none(&runs);
    assert!(!scene.sandbox.path("image").exists());
}
