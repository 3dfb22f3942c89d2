//! Wheels that are refused, each with its message, and what installing several together does.

use std::collections::BTreeSet;
use std::path::Path;

use super::made::MadeWheel;
use super::{Error, InstallOptions, Installed, Wheel, install_all, script};
use crate::paths::TreePath;
use crate::python::{EntryPoint, Libc, Target};

fn open(path: &Path) -> Result<Wheel, Error> {
    Wheel::open(path, path.file_name().unwrap().to_str().unwrap())
}

fn opened(made: MadeWheel) -> Result<Wheel, Error> {
    let directory = tempfile::tempdir().unwrap();
    open(&made.write(directory.path()))
}

/// What is refused and why, in one line.
fn fault(made: MadeWheel) -> String {
    let wheel = opened(made).and_then(|wheel| wheel.verify_record().map(|()| wheel));
    words(&wheel.map(|_| ()).expect_err("the wheel should be refused"))
}

fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn target(interpreter: &str) -> Target {
    Target {
        platform: "linux/amd64".parse().unwrap(),
        libc: Libc::Glibc { major: 2, minor: 41 },
        python: (3, 13),
        python_full: None,
        interpreter: interpreter.to_owned(),
    }
}

fn install(wheels: &[Wheel], exclude: &[&str]) -> Result<Installed, Error> {
    let mut globs = globset::GlobSetBuilder::new();
    for pattern in exclude {
        globs.add(globset::Glob::new(pattern).unwrap());
    }
    let options = InstallOptions {
        prefix: &TreePath::new("deps").unwrap(),
        target: &target("/usr/bin/python3.13"),
        exclude: &globs.build().unwrap(),
        requested: &BTreeSet::new(),
    };
    install_all(wheels.to_vec(), &options)
}

fn text(installed: &Installed, path: &str) -> String {
    let content = installed.tree.get(path).unwrap().content().unwrap();
    String::from_utf8(content.read(1 << 20).unwrap()).unwrap()
}

#[test]
fn record_must_list_every_file_with_its_hash_and_size_and_nothing_else() {
    let demo = || MadeWheel::new("demo").file("demo.py", "x = 1\n");
    assert!(opened(demo()).unwrap().verify_record().is_ok());
    let nothing = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
    for (made, reason) in [
        (demo().row("demo.py", None), "demo.py has no row in RECORD"),
        (
            demo().row("demo.py", Some("demo.py,,6")),
            "RECORD:1 has no SHA-256, SHA-384 or SHA-512 of demo.py",
        ),
        (
            demo().row("demo.py", Some("demo.py,md5=CY9rzUYh03PK3k6DJie09g,6")),
            "RECORD:1 has no SHA-256",
        ),
        (
            demo().row("demo.py", Some(&format!("demo.py,{nothing},5"))),
            "demo.py has 6 bytes; RECORD says \"5\"",
        ),
        (
            demo().row("demo.py", Some(&format!("demo.py,{nothing},6"))),
            "demo.py does not have the hash that RECORD states",
        ),
        (
            demo().row("gone.py", Some(&format!("gone.py,{nothing},0"))),
            "RECORD:4 names \"gone.py\", which is not in the wheel",
        ),
        (
            demo().row("x", Some(&format!("demo.py,{nothing},6"))),
            "RECORD:4 contradicts an earlier row about demo.py",
        ),
        (demo().row("{info}/RECORD", None), "RECORD is missing"),
    ] {
        let fault = fault(made);
        assert!(
            fault.contains(reason) && fault.contains("demo-1.0-py3-none-any.whl"),
            "{fault}"
        );
    }
}

#[test]
fn a_file_with_another_hash_is_refused_by_whoever_reads_it_and_by_leaving_it_out() {
    let row = "demo.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,6";
    let made = MadeWheel::new("demo").file("demo.py", "x = 1\n");
    let wheel = opened(made.row("demo.py", Some(row))).unwrap();
    let installed = install(std::slice::from_ref(&wheel), &[]).unwrap();
    let options = crate::layer::Options {
        mtime: 0,
        compression: crate::layer::Compression::Gzip,
        threads: 2,
    };
    let error = crate::layer::write(&installed.tree, &options, &mut std::io::sink()).unwrap_err();
    assert!(error.to_string().contains("deps/demo.py"), "{error}");
    let error = install(&[wheel], &["*.py"]).map(|_| ()).unwrap_err();
    assert!(words(&error).contains("does not have the hash"), "{error}");
}

