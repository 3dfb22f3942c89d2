//! Layers read: those of others too, so any compression and any tar dialect that images use.

use std::io::{self, BufReader, Read};
use std::sync::Arc;

use super::Compression;
use super::header::{BLOCK, padding};
use super::inflate::invalid;
use crate::blob::RandomFile;
use crate::paths::TreePath;

/// The most that extended headers of one member may take, in bytes: names and a few attributes.
const MOST_EXTENDED: u64 = 1024 * 1024;

/// How bytes are compressed, by the first four of them; `None` if they are not.
pub fn compression(first: &[u8]) -> Option<Compression> {
    match first {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        // A zstd frame, or a skippable one in front (RFC 8878, 3.1).
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstd),
        _ => None,
    }
}

/// The uncompressed bytes of a blob, which may be gzip of any number of members, zstd of any number of frames, or neither.
/// Which it is stands in its first bytes; media types of old images cannot be trusted to say it.
pub fn decompress(mut blob: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = Vec::new();
    blob.by_ref().take(4).read_to_end(&mut magic)?;
    let blob = BufReader::with_capacity(128 * 1024, io::Cursor::new(magic.clone()).chain(blob));
    Ok(match compression(&magic) {
        Some(Compression::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(blob)),
        Some(Compression::Zstd) => Box::new(zstd::stream::read::Decoder::with_buffer(blob)?),
        None => Box::new(blob),
    })
}

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

/// Goes through the members of a layer, one after another; reading from it gives the content of the one found last.
///
/// Whiteouts (`.wh.` files) are found like any file. The root directory itself is not.
pub struct LayerReader {
    tar: Tar,
    /// Bytes of content and then of padding that the current member still has.
    content: u64,
    padding: u64,
}

/// The bytes of the archive, and how they are passed over.
enum Tar {
    /// A stream: by reading.
    Stream(Box<dyn Read + Send>),
    /// A file: by going on behind them.
    File { file: Arc<RandomFile>, at: u64 },
}

impl Tar {
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

    /// Reads what follows the end of the archive, if reading is what verifies it.
    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(stream) => io::copy(stream, &mut io::sink()).map(drop),
            Self::File { .. } => Ok(()),
        }
    }
}

impl Read for Tar {
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

/// What the headers in front of a member say of it.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    sparse: bool,
    taken: u64,
}

impl LayerReader {
    /// Reads a layer from its blob, compressed or not.
    pub fn new(blob: Box<dyn Read + Send>) -> io::Result<Self> {
        Ok(Self {
            tar: Tar::Stream(decompress(blob)?),
            content: 0,
            padding: 0,
        })
    }

