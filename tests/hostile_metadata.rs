//! Metadata that somebody else wrote to do harm, each with its message.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::{Run, Sandbox, contents, lock, run, wheel};
use pyoci::digest::Digest;
use serde_json::{Value, json};

/// The documents of the small base: what a test changes before they are written again.
struct Documents {
    index: Value,
    manifest: Value,
    config: Value,
}

struct Bench {
    sandbox: Sandbox,
}

impl Bench {
    fn new() -> Self {
        let sandbox = Sandbox::with_base();
        sandbox.write("app/main.py", "print(1)\n");
        let bench = Self { sandbox };
        bench.build("app", "base").succeeded();
        bench
    }

    fn build(&self, project: &str, base: &str) -> Run {
        let base = format!("oci:{base}:base");
        self.sandbox
            .run(&["build", project, "-o", "image", "--base", &base])
    }

    /// Writes a base with other documents; each names the next by its digest, unless the change made it name another.
    fn base(&self, change: impl FnOnce(&mut Documents)) {
        let from = self.sandbox.path("base");
        let read = |path: &Path| -> Value { serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap() };
        let blob = |descriptor: &Value| {
            from.join("blobs")
                .join(descriptor["digest"].as_str().unwrap().replace(':', "/"))
        };
        let index = read(&from.join("index.json"));
        let manifest = read(&blob(&index["manifests"][0]));
        let config = read(&blob(&manifest["config"]));
        let mut documents = Documents {
            index,
            manifest,
            config,
        };
        let (old_config, old_manifest) = (
            documents.manifest["config"].clone(),
            documents.index["manifests"][0].clone(),
        );
        change(&mut documents);
        let to = self.sandbox.path("hostile");
        let _ = fs_err::remove_dir_all(&to);
        fs_err::create_dir_all(to.join("blobs/sha256")).unwrap();
        for (path, bytes) in contents(&from) {
            fs_err::write(to.join(path.strip_prefix(&from).unwrap()), bytes).unwrap();
        }
        let put = |document: &Value, descriptor: &mut Value, old: &Value| {
            let bytes = document.to_string().into_bytes();
            let digest = Digest::of(&bytes);
            fs_err::write(to.join("blobs/sha256").join(digest.hex()), &bytes).unwrap();
            for (key, value) in [("digest", json!(digest)), ("size", json!(bytes.len()))] {
                if descriptor[key] == old[key] {
                    descriptor[key] = value;
                }
            }
        };
        put(&documents.config, &mut documents.manifest["config"], &old_config);
        put(
            &documents.manifest,
            &mut documents.index["manifests"][0],
            &old_manifest,
        );
        fs_err::write(to.join("index.json"), documents.index.to_string()).unwrap();
    }

    /// Builds and checks status, message, and that the earlier image is as it was.
    #[track_caller]
    fn refuses(&self, project: &str, base: &str, message: &str) {
        let before = contents(&self.sandbox.path("image"));
        let failed = self.build(project, base).failed_with(1);
        let said = &failed.stderr[failed.stderr.find("error: ").unwrap_or(0)..];
        assert!(
            said.contains(message),
            "expected\n{message}\nfound\n{}",
            failed.stderr
        );
        assert!(!failed.stderr.contains("panicked"), "{}", failed.stderr);
        assert!(
            before == contents(&self.sandbox.path("image")),
            "the earlier image was touched"
        );
    }
}

type Change = Box<dyn FnOnce(&mut Documents)>;

fn change(change: impl FnOnce(&mut Documents) + 'static) -> Change {
    Box::new(change)
}

