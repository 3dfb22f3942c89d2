//! Memos: small notes under a key, such as which layer came of which inputs.

use std::io::{self, Write as _};
use std::path::PathBuf;

use tempfile::NamedTempFile;

use super::{Error, Store, touch};
use crate::digest::Digest;

/// The length of `sha256:` and 64 digits, and the line end.
const HEADER: usize = 72;

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
        let bytes = fs_err::read(&path).ok()?;
        let (header, body) = bytes.split_at_checked(HEADER)?;
        let digest: Digest = std::str::from_utf8(header).ok()?.trim_end().parse().ok()?;
        if digest != sealed(key, body) {
            let _ = fs_err::remove_file(&path);
            return None;
        }
        if let Ok(file) = fs_err::File::open(&path) {
            touch(file.file());
        }
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
                fs_err::create_dir_all(parent)?;
            }
            let mut file = NamedTempFile::new_in(self.root().join("tmp"))?;
            writeln!(file, "{}", sealed(key, body))?;
            file.write_all(body)?;
            file.persist(&path)?;
            Ok(())
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
        let (first, rest) = key.hex().split_at(2);
        self.root().join("memos").join(first).join(rest)
    }
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
