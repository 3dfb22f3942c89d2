//! Packages are read again, by our own reader and by dpkg-deb's rules.

use super::*;
use crate::debian::Deb;

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn package() -> Package {
    let mut tree = Tree::new();
    let mut file = |name: &str, text: &str| {
        tree.insert(path(name), Entry::file(Content::bytes(text.as_bytes()), false))
            .unwrap();
    };
    file("opt/demo/app/main.py", "print('ü')\n");
    file("etc/demo/demo.toml", "a = 1\n");
    file(
        &format!("opt/demo/{}/ünï", "long/".repeat(40).trim_end_matches('/')),
        "x",
    );
    tree.insert(path("usr/bin/demo"), Entry::symlink("/opt/demo/run"))
        .unwrap();
    let control = Control {
        package: "demo".to_owned(),
        version: "1.0-1".to_owned(),
        architecture: "all".to_owned(),
        ..Control::default()
    };
    Package {
        control,
        tree,
        conffiles: vec![path("etc/demo/demo.toml")],
        scripts: BTreeMap::from([("postinst", "#!/bin/sh\n".to_owned())]),
    }
}

fn options(threads: usize) -> Options {
    Options {
        mtime: 315_532_800,
        threads,
    }
}

#[test]
fn what_is_written_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("demo.deb");
    let written = write(&file, &package(), options(1), &Secrets::default()).unwrap();
    let bytes = fs_err::read(&file).unwrap();
    assert_eq!(
        (Digest::of(&bytes), bytes.len() as u64),
        (written.digest, written.size)
    );
    let read = Deb::read(&bytes[..], &|_| false).unwrap();
    assert!(
        read.control.contains("Package: demo\n") && read.control.contains("Installed-Size: 51\n"),
        "{}",
        read.control
    );
    let paths = |tree: &Tree| tree.iter().map(|(p, _)| p.to_string()).collect::<Vec<_>>();
    assert_eq!(paths(&read.tree), paths(&package().tree));
    assert_eq!(read.tree.digest().unwrap(), package().tree.digest().unwrap());
    check(&file).unwrap();
}

#[test]
fn no_byte_depends_on_the_number_of_threads() {
    let directory = tempfile::tempdir().unwrap();
    let mut package = package();
    // More than one block.
    let large: Vec<u8> = (0..26_u32 << 20).map(|i| i.to_be_bytes()[1]).collect();
    package
        .tree
        .insert(path("opt/demo/large"), Entry::file(Content::bytes(large), false))
        .unwrap();
    let digest = |threads| {
        let file = directory.path().join(format!("{threads}.deb"));
        write(&file, &package, options(threads), &Secrets::default())
            .unwrap()
            .digest
    };
    assert_eq!(digest(1), digest(3));
}

#[test]
fn what_is_no_package_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.deb");
    check(&file).unwrap();
    fs_err::write(&file, "").unwrap();
    check(&file).unwrap();
    fs_err::write(&file, "precious").unwrap();
    assert!(matches!(check(&file), Err(Error::NotPackage(_))));
    assert!(matches!(check(directory.path()), Err(Error::NotPackage(_))));
}

#[test]
fn a_credential_is_in_no_package_and_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.deb");
    let secrets = Secrets::default();
    secrets.hold("the password of h", Some("me"), "T0k3n-of-me");
    for in_control in [false, true] {
        let mut package = package();
        if in_control {
            package.control.synopsis = "T0k3n-of-me".to_owned();
        } else {
            let entry = Entry::file(Content::bytes(*b"x T0k3n-of-me"), false);
            package.tree.insert(path("opt/demo/leak"), entry).unwrap();
        }
        let error = write(&file, &package, options(1), &secrets).unwrap_err();
        assert!(
            matches!(&error, Error::Leak(leak) if leak.to_string().ends_with("holds the password of h")),
            "{error:?}"
        );
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_line_break_in_a_name_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut package = package();
    package.tree.insert(path("opt/a\nb"), Entry::directory()).unwrap();
    let written = write(
        &directory.path().join("x.deb"),
        &package,
        options(1),
        &Secrets::default(),
    );
    assert!(matches!(written, Err(Error::LineBreak(_))));
}
