//! The rules of PEP 751, one test for each.

use std::collections::BTreeSet;

use super::*;
use crate::platform::{Architecture, Platform};
use crate::python::{Libc, Target};

const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn target(architecture: Architecture) -> Target {
    Target {
        platform: Platform::linux(architecture),
        libc: Libc::Glibc { major: 2, minor: 41 },
        python: (3, 13),
        python_full: Some("3.13.5".to_owned()),
        interpreter: "/usr/bin/python3".to_owned(),
    }
}

/// A wheel of version 1 of the package `name`, with more fields of its package.
fn package(name: &str, more: &str) -> String {
    format!(
        "[[packages]]\nname = '{name}'\nversion = '1'\n{more}\n\
         wheels = [{{ url = 'https://h/{name}-1-py3-none-any.whl', hashes = {{ sha256 = '{HASH}' }} }}]\n"
    )
}

fn read(head: &str, packages: &str) -> Result<Lock, String> {
    let version = if head.contains("lock-version") {
        ""
    } else {
        "lock-version = '1.0'\n"
    };
    let none = if packages.is_empty() {
        "packages = []\n"
    } else {
        ""
    };
    let text = format!("{version}created-by = 'x'\n{head}\n{none}{packages}");
    parse(&text, Path::new("/p/pylock.toml"), Hashes::Required).map_err(|e| e.to_string())
}

/// The names that are installed; or the error.
fn select(head: &str, packages: &str, extras: &[&str], groups: &[&str]) -> Result<Vec<String>, String> {
    let lock = read(head, packages)?;
    let extras = extras.iter().map(|e| e.parse().unwrap()).collect::<BTreeSet<_>>();
    let groups = groups.iter().map(|g| g.parse().unwrap()).collect::<BTreeSet<_>>();
    let selected = lock.select(&target(Architecture::Amd64), &extras, &groups);
    let selected = selected.map_err(|e| e.to_string())?;
    Ok(selected.iter().map(|s| s.name.to_string()).collect())
}

#[track_caller]
fn refused(result: Result<impl std::fmt::Debug, String>, expected: &str) {
    let error = result.unwrap_err();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn another_major_version_is_refused_and_a_newer_minor_is_noted() {
    assert_eq!(read("", "").unwrap().minor, 0);
    assert_eq!(read("lock-version = '1'", "").unwrap().minor, 0);
    assert_eq!(read("lock-version = '1.7'", "").unwrap().minor, 7);
    for version in ["2.0", "0.9", "1!1.0", "1.0.dev1"] {
        let head = format!("lock-version = '{version}'");
        refused(read(&head, ""), "is not supported (1.0 is)");
    }
    refused(read("lock-version = 'one'", ""), "one");
}

#[test]
fn what_the_specification_requires_must_be_there() {
    let parse = |text: &str| parse(text, Path::new("pylock.toml"), Hashes::Required);
    for (text, missing) in [
        ("lock-version = '1.0'\npackages = []", "created-by"),
        ("lock-version = '1.0'\ncreated-by = 'x'", "packages"),
        ("created-by = 'x'\npackages = []", "lock-version"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(missing), "{error}");
    }
}

#[test]
fn names_are_normalized() {
    let lock = read("", &package("A_b", "")).unwrap();
    assert_eq!(lock.unusual_names, ["A_b"]);
    assert_eq!(lock.packages[0].name.as_str(), "a-b");
    assert!(read("", &package("a-b", "")).unwrap().unusual_names.is_empty());
    refused(read("", &package("-b", "")), "-b");
    refused(read("extras = ['Web']", ""), "`Web` must be written as `web`");
}

#[test]
fn one_of_the_environments_must_be_that_of_the_image() {
    let environments = "environments = [\"sys_platform == 'win32'\", \"platform_machine == 'x86_64'\"]";
    assert_eq!(select(environments, "", &[], &[]).unwrap(), [""; 0]);
    let error = read(environments, "")
        .unwrap()
        .select(&target(Architecture::Arm64), &BTreeSet::new(), &BTreeSet::new())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("linux/arm64") && error.contains("sys_platform == \"win32\" or platform_machine"),
        "{error}"
    );
}

