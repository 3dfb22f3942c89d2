//! The direction of dependencies: a module uses lower floors only (the table in `src/lib.rs`).
#![allow(
    clippy::unwrap_used,
    reason = "a file that cannot be read is a failure of the test"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Lowest first; modules of one floor may use each other.
const FLOORS: [&[&str]; 13] = [
    &[
        "digest",
        "platform",
        "reference",
        "paths",
        "environment",
        "progress",
    ],
    &["blob"],
    &["tree"],
    &["python"],
    &["layer", "wheel"],
    &["image"],
    &["http"],
    &["store"],
    &["bytecode", "debian", "lock"],
    &["base", "sink", "project"],
    &["commands"],
    &["cli"],
    &["main"],
];

fn floors() -> BTreeMap<&'static str, usize> {
    let numbered = FLOORS.iter().enumerate();
    numbered
        .flat_map(|(floor, modules)| modules.iter().map(move |m| (*m, floor)))
        .collect()
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The top-level modules that a source names after `crate::` (in `main.rs`, `pyoci::`), each with its line number.
fn modules_used<'a>(source: &'a str, root: &str) -> Vec<(usize, &'a str)> {
    let mut used = Vec::new();
    for (number, line) in source.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        for (at, _) in code.match_indices(root) {
            let whole = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            let rest = &code[at + root.len()..];
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            if whole {
                used.push((number + 1, &rest[..end]));
            }
        }
    }
    used
}

#[test]
fn modules_use_lower_floors_only() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let floors = floors();
    let (mut files, mut faults, mut seen) = (Vec::new(), Vec::new(), 0);
    rust_files(&source, &mut files);
    for file in files {
        let inside = file.strip_prefix(&source).unwrap();
        let module = inside
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let own = floors
            .get(module)
            .unwrap_or_else(|| panic!("`{module}` is on no floor"));
        let text = fs_err::read_to_string(&file).unwrap();
        let root = if module == "main" { "pyoci::" } else { "crate::" };
        for (line, used) in modules_used(&text, root) {
            seen += 1;
            let place = format!("{}:{line}", inside.display());
            match floors.get(used) {
                Some(floor) if floor <= own => {}
                Some(_) => faults.push(format!("{place}: `{module}` looks up to `{used}`")),
                // `use crate::{a, b}` would hide from this test what it uses.
                None => faults.push(format!("{place}: name one module after `{root}`")),
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(
        seen > 20,
        "only {seen} uses found: the test does not read what it should"
    );
}

#[test]
fn a_look_is_seen_wherever_it_is_written() {
    let source =
        "use crate::tree::Tree;\n    let x = f(crate::sink::write);\n// crate::cli\nxcrate::a; $crate::b";
    assert_eq!(
        modules_used(source, "crate::"),
        [(1, "tree"), (2, "sink"), (4, "b")]
    );
}
