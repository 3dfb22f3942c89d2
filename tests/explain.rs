//! `pyoci explain` tells what a build would do and builds nothing; `pyoci init` writes it down.

use crate::support::Sandbox;
use serde_json::Value;

#[allow(clippy::unwrap_used, reason = "a test")]
fn explained(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let all = [&["explain", "--format", "json"], arguments].concat();
    serde_json::from_str(&sandbox.run(&all).succeeded().stdout).unwrap()
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn every_decision_is_told_with_its_reason() {
    let sandbox = Sandbox::new();
    sandbox.write("app/requirements.txt", "six==1.17.0\n");
    sandbox.write(
        "app/pyproject.toml",
        "[project]\nname = 'told'\nversion = '1'\nrequires-python = '==3.11.*'\n",
    );
    sandbox.write("app/src/main.py", "import six\n");
    sandbox.write("app/.env", "TOKEN=abcdef\n");
    sandbox.write("app/.gitignore", "*.log\n");
    sandbox.write("app/x.log", "");
    let text = sandbox.run(&["explain", "app", "--user", "7"]).succeeded();
    for line in [
        "Requirements  requirements.txt: there is no lock file\n",
        "Ignored  pyproject.toml: requirements.txt is there\n",
        "Base  recipe:bookworm (requires-python `==3.11.*`): CPython 3.11 on linux/amd64 with glibc 2.36\n",
        "Packages  1: six 1.17.0\n",
        "Start  python3 src/main.py: src/main.py is there\n",
        "User  7:7: as asked for\n",
        "Left out  .env: secrets never go into an image\n",
        "Left out  x.log: .gitignore\n",
        "dependencies: 1 package\n",
    ] {
        assert!(text.stdout.contains(line), "{line}{}", text.stdout);
    }
    let layers = "layers = { six = [\"six\"], none = [\"x*\"] }";
    let named = [
        ("app/requirements.txt", "six==1.17.0\nidna==3.10\n"),
        ("app/pyproject.toml", &format!("[tool.pyoci]\n{layers}\n")),
    ];
    for (name, text) in named {
        sandbox.write(&format!("several/{name}"), text);
    }
    let several = explained(&sandbox, &["several/app", "--entrypoint", "x"]);
    assert_eq!(
        several["platforms"][0]["dependencyLayers"],
        serde_json::json!(["dependencies: six 1.17.0", "dependencies: idna 3.10"])
    );
    let json = explained(&sandbox, &["app", "--user", "7"]);
    let platform = &json["platforms"][0];
    assert_eq!(platform["packages"][0]["from"], "six-1.17.0-py2.py3-none-any.whl");
    assert_eq!(platform["leftOut"]["secrets"][0], ".env");
    assert_eq!(platform["start"]["command"][1], "src/main.py");
    // What is explained is what is built.
    let built = sandbox.run(&["build", "app", "--user", "7", "-o", "image", "--format", "json"]);
    let built: Value = serde_json::from_str(&built.succeeded().stdout).unwrap();
    let made = &built["platforms"][0];
    assert_eq!(made["start"]["command"], platform["start"]["command"]);
    assert_eq!(made["base"]["origin"], platform["base"]["origin"]);
    assert_eq!(made["user"], platform["user"]["id"]);
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn nothing_of_the_project_is_run() {
    let sandbox = Sandbox::new();
    let traitor = sandbox.path("was-run");
    let setup = format!(
        "open({:?}, 'w')\nimport setuptools\nsetuptools.setup()\n",
        traitor.display().to_string()
    );
    sandbox.write("app/setup.py", &setup);
    sandbox.write(
        "app/pyproject.toml",
        "[project]\nname = 'told'\ndynamic = ['version']\n[project.scripts]\ntold = 'told:main'\n",
    );
    sandbox.write("app/requirements.txt", "");
    let json = explained(&sandbox, &["app", "-r", "app/requirements.txt"]);
    assert_eq!(json["project"]["packaging"]["kind"], "wheel");
    assert_eq!(json["platforms"][0]["start"]["command"][0], "told");
    assert!(!traitor.exists(), "setup.py was run");
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn init_writes_what_was_guessed_and_changes_nothing_of_it() {
    let sandbox = Sandbox::new();
    sandbox.write("app/src/site1/settings.py", "");
    sandbox.write("app/src/site1/wsgi.py", "application = None\n");
    let manage = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings')\n";
    sandbox.write("app/src/manage.py", manage);
    sandbox.write("app/requirements.txt", "gunicorn==23.0.0\n");
    sandbox.write(
        "app/pyproject.toml",
        "# mine\n[tool.pyoci]\nuser = \"9:9\" # kept\n",
    );
    let before = explained(&sandbox, &["app"]);
    let added = sandbox
        .run(&["init", "app", "--format", "json"])
        .succeeded()
        .stdout;
    let added: Value = serde_json::from_str(&added).unwrap();
    let keys = ["base", "platforms", "requirements", "entrypoint", "pythonpath"];
    assert_eq!(added["added"], serde_json::json!(keys));
    let text = fs_err::read_to_string(sandbox.path("app/pyproject.toml")).unwrap();
    assert!(
        text.starts_with("# mine\n[tool.pyoci]\nuser = \"9:9\" # kept\nbase = "),
        "{text}"
    );
    let after = explained(&sandbox, &["app"]);
    for key in ["command", "importRoots"] {
        let at = |json: &Value| json["platforms"][0]["start"][key].clone();
        assert_eq!(at(&after), at(&before), "{key}");
    }
    for key in ["packages", "user", "env"] {
        let id = |json: &Value| match &json["platforms"][0][key] {
            user if key == "user" => user["id"].clone(),
            other => other.clone(),
        };
        assert_eq!(id(&after), id(&before), "{key}");
    }
    let again = sandbox.run(&["init", "app"]).succeeded().stdout;
    assert!(again.ends_with("says it all\n"), "{again}");
    assert_eq!(
        fs_err::read_to_string(sandbox.path("app/pyproject.toml")).unwrap(),
        text
    );
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_lock_without_wheels_for_todays_python_chooses_the_base_that_has_them() {
    let sandbox = Sandbox::new();
    let hash = "0".repeat(64);
    let file = |name: &str| {
        format!(
            "{{ name = \"{name}\", url = \"http://localhost/{name}\", hashes = {{ sha256 = \"{hash}\" }} }}"
        )
    };
    let lock = |tag: &str| {
        let wheel = file(&format!("old-1.0-{tag}-manylinux_2_17_x86_64.whl"));
        format!(
            "lock-version = \"1.0\"\ncreated-by = \"test\"\n[[packages]]\nname = \"old\"\nversion = \"1.0\"\n\
             sdist = {}\nwheels = [{wheel}]\n",
            file("old-1.0.tar.gz")
        )
    };
    sandbox.write("app/main.py", "");
    for (tag, base) in [
        ("cp311-cp311", "recipe:bookworm"),
        ("cp313-cp313", "recipe:trixie"),
    ] {
        sandbox.write("app/pylock.toml", &lock(tag));
        let json = explained(&sandbox, &["app"]);
        assert_eq!(json["platforms"][0]["base"]["reference"], base);
        assert_eq!(json["platforms"][0]["packages"][0]["kind"], "wheel");
    }
}

#[test]
#[ignore = "needs the network and what tests/setup.sh installs"]
fn a_setup_py_that_cannot_run_alone_is_a_warning_and_strict_makes_it_an_error() {
    let sandbox = Sandbox::new();
    sandbox.write("app/setup.py", "import not_declared_anywhere\n");
    sandbox.write("app/main.py", "print(1)\n");
    let arguments = ["build", "app", "-o", "image", "-r", "app/requirements.txt"];
    sandbox.write("app/requirements.txt", "");
    let built = sandbox.run(&arguments).succeeded();
    assert!(built.stderr.contains("warning: building"), "{}", built.stderr);
    assert!(
        built.stderr.contains("the project goes in as files"),
        "{}",
        built.stderr
    );
    let refused = sandbox
        .run(&[&arguments[..], &["--strict"]].concat())
        .failed_with(1);
    assert!(
        refused.stderr.contains("not_declared_anywhere"),
        "{}",
        refused.stderr
    );
}
