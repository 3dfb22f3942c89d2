//! The files of a base as a container sees them: every layer read once as a stream, whiteouts obeyed, little kept.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;

use super::inventory;
use super::laying::{Laying, Room};
use crate::layer::{Layer, LayerReader};
use crate::native::Elf;
use crate::paths::TreePath;

/// What is at a path of a base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A directory.
    Directory,
    /// A symbolic link and its target, as written.
    Link(String),
    /// A regular file.
    File(Noted),
    /// A device or the like.
    Other,
}

impl Found {
    /// About how many bytes of text are kept of it.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Directory | Self::Other => 0,
            Self::Link(target) => target.len(),
            Self::File(noted) => {
                let program = noted.program.as_ref();
                let versions = program.into_iter().flat_map(|program| &program.versions);
                let elfs = program.map(|program| &program.elf).into_iter();
                let elfs = elfs.chain(noted.library.as_deref());
                let named = elfs.flat_map(|elf| {
                    let required = elf.requires.values().flatten();
                    required.chain(&elf.defines).chain(&elf.needed).chain(&elf.search)
                });
                let texts = versions.chain(named).chain(&noted.text);
                texts.map(|text| text.len() + size_of::<String>()).sum()
            }
        }
    }
}

/// What is kept of a regular file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// Whether anyone may execute it.
    pub executable: bool,
    /// The text of a small file that is of interest.
    pub text: Option<String>,
    /// What a program or library of interest says of itself.
    pub program: Option<Box<Program>>,
    /// What a shared library says of itself.
    pub library: Option<Box<Elf>>,
}

/// A program or library that tells which Python or libc there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its ELF header.
    pub elf: Elf,
    /// All texts in it that look like a version of three numbers, e.g. `3.13.5`.
    pub versions: BTreeSet<String>,
    /// The glibc release that it is, e.g. `2.41`.
    pub glibc: Option<String>,
}

/// Nothing of interest is larger.
const PROGRAM_LIMIT: u64 = 96 << 20;
const TEXT_LIMIT: u64 = 1 << 20;
/// Lists of packages may be longer, and libraries that are larger are known by their names.
const STATUS_LIMIT: u64 = 64 << 20;
const LIBRARY_LIMIT: u64 = 32 << 20;
/// The versions that one program names.
const VERSIONS_LIMIT: usize = 4096;
/// > ELOOP: more than 40 symbolic links (path_resolution(7))
pub(super) const LINKS_LIMIT: usize = 40;
/// The most steps that links lead from directory to directory, all together. Those of a real base have two or three steps
/// each; links may be made so that each name below them takes 80,000.
pub(super) const STEPS_LIMIT: usize = 4 << 20;

/// All paths of a base.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub(super) entries: BTreeMap<TreePath, Laid>,
    /// How many steps links led from directory to directory so far.
    steps: Cell<usize>,
}

/// What is at a path, and which layer put it there or something below it: whiteouts hide what came with lower ones only.
#[derive(Clone, Debug)]
pub(super) struct Laid {
    pub(super) found: Found,
    pub(super) layer: usize,
}

impl Files {
    /// Reads the layers, lowest first; fails if the bytes of one are not what its descriptor says, and if there is more
    /// in them than any base has.
    pub fn read(layers: &[Layer]) -> io::Result<Self> {
        let mut files = Self::default();
        let mut room = Room::default();
        for (number, layer) in layers.iter().enumerate() {
            let mut reader = LayerReader::new(Box::new(layer.blob.open_verified()?))?;
            Laying::new(&mut files, number, &mut room).read(&mut reader)?;
        }
        Ok(files)
    }

    /// What is at a path, links in its parents followed, a link at its end not.
    pub fn get(&self, path: &TreePath) -> Option<&Found> {
        self.entries.get(path).map(|laid| &laid.found)
    }

    /// All paths.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Found)> {
        self.entries.iter().map(|(path, laid)| (path, &laid.found))
    }

    /// All paths below a directory.
    pub fn below(&self, directory: &TreePath) -> impl Iterator<Item = (&TreePath, &Found)> {
        let prefix = format!("{directory}/");
        let from = Bound::Excluded(directory.clone());
        let following = self.entries.range((from, Bound::Unbounded));
        // Names that begin with the directory's and go on otherwise may be between.
        following
            .take_while({
                let directory = directory.to_string();
                move |(path, _)| path.as_str().starts_with(&directory)
            })
            .filter(move |(path, _)| path.as_str().starts_with(&prefix))
            .map(|(path, laid)| (path, &laid.found))
    }

    /// The place of a path once all links in it are followed, those at its end included; `None` if there is nothing.
    ///
    /// Nothing is found any more once all that was asked for has taken more steps than any real base does.
    pub fn resolve(&self, path: &str) -> Option<TreePath> {
        let mut open: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut at: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(component) = open.pop() {
            match component.as_str() {
                "" | "." => continue,
                ".." => {
                    at.pop();
                    continue;
                }
                _ => at.push(component),
            }
            let here = TreePath::new(&at.join("/")).ok()?;
            match self.get(&here)? {
                Found::Link(target) => {
                    links += 1;
                    self.steps.set(self.steps.get() + steps(target));
                    if links > LINKS_LIMIT || self.steps.get() > STEPS_LIMIT {
                        return None;
                    }
                    at.pop();
                    if target.starts_with('/') {
                        at.clear();
                    }
                    open.extend(target.split('/').rev().map(str::to_owned));
                }
                Found::Directory => {}
                _ if open.iter().all(String::is_empty) => {}
                _ => return None,
            }
        }
        TreePath::new(&at.join("/")).ok()
    }

    /// Removes what is below a directory, or all where `directory` is empty, as far as `of` says so of its layer.
    pub(super) fn remove_below(&mut self, directory: &str, of: impl Fn(usize) -> bool) {
        let prefix = if directory.is_empty() {
            String::new()
        } else {
            format!("{directory}/")
        };
        // From there on only: a layer may have a million whiteouts.
        let from = (Bound::Excluded(prefix.as_str()), Bound::Unbounded);
        let below = self.entries.range::<str, _>(from);
        let below = below
            .take_while(|(path, _)| path.as_str().starts_with(&prefix))
            .filter(|(_, laid)| of(laid.layer));
        for path in below.map(|(path, _)| path.clone()).collect::<Vec<_>>() {
            self.entries.remove(&path);
        }
    }
}

