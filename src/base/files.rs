//! The files of a base as a container sees them: every layer read once as a stream, whiteouts obeyed, little kept.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;

use super::inventory;
use crate::layer::{self, FoundKind, Layer, LayerReader};
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
const PROGRAM_LIMIT: u64 = 96 << 20;
const TEXT_LIMIT: u64 = 1 << 20;
/// Lists of packages may be longer, and libraries that are larger are known by their names.
const STATUS_LIMIT: u64 = 64 << 20;
const LIBRARY_LIMIT: u64 = 32 << 20;
/// More entries, and more bytes of names, than any real base has: memory stays bounded.
const ENTRIES_LIMIT: usize = 1_000_000;
const NAMES_LIMIT: usize = 96 << 20;
/// The most that is kept of files of interest, all together; and the versions that one program names.
const KEPT_LIMIT: usize = 96 << 20;
const VERSIONS_LIMIT: usize = 4096;

/// All paths of a base.
#[derive(Clone, Debug, Default)]
pub struct Files {
    entries: BTreeMap<TreePath, Found>,
}

impl Files {
    /// Reads the layers, lowest first; fails if the bytes of one are not what its descriptor says, and if there is more
    /// in them than any base has.
    pub fn read(layers: &[Layer]) -> io::Result<Self> {
        let mut files = Self::default();
        let mut room = Room::default();
        for layer in layers {
            let mut reader = LayerReader::new(Box::new(layer.blob.open_verified()?))?;
            files.lay(Changes::read(&mut reader, &mut room)?);
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
        let from = Bound::Excluded(directory.clone());
        let following = self.entries.range((from, Bound::Unbounded));
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
        if directory.is_empty() {
            return self.entries.clear();
        }
        let prefix = format!("{directory}/");
        // From there on only: a layer may have a million whiteouts.
        let from = (Bound::Excluded(prefix.as_str()), Bound::Unbounded);
        let below = self.entries.range::<str, _>(from);
        let below = below
            .map(|(path, _)| path)
            .take_while(|p| p.as_str().starts_with(&prefix));
        for path in below.cloned().collect::<Vec<_>>() {
            self.entries.remove(&path);
        }
    }
}

/// How much has been kept so far.
#[derive(Default)]
struct Room {
    entries: usize,
    names: usize,
    kept: usize,
}

impl Room {
    fn entry(&mut self, path: &TreePath) -> io::Result<()> {
        self.entries += 1;
        // Parents that no entry of their own names are kept too.
        self.names += path.as_str().len();
        if self.entries > ENTRIES_LIMIT || self.names > NAMES_LIMIT {
            return Err(io::Error::other(format!(
                "more files than any base has ({ENTRIES_LIMIT}, {} MiB of names)",
                NAMES_LIMIT >> 20
            )));
        }
        Ok(())
    }

    fn keep(&mut self, bytes: usize) -> io::Result<()> {
        self.kept += bytes;
        if self.kept > KEPT_LIMIT {
            return Err(io::Error::other(
                "more package lists and configuration than any base has",
            ));
        }
        Ok(())
    }
}

/// What one layer changes.
#[derive(Default)]
struct Changes {
    entries: BTreeMap<TreePath, Found>,
    /// Directories above them that came without an entry of their own before.
    parents: BTreeSet<TreePath>,
    whiteouts: Vec<TreePath>,
    /// Directories of which nothing from below remains; empty text is the root.
    opaque: Vec<String>,
}

impl Changes {
    fn read(reader: &mut LayerReader<'_>, room: &mut Room) -> io::Result<Self> {
        let mut changes = Self::default();
        // The directory of the entry before: archivers write those of one directory together.
        let mut directory = String::new();
        while let Some(found) = reader.next_member()? {
            room.entry(&found.path)?;
            if found.path.parent_str() != directory {
                found.path.parent_str().clone_into(&mut directory);
                for parent in found.path.parents() {
                    if !changes.entries.contains_key(&parent) && changes.parents.insert(parent.clone()) {
                        room.entry(&parent)?;
                    }
                }
            }
            changes.add(found, reader, room)?;
        }
        Ok(changes)
    }

    fn add(&mut self, found: layer::Found, reader: &mut LayerReader<'_>, room: &mut Room) -> io::Result<()> {
        let path = found.path;
        let parent = path.parent_str();
        // > the opaque whiteout file `.wh..wh..opq` [...] all children of the directory are hidden
        if path.file_name() == ".wh..wh..opq" {
            self.opaque.push(parent.to_owned());
            return Ok(());
        }
        if let Some(name) = path.file_name().strip_prefix(".wh.") {
            let hidden = if parent.is_empty() {
                name.to_owned()
            } else {
                format!("{parent}/{name}")
            };
            // Other `.wh..wh.` names are aufs's own bookkeeping.
            if name.starts_with(".wh.") {
                return Ok(());
            }
            // `.wh..` and `.wh...` would hide a directory from within.
            let hidden = TreePath::new(&hidden).map_err(io::Error::other)?;
            self.whiteouts.push(hidden);
            return Ok(());
        }
        let found = match found.kind {
            FoundKind::Directory => Found::Directory,
            FoundKind::Symlink(target) => {
                room.keep(target.len())?;
                Found::Link(target)
            }
            FoundKind::HardLink(target) => self
                .entries
                .get(&target)
                .cloned()
                .unwrap_or_else(|| Found::File(Noted::default())),
            FoundKind::File => Found::File(note(&path, found.mode, found.size, reader)?),
            FoundKind::Other => Found::Other,
        };
        if let Found::File(noted) = &found {
            room.keep(noted.text.as_ref().map_or(0, String::len))?;
        }
        self.entries.insert(path, found);
        Ok(())
    }
}

fn note(path: &TreePath, mode: u32, size: u64, reader: &mut LayerReader<'_>) -> io::Result<Noted> {
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
        let tar = builder.into_inner().unwrap();
        let mut reader = LayerReader::new(Box::new(io::Cursor::new(tar))).unwrap();
        Changes::read(&mut reader, &mut Room::default()).unwrap()
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
