//! What a lock file says, and what a target takes of it.

use super::*;

/// A fake index is enough for selection: nothing is fetched. Each row: wheel file names, target, what is chosen.
#[test]
fn the_best_wheel_for_the_target_is_chosen() {
    let amd64 = target(Architecture::Amd64, (3, 13));
    let arm64 = target(Architecture::Arm64, (3, 11));
    let names = [
        "t-1-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "t-1-cp313-cp313-manylinux_2_28_x86_64.whl",
        "t-1-cp313-cp313-musllinux_1_2_x86_64.whl",
        "t-1-cp39-abi3-manylinux_2_28_aarch64.whl",
        "t-1-py3-none-any.whl",
        "t-1-2-py3-none-any.whl",
        "t-1-cp313-cp313-win_amd64.whl",
    ];
    for (mask, target, expected) in [
        (0b111_1111, &amd64, Some(names[1])),
        (0b111_1111, &arm64, Some(names[3])),
        (0b000_0001, &amd64, Some(names[0])),
        (0b011_0000, &amd64, Some(names[5])),
        (0b100_0100, &amd64, None),
        (0b000_0011, &arm64, None),
    ] {
        let sandbox = Sandbox::new();
        let chosen = names.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1);
        let hash = Digest::of(b"");
        let wheels: Vec<String> = chosen
            .map(|(_, n)| {
                format!(
                    "{{ url = \"https://h/{n}\", hashes = {{ sha256 = \"{}\" }} }}",
                    hash.hex()
                )
            })
            .collect();
        let text = format!(
            "lock-version = \"1.0\"\ncreated-by = \"t\"\n[[packages]]\nname = \"t\"\nversion = \"1\"\nwheels = [{}]\n",
            wheels.join(", ")
        );
        sandbox.write("pylock.toml", &text);
        let lock = pylock::read(&sandbox.project().join("pylock.toml")).unwrap();
        let selected = lock.select(target, &BTreeSet::new(), &BTreeSet::new());
        match (expected, selected) {
            (Some(expected), Ok(selected)) => assert_eq!(name_of(&selected[0]), expected),
            (None, Err(error @ Error::NoWheel { .. })) => {
                assert!(
                    error.to_string().contains("t 1 has no wheel for CPython 3."),
                    "{error}"
                );
                assert!(error.to_string().contains("cp313"), "{error}");
            }
            (_, other) => panic!("{mask:b}: {other:?}"),
        }
    }
}

/// Reads the text as a lock file.
fn read(text: &str) -> Result<Lock, Error> {
    let sandbox = Sandbox::new();
    sandbox.write("pylock.toml", text);
    pylock::read(&sandbox.project().join("pylock.toml"))
}

#[test]
fn faults_of_a_lock_file_are_named_with_their_line() {
    let good = one_wheel(&format!("https://h/{WHEEL}"), &Digest::of(b""), 0);
    assert!(read(&good).is_ok());
    for (from, to, line, words) in [
        ("\"1.0\"\nc", "\"2.0\"\nc", 1, "lock-version 2.0"),
        ("name = \"thing\"", "name = \"-\"", 5, "not a valid package name"),
        ("sha256", "md5", 7, "no sha256"),
        ("thing-1.0-py3", "thing-1.1-py3", 7, "not a wheel of thing 1.0"),
        ("thing-1.0-py3", "other-1.0-py3", 7, "not a wheel of thing 1.0"),
        ("https://", "ftp://", 7, "ftp"),
        ("url = ", "nothing = ", 7, "neither url nor path"),
        ("wheels = [", "wheels = [[", 7, ""),
        ("\nversion = \"1.0\"\n", "\nversion = \"one\"\n", 6, "one"),
    ] {
        let error = read(&good.replacen(from, to, 1)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("pylock.toml:{line}: ")), "{to}: {text}");
        assert!(text.contains(words), "{to}: {text}");
    }
}

