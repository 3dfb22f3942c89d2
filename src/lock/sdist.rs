//! Source archives of others, read through before the builder unpacks them: nothing in them leads out of where they are
//! unpacked, and no two programs can read different files out of one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read};
use std::ops::Bound;
use std::path::Path;

use unicode_normalization::UnicodeNormalization as _;

use crate::layer::{Dialect, Found, FoundKind, LayerReader, decompress_foreign, is_bomb};
use crate::paths::TreePath;
use crate::wheel;

/// More files, and bytes of their names, than any archive of sources has.
const FILES_LIMIT: usize = 500_000;
const NAMES_LIMIT: usize = 64 << 20;
/// The memory that xz may take.
const XZ_MEMORY: u64 = 128 << 20;

/// Reads a source archive to its end; `name` says what kind it is. Says what is wrong.
pub(super) fn check(path: &Path, name: &str) -> Result<(), String> {
    let has = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if has(&[".zip"]) {
        return wheel::check_zip(path);
    }
    let said = |e: io::Error| e.to_string();
    let file = fs_err::File::open(path).map_err(said)?;
    let packed = file.metadata().map_err(said)?.len();
    let file = BufReader::with_capacity(128 * 1024, file);
    let tar: Box<dyn Read> = if has(&[".tar.gz", ".tgz", ".tar.zst", ".tar"]) {
        decompress_foreign(Box::new(file)).map_err(said)?
    } else if has(&[".tar.xz"]) {
        let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED);
        let stream = stream.map_err(|e| said(e.into()))?;
        Box::new(liblzma::bufread::XzDecoder::new_stream(file, stream))
    } else if has(&[".tar.bz2"]) {
        Box::new(bzip2::bufread::MultiBzDecoder::new(file))
    } else {
        return Err("an archive of sources is a .tar.gz or .zip".to_owned());
    };
    let mut members = Members::default();
    let mut reader = LayerReader::of(tar, Dialect::Source);
    while let Some(found) = reader.next_member().map_err(said)? {
        members.add(found)?;
        if is_bomb(packed, members.size) {
            return Err("it unpacks to more than any archive of sources".to_owned());
        }
    }
    // Of nothing at all no reader would say that it is broken.
    if members.count == 0 {
        return Err("there is nothing in it".to_owned());
    }
    Ok(())
}

/// What was found so far.
#[derive(Default)]
struct Members {
    /// Whether each is a directory.
    paths: BTreeMap<TreePath, bool>,
    /// Their names in one of the two spellings that Unicode has for some letters.
    composed: BTreeSet<String>,
    /// How many members there were, and the bytes of their names and contents.
    count: usize,
    names: usize,
    size: u64,
}

impl Members {
    fn add(&mut self, found: Found) -> Result<(), String> {
        let path = found.path;
        self.size = self.size.saturating_add(found.size);
        self.names += path.as_str().len();
        self.count += 1;
        if self.count > FILES_LIMIT || self.names > NAMES_LIMIT {
            return Err("it has more files than any archive of sources".to_owned());
        }
        match &found.kind {
            FoundKind::HardLink(_) => return Err(format!("{path}: a hard link")),
            FoundKind::Symlink(target) if !stays_inside(&path, target) => {
                return Err(format!("{path}: a link that leaves the archive"));
            }
            _ => {}
        }
        // Through a link that is there already another file would be written.
        let below = path
            .parents()
            .find(|parent| self.paths.get(parent) == Some(&false));
        if let Some(parent) = below {
            return Err(format!("{path}: below {parent}, which is no directory"));
        }
        let is_directory = found.kind == FoundKind::Directory;
        let earlier = self.paths.get(&path).copied();
        if earlier.is_some_and(|earlier| !(earlier && is_directory)) {
            return Err(format!("{path}: there twice"));
        }
        // On some file systems both would be one file.
        let composed: String = path.as_str().nfc().collect();
        if !self.composed.insert(composed) && earlier.is_none() {
            return Err(format!("{path}: there twice, in two spellings"));
        }
        if !is_directory && self.has_below(&path) {
            return Err(format!("{path}: no directory, and other members are below it"));
        }
        self.paths.insert(path, is_directory);
        Ok(())
    }

