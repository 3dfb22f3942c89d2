//! Wheels: a wheel file, strictly read, becomes a tree; nothing is unpacked on disk.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>. What is placed where
//! follows `pip install --target`; `docs/differences-from-pip.md` lists what differs and why.

mod bounds;
mod dist_info;
mod error;
mod install;
mod local;
#[cfg(test)]
mod made;
mod record;
mod scheme;
mod script;
mod site;
#[cfg(test)]
mod tests;
mod zip;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use self::error::Error;
pub use self::install::{INSTALL_FORMAT, INSTALLER, InstallOptions, Placed, install_all};
pub use self::record::RecordError;
pub(crate) use self::record::{Row, row_of, write as write_record};
pub use self::script::script;
pub use self::site::{Installed, Laid, Owners, Site};
pub use self::zip::ZipError;
use crate::blob::RandomFile;
use crate::paths::TreePath;
use crate::python::{EntryPoints, Metadata, PackageName, WheelFilename};
use crate::tree::Content;

/// The most bytes that are read of METADATA, RECORD and the like: some 300,000 rows of RECORD.
const MAX_TEXT: u64 = 32 << 20;

/// Checks a zip archive that is no wheel, an sdist, as strictly as a wheel, contents included; says what is wrong.
pub fn check_zip(path: &Path) -> Result<(), String> {
    let archive = RandomFile::open(path).map_err(|e| e.to_string())?;
    let packed = archive.size();
    let files = zip::read(&Arc::new(archive)).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    })?;
    bounds::check(&files, packed)?;
    for (path, file) in files {
        let read = Content::Member(file.member).open();
        read.and_then(|mut content| io::copy(&mut content, &mut io::sink()))
            .map_err(|e| format!("{path}: {e}"))?;
    }
    Ok(())
}

/// How the files of an archive are found.
type List = fn(&Arc<RandomFile>) -> Result<BTreeMap<TreePath, zip::File>, ZipError>;

/// Tells `have` which bytes of a wheel that still arrives are wanted first: those that opening and installing read. It
/// returns when they are there.
pub fn arrive_to_open(
    archive: &Arc<RandomFile>,
    have: &mut dyn FnMut(Range<u64>) -> io::Result<()>,
) -> Result<(), ZipError> {
    let wanted = |name: &str| {
        let mut parts = name.split('/');
        let (top, next) = (parts.next().unwrap_or_default(), parts.next());
        top.ends_with(".dist-info") || top.strip_suffix(".data").is_some() && next == Some("scripts")
    };
    zip::needed_to_open(archive, wanted, have)
}

/// A wheel file that was opened: its zip structure, its `.dist-info` and the rows of its RECORD were checked.
///
/// The contents of its files were not: whoever reads one to its end checks its size, its CRC-32 and its hash in RECORD.
#[derive(Clone, Debug)]
pub struct Wheel {
    filename: WheelFilename,
    files: BTreeMap<TreePath, zip::File>,
    dist_info: TreePath,
    metadata: Metadata,
    metadata_bytes: Vec<u8>,
    entry_points: EntryPoints,
    record: record::Record,
    warnings: Vec<String>,
}

impl Wheel {
    /// Opens the wheel at a path, which need not end with its file name. Reads headers and `.dist-info`, not the rest.
    pub fn open(path: &Path, name: &str) -> Result<Self, Error> {
        let filename: WheelFilename = name.parse()?;
        let archive = RandomFile::open(path).map_err(|source| Error::Read {
            wheel: filename.to_string(),
            source,
        })?;
        Self::read(filename, &Arc::new(archive), zip::read)
    }

    /// Opens a wheel that still arrives; waits for what it must read, most of which is at the end of the file.
    ///
    /// The headers in front of the files are not seen: [`Wheel::check_arrived`] must accept the whole file before anything
    /// that was made of this wheel counts.
    pub fn open_arriving(archive: &Arc<RandomFile>, name: &str) -> Result<Self, Error> {
        Self::read(name.parse()?, archive, zip::read_ahead)
    }

    /// What [`Wheel::open_arriving`] left out, of the same bytes when all of them are there: whether the headers in front of
    /// the files say what the directory says.
    pub fn check_arrived(path: &Path, name: &str) -> Result<(), Error> {
        let archive = RandomFile::open(path).map_err(|source| Error::Read {
            wheel: name.to_owned(),
            source,
        })?;
        let files = zip::read(&Arc::new(archive)).map_err(|source| Error::Archive {
            wheel: name.to_owned(),
            source,
        });
        files.map(|_| ())
    }

    fn read(filename: WheelFilename, archive: &Arc<RandomFile>, list: List) -> Result<Self, Error> {
        let packed = archive.size();
        let mut files = list(archive).map_err(|source| Error::Archive {
            wheel: filename.to_string(),
            source,
        })?;
        bounds::check(&files, packed).map_err(|what| Error::Large {
            wheel: filename.to_string(),
            what,
        })?;
        let info = dist_info::read(&filename, &files)?;
        let record = record::Record::parse(&info.record, &info.directory, &mut files).map_err(|source| {
            Error::Record {
                wheel: filename.to_string(),
                source,
            }
        })?;
        Ok(Self {
            filename,
            files,
            dist_info: info.directory,
            metadata: info.metadata,
            metadata_bytes: info.metadata_bytes,
            entry_points: info.entry_points,
            record,
            warnings: info.warnings,
        })
    }

    /// The file name that it was opened by.
    pub fn filename(&self) -> &WheelFilename {
        &self.filename
    }

    /// The distribution's normalised name.
    pub fn name(&self) -> &PackageName {
        &self.filename.name
    }

    /// The distribution's version, as METADATA has it.
    pub fn version(&self) -> &str {
        &self.metadata.version_text
    }

    /// Its METADATA.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The bytes of its METADATA.
    pub fn metadata_bytes(&self) -> &[u8] {
        &self.metadata_bytes
    }

    /// Its `entry_points.txt`; empty where it has none.
    pub fn entry_points(&self) -> &EntryPoints {
        &self.entry_points
    }

    /// Its files as they are in the archive, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&TreePath, Content)> {
        let files = self.files.iter();
        files.map(|(path, file)| (path, Content::Member(file.member.clone())))
    }

    /// Reads every file and compares it with its hash in RECORD: whoever reads them all anyway need not call it.
    pub fn verify_record(&self) -> Result<(), Error> {
        self.record.verify(&self.files).map_err(|source| Error::Record {
            wheel: self.filename.to_string(),
            source,
        })
    }
}
