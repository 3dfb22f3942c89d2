//! Tar archives of others, read member by member: any dialect that images use, and nothing that two readers could take
//! differently.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::compression::decompress_foreign;
use super::dialect::Dialect;
use super::extended::Extended;
use super::header::{BLOCK, padding};
use super::inflate::invalid;
use super::raw::{Magic, Raw};
use crate::blob::RandomFile;
use crate::interrupted::uninterrupted;
use crate::paths::TreePath;

/// What a member of a layer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link and its target, as written.
    Symlink(String),
    /// Another name of a file earlier in the layer.
    HardLink(TreePath),
    /// A device, a pipe, or a file stored with holes: its content cannot be read here.
    Other,
}

/// A member of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is. A name that is not UTF-8 is shown with replacement characters.
    pub path: TreePath,
    /// What it is.
    pub kind: FoundKind,
    /// Permission bits.
    pub mode: u32,
    /// Numeric user id.
    pub uid: u64,
    /// Numeric group id.
    pub gid: u64,
    /// The size of its content in bytes.
    pub size: u64,
}

/// Goes through the members of a layer, or of another tar archive, one after another; reading from it gives the content of
/// the one found last.
///
/// Whiteouts (`.wh.` files) are found like any file. The root directory itself is not.
pub struct LayerReader<'a> {
    tar: Tar<'a>,
    dialect: Dialect,
    /// Bytes of content and then of padding that the current member still has.
    content: u64,
    padding: u64,
}

/// The bytes of the archive, and how they are passed over.
enum Tar<'a> {
    /// A stream: by reading.
    Stream(Box<dyn Read + 'a>),
    /// A file: by going on behind them.
    File { file: Arc<RandomFile>, at: u64 },
}

impl Tar<'_> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        match self {
            Self::Stream(stream) => {
                if io::copy(&mut stream.take(count), &mut io::sink())? < count {
                    return Err(cut_off());
                }
            }
            Self::File { file, at } => {
                let end = at.checked_add(count).filter(|end| *end <= file.size());
                *at = end.ok_or_else(cut_off)?;
            }
        }
        Ok(())
    }
}

impl Read for Tar<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stream(stream) => stream.read(buffer),
            Self::File { file, at } => {
                let left = usize::try_from(file.size() - *at).unwrap_or(usize::MAX);
                let n = left.min(buffer.len());
                file.read_exact_at(&mut buffer[..n], *at)?;
                *at += n as u64;
                Ok(n)
            }
        }
    }
}

/// Takes zeros and nothing else: what may follow the end of an archive.
struct OnlyZeros;

