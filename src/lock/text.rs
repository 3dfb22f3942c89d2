//! The text of a lock file being read: errors name its lines, paths in it start at its directory.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::DeserializeOwned;
use toml::Spanned;

use super::pylock::normal;
use super::{Error, Location};

/// The text of a lock file that is, or could be, at a path.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub text: &'a str,
    pub path: &'a Path,
}

impl Text<'_> {
    /// The text as TOML of a certain shape.
    pub fn toml<T: DeserializeOwned>(&self) -> Result<T, Error> {
        toml::from_str(self.text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            self.fault(at, e.message())
        })
    }

    /// An error about the line of a byte.
    pub fn fault(&self, at: usize, problem: impl Into<String>) -> Error {
        let before = self.text.get(..at).unwrap_or(self.text);
        Error::LockFile {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            problem: problem.into(),
        }
    }

    /// A string, parsed.
    pub fn value<T: FromStr<Err: std::fmt::Display>>(&self, raw: &Spanned<String>) -> Result<T, Error> {
        let text = raw.get_ref();
        text.parse().map_err(|e: T::Err| {
            let problem = e.to_string();
            // Some say only what they expected.
            let named = if problem.contains(text.as_str()) {
                problem
            } else {
                format!("`{text}`: {problem}")
            };
            self.fault(raw.span().start, named)
        })
    }

    /// Strings, each parsed.
    pub fn values<T, C>(&self, raw: &[Spanned<String>]) -> Result<C, Error>
    where
        T: FromStr<Err: std::fmt::Display>,
        C: FromIterator<T>,
    {
        raw.iter().map(|v| self.value(v)).collect()
    }

    /// A string that may be missing, parsed.
    pub fn optional<T: FromStr<Err: std::fmt::Display>>(
        &self,
        raw: Option<&Spanned<String>>,
    ) -> Result<Option<T>, Error> {
        raw.map(|v| self.value(v)).transpose()
    }

    /// Where the file of a URL is, if it is one that can be fetched.
    pub fn place(&self, raw: &Spanned<String>) -> Result<Location, Error> {
        let at = raw.span().start;
        match self.value::<url::Url>(raw)? {
            url if url.scheme() == "file" => match url.to_file_path() {
                Ok(path) => Ok(Location::Path(path)),
                Err(()) => Err(self.fault(at, format!("{url} is not on this machine"))),
            },
            url if matches!(url.scheme(), "http" | "https") => Ok(Location::Url(url)),
            url => Err(self.fault(at, format!("{}: URLs cannot be fetched", url.scheme()))),
        }
    }

    /// > Relative paths MUST be relative to the location of the lock file.
    pub fn absolute(&self, path: &str) -> PathBuf {
        normal(&self.directory().join(path))
    }

    /// The directory of the lock file.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}