#[test]
fn a_lock_that_is_written_reads_as_the_same_lock() {
    let digest = Digest::of(b"");
    let hash = digest.hex();
    let text = format!(
        r#"lock-version = "1.0"
environments = ["sys_platform == 'linux'"]
requires-python = ">=3.11"
extras = ["more"]
dependency-groups = ["dev"]
default-groups = ["dev"]
created-by = "a \"tool\""

[[packages]]
name = "a"
version = "1.0"
marker = "'more' in extras"
index = "https://h/simple"
sdist = {{ name = "a-1.0.tar.gz", url = "https://h/x?y", size = 3, hashes = {{ sha256 = "{hash}" }} }}
wheels = [{{ path = "w/a-1.0-py3-none-any.whl", hashes = {{ sha256 = "{hash}" }} }}]

[[packages]]
name = "b"
directory = {{ path = "../b", editable = true, subdirectory = "s" }}

[[packages]]
name = "c"
vcs = {{ type = "git", url = "https://h/c.git", requested-revision = "main", commit-id = "0123456789abcdef" }}

[[packages]]
name = "d"
archive = {{ url = "https://h/d.zip", hashes = {{ sha256 = "{hash}" }} }}
"#
    );
    let sandbox = Sandbox::new();
    sandbox.write("pylock.toml", &text);
    let file = sandbox.project().join("pylock.toml");
    let lock = pylock::read(&file).unwrap();
    assert_eq!(lock.packages.len(), 4);
    let written = lock.to_toml(&sandbox.project());
    sandbox.write("pylock.toml", &written);
    let again = pylock::read(&file).unwrap();
    assert_eq!(again, lock);
    assert_eq!(again.to_toml(&sandbox.project()), written);
}

#[test]
fn markers_extras_and_groups_decide_what_is_selected() {
    let digest = Digest::of(b"");
    let package = |name: &str, version: &str, marker: &str| {
        format!(
            "[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\n{marker}\n\
             wheels = [{{ url = \"https://h/{name}-{version}-py3-none-any.whl\", hashes = {{ sha256 = \"{}\" }} }}]\n",
            digest.hex()
        )
    };
    let head = "lock-version = \"1.0\"\ncreated-by = \"t\"\nextras = [\"more\"]\ndependency-groups = [\"dev\", \"doc\"]\ndefault-groups = [\"dev\"]\n";
    let text = [
        head,
        &package("old", "1", "marker = \"python_version < '3.12'\""),
        &package("old", "2", "marker = \"python_version >= '3.12'\""),
        &package("extra", "1", "marker = \"'more' in extras\""),
        &package("dev", "1", "marker = \"'dev' in dependency_groups\""),
        &package("arm", "1", "marker = \"platform_machine == 'aarch64'\""),
    ]
    .concat();
    let lock = read(&text).unwrap();
    let titles = |target: &Target, extras: &[&str], groups: &[&str]| -> Vec<String> {
        let extras = extras.iter().map(|e| e.parse().unwrap()).collect();
        let groups = groups.iter().map(|g| g.parse().unwrap()).collect();
        let selected = lock.select(target, &extras, &groups).unwrap();
        selected.iter().map(Selected::title).collect()
    };
    assert_eq!(titles(&amd64(), &[], &[]), ["dev 1", "old 2"]);
    let arm64 = target(Architecture::Arm64, (3, 11));
    assert_eq!(titles(&arm64, &["more"], &["doc"]), ["arm 1", "extra 1", "old 1"]);
    let unknown = lock.select(
        &amd64(),
        &BTreeSet::from(["x".parse().unwrap()]),
        &BTreeSet::new(),
    );
    assert!(unknown.unwrap_err().hint().unwrap().contains("more"));
    let twice = read(&[head, &package("old", "1", ""), &package("old", "2", "")].concat()).unwrap();
    let error = twice
        .select(&amd64(), &BTreeSet::new(), &BTreeSet::new())
        .unwrap_err();
    assert!(error.to_string().contains("old 1 and old 2"), "{error}");
    let python = read(&text.replacen("created-by", "requires-python = \"<3.12\"\ncreated-by", 1)).unwrap();
    let error = python
        .select(&amd64(), &BTreeSet::new(), &BTreeSet::new())
        .unwrap_err();
    assert!(matches!(error, Error::LockPython { .. }), "{error:?}");
    let elsewhere = "environments = [\"sys_platform == 'win32'\"]\ncreated-by";
    let elsewhere = read(&text.replacen("created-by", elsewhere, 1)).unwrap();
    let error = elsewhere
        .select(&amd64(), &BTreeSet::new(), &BTreeSet::new())
        .unwrap_err();
    assert!(matches!(error, Error::LockEnvironment { .. }), "{error:?}");
}

fn name_of(selected: &Selected) -> &str {
    match &selected.source {
        Source::Wheel(artifact) | Source::Sdist(artifact, _) => &artifact.name,
        other => panic!("{other:?}"),
    }
}
