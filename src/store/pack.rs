//! Packs: files that were made together are one entry, found by the digest of what they were made of.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Error, Kind, Store};
use crate::blob::RandomFile;
use crate::digest::{Algorithm, Digest};
use crate::paths::TreePath;
use crate::tree::{Content, Member, Method};

/// A file as it is in a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Where it belongs.
    pub path: TreePath,
    /// How `bytes` stand for its content.
    pub method: Method,
    /// The content, stored or deflated.
    pub bytes: Vec<u8>,
    /// The size of the content in bytes.
    pub size: u64,
    /// CRC-32 of the content.
    pub crc32: u32,
}

/// What is remembered of a pack: its entry, which is the bytes of all files one after another, and what is where in it.
#[derive(Serialize, Deserialize)]
struct Note {
    digest: Digest,
    size: u64,
    files: Vec<NotedFile>,
}

#[derive(Serialize, Deserialize)]
struct NotedFile {
    path: String,
    deflated: bool,
    length: u64,
    size: u64,
    crc32: u32,
}

impl Store {
    /// The files that were made of the inputs behind `key`, if they are still here. The entry's bytes are hashed first: a
    /// damaged one is removed and counts as none. Packs are of this machine alone; a [`super::Remote`] is not asked.
    pub fn pack(&self, key: &Digest) -> Option<Vec<(TreePath, Content)>> {
        let note: Note = serde_json::from_slice(&self.alone().memo(key)?).ok()?;
        self.find(Kind::Pack, &note.digest).ok()??;
        self.contents(&note)
    }

    /// Keeps files under the digest of what they were made of, and gives their contents as they are kept.
    pub fn keep_pack(&self, key: &Digest, files: &[Packed]) -> Result<Vec<(TreePath, Content)>, Error> {
        let mut entry = self.new_entry(Kind::Pack)?.hashed_by(Algorithm::Sha256);
        for file in files {
            entry.add(&file.bytes)?;
        }
        let (digest, size) = entry.digest();
        entry.keep(&digest, size)?;
        let noted = |file: &Packed| NotedFile {
            path: file.path.to_string(),
            deflated: file.method == Method::Deflated,
            length: file.bytes.len() as u64,
            size: file.size,
            crc32: file.crc32,
        };
        let note = Note {
            files: files.iter().map(noted).collect(),
            digest,
            size,
        };
        let json = serde_json::to_vec(&note).unwrap_or_default();
        self.alone().remember(key, &json)?;
        self.contents(&note).ok_or_else(|| Error::Io {
            path: self.place(Kind::Pack, &note.digest),
            source: std::io::Error::other("it is not what was just written"),
        })
    }

    /// The contents of a pack's files; whoever reads one checks its CRC-32.
    fn contents(&self, note: &Note) -> Option<Vec<(TreePath, Content)>> {
        let archive = Arc::new(RandomFile::open(&self.place(Kind::Pack, &note.digest)).ok()?);
        let mut offset = 0;
        let content = |file: &NotedFile| {
            let member = Member {
                archive: Arc::clone(&archive),
                offset,
                compressed_size: file.length,
                size: file.size,
                crc32: file.crc32,
                digest: None,
                method: if file.deflated {
                    Method::Deflated
                } else {
                    Method::Stored
                },
            };
            offset = offset.saturating_add(file.length);
            Some((TreePath::new(&file.path).ok()?, Content::Member(Box::new(member))))
        };
        let contents = note.files.iter().map(content).collect::<Option<_>>()?;
        (offset == note.size && archive.size() == note.size).then_some(contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(path: &str, text: &[u8]) -> Packed {
        Packed {
            path: TreePath::new(path).unwrap(),
            method: Method::Stored,
            bytes: text.to_vec(),
            size: text.len() as u64,
            crc32: crc32fast::hash(text),
        }
    }

    #[test]
    fn files_are_found_again_until_a_byte_of_them_changes() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("cache")).unwrap();
        let key = Digest::of(b"inputs");
        let files = [packed("a/x", b"one"), packed("a/y", b""), packed("b", b"three")];
        assert!(store.pack(&key).is_none());
        store.keep_pack(&key, &files).unwrap();
        let found = store.pack(&key).unwrap();
        for (file, (path, content)) in files.iter().zip(&found) {
            assert_eq!((&file.path, &file.bytes), (path, &content.read(10).unwrap()));
        }
        let place = store.place(Kind::Pack, &Digest::of(b"onethree"));
        fs_err::remove_file(&place).unwrap();
        fs_err::write(&place, "onethreE").unwrap();
        assert!(store.pack(&key).is_none());
        assert!(!place.exists());
        store.keep_pack(&key, &files).unwrap();
        assert_eq!(store.pack(&key).unwrap().len(), 3);
    }

    #[test]
    fn nothing_is_a_pack_too() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("cache")).unwrap();
        let key = Digest::of(b"inputs");
        assert!(store.keep_pack(&key, &[]).unwrap().is_empty());
        assert!(store.pack(&key).unwrap().is_empty());
    }
}