impl Write for OnlyZeros {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.iter().any(|b| *b != 0) {
            return Err(invalid("something follows the end of the tar archive"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> LayerReader<'a> {
    /// Reads a layer from its blob, compressed or not; fails once it has unpacked to more than an honest one can.
    pub fn new(blob: Box<dyn Read + Send>) -> io::Result<Self> {
        Ok(Self::of(decompress_foreign(blob)?, Dialect::Layer))
    }

    /// Reads a tar archive that is not compressed.
    pub fn of(tar: Box<dyn Read + 'a>, dialect: Dialect) -> Self {
        Self {
            tar: Tar::Stream(tar),
            dialect,
            content: 0,
            padding: 0,
        }
    }

    /// Reads an archive of images that is a file and not compressed. Content that nobody asks for is passed over without
    /// being read.
    pub fn in_file(file: Arc<RandomFile>) -> Self {
        Self {
            tar: Tar::File { file, at: 0 },
            dialect: Dialect::ImageArchive,
            content: 0,
            padding: 0,
        }
    }

    /// Where in its file the content of the member found last begins, as long as nothing of it was read; `None` if it
    /// is in no file.
    pub fn offset(&self) -> Option<u64> {
        match self.tar {
            Tar::Stream(_) => None,
            Tar::File { at, .. } => Some(at),
        }
    }

    /// The next member. `None` at the end, when all bytes of the blob have been read too: a reader that verifies has.
    ///
    /// Fails on what is not a tar, on paths that leave the root, on extended headers too large to be honest, and on all
    /// that the archive's dialect does not have or that another reader could take for something else.
    pub fn next_member(&mut self) -> io::Result<Option<Found>> {
        let mut extended = Extended::default();
        while let Some(header) = self.next_header()? {
            match header.kind() {
                kind @ (b'x' | b'g') if self.dialect.has_pax() => {
                    // Whether one between a header and its member takes that away, readers disagree.
                    if extended.has_pax || (kind == b'g' && !extended.is_empty()) {
                        return Err(invalid("one extended header follows another"));
                    }
                    let records = self.extended_content(&mut extended)?;
                    if kind == b'g' {
                        extended = Extended::default();
                        Extended::check_global(&records)?;
                    } else {
                        extended.read_pax(&records, self.dialect)?;
                    }
                }
                kind @ (b'L' | b'K') if self.dialect.has_gnu_names() => {
                    let name = self.extended_content(&mut extended)?;
                    extended.read_gnu(kind, name)?;
                }
                _ => {
                    let found = self.found(&header, &extended)?;
                    extended = Extended::default();
                    if let Some(found) = found {
                        return Ok(Some(found));
                    }
                }
            }
        }
        if !extended.is_empty() {
            // A name, and no member that has it.
            return Err(cut_off());
        }
        io::copy(&mut self.tar, &mut OnlyZeros)?;
        Ok(None)
    }

    /// All content of the member found last, for files that are small by nature. Fails beyond `limit` bytes.
    pub fn read_content(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        if self.content > limit {
            return Err(invalid(format!(
                "file of {} bytes where at most {limit} are taken",
                self.content
            )));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Skips what is left of the current member and reads the next header; `None` at the end of the archive.
    fn next_header(&mut self) -> io::Result<Option<Raw>> {
        self.skip_content()?;
        let mut block = Box::new([0; BLOCK]);
        let mut filled = 0;
        while filled < BLOCK {
            match uninterrupted(|| self.tar.read(&mut block[filled..]))? {
                // Some archivers leave the final zero blocks out.
                0 if filled == 0 => return Ok(None),
                0 => return Err(cut_off()),
                n => filled += n,
            }
        }
        let Some(header) = Raw::parse(block)? else {
            return Ok(None);
        };
        if header.magic() == Magic::None && !self.dialect.has_old_headers() {
            return Err(invalid("a tar header of before POSIX"));
        }
        self.content = header.size()?;
        self.padding = padding(self.content) as u64;
        Ok(Some(header))
    }

    fn skip_content(&mut self) -> io::Result<()> {
        self.tar.skip(self.content.saturating_add(self.padding))?;
        (self.content, self.padding) = (0, 0);
        Ok(())
    }

    fn extended_content(&mut self, extended: &mut Extended) -> io::Result<Vec<u8>> {
        let bytes = self.read_content(extended.left())?;
        extended.taken += bytes.len() as u64;
        Ok(bytes)
    }

    fn found(&mut self, header: &Raw, extended: &Extended) -> io::Result<Option<Found>> {
        let name = extended.name(header, self.dialect)?;
        let sparse = header.kind() == b'S' || extended.is_sparse;
        self.content = extended.size(self.content)?;
        if self.content > i64::MAX as u64 {
            return Err(invalid("a tar member of an impossible size"));
        }
        self.padding = padding(self.content) as u64;
        let ends_with_slash = name.ends_with('/');
        let path = self.path(&name)?;
        let refused = |what: &str| Err(invalid(format!("{}: {what}", name.escape_debug())));
        let kind = match header.kind() {
            _ if sparse && self.dialect.has_special_files() => FoundKind::Other,
            _ if sparse => return refused("a file stored with holes"),
            b'0' if ends_with_slash => return refused("a file that is named as a directory"),
            // The type of a directory before POSIX.
            0 if ends_with_slash && self.dialect.has_old_headers() => FoundKind::Directory,
            b'0' | 0 => FoundKind::File,
            b'5' => FoundKind::Directory,
            b'1' => {
                let target = extended.link(header, self.dialect)?;
                match self.path(&target)? {
                    Some(target) => FoundKind::HardLink(target),
                    None => return refused("a hard link to the root"),
                }
            }
            b'2' => FoundKind::Symlink(extended.link(header, self.dialect)?),
            b'3' | b'4' | b'6' if self.dialect.has_special_files() => FoundKind::Other,
            b'3' | b'4' | b'6' => return refused("a device or a pipe"),
            kind => {
                let what = format!(
                    "a member of type `{}`, which is not taken",
                    char::from(kind).escape_debug()
                );
                return refused(&what);
            }
        };
        // Whether what follows is its content or the next member, readers disagree.
        if kind != FoundKind::File && !sparse && self.content != 0 {
            return refused("not a file, and has content");
        }
        if header.kind() == b'S' {
            self.skip_sparse_map(header)?;
        }
        let Some(path) = path else {
            return match kind {
                FoundKind::Directory => Ok(None),
                _ => refused("not a directory, and in the place of the root"),
            };
        };
        Ok(Some(Found {
            path,
            kind,
            mode: header.mode()?,
            uid: extended.uid.map_or_else(|| header.uid(), Ok)?,
            gid: extended.gid.map_or_else(|| header.gid(), Ok)?,
            size: self.content,
        }))
    }

    /// A name as a path; `None` for the root.
    fn path(&self, name: &str) -> io::Result<Option<TreePath>> {
        let path = if self.dialect.has_loose_names() {
            TreePath::from_tar_name(name)
        } else {
            TreePath::new(name.strip_suffix('/').unwrap_or(name)).map(Some)
        };
        path.map_err(|e| invalid(e.to_string()))
    }

    /// The map of an old GNU file with holes goes on after its header, in blocks that say whether one more follows.
    fn skip_sparse_map(&mut self, header: &Raw) -> io::Result<()> {
        let mut more = header.map_goes_on();
        while more {
            let mut block = [0; BLOCK];
            self.tar.read_exact(&mut block)?;
            more = block[504] != 0;
        }
        Ok(())
    }
}

impl Read for LayerReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.tar.by_ref().take(self.content).read(buffer)?;
        if n == 0 && self.content > 0 && !buffer.is_empty() {
            return Err(cut_off());
        }
        self.content -= n as u64;
        Ok(n)
    }
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the tar archive is cut off")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tar in the GNU dialect: a file, a hard link to it, a link; all with names of `length` bytes.
    fn gnu(length: usize) -> Vec<u8> {
        let name = |end: &str| format!("{}{end}", "directory/".repeat((length - 1) / 10));
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(7);
        header.set_mode(0o640);
        header.set_uid(5);
        header.set_gid(6);
        archive
            .append_data(&mut header, name("f"), &b"content"[..])
            .unwrap();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Link);
        archive.append_link(&mut header, name("h"), name("f")).unwrap();
        header.set_entry_type(tar::EntryType::Symlink);
        archive.append_link(&mut header, name("s"), name("f")).unwrap();
        archive.into_inner().unwrap()
    }

    fn reader(tar: Vec<u8>) -> LayerReader<'static> {
        LayerReader::new(Box::new(io::Cursor::new(tar))).unwrap()
    }

