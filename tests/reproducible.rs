//! One digest, whatever the machine: directory, umask, time zone, locale, user, threads, cache, times, order of files.

use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use crate::support::{Sandbox, contents, lock, run, small_base, wheel};

/// Files of the project, in the order in which one of the copies makes them.
const FILES: [(&str, &str); 4] = [
    ("main.py", "import foo\n"),
    ("pkg/__init__.py", ""),
    ("pkg/data/a.txt", "a"),
    ("pkg/data/b.txt", "b"),
];

/// Makes the project in a directory of the sandbox.
fn project(sandbox: &Sandbox, name: &str, backwards: bool) {
    let mut files = FILES;
    if backwards {
        files.reverse();
    }
    for (file, text) in files {
        sandbox.write(&format!("{name}/app/{file}"), text);
    }
    let wheels = sandbox.path(&format!("{name}/app/wheels"));
    let long = "x = 1\n".repeat(5000);
    let any = "py3-none-any";
    let wheels = [
        wheel(&wheels, "foo", any, &[("foo.py", &long), ("foo_data/x.txt", "x")]),
        wheel(&wheels, "bar", any, &[("bar/__init__.py", "")]),
    ];
    sandbox.write(&format!("{name}/app/pylock.toml"), &lock(&wheels));
    small_base(&sandbox.path(&format!("{name}/base")), true);
}

/// Builds with `sh -c "$prelude exec pyoci ..."` in the sandbox's directory `name`; gives the digest.
#[track_caller]
fn digest(sandbox: &Sandbox, name: &str, prelude: &str, variables: &[(&str, &str)]) -> String {
    let pyoci = sandbox.pyoci();
    let mut command = Command::new("sh");
    command.env_clear();
    command.envs(
        pyoci
            .get_envs()
            .filter_map(|(variable, value)| Some((variable, value?))),
    );
    command
        .current_dir(sandbox.path(name))
        .arg("-c")
        .arg(format!(
            "{prelude} \"$0\" build app -o image --base oci:base:base"
        ))
        .arg(pyoci.get_program())
        .envs(variables.iter().copied());
    run(&mut command).succeeded().stdout
}

#[test]
fn one_digest_whatever_the_machine() {
    let sandbox = Sandbox::cold();
    project(&sandbox, "first", false);
    let expected = digest(&sandbox, "first", "exec", &[]);
    assert_eq!(digest(&sandbox, "first", "exec", &[]), expected, "warm");
    project(&sandbox, "another/much/deeper/directory", true);
    sandbox.write("another/much/deeper/directory/app/.git/config", "[core]\n");
    for (what, prelude, variables) in [
        ("another directory and order, with .git", "exec", &[][..]),
        ("umask 077", "umask 077; exec", &[]),
        ("umask 000", "umask 000; exec", &[]),
        ("time zone", "exec", &[("TZ", "Pacific/Kiritimati")]),
        ("locale", "exec", &[("LC_ALL", "tr_TR.UTF-8"), ("LANG", "C")]),
        ("one thread", "exec taskset -c 0", &[]),
        ("old files", "find app -exec touch -d 1999-01-01 {} +; exec", &[]),
        ("group bits", "chmod -R g+w,o-r app; exec", &[]),
    ] {
        // A cold cache each time.
        let cache = sandbox.path(&format!("cache of {what}"));
        let mut variables = variables.to_vec();
        variables.push(("XDG_CACHE_HOME", cache.to_str().unwrap()));
        let built = digest(&sandbox, "another/much/deeper/directory", prelude, &variables);
        assert_eq!(built, expected, "{what}");
    }
    let dated = digest(&sandbox, "first", "exec", &[("SOURCE_DATE_EPOCH", "1000000000")]);
    assert_ne!(dated, expected);
    let again = digest(
        &sandbox,
        "another/much/deeper/directory",
        "exec",
        &[("SOURCE_DATE_EPOCH", "1000000000")],
    );
    assert_eq!(dated, again);
}

#[test]
#[ignore = "needs root, to become another user"]
fn another_user_builds_the_same() {
    let mut sandbox = Sandbox::cold();
    project(&sandbox, "app", false);
    let build = |sandbox: &Sandbox, image: &str| {
        let mut command = sandbox.pyoci();
        command
            .args(["build", "app", "-o", image, "--base", "oci:base:base"])
            .current_dir(sandbox.path("app"));
        run(&mut command).succeeded().stdout
    };
    let expected = build(&sandbox, "image");
    sandbox.give_away();
    fs_err::remove_dir_all(sandbox.path("cache")).unwrap();
    assert_eq!(build(&sandbox, "image-of-another"), expected);
    let owner = fs_err::metadata(sandbox.path("app/image-of-another/index.json"))
        .unwrap()
        .uid();
    assert_ne!(owner, 0, "the image was not built by another user");
}

#[test]
fn secrets_of_the_project_are_in_no_layer() {
    const CANARY: &str = "c4n4ry-5ecret";
    let sandbox = Sandbox::cold();
    project(&sandbox, "app", false);
    let key = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}\n");
    for file in [
        ".env",
        ".env.local",
        ".git/config",
        ".netrc",
        ".pypirc",
        "pip.conf",
        "id_rsa",
        "tls/server.key",
        "conf/.env",
    ] {
        sandbox.write(&format!("app/app/{file}"), &key);
    }
    let index = format!("--index-url https://me:{CANARY}@host/simple\nfoo\n");
    sandbox.write("app/app/requirements.txt", &index);
    sandbox.write("app/app/requirements/dev.txt", &index);
    let pyoci = sandbox.pyoci();
    let mut command = Command::new(pyoci.get_program());
    command.env_clear().env("XDG_CACHE_HOME", sandbox.path("cache"));
    command.current_dir(sandbox.path("app")).args([
        "build",
        "app",
        "-v",
        "-o",
        "image",
        "--base",
        "oci:base:base",
        "--format",
        "json",
    ]);
    let built = run(&mut command).succeeded();
    assert!(
        !built.stdout.contains(CANARY) && !built.stderr.contains(CANARY),
        "{built:?}"
    );
    assert!(
        built.stderr.contains("requirements.txt") && built.stderr.contains("secrets never go into an image")
    );
    let mut layers = 0;
    for place in ["app/image", "cache"] {
        for (path, bytes) in contents(&sandbox.path(place)) {
            let mut text = Vec::new();
            let gzip = std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut text);
            layers += usize::from(gzip.is_ok());
            for haystack in [&bytes, &text] {
                let found = haystack
                    .windows(CANARY.len())
                    .any(|window| window == CANARY.as_bytes());
                assert!(!found, "{}", path.display());
            }
        }
    }
    assert!(layers >= 3, "the scan read no layers");
}
