//! A tree as JSON lines, for `compare.py`.

use std::io::Write;

use anyhow::Context as _;
use pyoci::digest::Digest;
use pyoci::python::{Libc, Target};
use pyoci::tree::Tree;

/// A target whose scripts start with a host's interpreter, of version `X.Y`.
pub fn target(interpreter: &str, version: &str) -> anyhow::Result<Target> {
    let (major, minor) = version.split_once('.').context("the version is not X.Y")?;
    Ok(Target {
        platform: "linux/amd64".parse()?,
        libc: Libc::Glibc { major: 2, minor: 41 },
        python: (major.parse()?, minor.parse()?),
        python_full: None,
        interpreter: interpreter.to_owned(),
    })
}

/// One line for each entry below the prefix: path, mode, SHA-256 of a file, text of a RECORD.
pub fn write(tree: &Tree, prefix: &str, mut out: impl Write) -> anyhow::Result<()> {
    for (path, entry) in tree.iter() {
        let Some(path) = path.strip_prefix(prefix) else {
            continue;
        };
        let mut line = serde_json::json!({"path": path, "mode": entry.mode});
        if let Some(content) = entry.content() {
            line["sha256"] = Digest::of_reader(content.open()?)?.0.hex().into();
            if path.ends_with(".dist-info/RECORD") {
                line["text"] = String::from_utf8(content.read(1 << 30)?)?.into();
            }
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}