#[test]
fn harmless_oddities_of_real_records_are_accepted() {
    let hash = "sha256=-5WlZmvTBOcAiwjOCdFqIu-ctiQ3gDJA7IUqf5Z7uUQ";
    let made = MadeWheel::new("demo")
        .file("demo/a.py", "x = 1\n")
        .row("demo/", Some("demo/,,"))
        .row("{info}/RECORD.jws", Some("demo-1.0.dist-info/RECORD.jws,,"));
    assert!(opened(made).is_ok());
    for row in [
        format!("./demo/a.py,{hash},"),
        format!("demo\\a.py,{hash}=,6,more"),
    ] {
        let made = MadeWheel::new("demo")
            .file("demo/a.py", "x = 1\n")
            .row("demo/a.py", Some(&row));
        opened(made).unwrap();
    }
}

#[test]
fn dist_info_must_be_one_and_that_of_the_file_name() {
    let none = fault(MadeWheel::new("demo").file("other-1.0.dist-info/METADATA", ""));
    assert!(none.contains("other-1.0.dist-info"), "{none}");
    let two = fault(
        MadeWheel::new("demo")
            .file("{info}/METADATA", "")
            .file("a-2.dist-info/x", ""),
    );
    assert!(two.contains("it has a-2.dist-info, demo-1.0.dist-info"), "{two}");
    let name = "Metadata-Version: 2.1\nName: else\nVersion: 1.0\n";
    assert!(fault(MadeWheel::new("demo").file("{info}/METADATA", name)).contains("METADATA is of else 1.0"));
    let version = "Metadata-Version: 2.1\nName: demo\nVersion: 2.0\n";
    assert!(
        fault(MadeWheel::new("demo").file("{info}/METADATA", version)).contains("METADATA is of demo 2.0")
    );
    let same = "Metadata-Version: 2.1\nName: De_mo.X\nVersion: 1.0.0\n";
    assert!(opened(MadeWheel::new("de_mo_x").file("{info}/METADATA", same)).is_ok());
}

#[test]
fn a_newer_wheel_version_is_refused_or_warned_of() {
    let wheel = |text: &str| MadeWheel::new("demo").file("{info}/WHEEL", text);
    assert!(fault(wheel("Wheel-Version: 2.0\n")).contains("Wheel-Version 2.0; only 1.x"));
    assert!(fault(wheel("Wheel-Version: one\n")).contains("Wheel-Version `one`"));
    assert!(fault(wheel("Generator: x\n\nWheel-Version: 1.0\n")).contains("has no Wheel-Version"));
    let newer = opened(wheel("wheel-version: 1.9\n")).unwrap();
    assert!(install(&[newer], &[]).unwrap().warnings[0].contains("newer than 1.0"));
}

#[test]
fn an_entry_point_or_data_file_that_leads_elsewhere_is_refused() {
    let points = "[console_scripts]\n../evil = demo:main\n";
    let entry_points = fault(MadeWheel::new("demo").file("{info}/entry_points.txt", points));
    assert!(
        entry_points.contains("`../evil` is not a file name"),
        "{entry_points}"
    );
    for path in ["{data}/unknown/x", "{data}/x"] {
        let wheel = opened(MadeWheel::new("demo").file(path, "")).unwrap();
        let error = words(&install(&[wheel], &[]).unwrap_err());
        assert!(error.contains("belongs nowhere"), "{error}");
    }
}

#[test]
fn a_program_of_the_name_of_an_interpreter_is_refused_wherever_it_comes_from() {
    let points = |name: &str| format!("[console_scripts]\n{name} = demo:main\n");
    for name in ["python3", "python3.13", "python", "sh", "env"] {
        for made in [
            MadeWheel::new("demo").file("{info}/entry_points.txt", &points(name)),
            MadeWheel::new("demo").file(&format!("{{data}}/scripts/{name}"), "#!/bin/sh\n"),
            MadeWheel::new("demo").file(&format!("{{data}}/scripts/{name}"), "#!python\n"),
            MadeWheel::new("demo").file(&format!("{{data}}/data/bin/{name}"), "\u{7f}ELF"),
            MadeWheel::new("demo").file(&format!("{{data}}/purelib/bin/{name}"), ""),
            MadeWheel::new("demo").file(&format!("bin/{name}"), ""),
        ] {
            let wheel = opened(made).unwrap();
            let error = install(std::slice::from_ref(&wheel), &[]).unwrap_err();
            let expected = format!("bin/{name} would be started in its place");
            assert!(error.to_string().contains(&expected), "{error}");
            let path = format!("bin/{name}");
            assert!(error.hint().unwrap().contains(&path), "{:?}", error.hint());
            let installed = install(&[wheel], &[&path]).unwrap();
            assert!(installed.tree.get(&format!("deps/{path}")).is_none());
        }
    }
}

