//! Archives of images: where each member of a tar file is. Nothing of it is ever put on disk.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use super::Error;
use super::document::{malformed, parse};
use crate::blob::{Blob, Descriptor, FilePart, Open as _, RandomFile};
use crate::image::DOCUMENT_LIMIT;
use crate::layer::{Compression, FoundKind, LayerReader, compression, decompress_foreign};
use crate::paths::TreePath;
use crate::store::Store;

/// More members than any archive of images has: memory stays bounded.
const MEMBERS: usize = 100_000;
/// Two blocks of zeros end a tar; every one has more than them.
const SMALLEST: u64 = 1024;
/// Links that lead to links: nobody goes further.
const LINKS: usize = 8;

/// The kinds of archives of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveKind {
    /// An OCI image layout in a tar file: `oci-archive:`.
    Oci,
    /// What `docker save` writes: `docker-archive:`.
    Docker,
}

/// The members of a tar file by name.
#[derive(Debug)]
pub(super) struct Archive {
    /// The archive, as messages name it.
    pub place: String,
    members: BTreeMap<TreePath, Member>,
}

#[derive(Debug)]
enum Member {
    Directory,
    File(FilePart),
    /// Another name of a member.
    Link(TreePath),
}

impl Archive {
    /// Reads the headers of a tar file. One that is compressed is first decompressed into the store: a stream has no
    /// places to go to.
    pub fn open(place: String, path: &Path, store: &Store) -> Result<Self, Error> {
        let fault = |source| Error::Archive {
            place: place.clone(),
            source,
        };
        let mut file = Arc::new(RandomFile::open(path).map_err(fault)?);
        let whole = FilePart {
            file: Arc::clone(&file),
            offset: 0,
            size: file.size(),
        };
        if compression_of(&whole).map_err(fault)?.is_some() {
            let mut plain = store.scratch_file()?;
            let mut stream = whole.open().and_then(decompress_foreign).map_err(fault)?;
            io::copy(&mut stream, &mut plain).map_err(fault)?;
            file = Arc::new(RandomFile::unnamed(plain, path).map_err(fault)?);
        }
        let members = members(&file).map_err(fault)?;
        Ok(Self { place, members })
    }

    /// The file of that name, links followed; they lead nowhere but to other members.
    pub fn find(&self, name: &str) -> Option<&FilePart> {
        let mut path = &TreePath::from_tar_name(name).ok()??;
        for _ in 0..LINKS {
            match self.members.get(path)? {
                Member::File(part) => return Some(part),
                Member::Link(target) => path = target,
                Member::Directory => return None,
            }
        }
        None
    }

    /// The same; its absence is an error.
    pub fn need(&self, name: &str) -> Result<&FilePart, Error> {
        self.find(name).ok_or_else(|| Error::Missing {
            place: self.place.clone(),
            name: name.to_owned(),
        })
    }

    /// The bytes of a small file.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        let part = self.need(name)?;
        if part.size > DOCUMENT_LIMIT {
            return Err(malformed(&self.place, format!("{name} is too large")));
        }
        let mut bytes = Vec::new();
        let read = part.open().and_then(|mut reader| reader.read_to_end(&mut bytes));
        read.map_err(|source| Error::Archive {
            place: self.place.clone(),
            source,
        })?;
        Ok(bytes)
    }

    /// A small JSON document.
    pub fn json(&self, name: &str) -> Result<serde_json::Value, Error> {
        parse(&self.place, &self.read(name)?, name)
    }

    /// A blob of the image layout that the archive is.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        let part = self.need(&descriptor.digest.layout_name())?;
        Ok(Blob {
            descriptor: descriptor.clone(),
            content: Arc::new(part.clone()),
        })
    }
}

/// What kind of archive a file is; `None` if it is none, or is compressed. Fails if the file cannot be read.
pub fn archive_kind(file: &Path) -> io::Result<Option<ArchiveKind>> {
    let file = Arc::new(RandomFile::open(file)?);
    let members = match members(&file) {
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            return Ok(None);
        }
        members => members?,
    };
    let archive = Archive {
        place: String::new(),
        members,
    };
    // Those of Docker 25 and later are layouts too.
    if archive.find("manifest.json").is_some() {
        return Ok(Some(ArchiveKind::Docker));
    }
    Ok(archive.find("oci-layout").map(|_| ArchiveKind::Oci))
}

/// How a file is compressed, if it is.
pub(super) fn compression_of(part: &FilePart) -> io::Result<Option<Compression>> {
    let mut first = Vec::new();
    part.open()?.take(4).read_to_end(&mut first)?;
    Ok(compression(&first))
}

fn members(file: &Arc<RandomFile>) -> io::Result<BTreeMap<TreePath, Member>> {
    if file.size() < SMALLEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not a tar archive",
        ));
    }
    let mut reader = LayerReader::in_file(Arc::clone(file));
    let mut members = BTreeMap::new();
    while let (Some(found), Some(offset)) = (reader.next_member()?, reader.offset()) {
        let path = found.path;
        let refused = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{path}: {what}"));
        let member = match found.kind {
            FoundKind::Directory => Member::Directory,
            FoundKind::File => {
                if offset.checked_add(found.size).is_none_or(|end| end > file.size()) {
                    return Err(refused("the archive is cut off in it"));
                }
                Member::File(FilePart {
                    file: Arc::clone(file),
                    offset,
                    size: found.size,
                })
            }
            FoundKind::HardLink(target) => Member::Link(target),
            FoundKind::Symlink(target) => match path.resolve_link(&target) {
                Some(target) => Member::Link(target),
                None => return Err(refused("a link that leaves the archive")),
            },
            FoundKind::Other => return Err(refused("neither a file nor a directory nor a link")),
        };
        if members.len() == MEMBERS {
            return Err(refused("more members than any archive of images has"));
        }
        let is_directory = matches!(member, Member::Directory);
        match members.insert(path.clone(), member) {
            // Archivers write a directory once for each of its files.
            Some(Member::Directory) if is_directory => {}
            Some(_) => return Err(refused("there are two members of this name")),
            None => {}
        }
    }
    Ok(members)
}