#[test]
fn digests_and_sizes_of_a_base_that_are_none_are_refused() {
    let bench = Bench::new();
    let digest = |value: &'static str| change(move |d| d.manifest["layers"][0]["digest"] = json!(value));
    let size = |value: Value| change(move |d| d.manifest["layers"][0]["size"] = value);
    for (change, message) in [
        (
            digest("sha256:../../../../etc/passwd"),
            "is not a sha256 in lower-case hexadecimal",
        ),
        (
            digest("/etc/passwd"),
            "`/etc/passwd` is not a digest: expected `algorithm:hex`",
        ),
        (
            digest("md5:d41d8cd98f00b204e9800998ecf8427e"),
            "hash algorithm `md5` is not supported",
        ),
        (
            digest("sha256:\u{0}"),
            "is not a sha256 in lower-case hexadecimal",
        ),
        (size(json!(-1)), "a descriptor's size is not a number of bytes"),
        (size(json!(1.5)), "a descriptor's size is not a number of bytes"),
        (size(json!("12")), "a descriptor's size is not a number of bytes"),
        (size(json!(u64::MAX)), ""),
        (size(json!(1_u64 << 62)), ""),
        (change(|d| d.manifest["config"]["size"] = json!(u64::MAX)), ""),
        (change(|d| d.index["manifests"][0]["size"] = json!(u64::MAX)), ""),
        (
            change(|d| d.config["rootfs"]["diff_ids"][0] = json!("sha256:zz")),
            "is not a sha256",
        ),
        (change(|d| d.config["rootfs"]["diff_ids"] = json!([])), ""),
        (
            change(|d| d.config["config"]["Env"] = json!(["FOO"])),
            "`Env` has `FOO`, which is not NAME=VALUE",
        ),
        (
            change(|d| d.config["config"]["Env"] = json!([7])),
            "`Env` has an entry that is no text",
        ),
        (
            change(|d| d.config["config"]["User"] = json!("4294967296")),
            "error: user `4294967296` is not in",
        ),
        (
            change(|d| d.config["config"]["User"] = json!("2147483648:0")),
            "hint: give a numeric UID or UID:GID",
        ),
        (
            change(|d| d.config["config"]["Labels"] = json!({ "a": 1 })),
            "the base's config is not valid",
        ),
    ] {
        bench.base(change);
        bench.refuses("app", "hostile", message);
    }
}

#[test]
fn what_a_base_orders_runtimes_and_builders_is_not_in_the_image() {
    let bench = Bench::new();
    bench.base(|d| {
        let orders =
            json!({ "run.oci.handler": "krun", "module.wasm.image/variant": "compat", "vendor": "kept" });
        d.config["config"]["Labels"] = orders.clone();
        d.config["config"]["OnBuild"] = json!(["RUN steer-me"]);
        d.manifest["annotations"] = orders.clone();
        d.manifest["layers"][0]["annotations"] = orders.clone();
        d.index["manifests"][0]["annotations"]["run.oci.handler"] = json!("krun");
        d.index["annotations"] = orders;
    });
    bench.build("app", "hostile").succeeded();
    let mut kept = false;
    for (path, bytes) in contents(&bench.sandbox.path("image")) {
        let text = String::from_utf8_lossy(&bytes);
        for order in ["run.oci.handler", "module.wasm", "steer-me"] {
            assert!(!text.contains(order), "{order} is in {}", path.display());
        }
        kept |= text.contains("\"vendor\":\"kept\"");
    }
    assert!(kept, "other labels of the base stay");
}

#[test]
fn entries_of_a_lock_that_lie_or_lead_elsewhere_are_refused() {
    let bench = Bench::new();
    let wheels = [wheel(
        &bench.sandbox.path("locked/wheels"),
        "thing",
        "py3-none-any",
        &[("thing.py", "")],
    )];
    let sound = lock(&wheels);
    bench.sandbox.write("locked/main.py", "import thing\n");
    let size = format!("size = {}", fs_err::metadata(&wheels[0]).unwrap().len());
    let name = "name = \"thing-1.0-py3-none-any.whl\"";
    let hex = sound.split('"').rev().nth(1).unwrap().to_owned();
    for (from, to, message) in [
        (size.as_str(), "size = -1", "pylock.toml:"),
        (&size, "size = 9223372036854775807", "thing"),
        (&size, "size = 99999999999999999999999", "pylock.toml:"),
        (
            name,
            "name = \"../../thing-1.0-py3-none-any.whl\"",
            "`../../thing-1.0-py3-none-any.whl` is not a file name",
        ),
        (name, "name = \"a\\u0000.whl\"", "`a\\0.whl` is not a file name"),
        (&hex, "../../../etc/passwd", "pylock.toml:"),
        (&hex, "", "pylock.toml:"),
        ("name = \"thing\"", "name = \"../thing\"", "pylock.toml:"),
        ("version = \"1.0\"", "version = \"1.0\\nx\"", "pylock.toml:"),
    ] {
        bench
            .sandbox
            .write("locked/pylock.toml", &sound.replacen(from, to, 1));
        bench.refuses("locked", "base", message);
    }
    bench.sandbox.write("locked/pylock.toml", &sound);
    bench.build("locked", "base").succeeded();
}

