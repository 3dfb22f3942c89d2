//! Debian packages (`deb(5)`): a tree and its control data become a `.deb`. Nothing of Debian is needed to write one.

mod ar;
mod control;
mod md5sums;
mod tar;

use std::collections::BTreeMap;
use std::io::{self, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};

use liblzma::stream::{Check, MtStreamBuilder};
use liblzma::write::XzEncoder;

pub use control::Control;

use super::file::{locked_temporary_in, parent, persist};
use crate::digest::Digest;
use crate::files::sync_directory;
use crate::paths::TreePath;
use crate::secrets::{Leak, Secrets};
use crate::tree::{Content, Entry, Kind, Tree};

/// What becomes a `.deb`.
#[derive(Clone, Debug)]
pub struct Package {
    /// The fields of its control file.
    pub control: Control,
    /// Its files, below the root of the system.
    pub tree: Tree,
    /// Those of them that belong to the administrator once they are installed (`deb-conffiles(5)`).
    pub conffiles: Vec<TreePath>,
    /// Maintainer scripts by their names, e.g. `postinst`.
    pub scripts: BTreeMap<&'static str, String>,
}

/// What decides bytes beside the package itself, and how many threads make them.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The mtime of every file, in seconds since 1970.
    pub mtime: u64,
    /// How many threads compress, at least 1. No byte depends on it.
    pub threads: usize,
}

/// A package that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The digest of the file.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// `Installed-Size`, in KiB.
    pub installed_size: u64,
}

/// Why a package cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is there that is no Debian package.
    #[error("output {} is there and no Debian package", .0.display())]
    NotPackage(PathBuf),
    /// A file's content cannot be read or is not what was stated.
    #[error("cannot read the content of {path}")]
    Content {
        /// The path in the package.
        path: TreePath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A credential would be in it.
    #[error("the package is not written")]
    Leak(#[source] Leak),
    /// A path that the package's lists of files cannot hold.
    #[error("{0} has a line break in its name, which the lists of files of a Debian package cannot hold")]
    LineBreak(TreePath),
    /// Too large for the format's size fields.
    #[error("the package is larger than an ar archive can hold: {0} bytes")]
    Large(u64),
    /// Writing failed.
    #[error("cannot write to {}", path.display())]
    Write {
        /// The destination.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotPackage(_) => {
                Some("name a new file with -o, or remove the one that is there".to_owned())
            }
            Self::LineBreak(_) => Some("rename the file, or name it in .containerignore".to_owned()),
            _ => None,
        }
    }
}

/// As dpkg-deb has it.
const PRESET: u32 = 6;
/// What is compressed on its own, in bytes, whatever the number of threads: three dictionaries of the preset, as xz has it.
const BLOCK: u64 = 24 << 20;
/// More threads would take more memory than they are worth: some 100 MB each.
const MOST_THREADS: usize = 4;
/// Of a `.deb`, `deb(5)`.
const FORMAT: &[u8] = b"2.0\n";

/// Fails if something is there that is no Debian package: a cheap look before the work begins.
pub fn check(path: &Path) -> Result<(), Error> {
    let refused = || Error::NotPackage(path.to_owned());
    let fault = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    match fs_err::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(fault(source)),
        Ok(metadata) if !metadata.is_file() => Err(refused()),
        // As `mktemp` leaves it.
        Ok(metadata) if metadata.len() == 0 => Ok(()),
        Ok(_) => {
            let mut begin = Vec::new();
            let file = fs_err::File::open(path).map_err(fault)?;
            file.take(24).read_to_end(&mut begin).map_err(fault)?;
            if begin.starts_with(ar::MAGIC) && begin.get(8..).is_some_and(|b| b.starts_with(b"debian-binary"))
            {
                Ok(())
            } else {
                Err(refused())
            }
        }
    }
}

