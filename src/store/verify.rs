//! Reading entries against their names: all of them when asked to, those that were given out unread when something failed.

use std::io;
use std::path::{Path, PathBuf};

use super::directory::MEMOS;
use super::memo::is_sealed;
use super::{Error, Kind, Store};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::files;
use crate::parallel;

/// What was found of all entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many entries were read.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that are not what they should be, by path.
    pub damaged: Vec<Damaged>,
}

/// An entry that is not what its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// What a name says of a file's content.
enum Name {
    /// The digest of an entry.
    Entry(Digest),
    /// The key of a memo.
    Memo(Digest),
    /// Nothing that this store gives names to.
    Strange,
}

impl Store {
    /// Reads every entry and memo, and removes those that are damaged if `remove` says so. uv's own cache is not looked at.
    pub fn verify(&self, threads: usize, remove: bool) -> Result<Verified, Error> {
        let files = self.files()?;
        let read = parallel::map(&files, threads, |(path, name)| examine(path, name, remove))?;
        let mut verified = Verified::default();
        for (bytes, damaged) in read.into_iter().flatten() {
            verified.entries += 1;
            verified.bytes += bytes;
            verified.damaged.extend(damaged);
        }
        Ok(verified)
    }

    /// Reads what was given out by [`Store::find_unverified`], and removes what is damaged. Gives what was, so that whoever
    /// failed knows whether to try again: then it is made or fetched anew.
    pub fn mend(&self) -> Vec<Damaged> {
        let given = self
            .unverified
            .lock()
            .map(|mut given| std::mem::take(&mut *given));
        let mut removed = Vec::new();
        for (kind, digest) in given.unwrap_or_default() {
            let path = self.place(kind, &digest);
            match examine(&path, &Name::Entry(digest), true) {
                Ok(Some((_, Some(damaged)))) => removed.push(damaged),
                Ok(None) => removed.push(Damaged {
                    path,
                    problem: "it is gone".to_owned(),
                }),
                // It cannot be removed, and the next try would meet it again.
                Ok(Some((_, None))) | Err(_) => {}
            }
        }
        removed
    }

    /// Every file, and what its name says.
    fn files(&self) -> Result<Vec<(PathBuf, Name)>, Error> {
        let mut files = Vec::new();
        for kind in Kind::ALL {
            let directory = self.root().join(kind.directory());
            for path in below(&directory)? {
                let name = entry_name(path.strip_prefix(&directory).unwrap_or(&path));
                files.push((path, name));
            }
        }
        let directory = self.root().join(MEMOS);
        for path in below(&directory)? {
            let name = path.strip_prefix(&directory).unwrap_or(&path);
            let key = digest_of(Algorithm::Sha256, name);
            files.push((path, key.map_or(Name::Strange, Name::Memo)));
        }
        files.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(files)
    }
}

/// `sha256/ab/cdef…`
fn entry_name(path: &Path) -> Name {
    let mut components = path.components();
    let algorithm = components.next().and_then(|first| first.as_os_str().to_str());
    let algorithm = algorithm.and_then(|name| name.parse().ok());
    let digest = algorithm.and_then(|algorithm| digest_of(algorithm, components.as_path()));
    digest.map_or(Name::Strange, Name::Entry)
}

/// `ab/cdef…`
fn digest_of(algorithm: Algorithm, path: &Path) -> Option<Digest> {
    let (first, rest) = path.to_str()?.split_once('/')?;
    let is_split = first.len() == 2 && !rest.contains('/');
    let digest = Digest::new(algorithm, &format!("{first}{rest}")).ok()?;
    is_split.then_some(digest)
}

/// All files below a directory; none if there is no directory.
fn below(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut files, mut open) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = open.pop() {
        let fault = |source| Error::Io {
            path: directory.clone(),
            source,
        };
        let entries = match crate::files::read_dir(&directory) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(fault)?,
        };
        for entry in entries {
            let entry = entry.map_err(fault)?;
            if entry.file_type().map_err(fault)?.is_dir() {
                open.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

/// Reads a file: its size, and what is wrong with it. `None` if it is gone: other commands use the store too.
fn examine(path: &Path, name: &Name, remove: bool) -> Result<Option<(u64, Option<Damaged>)>, Error> {
    let fault = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let opened = match fs_err::File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened,
    };
    let (read, file) = match opened {
        Ok(mut file) => (problem(&mut file, name), Some(file)),
        Err(error) => (Err(error), None),
    };
    // What cannot be read is of no more use than what is wrong.
    let (bytes, problem) = read.unwrap_or_else(|error| (0, Some(format!("it cannot be read: {error}"))));
    let Some(problem) = problem else {
        return Ok(Some((bytes, None)));
    };
    let is_there = file.is_none_or(|file| files::is_at(file.file(), path));
    if remove && is_there {
        match fs_err::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(fault(e)),
            _ => {}
        }
    }
    let path = path.to_owned();
    Ok(Some((bytes, Some(Damaged { path, problem }))))
}

