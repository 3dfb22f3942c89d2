//! RECORD: the list of a wheel's files with hashes and sizes; read, checked, written anew for what is installed.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-record-file>.

use std::collections::BTreeMap;
use std::io::{self, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::zip::File;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::interrupted::uninterrupted;
use crate::paths::TreePath;
use crate::tree::{Content, Member};

/// How RECORD and the files of a wheel disagree.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not a CSV file in UTF-8.
    #[error("RECORD cannot be read")]
    Csv(#[from] csv::Error),
    /// A row for a file that the wheel does not have.
    #[error("RECORD:{line} names {path:?}, which is not in the wheel")]
    NoFile {
        /// 1-based.
        line: u64,
        /// As written.
        path: String,
    },
    /// Two rows for one file that say different things.
    #[error("RECORD:{line} contradicts an earlier row about {path}")]
    Twice {
        /// 1-based.
        line: u64,
        /// The file.
        path: TreePath,
    },
    /// A file without a row.
    #[error("{0} has no row in RECORD")]
    NoRow(TreePath),
    /// A row without a hash, or with one that proves nothing.
    #[error("RECORD:{line} has no SHA-256, SHA-384 or SHA-512 of {path}")]
    NoHash {
        /// 1-based.
        line: u64,
        /// The file.
        path: TreePath,
    },
    /// A size that is not the file's.
    #[error("{path} has {actual} bytes; RECORD says {stated:?}")]
    Size {
        /// The file.
        path: TreePath,
        /// As written.
        stated: String,
        /// The size in the archive's directory.
        actual: u64,
    },
    /// Content with another hash.
    #[error("{path} does not have the hash that RECORD states")]
    Hash {
        /// The file.
        path: TreePath,
    },
    /// A file that cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
}

/// Hash and size of a file, as RECORD writes them: `sha256=` and URL-safe base64, decimal; either may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub hash: String,
    pub size: String,
}

/// The rows of a wheel's RECORD with the files they are about, sorted by these, all checked but for the content's hashes.
#[derive(Clone, Debug, Default)]
pub struct Record(Vec<(TreePath, Row)>);

impl Record {
    /// Reads RECORD, holds it against the wheel's files and tells these their digests.
    pub fn parse(
        bytes: &[u8],
        dist_info: &TreePath,
        files: &mut BTreeMap<TreePath, File>,
    ) -> Result<Self, RecordError> {
        let mut rows: Vec<(TreePath, Row, u64)> = Vec::with_capacity(files.len());
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(bytes);
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record)? {
            let line = record.position().map_or(0, csv::Position::line);
            let field = |index| record.get(index).unwrap_or_default().trim();
            let name = field(0);
            if name.is_empty() || name.ends_with('/') {
                continue; // Some tools list directories.
            }
            let Some((path, file)) = find(files, name) else {
                if is_exempt_text(name, dist_info) {
                    continue;
                }
                let path = name.to_owned();
                return Err(RecordError::NoFile { line, path });
            };
            let row = Row {
                hash: field(1).to_owned(),
                size: field(2).to_owned(),
            };
            let (path, digest) = (path.clone(), hash_of(&row.hash));
            if !is_exempt(&path, dist_info) {
                check_row(&row, &path, file, (line, digest.is_some()))?;
            }
            if let (Some(digest), Some(file)) = (digest, files.get_mut(&path)) {
                file.member.digest = Some(digest);
            }
            rows.push((path, row, line));
        }
        let rows = Self(distinct(rows)?);
        // Each is about a file: where there are as many, none is missing.
        if rows.0.len() < files.len() {
            let has_row = |path: &TreePath| rows.0.binary_search_by(|(of, _)| of.cmp(path)).is_ok();
            let mut lacking = files.keys().filter(|path| !is_exempt(path, dist_info));
            if let Some(path) = lacking.find(|path| !has_row(path)) {
                return Err(RecordError::NoRow(path.clone()));
            }
        }
        Ok(rows)
    }

    /// The files that have a row, in order, with it.
    pub fn into_rows(self) -> impl Iterator<Item = (TreePath, Row)> {
        self.0.into_iter()
    }

    /// Reads every file and compares its hash.
    pub fn verify(&self, files: &BTreeMap<TreePath, File>) -> Result<(), RecordError> {
        let mut buffer = vec![0; 128 * 1024];
        for (path, row) in &self.0 {
            let (Some(stated), Some(file)) = (hash_of(&row.hash), files.get(path)) else {
                continue;
            };
            let actual =
                digest(file, stated.algorithm(), &mut buffer).map_err(|source| RecordError::Read {
                    path: path.clone(),
                    source,
                })?;
            if actual != stated {
                return Err(RecordError::Hash { path: path.clone() });
            }
        }
        Ok(())
    }
}