/// How many steps a link leads.
pub(super) fn steps(target: &str) -> usize {
    target.split('/').count()
}

/// What is kept of a file that comes.
pub(super) fn note(path: &TreePath, mode: u32, size: u64, reader: &mut LayerReader<'_>) -> io::Result<Noted> {
    let mut noted = Noted {
        executable: mode & 0o111 != 0,
        ..Noted::default()
    };
    let name = path.file_name();
    let status = inventory::is_status(path.as_str()) && size <= STATUS_LIMIT;
    if status || (is_text(path) && size <= TEXT_LIMIT) {
        let bytes = reader.read_content(size)?;
        noted.text = Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    let telling = ["python", "libpython", "pypy", "libc.so.6", "libc-2.", "ld-musl-"];
    if telling.iter().any(|t| name.starts_with(t)) && size <= PROGRAM_LIMIT {
        let bytes = reader.read_content(size)?;
        noted.program = Elf::read(&bytes).map(|elf| {
            Box::new(Program {
                elf,
                versions: versions(&bytes),
                glibc: glibc(&bytes),
            })
        });
        noted.library = noted
            .program
            .as_ref()
            .map(|program| Box::new(program.elf.clone()));
    } else if inventory::is_library(name) && size <= LIBRARY_LIMIT {
        let bytes = reader.read_content(size)?;
        noted.library = Elf::read(&bytes).map(Box::new);
    }
    Ok(noted)
}

/// Whether a small file is of interest as a whole.
fn is_text(path: &TreePath) -> bool {
    let text = path.as_str();
    matches!(
        text,
        "etc/passwd" | "etc/os-release" | "usr/lib/os-release" | "etc/ld.so.conf"
    ) || text.starts_with("etc/ld.so.conf.d/")
        || text.starts_with("etc/ld-musl-")
        || path.file_name() == "patchlevel.h"
}

/// Texts of the form `1.2.3`, up to a NUL or a space: C programs keep their versions so.
fn versions(bytes: &[u8]) -> BTreeSet<String> {
    let texts = bytes
        .split(|b| matches!(b, 0 | b' '))
        .filter(|t| (5..24).contains(&t.len()) && t[0].is_ascii_digit());
    let texts = texts.filter_map(|t| std::str::from_utf8(t).ok());
    texts
        .filter(|t| parts(t).is_some())
        .map(str::to_owned)
        .take(VERSIONS_LIMIT)
        .collect()
}

/// The numbers of a version, e.g. `3.13.0rc1` as 3, 13 and `0rc1`.
pub fn parts(version: &str) -> Option<(u32, u32, &str)> {
    let mut split = version.splitn(3, '.');
    let number = |t: Option<&str>| t.filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?.parse().ok();
    let (major, minor) = (number(split.next())?, number(split.next())?);
    let patch = split.next()?;
    let valid = patch.starts_with(|c: char| c.is_ascii_digit())
        && patch.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+');
    valid.then_some((major, minor, patch))
}

/// > GNU C Library (Debian GLIBC 2.41-12) stable release version 2.41.
fn glibc(bytes: &[u8]) -> Option<String> {
    let mark = b"GNU C Library ";
    let at = bytes.windows(mark.len()).position(|w| w == mark)?;
    let text = String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 256)]).into_owned();
    let (_, rest) = text.split_once("release version ")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    Some(rest[..end].trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_programs() {
        let found = versions(b"\x003.13.5\0x\x003.13.5 (main)\0 12.1\x001.2.3-4\x003.14.0rc1\0");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["3.13.5", "3.14.0rc1"]);
        assert_eq!(parts("3.13.0rc1"), Some((3, 13, "0rc1")));
        let libc = b"\0GNU C Library (Debian GLIBC 2.41-12) stable release version 2.41.\nCopyright";
        assert_eq!(glibc(libc).as_deref(), Some("2.41"));
        assert_eq!(glibc(b"something else"), None);
    }
}
