//! The files of a base as a container sees them: every layer read once as a stream, whiteouts obeyed, little kept.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use super::inventory;
use crate::layer::{Layer, decompress};
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
const PROGRAM_LIMIT: u64 = 128 << 20;
const TEXT_LIMIT: u64 = 1 << 20;
/// Lists of packages may be longer, and libraries that are larger are known by their names.
const STATUS_LIMIT: u64 = 64 << 20;
const LIBRARY_LIMIT: u64 = 32 << 20;
/// More entries than any real base has: memory stays bounded.
const ENTRIES_LIMIT: usize = 4_000_000;

/// All paths of a base.
#[derive(Clone, Debug, Default)]
pub struct Files {
    entries: BTreeMap<TreePath, Found>,
}

impl Files {
    /// Reads the layers, lowest first; fails if the bytes of one are not what its descriptor says.
    pub fn read(layers: &[Layer]) -> io::Result<Self> {
        let mut files = Self::default();
        for layer in layers {
            let mut reader = decompress(Box::new(layer.blob.open_verified()?))?;
            files.lay(Changes::read(&mut reader)?);
            // What follows the end of the tar is read too, so that the digest of all bytes is checked.
            io::copy(&mut reader, &mut io::sink())?;
        }
        Ok(files)
    }

    /// What is at a path, links in its parents followed, a link at its end not.
    pub fn get(&self, path: &TreePath) -> Option<&Found> {
        self.entries.get(path)
    }