    /// Reads a tar that is a file and not compressed. Content that nobody asks for is passed over without being read.
    pub fn in_file(file: Arc<RandomFile>) -> Self {
        Self {
            tar: Tar::File { file, at: 0 },
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
    /// Fails on what is not a tar, on paths that leave the root and on extended headers too large to be honest.
    pub fn next_member(&mut self) -> io::Result<Option<Found>> {
        let mut extended = Extended::default();
        while let Some(header) = self.next_header()? {
            match header.entry_type() {
                tar::EntryType::XHeader => {
                    let records = self.extended_content(&mut extended)?;
                    extended.read_pax(&records)?;
                }
                tar::EntryType::GNULongName => extended.path = Some(self.long_name(&mut extended)?),
                tar::EntryType::GNULongLink => extended.link = Some(self.long_name(&mut extended)?),
                tar::EntryType::XGlobalHeader => {}
                _ => {
                    let found = self.found(&header, &extended)?;
                    extended = Extended::default();
                    if let Some(found) = found {
                        return Ok(Some(found));
                    }
                }
            }
        }
        if extended.taken > 0 {
            // A name, and no member that has it.
            return Err(cut_off());
        }
        self.tar.finish()?;
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
    fn next_header(&mut self) -> io::Result<Option<tar::Header>> {
        self.skip_content()?;
        let mut header = tar::Header::new_old();
        let mut filled = 0;
        while filled < BLOCK {
            match self.tar.read(&mut header.as_mut_bytes()[filled..])? {
                // Some archivers leave the final zero blocks out.
                0 if filled == 0 => return Ok(None),
                0 => return Err(cut_off()),
                n => filled += n,
            }
        }
        if header.as_bytes().iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let sum: u32 = header
            .as_bytes()
            .iter()
            .enumerate()
            .map(|(at, byte)| checked(at, *byte))
            .sum();
        if header.cksum().ok() != Some(sum) {
            return Err(invalid("not a tar archive: a header's check sum is wrong"));
        }
        self.content = header.entry_size()?;
        self.padding = padding(self.content) as u64;
        Ok(Some(header))
    }

    fn skip_content(&mut self) -> io::Result<()> {
        self.tar.skip(self.content.saturating_add(self.padding))?;
        (self.content, self.padding) = (0, 0);
        Ok(())
    }

    fn extended_content(&mut self, extended: &mut Extended) -> io::Result<Vec<u8>> {
        let bytes = self.read_content(MOST_EXTENDED.saturating_sub(extended.taken))?;
        extended.taken += bytes.len() as u64;
        Ok(bytes)
    }

    fn long_name(&mut self, extended: &mut Extended) -> io::Result<Vec<u8>> {
        let mut name = self.extended_content(extended)?;
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        name.truncate(end);
        Ok(name)
    }

    fn found(&mut self, header: &tar::Header, extended: &Extended) -> io::Result<Option<Found>> {
        let kind = header.entry_type();
        let has_content = !matches!(
            kind,
            tar::EntryType::Link
                | tar::EntryType::Symlink
                | tar::EntryType::Directory
                | tar::EntryType::Char
                | tar::EntryType::Block
                | tar::EntryType::Fifo
        );
        // A link's size, where one is given, is that of the file it leads to (pax, "size").
        self.content = if has_content {
            extended.size.unwrap_or(self.content)
        } else {
            0
        };
        if self.content > i64::MAX as u64 {
            return Err(invalid("a tar member of an impossible size"));
        }
        self.padding = padding(self.content) as u64;
        if kind == tar::EntryType::GNUSparse {
            self.skip_sparse_map(header)?;
        }
        let name = extended
            .path
            .clone()
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let name = String::from_utf8_lossy(&name);
        let Some(path) = TreePath::from_tar_name(&name).map_err(|e| invalid(e.to_string()))? else {
            return Ok(None);
        };
        let link = extended
            .link
            .clone()
            .or_else(|| header.link_name_bytes().map(Into::into))
            .unwrap_or_default();
        let link = String::from_utf8_lossy(&link).into_owned();
        let is_directory = kind == tar::EntryType::Directory || (kind.is_file() && name.ends_with('/'));
        let kind = match kind {
            _ if is_directory => FoundKind::Directory,
            tar::EntryType::Regular | tar::EntryType::Continuous if !extended.sparse => FoundKind::File,
            tar::EntryType::Symlink => FoundKind::Symlink(link),
            tar::EntryType::Link => {
                match TreePath::from_tar_name(&link).map_err(|e| invalid(e.to_string()))? {
                    Some(target) => FoundKind::HardLink(target),
                    None => return Err(invalid(format!("{path} is a hard link to the root"))),
                }
            }
            _ => FoundKind::Other,
        };
        Ok(Some(Found {
            path,
            kind,
            mode: header.mode()? & 0o7777,
            uid: extended.uid.map_or_else(|| header.uid(), Ok)?,
            gid: extended.gid.map_or_else(|| header.gid(), Ok)?,
            size: self.content,
        }))
    }

    /// The map of an old GNU file with holes goes on after its header, in blocks that say whether one more follows.
    fn skip_sparse_map(&mut self, header: &tar::Header) -> io::Result<()> {
        let mut more = header.as_bytes()[482] != 0;
        while more {
            let mut block = [0; BLOCK];
            self.tar.read_exact(&mut block)?;
            more = block[504] != 0;
        }
        Ok(())
    }
}

impl Read for LayerReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.tar.by_ref().take(self.content).read(buffer)?;
        if n == 0 && self.content > 0 && !buffer.is_empty() {
            return Err(cut_off());
        }
        self.content -= n as u64;
        Ok(n)
    }
}

impl Extended {
    fn read_pax(&mut self, records: &[u8]) -> io::Result<()> {
        for record in tar::PaxExtensions::new(records) {
            let record = record?;
            let number = || record.value().ok().and_then(|v| v.parse().ok());
            let number = || number().ok_or_else(|| invalid("an extended header's number is none"));
            match record.key_bytes() {
                b"path" | b"GNU.sparse.name" => self.path = Some(record.value_bytes().into()),
                b"linkpath" => self.link = Some(record.value_bytes().into()),
                b"size" => self.size = Some(number()?),
                b"uid" => self.uid = Some(number()?),
                b"gid" => self.gid = Some(number()?),
                _ => {}
            }
            self.sparse |= record.key_bytes().starts_with(b"GNU.sparse.");
        }
        Ok(())
    }
}

/// A header's byte as its check sum counts it: the check sum's own field is taken as spaces.
fn checked(at: usize, byte: u8) -> u32 {
    if (148..156).contains(&at) {
        u32::from(b' ')
    } else {
        u32::from(byte)
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
        let name = |end: &str| format!("{}{end}", "d/".repeat((length - 1) / 2));
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

    fn reader(tar: Vec<u8>) -> LayerReader {
        LayerReader::new(Box::new(io::Cursor::new(tar))).unwrap()
    }

    #[test]
    fn gnu_long_names_and_hard_links_are_read() {
        for length in [3, 101, 301, 2001] {
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
