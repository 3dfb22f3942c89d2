//! Memos: small notes under a key, such as which layer came of which inputs.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use tempfile::NamedTempFile;

use super::directory::{self, MEMOS};
use super::{Error, Store, touch};
use crate::digest::Digest;
use crate::files;

/// The length of `sha256:` and 64 digits, and the line end.
const HEADER: usize = 72;
/// Room for most notes, in bytes: they are read at once.
const MOST_NOTES: usize = 4096;

impl Store {
    /// What was remembered under a key, here or at the [`super::Remote`]; a damaged note counts as none.
    pub fn memo(&self, key: &Digest) -> Option<Vec<u8>> {
        let own = self.own_memo(key);
        let note = own.or_else(|| {
            let note = self.sharing.memo(key)?;
            // What cannot be kept is asked for again.
            let _ = self.keep_memo(key, &note);
            Some(note)
        });
        if note.is_some() {
            self.sharing.mark(key);
        }
        note
    }

    fn own_memo(&self, key: &Digest) -> Option<Vec<u8>> {
        let path = self.memo_place(key);
        let mut file = fs_err::File::open(&path).ok()?;
        let mut bytes = Vec::with_capacity(MOST_NOTES);
        file.read_to_end(&mut bytes).ok()?;
        let Some(body) = body(key, &bytes) else {
            // Another process may have put a good one there.
            if files::is_at(file.file(), &path) {
                let _ = fs_err::remove_file(&path);
            }
            return None;
        };
        touch(file.file());
        Some(body.to_vec())
    }

    /// Remembers a note under a key, in place of an earlier one.
    pub fn remember(&self, key: &Digest, body: &[u8]) -> Result<(), Error> {
        self.sharing.mark(key);
        self.keep_memo(key, body)
    }

    fn keep_memo(&self, key: &Digest, body: &[u8]) -> Result<(), Error> {
        let place = "what would be remembered in the cache";
        self.secrets.check(place, body).map_err(Error::Leak)?;
        let path = self.memo_place(key);
        let write = || -> io::Result<()> {
            if let Some(parent) = path.parent() {
                directory::make_private(parent)?;
            }
            let mut file = NamedTempFile::new_in(self.root().join("tmp"))?;
            // In one piece.
            file.write_all(&[format!("{}\n", sealed(key, body)).as_bytes(), body].concat())?;
            files::persist(file, &path).map(drop)
        };
        write().map_err(|source| Error::Io {
            path: path.clone(),
            source,
        })
    }

    /// Forgets the note under a key.
    pub fn forget(&self, key: &Digest) {
        let _ = fs_err::remove_file(self.memo_place(key));
    }

    fn memo_place(&self, key: &Digest) -> PathBuf {
        let hex = key.hex();
        let (first, rest) = hex.split_at(2);
        self.root().join(MEMOS).join(first).join(rest)
    }
}

/// What a note under a key says, if it is as it was noted down.
fn body<'n>(key: &Digest, note: &'n [u8]) -> Option<&'n [u8]> {
    let (header, body) = note.split_at_checked(HEADER)?;
    let expected = format!("{}\n", sealed(key, body));
    (header == expected.as_bytes()).then_some(body)
}

/// Whether a note under a key is as it was noted down.
pub(super) fn is_sealed(key: &Digest, note: &[u8]) -> bool {
    body(key, note).is_some()
}

/// The digest over key and body: a note that was copied under another key is as bad as a torn one.
fn sealed(key: &Digest, body: &[u8]) -> Digest {
    let mut hasher = crate::digest::Hasher::sha256();
    hasher.update(key.hex().as_bytes());
    hasher.update(body);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_remembered_and_a_damaged_or_moved_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("cache")).unwrap();
        let (key, other) = (Digest::of(b"key"), Digest::of(b"other"));
        assert_eq!(store.memo(&key), None);
        store.remember(&key, b"note").unwrap();
        assert_eq!(store.memo(&key).unwrap(), b"note");
        store.remember(&other, b"x").unwrap();
        fs_err::copy(store.memo_place(&key), store.memo_place(&other)).unwrap();
        assert_eq!(store.memo(&other), None);
        fs_err::write(store.memo_place(&key), "short").unwrap();
        assert_eq!(store.memo(&key), None);
    }
}