    /// All paths.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Found)> {
        self.entries.iter()
    }

    /// All paths below a directory.
    pub fn below(&self, directory: &TreePath) -> impl Iterator<Item = (&TreePath, &Found)> {
        let prefix = format!("{directory}/");
        let from = std::ops::Bound::Excluded(directory.clone());
        let following = self.entries.range((from, std::ops::Bound::Unbounded));
        // Names that begin with the directory's and go on otherwise may be between.
        following
            .take_while({
                let directory = directory.to_string();
                move |(path, _)| path.as_str().starts_with(&directory)
            })
            .filter(move |(path, _)| path.as_str().starts_with(&prefix))
    }

    /// The place of a path once all links in it are followed, those at its end included; `None` if there is nothing.
    pub fn resolve(&self, path: &str) -> Option<TreePath> {
        let mut open: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut at: Vec<String> = Vec::new();
        // > ELOOP: more than 40 symbolic links (path_resolution(7))
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
            match self.entries.get(&here)? {
                Found::Link(target) => {
                    links += 1;
                    if links > 40 {
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

    /// Lays a layer over what is there.
    fn lay(&mut self, changes: Changes) {
        // > Whiteout files MUST only apply to resources in lower/parent layers (image-spec layer.md).
        for directory in changes.opaque {
            self.remove_below(&directory);
        }
        for path in changes.whiteouts {
            self.entries.remove(path.as_str());
            self.remove_below(path.as_str());
        }
        for (path, found) in changes.entries {
            if found != Found::Directory && self.entries.get(&path) == Some(&Found::Directory) {
                self.remove_below(path.as_str());
            }
            for parent in path.parents() {
                self.entries.entry(parent).or_insert(Found::Directory);
            }
            self.entries.insert(path, found);
        }
    }

    fn remove_below(&mut self, directory: &str) {
        let prefix = if directory.is_empty() {
            String::new()
        } else {
            format!("{directory}/")
        };
        self.entries.retain(|path, _| !path.as_str().starts_with(&prefix));
    }
}

/// What one layer changes.
#[derive(Default)]
struct Changes {
    entries: BTreeMap<TreePath, Found>,
    whiteouts: Vec<TreePath>,
    /// Directories of which nothing from below remains; empty text is the root.
    opaque: Vec<String>,
}

impl Changes {
    fn read(reader: &mut dyn Read) -> io::Result<Self> {
        let mut changes = Self::default();
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let path = TreePath::from_tar_name(&name).map_err(io::Error::other)?;
            if let Some(path) = path {
                changes.add(path, &mut entry)?;
            }
            if changes.entries.len() > ENTRIES_LIMIT {
                return Err(io::Error::other("more files than any base has"));
            }
        }
        Ok(changes)
    }

    fn add(&mut self, path: TreePath, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<()> {
        let parent = path.parent().map_or(String::new(), |p| p.as_str().to_owned());
        // > the opaque whiteout file `.wh..wh..opq` [...] all children of the directory are hidden
        if path.file_name() == ".wh..wh..opq" {
            self.opaque.push(parent);
            return Ok(());
        }
        if let Some(name) = path.file_name().strip_prefix(".wh.") {
            let hidden = if parent.is_empty() {
                name.to_owned()
            } else {
                format!("{parent}/{name}")
            };
            // Other `.wh..wh.` names are aufs's own bookkeeping.
            if let (false, Ok(hidden)) = (name.starts_with(".wh."), TreePath::new(&hidden)) {
                self.whiteouts.push(hidden);
            }
            return Ok(());
        }
        let kind = entry.header().entry_type();
        let link = || {
            let target = entry.link_name_bytes().unwrap_or_default();
            String::from_utf8_lossy(&target).into_owned()
        };
        let found = match kind {
            tar::EntryType::Directory => Found::Directory,
            tar::EntryType::Symlink => Found::Link(link()),
            tar::EntryType::Link => {
                let target = TreePath::from_tar_name(&link()).ok().flatten();
                target
                    .and_then(|t| self.entries.get(&t).cloned())
                    .unwrap_or_else(|| Found::File(Noted::default()))
            }
            kind if kind.is_file() || kind == tar::EntryType::GNUSparse => Found::File(note(&path, entry)?),
            _ => Found::Other,
        };
        self.entries.insert(path, found);
        Ok(())
    }
}

fn note(path: &TreePath, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Noted> {
    let mut noted = Noted {
        executable: entry.header().mode()? & 0o111 != 0,
        ..Noted::default()
    };
    let (name, size) = (path.file_name(), entry.size());
    let status = inventory::is_status(path.as_str()) && size <= STATUS_LIMIT;
    if status || (is_text(path) && size <= TEXT_LIMIT) {
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        noted.text = Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    let telling = ["python", "libpython", "pypy", "libc.so.6", "libc-2.", "ld-musl-"];
    if telling.iter().any(|t| name.starts_with(t)) && size <= PROGRAM_LIMIT {
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
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
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
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
    texts.filter(|t| parts(t).is_some()).map(str::to_owned).collect()
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

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    /// A tar whose names ending in `/` are directories, with `->` links, else files.
    fn changes(names: &[&str]) -> Changes {
        let mut builder = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_ustar();
            header.set_size(0);
            header.set_mode(0o755);
            if let Some((name, target)) = name.split_once("->") {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, name, target).unwrap();
            } else {
                let kind = if name.ends_with('/') {
                    tar::EntryType::Directory
                } else {
                    tar::EntryType::Regular
                };
                header.set_entry_type(kind);
                builder.append_data(&mut header, name, io::empty()).unwrap();
            }
        }
        Changes::read(&mut &builder.into_inner().unwrap()[..]).unwrap()
    }

    fn files(layers: &[&[&str]]) -> Files {
        let mut files = Files::default();
        for layer in layers {
            files.lay(changes(layer));
        }
        files
    }

    fn names(files: &Files) -> Vec<&str> {
        files.iter().map(|(p, _)| p.as_str()).collect()
    }

    #[test]
    fn whiteouts_hide_what_is_below_them_and_only_that() {
        let below: &[&str] = &["a/", "a/1", "a/2", "b/", "b/1", "ab"];
        assert_eq!(
            names(&files(&[below, &["a/.wh.1", "a/3"]])),
            ["a", "a/2", "a/3", "ab", "b", "b/1"]
        );
        assert_eq!(names(&files(&[below, &[".wh.a"]])), ["ab", "b", "b/1"]);
        // The opaque mark counts for lower layers only, wherever it stands in its own.
        assert_eq!(
            names(&files(&[below, &["a/3", "a/.wh..wh..opq"]])),
            ["a", "a/3", "ab", "b", "b/1"]
        );
        assert_eq!(names(&files(&[below, &[".wh..wh..opq", "c"]])), ["c"]);
    }

    #[test]
    fn a_file_over_a_directory_replaces_it_and_a_directory_over_a_directory_does_not() {
        let below: &[&str] = &["a/", "a/1"];
        assert_eq!(names(&files(&[below, &["a"]])), ["a"]);
        assert_eq!(names(&files(&[below, &["a/", "a/2"]])), ["a", "a/1", "a/2"]);
    }

    #[test]
    fn links_are_followed_inside_the_base() {
        let files = files(&[&[
            "usr/bin/python3.13",
            "usr/bin/python3->python3.13",
            "bin->usr/bin",
            "x->/../bin/./python3",
            "loop->loop",
            "usr/lib/",
        ]]);
        for name in ["bin/python3", "/usr/bin/python3.13", "x", "bin/../bin/python3"] {
            assert_eq!(files.resolve(name), Some(path("usr/bin/python3.13")), "{name}");
        }
        for name in ["loop", "nothing", "usr/bin/python3/x", "bin/nothing"] {
            assert_eq!(files.resolve(name), None, "{name}");
        }
    }

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