fn digest(file: &File, algorithm: Algorithm, buffer: &mut [u8]) -> io::Result<Digest> {
    let mut hasher = Hasher::new(algorithm);
    let member = Member {
        digest: None,
        ..Member::clone(&file.member)
    };
    let mut reader = Content::Member(Box::new(member)).open()?;
    loop {
        match uninterrupted(|| reader.read(buffer))? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// The file a row is about. Some tools write `./` in front, those on Windows backslashes.
fn find<'a>(files: &'a BTreeMap<TreePath, File>, name: &str) -> Option<(&'a TreePath, &'a File)> {
    files.get_key_value(name).or_else(|| {
        let plain = name.replace('\\', "/");
        files.get_key_value(plain.strip_prefix("./").unwrap_or(&plain))
    })
}

/// The rows sorted by their files, one of each; fails if two say different things of one.
fn distinct(mut rows: Vec<(TreePath, Row, u64)>) -> Result<Vec<(TreePath, Row)>, RecordError> {
    rows.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let pairs = rows.iter().zip(rows.iter().skip(1));
    let mut contradictions = pairs.filter(|(one, other)| one.0 == other.0 && one.1 != other.1);
    if let Some((_, (path, _, line))) = contradictions.next() {
        let (path, line) = (path.clone(), *line);
        return Err(RecordError::Twice { line, path });
    }
    rows.dedup_by(|one, other| one.0 == other.0);
    Ok(rows.into_iter().map(|(path, row, _)| (path, row)).collect())
}

fn check_row(row: &Row, path: &TreePath, file: &File, place: (u64, bool)) -> Result<(), RecordError> {
    let (line, has_hash) = place;
    if !has_hash {
        let path = path.clone();
        return Err(RecordError::NoHash { line, path });
    }
    // The size may be left out: the hash says more.
    let size = row.size.parse().ok();
    if !row.size.is_empty() && size != Some(file.member.size) {
        return Err(RecordError::Size {
            path: path.clone(),
            stated: row.size.clone(),
            actual: file.member.size,
        });
    }
    Ok(())
}

/// > RECORD is a list of (almost) all the files in the wheel and their secure hashes. [...] RECORD.jws [...] and
/// > RECORD.p7s [...] are not mentioned in RECORD at all since they can only be added after RECORD is generated.
/// > Every other file in the archive must have a correct hash in RECORD or the installation will fail.
fn is_exempt(path: &TreePath, dist_info: &TreePath) -> bool {
    is_exempt_text(path.as_str(), dist_info)
}

fn is_exempt_text(path: &str, dist_info: &TreePath) -> bool {
    path.strip_prefix(dist_info.as_str())
        .is_some_and(|rest| matches!(rest, "/RECORD" | "/RECORD.jws" | "/RECORD.p7s"))
}

/// > The hash algorithm must be sha256 or better; specifically, md5, sha1 and sha224 are not permitted.
fn hash_of(text: &str) -> Option<Digest> {
    let (algorithm, encoded) = text.split_once('=')?;
    let algorithm: Algorithm = algorithm.parse().ok()?;
    let hash = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?;
    Digest::from_bytes(algorithm, &hash).ok()
}

/// The row of content that pyoci made.
pub fn row_of(content: &[u8]) -> Row {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(content);
    Row {
        hash: format!("sha256={}", URL_SAFE_NO_PAD.encode(hash)),
        size: content.len().to_string(),
    }
}

/// A RECORD of rows, sorted and with CRLF line ends as pip writes it.
pub fn write<P: AsRef<str>>(rows: &BTreeMap<P, Row>) -> Vec<u8> {
    let mut text = String::new();
    for (path, row) in rows {
        for (field, end) in [(path.as_ref(), ","), (&row.hash, ","), (&row.size, "\r\n")] {
            if field.contains([',', '"', '\r', '\n']) {
                text.push('"');
                text.push_str(&field.replace('"', "\"\""));
                text.push('"');
            } else {
                text.push_str(field);
            }
            text.push_str(end);
        }
    }
    text.into_bytes()
}
