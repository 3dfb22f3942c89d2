//! The direction of dependencies: a module uses lower floors only (the table in `src/lib.rs`).
#![allow(
    clippy::unwrap_used,
    reason = "a file that cannot be read is a failure of the test"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Lowest first; modules of one floor may use each other.
const FLOORS: [&[&str]; 15] = [
    &[
        "digest",
        "platform",
        "reference",
        "paths",
        "parallel",
        "environment",
        "interrupted",
        "progress",
        "timings",
        "secrets",
    ],
    &["blob"],
    &["tree"],
    &["python"],
    &["layer", "native", "wheel"],
    &["image"],
    &["files", "http"],
    &["store"],
    &["registry"],
    &["tools"],
    &["bytecode", "debian", "lock", "source"],
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

/// The top-level modules that a source names after `root` (`crate::`, in `main.rs` `pyoci::`), also in
/// `crate::{a, b::C}`, each with its line number.
fn modules_used(source: &str, root: &str) -> Vec<(usize, String)> {
    let is_comment = |line: &&str| line.trim_start().starts_with("//");
    let lines: Vec<_> = source
        .lines()
        .map(|line| if is_comment(&line) { "" } else { line })
        .collect();
    let code = lines.join("\n");
    let mut used = Vec::new();
    for (at, _) in code.match_indices(root) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + root.len()..];
        match rest.strip_prefix('{') {
            Some(group) => used.extend(group_members(group).map(|name| (line, name))),
            None => used.push((line, identifier(rest))),
        }
    }
    used
}

/// The first name of each member of `a, b::{c, d}}…`, up to the brace that closes the group.
fn group_members(group: &str) -> impl Iterator<Item = String> {
    let mut depth = 0_usize;
    let mut members = vec![String::new()];
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => members.push(String::new()),
            _ if depth == 0 => members.last_mut().unwrap().push(c),
            _ => {}
        }
    }
    let names = members.into_iter().map(|member| identifier(member.trim_start()));
    names.filter(|name| !name.is_empty())
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
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
            match floors.get(&*used) {
                Some(floor) if floor <= own => {}
                Some(_) => faults.push(format!("{place}: `{module}` looks up to `{used}`")),
                None => faults.push(format!("{place}: `{used}` is no module of the table")),
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
    let source = "use crate::tree::Tree;\n    let x = f(crate::sink::write);\n// crate::cli\nxcrate::a; $crate::b\n\
                  use crate::{\n    http,\n    lock::{Lock, self as l}, store as s,\n};\n";
    let expected = [
        (1, "tree"),
        (2, "sink"),
        (4, "b"),
        (5, "http"),
        (5, "lock"),
        (5, "store"),
    ];
    assert_eq!(
        modules_used(source, "crate::"),
        expected.map(|(line, name)| (line, name.to_owned()))
    );
}