    #[test]
    fn gnu_long_names_and_hard_links_are_read() {
        for length in [11, 101, 301, 2001] {
            let mut layer = reader(gnu(length));
            let file = layer.next_member().unwrap().unwrap();
            assert_eq!((file.kind, file.size, file.mode), (FoundKind::File, 7, 0o640));
            assert_eq!((file.path.as_str().len(), file.uid, file.gid), (length, 5, 6));
            assert_eq!(layer.read_content(7).unwrap(), b"content");
            let hard = layer.next_member().unwrap().unwrap();
            assert_eq!(hard.kind, FoundKind::HardLink(file.path.clone()));
            let link = layer.next_member().unwrap().unwrap();
            assert_eq!(link.kind, FoundKind::Symlink(file.path.to_string()));
            assert_eq!(link.path.as_str().len(), length);
            assert_eq!(layer.next_member().unwrap(), None);
        }
    }

    #[test]
    fn a_tar_that_is_cut_off_is_an_error_wherever_it_is_cut() {
        let whole = gnu(301);
        let members = |tar: Vec<u8>| {
            let mut layer = reader(tar);
            let mut count = 0;
            while layer.next_member()?.is_some() {
                count += 1;
            }
            io::Result::Ok(count)
        };
        let mut ends = 0;
        for cut in 1..whole.len() - 2 * BLOCK {
            match members(whole[..cut].to_vec()) {
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {cut}"),
                // Between members it cannot be told from an archive without its final blocks.
                Ok(count) => {
                    assert!(cut % BLOCK == 0 && count < 3, "cut at {cut}");
                    ends += 1;
                }
            }
        }
        assert_eq!(ends, 2);
        assert_eq!(members(whole).unwrap(), 3);
    }
}
