//! `.deb` files (`deb(5)`): an `ar` archive with the control data and the files, read into memory.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

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
    /// It holds a device, a fifo or the like.
    #[error("holds {0}, which is neither file, directory nor link")]
    Kind(String),
    /// A path in it is malformed or leaves the root.
    #[error("holds a malformed path")]
    Path(#[from] PathError),
    /// A path is in it twice, or below a file.
    #[error("holds inconsistent paths")]
    Tree(#[from] TreeError),
    /// A hard link to nothing.
    #[error("holds a hard link {0} to {1}, which is not a file before it")]
    Link(String, String),
    /// It is larger than any package that belongs in a base.
    #[error("unpacks to more than {limit} bytes", limit = UNPACKED_LIMIT)]
    Large,
}

/// Bounds the memory that one package can take.
const UNPACKED_LIMIT: u64 = 512 << 20;

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
                let mut files = Files {
                    leave,
                    tree: Tree::new(),
                    links: BTreeMap::new(),
                    privileged: Vec::new(),
                    size: 0,
                    buffer: Vec::new(),
                };
                files.read(decompress(&name, &mut archive)?)?;
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
        self.left = fields
            .1
            .trim_end()
            .parse()
            .map_err(|_| Error::Form("a member's size is not a number"))?;
        // > data section [...] is aligned to an even byte
        self.padded = self.left % 2 == 1;
        Ok(Some(fields.0.trim_end().trim_end_matches('/').to_owned()))
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
        Some(".xz") => Ok(Box::new(liblzma::bufread::XzDecoder::new(member))),
        Some(".zst") => Ok(Box::new(zstd::stream::read::Decoder::with_buffer(member)?)),
        _ => Err(Error::Compression(name.to_owned())),
    }
}

fn read_control(reader: impl Read) -> Result<String, Error> {
    let mut archive = tar::Archive::new(reader.take(16 << 20));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if TreePath::from_tar_name(&name_of(&entry.path_bytes())?)?.is_some_and(|p| p.as_str() == "control") {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            return Ok(text);
        }
    }
    Err(Error::Form("it has no control file"))
}

fn name_of(bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::Form("a file's name is not UTF-8"))
}

/// The directories that became links into `/usr` (Debian's merged `/usr`): packages may still name the old places.
pub const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Where a path of a package is on a system with merged `/usr`; `None` for the root and the links themselves.
fn merged(name: &str) -> Result<Option<TreePath>, PathError> {
    let Some(path) = TreePath::from_tar_name(name)? else {
        return Ok(None);
    };
    let first = path.components().next().unwrap_or_default();
    if !MERGED.contains(&first) {
        return Ok(Some(path));
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
    /// One file, before it is known to be whole; used again for the next.
    buffer: Vec<u8>,
}

impl Files<'_> {
    fn read(&mut self, reader: impl Read) -> Result<(), Error> {
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries()? {
            self.add(&mut entry?)?;
        }
        Ok(())
    }

    fn add(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<(), Error> {
        let name = name_of(&entry.path_bytes())?;
        let Some(path) = merged(&name)? else {
            return Ok(());
        };
        let header = entry.header();
        let owner = Owner {
            uid: id(header.uid()?)?,
            gid: id(header.gid()?)?,
        };
        let mode = header.mode()?;
        let kind = header.entry_type();
        let left = (self.leave)(path.as_str());
        let found = match kind {
            tar::EntryType::Directory => Entry::directory().with_mode(mode & 0o1777),
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                if left {
                    return Ok(());
                }
                let content = self.content(entry)?;
                if mode & 0o6000 != 0 {
                    self.privileged.push(path.clone());
                }
                self.links.insert(path.clone(), (content.clone(), mode & 0o777));
                Entry::file(content, false).with_mode(mode & 0o777)
            }
            tar::EntryType::Symlink => Entry::symlink(&link_of(entry)?),
            tar::EntryType::Link => {
                let target = link_of(entry)?;
                let linked = merged(&target)?.and_then(|t| self.links.get(&t));
                match linked {
                    Some((content, mode)) => Entry::file(content.clone(), false).with_mode(*mode),
                    None if left => return Ok(()),
                    None => return Err(Error::Link(name, target)),
                }
            }
            _ => return Err(Error::Kind(name)),
        };
        if !left {
            self.tree.insert(path, found.owned_by(owner))?;
        }
        Ok(())
    }

    fn content(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<Content, Error> {
        let size = entry.size();
        self.size = self.size.saturating_add(size);
        if self.size > UNPACKED_LIMIT {
            return Err(Error::Large);
        }
        self.buffer.clear();
        entry.take(size).read_to_end(&mut self.buffer)?;
        if self.buffer.len() as u64 != size {
            return Err(Error::Form("it ends within a file"));
        }
        Ok(Content::bytes(&self.buffer[..]))
    }
}

fn id(number: u64) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| Error::Form("an owner's id is too large"))
}

fn link_of(entry: &tar::Entry<'_, impl Read>) -> Result<String, Error> {
    let target = entry
        .link_name_bytes()
        .ok_or(Error::Form("a link has no target"))?;
    name_of(&target)
}