/// Writes a package; the file has its name when all of it is on the disk.
///
/// Members are xz: dpkg of every Debian reads it, it is what dpkg-deb itself writes, and the archive's tools and lintian
/// take no zstd, though dpkg of bookworm and later does.
pub fn write(path: &Path, package: &Package, options: Options, secrets: &Secrets) -> Result<Written, Error> {
    let fault = |source| Stop::Write(source).at(path);
    let parent = parent(path);
    fs_err::create_dir_all(parent).map_err(fault)?;
    // Its size stands in front of it, and its sums in the member before it.
    let mut data = tempfile::tempfile_in(parent).map_err(fault)?;
    let sums = {
        let mut out = compressor(&mut data, options.threads).map_err(fault)?;
        let sums =
            tar::write(&package.tree, options.mtime, secrets, &mut out).map_err(|stop| stop.at(path))?;
        out.finish().map_err(fault)?;
        sums
    };
    let data_size = data.stream_position().map_err(fault)?;
    data.rewind().map_err(fault)?;
    let installed_size = installed_size(&package.tree);
    let control = control_tree(package, &sums, installed_size);
    let mut out = compressor(Vec::new(), 1).map_err(fault)?;
    tar::write(&control, options.mtime, secrets, &mut out).map_err(|stop| stop.at(path))?;
    let control = out.finish().map_err(fault)?;

    let temporary = locked_temporary_in(parent).map_err(fault)?;
    let mut archive = ar::Writer::new(temporary, options.mtime).map_err(fault)?;
    archive
        .member("debian-binary", FORMAT)
        .map_err(|stop| stop.at(path))?;
    archive
        .member("control.tar.xz", &control)
        .map_err(|stop| stop.at(path))?;
    archive
        .member_of("data.tar.xz", data_size, &mut data)
        .map_err(|stop| stop.at(path))?;
    let (temporary, hasher, size) = archive.finish();
    persist(temporary, path).map_err(fault)?;
    sync_directory(parent).map_err(fault)?;
    Ok(Written {
        digest: hasher.finish(),
        size,
        installed_size,
    })
}

/// Why something inside cannot be written, before it is known where.
#[derive(Debug)]
enum Stop {
    Write(io::Error),
    Other(Error),
}

impl Stop {
    fn at(self, path: &Path) -> Error {
        match self {
            Self::Write(source) => Error::Write {
                path: path.to_owned(),
                source: told(source),
            },
            Self::Other(error) => error,
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// The compressor says that it has no memory also where it gets no thread.
fn told(error: io::Error) -> io::Error {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<liblzma::stream::Error>());
    match inner {
        Some(liblzma::stream::Error::Mem) => {
            io::Error::other("the system gives the compressor too little memory, or no thread")
        }
        _ => error,
    }
}

fn compressor<W: Write>(out: W, threads: usize) -> io::Result<XzEncoder<W>> {
    let stream = MtStreamBuilder::new()
        .preset(PRESET)
        .check(Check::Crc64)
        .block_size(BLOCK)
        .threads(u32::try_from(threads.clamp(1, MOST_THREADS)).unwrap_or(1))
        .encoder()?;
    Ok(XzEncoder::new_stream(out, stream))
}

/// > the accumulated size of each regular file and symlink rounded to 1 KiB used units, and a baseline of 1 KiB for any
/// > other file system object type (deb-substvars(7), `Installed-Size`)
fn installed_size(tree: &Tree) -> u64 {
    let size = |entry: &Entry| match &entry.kind {
        Kind::Directory => 1,
        Kind::File(content) => content.size().div_ceil(1024),
        Kind::Symlink(target) => (target.len() as u64).div_ceil(1024),
    };
    tree.iter().map(|(_, entry)| size(entry)).sum()
}

/// The files of `control.tar`.
fn control_tree(package: &Package, sums: &md5sums::Sums, installed_size: u64) -> Tree {
    let mut files = vec![
        ("control", package.control.text(installed_size), false),
        ("md5sums", sums.text(&package.conffiles), false),
    ];
    if !package.conffiles.is_empty() {
        let lines = package.conffiles.iter().map(|path| format!("/{path}\n"));
        files.push(("conffiles", lines.collect(), false));
    }
    for (name, text) in &package.scripts {
        files.push((name, text.clone(), true));
    }
    let mut tree = Tree::new();
    for (name, text, executable) in files {
        let content = Content::bytes(text.into_bytes());
        // The names are ours, each once.
        if let Ok(path) = TreePath::new(name) {
            let _ = tree.insert(path, Entry::file(content, executable));
        }
    }
    tree
}

#[cfg(test)]
mod tests;
