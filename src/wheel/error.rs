//! What can be wrong with a wheel, or with several together.

use std::io;

use super::{RecordError, ZipError};
use crate::paths::{PathError, TreePath};
use crate::python::entry_points::EntryPointError;
use crate::python::metadata::MetadataError;
use crate::python::wheel_filename::FilenameError;
use crate::tree::TreeError;

/// Why a wheel cannot be opened or installed. `wheel` is its file name.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its file name is not that of a wheel.
    #[error(transparent)]
    Filename(#[from] FilenameError),
    /// The file, or one in it, cannot be read.
    #[error("wheel {wheel} cannot be read")]
    Read {
        /// Which.
        wheel: String,
        /// Why.
        source: io::Error,
    },
    /// The list of files is too long for memory, and cannot be kept elsewhere.
    #[error("the list of the files of all wheels cannot be kept")]
    List(#[source] io::Error),
    /// The zip archive is broken or ambiguous.
    #[error("wheel {wheel} is not a sound zip archive")]
    Archive {
        /// Which.
        wheel: String,
        /// Why.
        source: ZipError,
    },
    /// It unpacks to more than any wheel.
    #[error("wheel {wheel} is refused: {what}")]
    Large {
        /// Which.
        wheel: String,
        /// How much.
        what: String,
    },
    /// No `.dist-info` directory, several, or another distribution's.
    #[error(
        "wheel {wheel} should have one .dist-info directory, of the name and version in its file name; it has {found}"
    )]
    DistInfo {
        /// Which.
        wheel: String,
        /// What is there instead.
        found: String,
    },
    /// A file of `.dist-info` is missing or cannot be understood.
    #[error("wheel {wheel}: {file} {what}")]
    InfoFile {
        /// Which.
        wheel: String,
        /// The file's name, e.g. `WHEEL`.
        file: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// METADATA cannot be understood.
    #[error("wheel {wheel} has a wrong METADATA")]
    Metadata {
        /// Which.
        wheel: String,
        /// Why.
        source: MetadataError,
    },
    /// `entry_points.txt` cannot be understood.
    #[error("wheel {wheel} has a wrong entry_points.txt")]
    EntryPoints {
        /// Which.
        wheel: String,
        /// Why.
        source: EntryPointError,
    },
    /// RECORD and the files disagree.
    #[error("wheel {wheel} is not what its RECORD says")]
    Record {
        /// Which.
        wheel: String,
        /// How.
        source: RecordError,
    },
    /// A file of `.data` that belongs to no known scheme.
    #[error(
        "wheel {wheel} has a file that belongs nowhere: {path} is not below purelib, platlib, scripts, data or headers"
    )]
    Scheme {
        /// Which.
        wheel: String,
        /// The file.
        path: TreePath,
    },
    /// A program that would be found before the image's own interpreter or shell.
    #[error(
        "wheel {wheel} has a program of the name of an interpreter: {path} would be started in its place"
    )]
    Interpreter {
        /// Which.
        wheel: String,
        /// The program, relative to the prefix.
        path: TreePath,
    },
    /// A file among those by which another distribution is known.
    #[error("wheel {wheel} has a file of another distribution: {path}")]
    Foreign {
        /// Which.
        wheel: String,
        /// The file, relative to the prefix.
        path: TreePath,
    },
    /// A path that is not possible in the image.
    #[error("wheel {wheel} has a file that cannot be placed")]
    Path {
        /// Which.
        wheel: String,
        /// Why.
        source: PathError,
    },
    /// It imports from a directory that is not in the image.
    #[error("wheel {wheel} is an editable install: {file} leads to {leads_to}, which is not in the image")]
    Editable {
        /// Which.
        wheel: String,
        /// The file, relative to the site directory.
        file: String,
        /// What it names.
        leads_to: String,
    },
    /// Two wheels have different files for one path.
    #[error("{first} and {second} both own {path}, with different contents")]
    Conflict {
        /// The path, relative to the prefix.
        path: TreePath,
        /// One wheel.
        first: String,
        /// The other.
        second: String,
    },
    /// The installed files make no tree under the prefix.
    #[error("the installed wheels do not fit together")]
    Tree(#[from] TreeError),
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Conflict { path, .. } => Some(format!(
                "if the application does not need it, leave it out: `[tool.pyoci] exclude = [\"{path}\"]`; \
                 if the packages replace each other (like opencv-python and opencv-python-headless), require one"
            )),
            Self::Archive { .. } | Self::Record { .. } | Self::DistInfo { .. } => Some(
                "the file is damaged or badly made: try another version, or tell the package's maintainers"
                    .into(),
            ),
            Self::Interpreter { path, .. } | Self::Foreign { path, .. } => Some(format!(
                "if you trust the package and do not need the file, leave it out: `[tool.pyoci] exclude = [\"{path}\"]`"
            )),
            Self::Editable { .. } => Some(
                "require the project's directory, or a wheel of it that is not editable (`pip wheel PATH`)"
                    .into(),
            ),
            _ => None,
        }
    }
}