#[test]
fn a_data_scheme_reaches_no_other_package() {
    let directory = tempfile::tempdir().unwrap();
    let write = |made: MadeWheel| open(&made.write(directory.path())).unwrap();
    let one = write(MadeWheel::new("one").file("one/__init__.py", "1"));
    for (scheme, name) in [
        ("purelib", "two_pure"),
        ("platlib", "two_plat"),
        ("data", "two_data"),
    ] {
        let over = write(MadeWheel::new(name).file(&format!("{{data}}/{scheme}/one/__init__.py"), "2"));
        let error = install(&[one.clone(), over], &[]).unwrap_err().to_string();
        let both = error.contains("one-1.0-py3-none-any.whl") && error.contains(name);
        assert!(
            both && error.contains("one/__init__.py, with different contents"),
            "{error}"
        );
        // Nor what another one is known by, whether that is there or not.
        let path = format!("{{data}}/{scheme}/other-2.0.dist-info/top_level.txt");
        let error = install(&[write(MadeWheel::new("claims").file(&path, "other"))], &[]).unwrap_err();
        let expected = "has a file of another distribution: other-2.0.dist-info/top_level.txt";
        assert!(error.to_string().contains(expected), "{error}");
    }
    // Nor its own files twice.
    let twice = write(
        MadeWheel::new("twice")
            .file("a.py", "1")
            .file("{data}/purelib/a.py", "2"),
    );
    let error = install(&[twice], &[]).unwrap_err().to_string();
    assert!(error.contains("both own a.py"), "{error}");
}

#[test]
fn a_data_scheme_leads_nowhere_else() {
    for path in [
        "{data}/data/../../etc/passwd",
        "{data}/data//etc/passwd",
        "{data}/scripts/../../x",
        "{data}/purelib/./x",
        "/etc/passwd",
    ] {
        let refused = opened(MadeWheel::new("demo").file(path, "")).and_then(|wheel| install(&[wheel], &[]));
        let error = words(&refused.map(|_| ()).expect_err(path));
        assert!(error.contains("demo-1.0-py3-none-any.whl"), "{path}: {error}");
    }
}

#[test]
fn two_wheels_may_share_a_file_only_if_it_is_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let wheel = |name, content| {
        let made = MadeWheel::new(name)
            .file("shared/__init__.py", content)
            .file("tests/a.py", name);
        open(&made.write(directory.path())).unwrap()
    };
    let (one, two) = (wheel("one", "same"), wheel("two", "same"));
    let error = install(&[two.clone(), one.clone()], &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "one-1.0-py3-none-any.whl and two-1.0-py3-none-any.whl both own tests/a.py, with different contents"
    );
    assert!(
        error
            .hint()
            .unwrap()
            .contains("[tool.pyoci] exclude = [\"tests/a.py\"]")
    );
    let installed = install(&[two, one], &["tests/**"]).unwrap();
    assert_eq!(text(&installed, "deps/shared/__init__.py"), "same");
    assert!(installed.tree.get("deps/tests/a.py").is_none());
    assert!(!text(&installed, "deps/one-1.0.dist-info/RECORD").contains("tests/"));
}

#[test]
fn a_file_where_another_wheel_has_a_directory_names_both() {
    let directory = tempfile::tempdir().unwrap();
    let one = open(&MadeWheel::new("one").file("x", "").write(directory.path())).unwrap();
    let two = open(&MadeWheel::new("two").file("x/y", "").write(directory.path())).unwrap();
    let error = install(&[one, two], &[]).unwrap_err().to_string();
    assert!(error.contains("one-1.0") && error.contains("two-1.0"), "{error}");
}

#[test]
fn the_order_of_the_wheels_does_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    let one = MadeWheel::new("one")
        .file_with_mode("ns/x", "1", 0o100_755)
        .file("ns/one", "");
    let two = MadeWheel::new("two").file("ns/x", "1").file("ns/two", "");
    let (one, two) = (one.write(directory.path()), two.write(directory.path()));
    let wheels = [open(&one).unwrap(), open(&two).unwrap()];
    let turned = [wheels[1].clone(), wheels[0].clone()];
    let listing = |wheels: &[Wheel]| {
        let tree = install(wheels, &[]).unwrap().tree;
        tree.iter()
            .map(|(path, entry)| format!("{path} {:o}", entry.mode))
            .collect::<Vec<_>>()
    };
    assert_eq!(listing(&wheels), listing(&turned));
    assert!(listing(&wheels).contains(&"deps/ns/x 755".to_owned()));
}

