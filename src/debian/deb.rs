//! `.deb` files (`deb(5)`): an `ar` archive with the control data and the files, read into memory.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use crate::layer::{Dialect, Found, FoundKind, LayerReader};
use crate::paths::{PathError, TreePath};
use crate::tree::{Content, Entry, Owner, Tree, TreeError};

/// What one package brings.
#[derive(Debug)]
pub struct Deb {
    /// Its control stanza, as it is in the package.
    pub control: String,
    /// Its files, at the places where they are on a system with merged `/usr`.
    pub tree: Tree,
    /// Paths that had set-user-id or set-group-id bits, which were taken away.
    pub privileged: Vec<TreePath>,
}

/// Why a `.deb` is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read or does not decompress.
    #[error("cannot be read")]
    Read(#[from] io::Error),
    /// It is not a `.deb` of format 2.0.
    #[error("is not a Debian package of format 2.0: {0}")]
    Form(&'static str),
    /// A member is compressed in a way that Debian does not use.
    #[error("has a member {0}, whose compression is not supported (gz, xz and zst are)")]
    Compression(String),
    /// A path in it is malformed or leaves the root.
    #[error("holds a malformed path")]
    Path(#[from] PathError),
    /// A path is in it twice, or below a file.
    #[error("holds inconsistent paths")]
    Tree(#[from] TreeError),
    /// A hard link to nothing.
    #[error("holds a hard link {0} to {1}, which is not a file before it")]
    Link(TreePath, TreePath),
    /// It is larger than any package that belongs in a base.
    #[error("unpacks to more than {0} bytes")]
    Large(u64),
    /// It has more files than any package.
    #[error("holds more than {FILES_LIMIT} files, or more than {} MiB of their names", NAMES_LIMIT >> 20)]
    Many,
}

/// Bounds the memory that one package can take, and the time: what is left out is unpacked too.
const UNPACKED_LIMIT: u64 = 512 << 20;
const STREAM_LIMIT: u64 = 4 << 30;
/// More files than any package has.
const FILES_LIMIT: usize = 500_000;
const NAMES_LIMIT: usize = 32 << 20;
/// The memory that xz may take: `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;
const CONTROL_LIMIT: u64 = 16 << 20;

/// Which files are left out while unpacking, so that they take no memory: called with the path.
pub type Leave<'a> = &'a (dyn Fn(&str) -> bool + Sync);

impl Deb {
    /// Reads a package. Files for which `leave` says so are left out.
    pub fn read(reader: impl Read, leave: Leave<'_>) -> Result<Self, Error> {
        let mut archive = Ar::open(BufReader::with_capacity(64 * 1024, reader))?;
        let name = archive.next_member()?.ok_or(Error::Form("it is empty"))?;
        let mut version = String::new();
        archive.by_ref().take(64).read_to_string(&mut version)?;
        // > The first member is named debian-binary and contains a series of lines [...] the format version number, 2.0
        if name != "debian-binary" || !version.starts_with("2.") {
            return Err(Error::Form("it does not begin with debian-binary 2.0"));
        }
        let mut control = None;
        while let Some(name) = archive.next_member()? {
            if name.starts_with("control.tar") && control.is_none() {
                control = Some(read_control(decompress(&name, &mut archive)?)?);
            } else if name.starts_with("data.tar") {
                let control = control.ok_or(Error::Form("its files come before its control data"))?;
                let mut files = Files::new(leave);
                files.read(decompress(&name, &mut archive)?)?;
                archive.check_finished()?;
                return Ok(Self {
                    control,
                    tree: files.tree,
                    privileged: files.privileged,
                });
            }
            // > Programs should ignore members with names beginning with an underscore.
            else if !name.starts_with('_') {
                return Err(Error::Form("it has a member that is not known"));
            }
        }
        Err(Error::Form("it has no files"))
    }
}

/// A reader of `ar` archives in the form that `deb(5)` allows: no symbol table, no long names. It reads as the content of
/// the member that it is at.
struct Ar<R> {
    reader: R,
    /// Bytes of the member that are not read yet.
    left: u64,
    /// Whether the member is followed by a byte that makes its size even.
    padded: bool,
}

impl<R: BufRead> Ar<R> {
    fn open(mut reader: R) -> Result<Self, Error> {
        let mut magic = [0; 8];
        reader.read_exact(&mut magic)?;
        if &magic != b"!<arch>\n" {
            return Err(Error::Form("it is no ar archive"));
        }
        Ok(Self {
            reader,
            left: 0,
            padded: false,
        })
    }

    /// Skips what is left of the member and goes to the next one; gives its name.
    fn next_member(&mut self) -> Result<Option<String>, Error> {
        io::copy(self, &mut io::sink())?;
        if self.left > 0 {
            return Err(Error::Form("it ends within a member"));
        }
        if self.padded {
            self.reader.read_exact(&mut [0])?;
        }
        if self.reader.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut header = [0; 60];
        self.reader.read_exact(&mut header)?;
        let text = std::str::from_utf8(&header).map_err(|_| Error::Form("a member's header is not text"))?;
        let fields = text
            .get(..16)
            .zip(text.get(48..58))
            .ok_or(Error::Form("a member's header is not ASCII"))?;
        if &header[58..] != b"`\n" {
            return Err(Error::Form("a member's header does not end"));
        }
        let size = fields.1.trim_end();
        let size = size
            .parse()
            .ok()
            .filter(|_| size.bytes().all(|b| b.is_ascii_digit()));
        self.left = size.ok_or(Error::Form("a member's size is not a number"))?;
        // > data section [...] is aligned to an even byte
        self.padded = self.left % 2 == 1;
        Ok(Some(fields.0.trim_end().trim_end_matches('/').to_owned()))
    }

    /// Fails if something of the member has not been read: dpkg would unpack a second stream behind the first.
    fn check_finished(&self) -> Result<(), Error> {
        if self.left > 0 {
            return Err(Error::Form("something follows its files"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Ar<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = (&mut self.reader).take(self.left).read(buffer)?;
        self.left -= n as u64;
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Ar<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let buffer = self.reader.fill_buf()?;
        let end = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        Ok(&buffer[..end])
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount as u64);
        self.reader.consume(amount);
    }
}

fn decompress<'a>(name: &str, member: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>, Error> {
    match name.rsplit_once(".tar").map(|(_, ending)| ending) {
        Some("") => Ok(Box::new(member)),
        Some(".gz") => Ok(Box::new(flate2::bufread::GzDecoder::new(member))),
        Some(".xz") => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0);
            let stream = stream.map_err(io::Error::from)?;
            Ok(Box::new(liblzma::bufread::XzDecoder::new_stream(member, stream)))
        }
        Some(".zst") => Ok(Box::new(zstd::stream::read::Decoder::with_buffer(member)?)),
        _ => Err(Error::Compression(name.to_owned())),
    }
}

fn read_control(reader: Box<dyn Read + '_>) -> Result<String, Error> {
    let mut archive = LayerReader::of(Box::new(reader.take(CONTROL_LIMIT)), Dialect::Debian);
    let mut control = None;
    while let Some(found) = archive.next_member()? {
        if found.path.as_str() != "control" {
            continue;
        }
        let text = String::from_utf8(archive.read_content(CONTROL_LIMIT)?);
        let text = text.map_err(|_| Error::Form("its control file is not UTF-8"))?;
        if control.replace(text).is_some() {
            return Err(Error::Form("it has two control files"));
        }
    }
    control.ok_or(Error::Form("it has no control file"))
}

/// The directories that became links into `/usr` (Debian's merged `/usr`): packages may still name the old places.
pub const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Where a path of a package is on a system with merged `/usr`; `None` for the links themselves.
fn merged(path: &TreePath) -> Result<Option<TreePath>, PathError> {
    let first = path.components().next().unwrap_or_default();
    if !MERGED.contains(&first) {
        return Ok(Some(path.clone()));
    }
    if path.as_str() == first {
        return Ok(None);
    }
    TreePath::new(&format!("usr/{path}")).map(Some)
}

/// Collects the files of `data.tar`.
struct Files<'a> {
    leave: Leave<'a>,
    tree: Tree,
    /// Content and mode by path, for hard links: also of files that were left out.
    links: BTreeMap<TreePath, (Content, u32)>,
    privileged: Vec<TreePath>,
    size: u64,
    /// How many members there were, and the bytes of their names.
    count: usize,
    names: usize,
}

impl<'a> Files<'a> {
    fn new(leave: Leave<'a>) -> Self {
        Self {
            leave,
            tree: Tree::new(),
            links: BTreeMap::new(),
            privileged: Vec::new(),
            size: 0,
            count: 0,
            names: 0,
        }
    }

    fn read(&mut self, reader: Box<dyn Read + '_>) -> Result<(), Error> {
        let mut stream = reader.take(STREAM_LIMIT);
        let mut archive = LayerReader::of(Box::new(&mut stream), Dialect::Debian);
        let result = self.read_all(&mut archive);
        drop(archive);
        if stream.limit() == 0 {
            return Err(Error::Large(STREAM_LIMIT));
        }
        result
    }

    fn read_all(&mut self, archive: &mut LayerReader<'_>) -> Result<(), Error> {
        while let Some(found) = archive.next_member()? {
            self.count += 1;
            self.names += found.path.as_str().len();
            if self.count > FILES_LIMIT || self.names > NAMES_LIMIT {
                return Err(Error::Many);
            }
            self.add(found, archive)?;
        }
        Ok(())
    }

    fn add(&mut self, found: Found, archive: &mut LayerReader<'_>) -> Result<(), Error> {
        let Some(path) = merged(&found.path)? else {
            return Ok(());
        };
        let owner = Owner {
            uid: id(found.uid)?,
            gid: id(found.gid)?,
        };
        let mode = found.mode;
        let left = (self.leave)(path.as_str());
        let entry = match found.kind {
            FoundKind::Directory => Entry::directory().with_mode(mode & 0o1777),
            FoundKind::File => {
                if left {
                    return Ok(());
                }
                let content = self.content(found.size, archive)?;
                if mode & 0o6000 != 0 {
                    self.privileged.push(path.clone());
                }
                self.links.insert(path.clone(), (content.clone(), mode & 0o777));
                Entry::file(content, false).with_mode(mode & 0o777)
            }
            FoundKind::Symlink(target) => Entry::symlink(&target),
            FoundKind::HardLink(target) => {
                let linked = merged(&target)?.and_then(|t| self.links.get(&t));
                match linked {
                    Some((content, mode)) => Entry::file(content.clone(), false).with_mode(*mode),
                    None if left => return Ok(()),
                    None => return Err(Error::Link(found.path, target)),
                }
            }
            // The reader has refused them: a package's dialect has none.
            FoundKind::Other => return Err(Error::Form("it holds a device or a pipe")),
        };
        if !left {
            self.tree.insert(path, entry.owned_by(owner))?;
        }
        Ok(())
    }

    fn content(&mut self, size: u64, archive: &mut LayerReader<'_>) -> Result<Content, Error> {
        self.size = self.size.saturating_add(size);
        if self.size > UNPACKED_LIMIT {
            return Err(Error::Large(UNPACKED_LIMIT));
        }
        Ok(Content::bytes(archive.read_content(size)?))
    }
}

fn id(number: u64) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| Error::Form("an owner's id is too large"))
}
