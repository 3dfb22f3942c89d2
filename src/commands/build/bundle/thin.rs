//! What a thin bundle has instead of its packages: requirements with hashes, and the packages that no index has.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Making;
use crate::digest::Digest;
use crate::lock::{Content as Files, FetchedWheel, Selected, Source};
use crate::paths::TreePath;
use crate::project::bundle::{BUILT, REQUIREMENTS};
use crate::tree::{Content, Entry, Tree};
use crate::wheel::Wheel;

/// The files, and what the packages will say of themselves when they are installed.
pub(super) struct Thin {
    pub tree: Tree,
    pub stamp: String,
}

impl Thin {
    /// What can be had from an index is named with its hash; what was built here, or comes from elsewhere, goes along.
    pub fn of(making: &Making<'_>, wheels: &[Wheel], fetched: &[FetchedWheel]) -> anyhow::Result<Self> {
        let mut lines = BTreeMap::new();
        let mut own = Vec::new();
        for (wheel, file) in wheels.iter().zip(fetched) {
            match requirement(making, &file.selected, file) {
                Some(line) => {
                    lines.insert(file.selected.name.clone(), line);
                }
                None => own.push(wheel.clone()),
            }
        }
        let mut text = String::from("# Made by pyoci: what `run` installs at the first start.\n");
        for line in lines.values() {
            let _ = writeln!(text, "{line}");
        }
        let mut tree = if own.is_empty() {
            Tree::new()
        } else {
            making.build.install(own, &making.target, BUILT)?.tree
        };
        let stamp = Digest::of(format!("{text}{}", tree.digest()?).as_bytes());
        tree.insert(
            TreePath::new(REQUIREMENTS)?,
            Entry::file(Content::bytes(text.into_bytes()), false),
        )?;
        Ok(Self {
            tree,
            stamp: stamp.hex(),
        })
    }
}

/// The line for pip; `None` for what is no wheel of an index.
fn requirement(making: &Making<'_>, selected: &Selected, file: &FetchedWheel) -> Option<String> {
    let Source::Wheel(artifact) = &selected.source else {
        return None;
    };
    let mut packages = making.lock.packages.iter();
    let listed = packages.any(|p| p.name == selected.name && matches!(p.content, Files::Files { .. }));
    let version = selected
        .version
        .as_ref()
        .filter(|_| listed && !artifact.is_local())?;
    let digest = artifact.digest().unwrap_or(&file.digest);
    Some(format!(
        "{}=={version} --hash={}:{}",
        selected.name,
        digest.algorithm().name(),
        digest.hex()
    ))
}