#[test]
fn the_python_of_lock_and_package_must_be_that_of_the_image() {
    refused(
        select("requires-python = '<3.13'", "", &[], &[]),
        "the lock is for Python <3.13",
    );
    refused(
        select("", &package("a", "requires-python = '>=3.14'"), &[], &[]),
        "a 1 needs Python >=3.14",
    );
    let elsewhere = package("a", "requires-python = '>=3.14'\nmarker = \"os_name == 'nt'\"");
    assert_eq!(select("", &elsewhere, &[], &[]).unwrap(), [""; 0]);
}

#[test]
fn extras_and_groups_are_sets_in_markers() {
    let head = "extras = ['web']\ndependency-groups = ['dev', 'docs']\ndefault-groups = ['docs']";
    let all = [
        package("a", ""),
        package("b", "marker = \"'web' in extras\""),
        package("c", "marker = \"'dev' in dependency_groups\""),
        package(
            "d",
            "marker = \"'docs' in dependency_groups and 'web' not in extras\"",
        ),
    ]
    .concat();
    for (extras, groups, expected) in [
        (&[][..], &[][..], &["a", "d"][..]),
        (&["web"], &[], &["a", "b"]),
        (&[], &["dev"], &["a", "c"]),
        (&["web"], &["dev", "docs"], &["a", "b", "c"]),
    ] {
        assert_eq!(
            select(head, &all, extras, groups).unwrap(),
            expected,
            "{extras:?} {groups:?}"
        );
    }
    refused(select(head, &all, &["gui"], &[]), "has no extra `gui`");
    refused(
        select(head, &all, &[], &["test"]),
        "has no dependency group `test`",
    );
}

#[test]
fn two_entries_of_a_package_must_exclude_each_other() {
    let machine = |m: &str| package("a", &format!("marker = \"platform_machine == '{m}'\""));
    let apart = machine("x86_64") + &machine("aarch64");
    assert_eq!(select("", &apart, &[], &[]).unwrap(), ["a"]);
    refused(
        select("", &(machine("x86_64") + &package("a", "")), &[], &[]),
        "two entries of one package",
    );
}

#[test]
fn sources_exclude_each_other_and_one_must_be_there() {
    let file = format!("{{ url = 'https://h/a-1.zip', hashes = {{ sha256 = '{HASH}' }} }}");
    let commit = "{ type = 'git', url = 'https://h/a', commit-id = '0123456789' }";
    for (fields, problem) in [
        (String::new(), "has no files"),
        (format!("archive = {file}\nvcs = {commit}"), "exclude each other"),
        (
            format!("archive = {file}\ndirectory = {{ path = 'a' }}"),
            "exclude each other",
        ),
        (
            format!(
                "archive = {file}\nsdist = {{ url = 'https://h/a-1.tar.gz', hashes = {{ sha256 = '{HASH}' }} }}"
            ),
            "exclude each other",
        ),
        (
            "vcs = { type = 'git', commit-id = '0123456789' }".to_owned(),
            "neither url nor path",
        ),
        (
            "vcs = { type = 'git', url = 'https://h/a', commit-id = 'main' }".to_owned(),
            "not a commit",
        ),
        (
            "directory = { path = 'a', subdirectory = '../b' }".to_owned(),
            "leaves its project",
        ),
        (
            format!("archive = {{ hashes = {{ sha256 = '{HASH}' }} }}"),
            "neither url nor path",
        ),
        (
            format!("sdist = {{ url = 'https://h/a-2.tar.gz', hashes = {{ sha256 = '{HASH}' }} }}"),
            "not a source distribution of a 1",
        ),
        (
            format!(
                "wheels = [{{ url = 'https://h/b-1-py3-none-any.whl', hashes = {{ sha256 = '{HASH}' }} }}]"
            ),
            "not a wheel of a 1",
        ),
    ] {
        refused(
            read(
                "",
                &format!("[[packages]]\nname = 'a'\nversion = '1'\n{fields}\n"),
            ),
            problem,
        );
    }
}

#[test]
fn a_file_needs_a_hash_that_proves_something() {
    let with = |hashes: &str| {
        let archive = format!("archive = {{ url = 'https://h/a-1.zip'{hashes} }}");
        read("", &format!("[[packages]]\nname = 'a'\n{archive}\n"))
    };
    refused(with(""), "hashes");
    refused(with(", hashes = {}"), "no sha256, sha384 or sha512 hash");
    refused(
        with(", hashes = { md5 = 'd41d8cd98f00b204e9800998ecf8427e' }"),
        "no sha256",
    );
    refused(with(", hashes = { sha256 = 'abc' }"), "abc");
    with(&format!(", hashes = {{ sha512 = '{HASH}{HASH}' }}")).unwrap();
}

