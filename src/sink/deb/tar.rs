//! The tar archives in a package. dpkg reads no pax headers, so long names stand in GNU's form, and names are plain bytes.
//!
//! > The tar archives currently supported are: the old-style (v7) format, the pre-POSIX ustar format, a subset of the GNU
//! > format (new style long pathnames and long linknames [...]; large file metadata [...]), and the POSIX ustar format.
//! > Unrecognized tar typeflags are considered an error. (`deb(5)`)

use std::io::{Read as _, Write};

use super::md5sums::{Summer, Sums};
use super::{Error, Stop};
use crate::interrupted::uninterrupted;
use crate::layer::file_padding;
use crate::paths::TreePath;
use crate::secrets::{Secrets, Watch};
use crate::tree::{Entry, Kind, Tree};

/// The name of a header that holds a long name, as GNU tar writes it.
const LONG_NAME: &[u8] = b"././@LongLink";
/// Two blocks of zeros end a tar.
const END: &[u8] = &[0; 1024];
/// What the field of a name holds.
const NAME: usize = 100;

/// Writes the tar of a tree, its root first, as dpkg-deb does; gives the MD5 sums of its files.
pub(super) fn write(tree: &Tree, mtime: u64, secrets: &Secrets, out: &mut dyn Write) -> Result<Sums, Stop> {
    let mut sums = Sums::default();
    let mut watch = secrets.watch();
    out.write_all(&header("./", &Entry::directory(), mtime))?;
    let mut buffer = vec![0; 256 * 1024];
    for (path, entry) in tree.iter() {
        if path.as_str().contains(['\n', '\r']) {
            return Err(Stop::Other(Error::LineBreak(path.clone())));
        }
        let slash = if entry.is_directory() { "/" } else { "" };
        let head = header(&format!("./{path}{slash}"), entry, mtime);
        look(&mut watch, &head, path)?;
        out.write_all(&head)?;
        let Some(content) = entry.content() else { continue };
        let unreadable = |source| {
            Stop::Other(Error::Content {
                path: path.clone(),
                source,
            })
        };
        let mut reader = content.open().map_err(unreadable)?;
        let mut summer = Summer::default();
        loop {
            // It gives exactly as many bytes as the header says, or fails.
            let n = uninterrupted(|| reader.read(&mut buffer)).map_err(unreadable)?;
            if n == 0 {
                break;
            }
            look(&mut watch, &buffer[..n], path)?;
            summer.update(&buffer[..n]);
            out.write_all(&buffer[..n])?;
        }
        out.write_all(file_padding(content.size()))?;
        sums.add(path, summer);
    }
    out.write_all(END)?;
    Ok(sums)
}

fn look(watch: &mut Option<Watch>, bytes: &[u8], path: &TreePath) -> Result<(), Stop> {
    match watch.as_mut().and_then(|watch| watch.push(bytes)) {
        Some(hit) => Err(Stop::Other(Error::Leak(hit.leak(path.as_str())))),
        None => Ok(()),
    }
}

/// The header of an entry, with those of long names in front of it.
fn header(name: &str, entry: &Entry, mtime: u64) -> Vec<u8> {
    let (size, kind, link) = match &entry.kind {
        Kind::Directory => (0, tar::EntryType::Directory, ""),
        Kind::File(content) => (content.size(), tar::EntryType::Regular, ""),
        Kind::Symlink(target) => (0, tar::EntryType::Symlink, target.as_str()),
    };
    let mut blocks = Vec::new();
    if link.len() > NAME {
        long(&mut blocks, tar::EntryType::GNULongLink, link);
    }
    if name.len() > NAME {
        long(&mut blocks, tar::EntryType::GNULongName, name);
    }
    let mut header = block(name, tar::EntryType::Regular, size);
    header.set_entry_type(kind);
    let short = &link.as_bytes()[..link.len().min(NAME)];
    header.as_old_mut().linkname[..short.len()].copy_from_slice(short);
    header.set_mode(entry.mode & 0o7777);
    header.set_mtime(mtime);
    header.set_uid(entry.owner.uid.into());
    header.set_gid(entry.owner.gid.into());
    if let Some(fields) = header.as_gnu_mut()
        && entry.owner == crate::tree::Owner::default()
    {
        // As dpkg-deb --root-owner-group writes them; lintian looks at the names.
        fields.uname[..4].copy_from_slice(b"root");
        fields.gname[..4].copy_from_slice(b"root");
    }
    header.set_cksum();
    blocks.extend_from_slice(header.as_bytes());
    blocks
}

fn block(name: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    let short = &name.as_bytes()[..name.len().min(NAME)];
    header.as_old_mut().name[..short.len()].copy_from_slice(short);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    header
}

/// A member whose content is a name, ended by a NUL.
fn long(blocks: &mut Vec<u8>, kind: tar::EntryType, name: &str) {
    let size = name.len() as u64 + 1;
    let mut header = block("", kind, size);
    header.as_old_mut().name[..LONG_NAME.len()].copy_from_slice(LONG_NAME);
    header.set_cksum();
    blocks.extend_from_slice(header.as_bytes());
    blocks.extend_from_slice(name.as_bytes());
    blocks.push(0);
    blocks.extend_from_slice(file_padding(size));
}