    fn has_below(&self, path: &TreePath) -> bool {
        let prefix = format!("{path}/");
        let next = self
            .paths
            .range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded))
            .next();
        next.is_some_and(|(other, _)| other.as_str().starts_with(&prefix))
    }
}

/// Whether a link's target is inside, wherever other links lead: `..` counts from its own directory only.
fn stays_inside(path: &TreePath, target: &str) -> bool {
    let mut parts = target.split('/').filter(|part| !matches!(*part, "" | "."));
    let mut room = path.components().count() - 1;
    let mut down = false;
    !target.starts_with('/')
        && parts.all(|part| {
            if part != ".." {
                down = true;
                return true;
            }
            let goes = room > 0 && !down;
            room = room.saturating_sub(1);
            goes
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Made<'a> = (&'a str, tar::EntryType, &'a str);
    const FILE: tar::EntryType = tar::EntryType::Regular;
    const LINK: tar::EntryType = tar::EntryType::Symlink;

    /// What is said of a `.tar.gz` with these members, none if it is taken.
    fn checked(members: &[Made<'_>]) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a-1.tar.gz");
        let file = fs_err::File::create(&path).unwrap();
        let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
        for (name, kind, link) in members {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(0);
            header.set_cksum();
            builder.append(&header, io::empty()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
        check(&path, "a-1.tar.gz").err()
    }

    #[test]
    fn links_stay_inside_and_nothing_is_written_through_them() {
        for target in ["x", "../x", "b/c", "./x", "../../a/x", ""] {
            let taken = checked(&[("a/b/l", LINK, target)]).is_none();
            assert_eq!(taken, !target.is_empty(), "{target:?}");
        }
        for target in ["/etc", "../../../x", "x/../../../..", "c/..", "../.."] {
            let name = if target == "../.." { "a/l" } else { "a/b/l" };
            let said = checked(&[(name, LINK, target)]).unwrap();
            assert!(said.contains("leaves the archive"), "{target}: {said}");
        }
        for (members, expected) in [
            ([("a", LINK, "b"), ("a/x", FILE, "")], "below a"),
            ([("a", FILE, ""), ("a/x", FILE, "")], "below a"),
            ([("a/x", FILE, ""), ("a", LINK, "b")], "members are below it"),
            ([("a", FILE, ""), ("a", LINK, "b")], "there twice"),
            ([("a", FILE, ""), ("a", FILE, "")], "there twice"),
            ([("a", FILE, ""), ("b", tar::EntryType::Link, "a")], "hard link"),
            ([("é", FILE, ""), ("e\u{301}", FILE, "")], "two spellings"),
            ([("e\u{301}", FILE, ""), ("é", FILE, "")], "two spellings"),
        ] {
            let said = checked(&members).unwrap();
            assert!(said.contains(expected), "{members:?}: {said}");
        }
        let directory = tar::EntryType::Directory;
        let taken = [("a/", directory, ""), ("a/", directory, ""), ("a/x", FILE, "")];
        assert_eq!(checked(&taken), None);
    }

    #[test]
    fn what_it_is_packed_with_is_said_by_its_name_and_must_be_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for name in ["a-1.tar.gz", "a-1.tar.xz", "a-1.tar.bz2", "a-1.zip", "a-1.rar"] {
            fs_err::write(&path, "no archive of any kind").unwrap();
            assert!(check(&path, name).is_err(), "{name}");
        }
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        builder
            .append_data(&mut header, "a-1/PKG-INFO", io::empty())
            .unwrap();
        fs_err::write(&path, builder.into_inner().unwrap()).unwrap();
        assert_eq!(check(&path, "a-1.tar"), Ok(()));
    }

    /// pip has empty files of such names among its tests' data.
    #[test]
    fn nothing_is_no_archive() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for bytes in [&[][..], &[0; 1024]] {
            fs_err::write(&path, bytes).unwrap();
            for name in ["a-1.tar.gz", "a-1.tar.xz", "a-1.tar.bz2", "a-1.tar", "a-1.zip"] {
                assert!(check(&path, name).is_err(), "{name} of {} bytes", bytes.len());
            }
        }
    }
}