#[test]
fn a_file_beside_the_lock_is_preferred_to_its_url() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pylock.toml");
    let text = format!(
        "lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'a'\n\
         archive = {{ url = 'https://h/a-1.zip', path = 'w/a-1.zip', hashes = {{ sha256 = '{HASH}' }} }}\n"
    );
    let location = || match &parse(&text, &path, Hashes::Required).unwrap().packages[0].content {
        Content::Archive { artifact, .. } => artifact.location.clone(),
        other => panic!("{other:?}"),
    };
    assert!(matches!(location(), Location::Url(_)));
    fs_err::create_dir(directory.path().join("w")).unwrap();
    fs_err::write(directory.path().join("w/a-1.zip"), "").unwrap();
    assert_eq!(location(), Location::Path(directory.path().join("w/a-1.zip")));
}

#[test]
fn all_that_a_lock_says_is_there_when_it_is_written_again() {
    let text = format!(
        r#"
lock-version = "1.0"
environments = ["sys_platform == 'linux'"]
requires-python = ">=3.11"
extras = ["web"]
dependency-groups = ["dev"]
default-groups = ["dev"]
created-by = "x"
[[packages]]
name = "a"
version = "1.0"
marker = "'dev' in dependency_groups"
requires-python = ">=3.8"
dependencies = [{{ name = "b" }}, {{ name = "c", version = "2" }}]
index = "https://index.example/simple/"
sdist = {{ name = "a-1.0.tar.gz", upload-time = 2025-01-02T03:04:05.6Z, url = "https://h/x?y", size = 3, hashes = {{ sha256 = "{HASH}", sha512 = "{HASH}{HASH}" }} }}
wheels = [{{ path = "w/a-1.0-py3-none-any.whl", upload-time = 2025-01-02T03:04:05Z, hashes = {{ sha256 = "{HASH}" }} }}]
[[packages.attestation-identities]]
kind = "GitHub"
repository = "me/a"
workflow = "release.yml"
[[packages.attestation-identities]]
kind = "GitLab"
[packages.tool.maker]
note = "with \"quotes\""
nested = {{ list = [1, 2.5, true, 2025-01-02], deep = [{{ x = 1 }}] }}
[[packages]]
name = "b"
directory = {{ path = "../libs/b", editable = true, subdirectory = "src" }}
[[packages]]
name = "c"
version = "2"
vcs = {{ type = "hg", url = "https://h/c", requested-revision = "tip", commit-id = "12", subdirectory = "d" }}
[[packages]]
name = "d"
archive = {{ url = "https://h/d.zip", size = 9, upload-time = 2024-01-01T00:00:00Z, subdirectory = "e", hashes = {{ sha384 = "{}" }} }}
[tool.maker]
options = ["a", "b"]
[tool.maker.table]
key = "value"
[[tool.other]]
n = 1
"#,
        "ab".repeat(48)
    );
    let place = Path::new("/p/q/pylock.toml");
    let lock = parse(&text, place, Hashes::Required).unwrap();
    let written = lock.to_toml(Path::new("/p/q"));
    let again = parse(&written, place, Hashes::Required).unwrap();
    assert_eq!(again, lock, "{written}");
    assert!(written.contains("path = \"../libs/b\""), "{written}");
    // What it says, table by table; only an absent default may be left out.
    let table = |text: &str| text.parse::<toml::Table>().unwrap();
    let (before, after) = (table(&text), table(&written));
    assert_eq!(before["tool"], after["tool"]);
    for number in 0..4 {
        let (before, after) = (&before["packages"][number], &after["packages"][number]);
        for (key, value) in before.as_table().unwrap() {
            if key != "marker" && key != "sdist" {
                assert_eq!(Some(value), after.get(key), "{key}");
            }
        }
    }
}

#[test]
fn an_attestation_identity_has_a_kind() {
    let package = package("a", "attestation-identities = [{ repository = 'x/y' }]");
    refused(read("", &package), "has no `kind`");
}
