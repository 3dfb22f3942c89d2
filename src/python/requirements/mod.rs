//! Requirements files in pip's full grammar, read into typed entries that know their line.

mod entry;
mod lines;
mod options;
mod read;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use entry::{Entry, Wanted};

use super::markers::MarkerError;
use super::requirement::RequirementError;

/// What one or more requirements files say, with the files that they include.
///
/// Spec: <https://pip.pypa.io/en/stable/reference/requirements-file-format/>.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Requirements and constraints, in the order of the files.
    pub entries: Vec<Entry>,
    /// The options that stand on lines of their own.
    pub options: Options,
    /// Every file that was read, in order; a file that is included twice is here twice.
    pub files: Vec<PathBuf>,
}

/// Options for all requirements, in pip's words.
#[allow(clippy::struct_excessive_bools, reason = "each is one of pip's flags")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `--index-url`: the last one given. May hold a password.
    pub index_url: Option<String>,
    /// `--extra-index-url`. May hold passwords.
    pub extra_index_urls: Vec<String>,
    /// `--no-index`: only `find_links` count.
    pub no_index: bool,
    /// `--find-links`: where, and a URL or path as written; pip looks for a path beside the file first.
    pub find_links: Vec<(Origin, String)>,
    /// `--no-binary`: `:all:`, `:none:` or names separated by commas, in order.
    pub no_binary: Vec<String>,
    /// `--only-binary`: the same.
    pub only_binary: Vec<String>,
    /// `--prefer-binary`
    pub prefer_binary: bool,
    /// `--pre`
    pub pre: bool,
    /// `--all-releases`: packages, or `:all:`, of which pre-releases are taken.
    pub all_releases: Vec<String>,
    /// `--only-final`: packages, or `:all:`, of which they are not.
    pub only_final: Vec<String>,
    /// `--require-hashes`
    pub require_hashes: bool,
    /// `--trusted-host`
    pub trusted_hosts: Vec<String>,
    /// `--use-feature`
    pub features: Vec<String>,
}

/// The line that something comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// 1-based; the first line of those joined by `\`.
    pub line: usize,
}

/// How a requirements file reaches what is outside of it.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Reads a file.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// The value of an environment variable, for `${NAME}`; an unset one leaves the text as it is.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

/// What is wrong with a requirements file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read.
    #[error("cannot read requirements file {}{}", file.display(), included(from.as_ref()))]
    Read {
        /// The file.
        file: PathBuf,
        /// The line that includes it.
        from: Option<Origin>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Bytes that are no text.
    #[error("requirements file {} is not valid {encoding}", file.display())]
    Encoding {
        /// The file.
        file: PathBuf,
        /// The encoding that it should have.
        encoding: String,
    },
    /// A file that includes itself, maybe through others.
    #[error("{origin}: {} is included again while it is being read", file.display())]
    Circular {
        /// The line that closes the circle.
        origin: Origin,
        /// The file.
        file: PathBuf,
    },
    /// More files than anyone writes.
    #[error("{origin}: more than {limit} requirements files are included")]
    TooMany {
        /// The line that includes one too many.
        origin: Origin,
        /// The bound.
        limit: usize,
    },
    /// A nested file that is not on this machine.
    #[error("{origin}: requirements files are not read from URLs ({url})")]
    Remote {
        /// The line.
        origin: Origin,
        /// The URL, without secrets.
        url: String,
    },
    /// An option that pip does not know in requirements files.
    #[error("{origin}: {problem}")]
    Option {
        /// The line.
        origin: Origin,
        /// What is wrong.
        problem: String,
    },
    /// A requirement that does not follow the grammar.
    #[error("{origin}: invalid requirement")]
    Requirement {
        /// The line.
        origin: Origin,
        /// Why.
        #[source]
        source: RequirementError,
    },
    /// A marker that does not follow the grammar.
    #[error("{origin}: invalid marker")]
    Marker {
        /// The line.
        origin: Origin,
        /// Why.
        #[source]
        source: MarkerError,
    },
    /// A URL or path whose name or extras cannot be used.
    #[error("{origin}: {problem}")]
    Link {
        /// The line.
        origin: Origin,
        /// What is wrong.
        problem: String,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Encoding { .. } => Some(
                "save the file as UTF-8, or name its encoding in the first line: `# -*- coding: latin-1 -*-`"
                    .to_owned(),
            ),
            Self::Remote { .. } => Some("download the file and include it by its path".to_owned()),
            Self::Requirement { source, .. } => source.hint(),
            _ => None,
        }
    }
}

fn included(from: Option<&Origin>) -> String {
    from.map(|origin| format!(", included by {origin}"))
        .unwrap_or_default()
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl Requirements {
    /// Reads files one after another.
    pub fn read(files: &[PathBuf], sources: Sources<'_>) -> Result<Self, Error> {
        read::read_all(files, sources)
    }

    /// The entries to install; the others are constraints.
    pub fn requirements(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|e| !e.constraint)
    }

    /// The entries that only bound versions (`-c`).
    pub fn constraints(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|e| e.constraint)
    }

    /// Whether every requirement is pinned and has a hash, so that the files are a lock.
    pub fn is_fully_hashed(&self) -> bool {
        let mut requirements = self.requirements().peekable();
        requirements.peek().is_some() && requirements.all(|e| !e.hashes.is_empty() && e.is_pinned())
    }
}