fn problem(file: &mut fs_err::File, name: &Name) -> io::Result<(u64, Option<String>)> {
    match name {
        Name::Entry(digest) => {
            let mut hasher = Hasher::new(digest.algorithm());
            let bytes = io::copy(file, &mut hasher)?;
            let actual = hasher.finish();
            let problem = format!("its content has digest {actual}");
            Ok((bytes, (actual != *digest).then_some(problem)))
        }
        Name::Memo(key) => {
            let mut note = Vec::new();
            let bytes = io::copy(file, &mut note)?;
            let problem = || "it is not what was noted down".to_owned();
            Ok((bytes, (!is_sealed(key, &note)).then(problem)))
        }
        Name::Strange => Ok((0, Some("no entry has such a name".to_owned()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with an entry of each kind and a memo.
    fn filled() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("cache")).unwrap();
        for kind in Kind::ALL {
            store.add(kind, None, &mut &b"content"[..]).unwrap();
        }
        let sha512 = Digest::new(Algorithm::Sha512, &"0".repeat(128)).unwrap();
        assert!(
            store
                .add(Kind::Blob, Some(&sha512), &mut &b"content"[..])
                .is_err()
        );
        store.remember(&Digest::of(b"key"), b"note").unwrap();
        (directory, store)
    }

    fn damage(path: &Path, bytes: &[u8]) {
        fs_err::remove_file(path).unwrap();
        fs_err::write(path, bytes).unwrap();
    }

    #[test]
    fn a_good_store_is_whole_and_every_damaged_entry_is_found_and_removed() {
        let (_directory, store) = filled();
        let verified = store.verify(2, true).unwrap();
        let header = 72;
        assert_eq!(
            (verified.entries, verified.bytes, verified.damaged.len()),
            (6, 5 * 7 + header + 4, 0)
        );
        for (path, _) in store.files().unwrap() {
            let whole = fs_err::read(&path).unwrap();
            for at in [0, whole.len() / 2, whole.len() - 1] {
                let mut bad = whole.clone();
                bad[at] ^= 4;
                for bad in [&bad, &whole[..at]] {
                    damage(&path, bad);
                    let found = |remove| store.verify(1, remove).unwrap().damaged;
                    let paths: Vec<_> = found(false).into_iter().map(|damaged| damaged.path).collect();
                    assert_eq!(paths, std::slice::from_ref(&path));
                    assert_eq!(found(true).len(), 1);
                    assert!(!path.exists());
                    assert_eq!(found(true), []);
                    fs_err::write(&path, &whole).unwrap();
                }
            }
        }
    }

    #[test]
    fn what_no_entry_is_called_is_found_and_uvs_own_cache_is_not_looked_at() {
        let (_directory, store) = filled();
        let name = "a".repeat(62);
        for name in [
            "wheels/x".to_owned(),
            format!("blobs/md5/aa/{name}"),
            format!("memos/{name}"),
        ] {
            let path = store.root().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "x").unwrap();
        }
        fs_err::write(store.root().join("uv/file"), "x").unwrap();
        let verified = store.verify(1, true).unwrap();
        let strange = |damaged: &Damaged| damaged.problem == "no entry has such a name";
        assert_eq!(verified.damaged.len(), 3);
        assert!(verified.damaged.iter().all(strange));
        assert!(store.root().join("uv/file").exists());
    }

    #[test]
    fn of_what_was_given_out_unread_the_damaged_is_removed_once() {
        let (_directory, store) = filled();
        let digest = Digest::of(b"content");
        let other = store.add(Kind::Blob, None, &mut &b"other"[..]).unwrap();
        let given = |digest, size| store.find_unverified(Kind::Blob, digest, size).unwrap();
        let path = given(&digest, 7);
        given(&other.digest, 5);
        damage(&path, b"contenT");
        let removed: Vec<_> = store.mend().into_iter().map(|damaged| damaged.path).collect();
        assert_eq!(removed, std::slice::from_ref(&path));
        assert!(!path.exists() && other.path.exists());
        assert_eq!(store.mend(), []);
    }
}
