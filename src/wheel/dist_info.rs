//! A wheel's `.dist-info` directory: found, checked against the file name, read.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use pep440_rs::Version;

use super::{Error, MAX_TEXT, zip};
use crate::paths::TreePath;
use crate::python::{EntryPoints, Metadata, PackageName, WheelFilename};
use crate::tree::Content;

/// The Wheel-Version that pyoci implements.
const IMPLEMENTED: (u64, u64) = (1, 0);

/// What `.dist-info` says.
pub struct DistInfo {
    pub directory: TreePath,
    pub metadata: Metadata,
    pub metadata_bytes: Vec<u8>,
    pub entry_points: EntryPoints,
    pub record: Vec<u8>,
    pub warnings: Vec<String>,
}

/// Finds and reads it.
pub fn read(filename: &WheelFilename, files: &BTreeMap<TreePath, zip::File>) -> Result<DistInfo, Error> {
    let directory = find(filename, files)?;
    let reader = Reader {
        wheel: filename.to_string(),
        directory: &directory,
        files,
    };
    let warnings = reader.check_version(&reader.text("WHEEL")?)?;
    let metadata_bytes = reader.required("METADATA")?;
    let metadata = reader.metadata(&metadata_bytes, filename)?;
    let entry_points = match reader.optional("entry_points.txt")? {
        Some(bytes) => reader.entry_points(bytes)?,
        None => EntryPoints::default(),
    };
    let record = reader.required("RECORD")?;
    Ok(DistInfo {
        directory,
        metadata,
        metadata_bytes,
        entry_points,
        record,
        warnings,
    })
}

/// > The .dist-info directory [...] is named `{distribution}-{version}.dist-info`.
fn find(filename: &WheelFilename, files: &BTreeMap<TreePath, zip::File>) -> Result<TreePath, Error> {
    let found: BTreeSet<&str> = files
        .keys()
        .filter_map(|path| path.as_str().split_once('/'))
        .map(|(top, _)| top)
        .filter(|top| top.ends_with(".dist-info"))
        .collect();
    let mut all = found.iter();
    let directory = match (all.next(), all.next()) {
        (Some(only), None) if names(only, filename) => TreePath::new(only).ok(),
        _ => None,
    };
    directory.ok_or_else(|| Error::DistInfo {
        wheel: filename.to_string(),
        found: if found.is_empty() {
            "none".to_owned()
        } else {
            found.into_iter().collect::<Vec<_>>().join(", ")
        },
    })
}

/// Whether a directory's name has the name and version of the wheel, in any spelling.
fn names(directory: &str, filename: &WheelFilename) -> bool {
    let stem = directory.strip_suffix(".dist-info").unwrap_or(directory);
    stem.rsplit_once('-').is_some_and(|(name, version)| {
        PackageName::from_str(name).is_ok_and(|name| name == filename.name)
            && Version::from_str(&version.replace('_', "-")).is_ok_and(|v| v == filename.version)
    })
}

struct Reader<'a> {
    wheel: String,
    directory: &'a TreePath,
    files: &'a BTreeMap<TreePath, zip::File>,
}

impl Reader<'_> {
    fn fault(&self, file: &'static str, what: impl Into<String>) -> Error {
        Error::InfoFile {
            wheel: self.wheel.clone(),
            file,
            what: what.into(),
        }
    }

    fn optional(&self, name: &'static str) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.files.get(format!("{}/{name}", self.directory).as_str()) else {
            return Ok(None);
        };
        let bytes = Content::Member(file.member.clone()).read(MAX_TEXT);
        bytes.map(Some).map_err(|source| Error::Read {
            wheel: self.wheel.clone(),
            source,
        })
    }

    fn required(&self, name: &'static str) -> Result<Vec<u8>, Error> {
        self.optional(name)?.ok_or_else(|| self.fault(name, "is missing"))
    }

    fn text(&self, name: &'static str) -> Result<String, Error> {
        String::from_utf8(self.required(name)?).map_err(|_| self.fault(name, "is not UTF-8"))
    }

    /// > Check that installer is compatible with Wheel-Version. Warn if minor version is greater, abort if major
    /// > version is greater.
    fn check_version(&self, text: &str) -> Result<Vec<String>, Error> {
        let value = text
            .lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(':'))
            .find(|(field, _)| field.eq_ignore_ascii_case("Wheel-Version"))
            .map(|(_, value)| value.trim())
            .ok_or_else(|| self.fault("WHEEL", "has no Wheel-Version"))?;
        let numbers: Option<Vec<u64>> = value.split('.').map(|part| part.parse().ok()).collect();
        let numbers = numbers.ok_or_else(|| self.fault("WHEEL", format!("has Wheel-Version `{value}`")))?;
        let version = (
            numbers.first().copied().unwrap_or(0),
            numbers.get(1).copied().unwrap_or(0),
        );
        if version.0 > IMPLEMENTED.0 {
            let what = format!("has Wheel-Version {value}; only 1.x is understood");
            return Err(self.fault("WHEEL", what));
        }
        let newer = (version > IMPLEMENTED)
            .then(|| format!("{} has Wheel-Version {value}, newer than 1.0", self.wheel));
        Ok(newer.into_iter().collect())
    }

    fn metadata(&self, bytes: &[u8], filename: &WheelFilename) -> Result<Metadata, Error> {
        let metadata = Metadata::parse(bytes).map_err(|source| Error::Metadata {
            wheel: self.wheel.clone(),
            source,
        })?;
        if metadata.name != filename.name || metadata.version != filename.version {
            let what = format!("is of {} {}", metadata.name_text, metadata.version_text);
            return Err(self.fault("METADATA", what));
        }
        Ok(metadata)
    }

    fn entry_points(&self, bytes: Vec<u8>) -> Result<EntryPoints, Error> {
        let text = String::from_utf8(bytes).map_err(|_| self.fault("entry_points.txt", "is not UTF-8"))?;
        text.parse().map_err(|source| Error::EntryPoints {
            wheel: self.wheel.clone(),
            source,
        })
    }
}