#[test]
fn record_names_what_is_installed_where_it_is() {
    let made = MadeWheel::new("demo")
        .file("{info}/entry_points.txt", "[console_scripts]\nmade = demo:main\n")
        .file("{info}/INSTALLER", "other")
        .file(
            "{info}/direct_url.json",
            "{\"url\": \"https://user:secret@host/\"}",
        )
        .file("{data}/scripts/made", "#!python\nold")
        .file("{data}/scripts/plain", "#!python -E\nprint()\n")
        .file("{data}/data/lib/demo.txt", "kept")
        .file("{data}/data/with,comma \"quoted\"", "");
    let installed = install(&[opened(made).unwrap()], &[]).unwrap();
    assert_eq!(
        text(&installed, "deps/bin/plain"),
        "#!/usr/bin/python3.13\nprint()\n"
    );
    assert_eq!(text(&installed, "deps/lib/demo.txt"), "kept");
    assert_eq!(text(&installed, "deps/demo-1.0.dist-info/INSTALLER"), "pip\n");
    let record = text(&installed, "deps/demo-1.0.dist-info/RECORD");
    let names: Vec<&str> = record
        .split("\r\n")
        .map(|row| row.split(",sha256").next().unwrap())
        .collect();
    let info = ["INSTALLER", "METADATA", "RECORD,,", "WHEEL", "entry_points.txt"];
    let info = info.map(|name| format!("demo-1.0.dist-info/{name}"));
    let info: Vec<&str> = info.iter().map(String::as_str).collect();
    let rest = ["lib/demo.txt", "\"with,comma \"\"quoted\"\"\"", ""];
    assert_eq!(names, [&["bin/made", "bin/plain"][..], &info, &rest].concat());
    let files = installed
        .tree
        .iter()
        .filter(|(_, entry)| !entry.is_directory())
        .count();
    assert_eq!(files, names.len() - 1, "no direct_url.json, nothing else");
    assert!(record.contains("bin/plain,sha256=") && !record.contains("{data}"));
}

#[test]
fn scripts_can_always_be_executed() {
    let made = MadeWheel::new("demo")
        .file("{data}/scripts/tool", "#!/bin/sh\n")
        .file("{data}/scripts/fixed", "#!python\n")
        .file("demo.sh", "#!/bin/sh\n");
    let installed = install(&[opened(made).unwrap()], &[]).unwrap();
    let bits = |path: &str| installed.tree.get(path).unwrap().mode;
    assert_eq!((bits("deps/bin/tool"), bits("deps/bin/fixed")), (0o755, 0o755));
    assert_eq!((bits("deps/demo.sh"), bits("deps/bin")), (0o644, 0o755));
}

#[test]
fn scripts_of_pip_are_named_after_the_targets_python() {
    let points = "[console_scripts]\npip = p:main\npip3 = p:main\npip3.9 = p:main\npipx = p:x\n";
    let wheel = opened(MadeWheel::new("demo").file("{info}/entry_points.txt", points)).unwrap();
    let installed = install(&[wheel], &[]).unwrap();
    let scripts = installed
        .tree
        .iter()
        .filter_map(|(path, _)| path.strip_prefix("deps/bin").map(str::to_owned));
    assert_eq!(scripts.collect::<Vec<_>>(), ["pip", "pip3", "pip3.13", "pipx"]);
}

#[test]
fn a_long_or_spaced_interpreter_is_started_by_a_shell() {
    let entry_point = EntryPoint::new("x", "m.n:C.run").unwrap();
    let of = |interpreter: &str| String::from_utf8(script(interpreter, &entry_point)).unwrap();
    let plain = of("/usr/bin/python3");
    assert!(plain.starts_with("#!/usr/bin/python3\n# -*- coding"));
    assert!(plain.contains("from m.n import C\n") && plain.ends_with("    sys.exit(C.run())\n"));
    assert!(of("/a b/python3").starts_with("#!/bin/sh\n'''exec' \"/a b/python3\" \"$0\" \"$@\"\n' '''\n#"));
    let long = format!("/{}/python3", "x".repeat(120));
    assert!(of(&long).starts_with(&format!("#!/bin/sh\n'''exec' {long} \"$0\" \"$@\"\n' '''\n")));
}
