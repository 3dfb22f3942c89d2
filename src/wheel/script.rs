//! Scripts: made from entry points, or shipped in a wheel with `#!python` to be replaced.

use crate::python::{EntryPoint, EntryPoints, Target};

/// The longest first line that every Linux kernel takes (`BINPRM_BUF_SIZE` was 128 before 5.1).
const LONGEST: usize = 127;

/// The text of the script that pip makes for an entry point, for an interpreter in the image.
///
/// It is that of pip 10 to 24; later ones write the same without `import re`.
pub fn script(interpreter: &str, entry_point: &EntryPoint) -> Vec<u8> {
    let mut text = first_line(interpreter);
    let body = format!(
        "# -*- coding: utf-8 -*-\n\
         import re\n\
         import sys\n\
         from {module} import {name}\n\
         if __name__ == '__main__':\n    \
         sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n    \
         sys.exit({attribute}())\n",
        module = entry_point.module,
        name = entry_point.import_name(),
        attribute = entry_point.attribute,
    );
    text.extend_from_slice(body.as_bytes());
    text
}

/// `#!interpreter`, or, where that line would be too long or has a space, lines that a shell runs and Python takes
/// for a string.
fn first_line(interpreter: &str) -> Vec<u8> {
    // `/usr/bin/env python3` is a program and its one argument: what a first line may hold.
    let spaced = interpreter.contains(' ') && !interpreter.starts_with("/usr/bin/env ");
    if !spaced && interpreter.len() + 3 <= LONGEST {
        return format!("#!{interpreter}\n").into_bytes();
    }
    let quote = if spaced { "\"" } else { "" };
    format!("#!/bin/sh\n'''exec' {quote}{interpreter}{quote} \"$0\" \"$@\"\n' '''\n").into_bytes()
}

/// > If the first line of a file in scripts/ starts with exactly `b'#!python'`, rewrite to point to the correct
/// > interpreter.
///
/// `start` is the beginning of the file.
pub fn needs_interpreter(start: &[u8]) -> bool {
    start.starts_with(b"#!python")
}

/// A script for which [`needs_interpreter`] holds, with its first line replaced.
pub fn with_interpreter(interpreter: &str, content: &[u8]) -> Vec<u8> {
    let rest = content
        .iter()
        .position(|b| *b == b'\n')
        .map_or(content.len(), |at| at + 1);
    let mut text = first_line(interpreter);
    text.extend_from_slice(&content[rest..]);
    text
}

/// Whether a file of `.data/scripts` is the wrapper that setuptools made for an entry point: it is made anew instead.
pub fn is_wrapper(file_name: &str, entry_points: &EntryPoints) -> bool {
    let lower = file_name.to_lowercase();
    let ending = [".exe", "-script.py", ".pya"]
        .into_iter()
        .find(|ending| lower.ends_with(ending));
    let name = ending
        .and_then(|ending| file_name.get(..file_name.len() - ending.len()))
        .unwrap_or(file_name);
    entry_points.scripts().any(|script| script.name == name)
}

/// The scripts to make. Those of pip and `easy_install` are named after the Python version, whatever version the wheel
/// was built with.
pub fn scripts_of(entry_points: &EntryPoints, target: &Target) -> Vec<EntryPoint> {
    let (major, minor) = target.python;
    let named = |script: &EntryPoint, name: String| EntryPoint {
        name,
        ..script.clone()
    };
    let mut scripts: Vec<EntryPoint> = entry_points.scripts().cloned().collect();
    let console = |name: &str| entry_points.console_scripts.iter().find(|s| s.name == name);
    if let Some(pip) = console("pip") {
        scripts.retain(|s| !is_versioned(&s.name, "pip"));
        scripts.push(named(pip, format!("pip{major}")));
        scripts.push(named(pip, format!("pip{major}.{minor}")));
    }
    if let Some(easy_install) = console("easy_install") {
        scripts.retain(|s| !is_versioned(&s.name, "easy_install-"));
        scripts.push(named(easy_install, format!("easy_install-{major}.{minor}")));
    }
    scripts
}

/// Whether a name is the prefix and a version such as `3` or `3.13`.
fn is_versioned(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|version| {
        !version.is_empty() && version.split('.').all(|part| part.parse::<u32>().is_ok())
    })
}