#[test]
fn a_wheel_that_brings_its_own_interpreter_is_refused_with_the_way_out() {
    let bench = Bench::new();
    for (at, file) in [
        "evil-1.0.data/scripts/python3",
        "evil-1.0.data/data/bin/sh",
        "bin/python3.13",
    ]
    .into_iter()
    .enumerate()
    {
        let project = format!("evil{at}");
        let directory = bench.sandbox.path(&format!("{project}/wheels"));
        let wheels = [wheel(
            &directory,
            "evil",
            "py3-none-any",
            &[(file, "#!/bin/sh\n")],
        )];
        bench
            .sandbox
            .write(&format!("{project}/pylock.toml"), &lock(&wheels));
        bench.sandbox.write(&format!("{project}/main.py"), "print(1)\n");
        let path = format!("bin/{}", file.rsplit('/').next().unwrap());
        let message = format!(
            "error: wheel evil-1.0-py3-none-any.whl has a program of the name of an interpreter: {path} would be started in \
             its place\nhint: "
        );
        bench.refuses(&project, "base", &message);
        let exclude = format!("[tool.pyoci]\nexclude = [\"{path}\"]\n");
        bench
            .sandbox
            .write(&format!("{project}/pyproject.toml"), &exclude);
        bench.build(&project, "base").succeeded();
    }
    bench.sandbox.write(
        "own/pyproject.toml",
        "[project]\nname = 'own'\nversion = '1'\n[project.scripts]\npython3 = 'main:run'\n",
    );
    bench.sandbox.write("own/main.py", "def run(): pass\n");
    bench.refuses(
        "own",
        "base",
        "error: the project has a script `python3`: it would be started in the place of",
    );
}

#[test]
#[ignore = "needs dpkg-deb"]
fn line_ends_and_escapes_in_metadata_make_no_lines_and_no_escapes() {
    let bench = Bench::new();
    let pyproject = "[project]\nname = 'demo'\nversion = '1'\n\
        description = \"nice\\n[Service]\\nExecStart=/bin/evil\\u0000 \\u001b[2J end\"\n\
        authors = [{ name = \"A\\nEssential: yes\", email = \"a@b.example\" }]\n\
        keywords = [\"a\\nName: other\"]\n[project.urls]\nHomepage = \"https://h/\\nX: y\"\n";
    bench.sandbox.write("demo/pyproject.toml", pyproject);
    bench.sandbox.write("demo/main.py", "print(1)\n");
    bench.build("demo", "base").succeeded();
    for (path, bytes) in contents(&bench.sandbox.path("image")) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !text.contains("\\u0000") && !text.contains("\\u001b"),
            "{}",
            path.display()
        );
    }
    bench
        .sandbox
        .run(&["bundle", "demo", "-o", "demo.deb", "--service"])
        .succeeded();
    let root = bench.sandbox.path("unpacked");
    run(std::process::Command::new("dpkg-deb")
        .args(["-R", "demo.deb"])
        .arg(&root)
        .current_dir(bench.sandbox.path("")))
    .succeeded();
    // A link to what is installed.
    fs_err::remove_dir_all(root.join("usr/bin")).unwrap();
    for (path, bytes) in contents(&root) {
        let text = String::from_utf8_lossy(&bytes);
        let lines = || text.lines().map(str::trim_start);
        for line in ["Essential:", "ExecStart=/bin/evil", "Name: other", "X: y"] {
            assert!(
                !lines().any(|found| found.starts_with(line)),
                "{line} in {}",
                path.display()
            );
        }
        let is_text = path.extension().is_some_and(|e| e == "service") || path.ends_with("control");
        assert!(
            !is_text || !text.contains(['\u{0}', '\u{1b}']),
            "{}",
            path.display()
        );
    }
}

#[test]
fn a_credential_helper_that_is_a_path_is_not_run() {
    let bench = Bench::new();
    let ran = bench.sandbox.path("ran");
    let script = bench
        .sandbox
        .write("evil", &format!("#!/bin/sh\ntouch {}\n", ran.display()));
    fs_err::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["../evil", "/evil", "x/../../evil", "a b", "a\nb"] {
        let config = json!({ "credHelpers": { "127.0.0.1:9": name } });
        bench.sandbox.write("docker/config.json", &config.to_string());
        let mut command = bench.sandbox.pyoci();
        command.args([
            "build",
            "app",
            "--base",
            "oci:base:base",
            "--push",
            "127.0.0.1:9/x:1",
        ]);
        command.env("DOCKER_CONFIG", bench.sandbox.path("docker"));
        let failed = run(&mut command).failed_with(1);
        assert!(
            failed.stderr.contains("that is not the name of a program"),
            "{}",
            failed.stderr
        );
        assert!(!ran.exists());
    }
}
