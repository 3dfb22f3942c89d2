//! Core metadata: the `METADATA` of a wheel, the `PKG-INFO` of a source distribution.

use std::fmt;
use std::str::FromStr;

use pep440_rs::Version;

use super::name::{ExtraName, PackageName};
use super::specifiers::Specifiers;

/// The fields of a core metadata file that pyoci uses.
///
/// Spec: <https://packaging.python.org/en/latest/specifications/core-metadata/>. Only name and version must be right
/// for a file to be read; old packages have faults elsewhere, which matter only to who asks for that field.
/// `UNKNOWN`, which old tools wrote for nothing, is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// `Metadata-Version` as written.
    pub metadata_version: Option<String>,
    /// `Name`, normalised.
    pub name: PackageName,
    /// `Name` as written.
    pub name_text: String,
    /// `Version`.
    pub version: Version,
    /// `Version` as written.
    pub version_text: String,
    /// `Summary`: one line.
    pub summary: Option<String>,
    /// `License-Expression`, an SPDX expression.
    pub license_expression: Option<String>,
    /// `License`: free text, often the whole licence.
    pub license: Option<String>,
    /// `Home-page`.
    pub home_page: Option<String>,
    /// `Author`.
    pub author: Option<String>,
    /// `Author-email`, often `Name <address>`.
    pub author_email: Option<String>,
    /// `Project-URL`: label and URL, in the order written.
    pub project_urls: Vec<(String, String)>,
    /// `Requires-Python` as written.
    pub requires_python_text: Option<String>,
    /// `Requires-Dist` as written, one requirement each.
    pub requires_dist: Vec<String>,
    /// `Provides-Extra`, those that are valid names.
    pub provides_extra: Vec<ExtraName>,
    /// `Dynamic`: fields that a wheel built from this source distribution may change, lower-case.
    pub dynamic: Vec<String>,
}

/// What is wrong with a metadata file.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum MetadataError {
    /// `Name` or `Version` is missing.
    #[error("metadata has no `{0}`")]
    Missing(&'static str),
    /// `Name` or `Version` given twice.
    #[error("metadata has more than one `{0}`")]
    Repeated(&'static str),
    /// A field with a value that the specification does not allow.
    #[error("metadata field `{field}` is wrong: {reason}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl Metadata {
    /// Reads a metadata file. Bytes that are not UTF-8 are replaced.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        let text = String::from_utf8_lossy(bytes);
        let fields = Fields::parse(&text);
        let name_text = fields.once("Name")?;
        let version_text = fields.once("Version")?;
        let name = name_text.parse().map_err(|e| wrong("Name", &e))?;
        let version = Version::from_str(&version_text).map_err(|e| wrong("Version", &e))?;
        let project_urls = fields.all("Project-URL").filter_map(|value| {
            let (label, url) = value.split_once(',')?;
            Some((label.trim().to_owned(), url.trim().to_owned()))
        });
        Ok(Self {
            metadata_version: fields.first("Metadata-Version"),
            name,
            name_text,
            version,
            version_text,
            summary: fields.first("Summary"),
            license_expression: fields.first("License-Expression"),
            license: fields.first("License"),
            home_page: fields.first("Home-page"),
            author: fields.first("Author"),
            author_email: fields.first("Author-email"),
            project_urls: project_urls.collect(),
            requires_python_text: fields.first("Requires-Python"),
            requires_dist: fields
                .all("Requires-Dist")
                .map(|r| r.replace('\n', " "))
                .collect(),
            provides_extra: fields
                .all("Provides-Extra")
                .filter_map(|e| e.parse().ok())
                .collect(),
            dynamic: fields.all("Dynamic").map(|d| d.to_ascii_lowercase()).collect(),
        })
    }

    /// `Requires-Python` as version specifiers.
    pub fn requires_python(&self) -> Result<Option<Specifiers>, MetadataError> {
        let text = self.requires_python_text.as_deref();
        let parsed = text.map(|t| Specifiers::from_str(t).map_err(|e| wrong("Requires-Python", &e)));
        parsed.transpose()
    }
}

fn wrong(field: &'static str, reason: &dyn fmt::Display) -> MetadataError {
    let reason = reason.to_string();
    MetadataError::Field { field, reason }
}

/// The header fields of an email-like file, in order.
///
/// > The standard file format for metadata [...] is based on that of email headers.
#[derive(Debug)]
struct Fields<'a>(Vec<(&'a str, String)>);

impl<'a> Fields<'a> {
    /// Reads up to the first empty line; what follows is the description. As in Python's `email`, a line that is
    /// neither a field nor the continuation of one ends the fields too.
    fn parse(text: &'a str) -> Self {
        let mut fields: Vec<(&str, String)> = Vec::new();
        for line in lines(text) {
            if line.starts_with([' ', '\t']) {
                let Some((_, value)) = fields.last_mut() else {
                    break;
                };
                value.push('\n');
                value.push_str(line.trim());
                continue;
            }
            match line.split_once(':') {
                Some((name, value)) if is_field_name(name) => {
                    fields.push((name, value.trim().to_owned()));
                }
                _ => break,
            }
        }
        Self(fields)
    }

    fn all(&self, name: &str) -> impl Iterator<Item = String> {
        let fields = self.0.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name));
        fields
            .map(|(_, value)| value.trim().to_owned())
            .filter(|value| !value.is_empty() && value != "UNKNOWN")
    }

    fn first(&self, name: &str) -> Option<String> {
        self.all(name).next()
    }

    fn once(&self, name: &'static str) -> Result<String, MetadataError> {
        let mut values = self.all(name);
        let value = values.next().ok_or(MetadataError::Missing(name))?;
        match values.next() {
            Some(_) => Err(MetadataError::Repeated(name)),
            None => Ok(value),
        }
    }
}

/// Lines end with `\n`, `\r\n` or `\r`, as in Python's `email`.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.split('\r')
    })
}

/// > field-name = 1*ftext, printable US-ASCII characters except ":" (RFC 5322, 3.6.8)
fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fields_of_a_wheel_are_read() {
        let text = "Metadata-Version: 2.4\nName: Flask\nVersion: 3.1.0\nSummary: A micro framework – small\n\
            License-Expression: BSD-3-Clause\nProject-URL: Source, https://example.org/?a,b\n\
            Requires-Python: >=3.9\nRequires-Dist: Werkzeug>=3.1\nrequires-dist: asgiref>=3.2;\n  extra == \"async\"\n\
            Provides-Extra: async\nProvides-Extra: :bad\nHome-page: UNKNOWN\n\nName: not a field\n";
        let metadata = Metadata::parse(text.replace('\n', "\r\n").as_bytes()).unwrap();
        assert_eq!(metadata, Metadata::parse(text.as_bytes()).unwrap());
        assert_eq!(metadata.name.as_str(), "flask");
        assert_eq!(metadata.name_text, "Flask");
        assert_eq!(metadata.summary.as_deref(), Some("A micro framework – small"));
        assert_eq!(metadata.home_page, None);
        assert_eq!(
            metadata.project_urls,
            [("Source".to_owned(), "https://example.org/?a,b".to_owned())]
        );
        assert_eq!(
            metadata.requires_dist,
            ["Werkzeug>=3.1", "asgiref>=3.2; extra == \"async\""]
        );
        assert_eq!(metadata.provides_extra, ["async".parse().unwrap()]);
        assert_eq!(metadata.requires_python().unwrap().unwrap().to_string(), ">=3.9");
    }

    #[test]
    fn a_file_without_a_right_name_and_version_is_refused() {
        let parse = |text: &str| Metadata::parse(text.as_bytes()).unwrap_err();
        assert_eq!(parse(""), MetadataError::Missing("Name"));
        assert_eq!(parse("Name: a\n"), MetadataError::Missing("Version"));
        assert_eq!(parse("\nName: a\nVersion: 1\n"), MetadataError::Missing("Name"));
        assert_eq!(
            parse("Name: a\nName: b\nVersion: 1\n"),
            MetadataError::Repeated("Name")
        );
        assert!(matches!(
            parse("Name: ../a\nVersion: 1"),
            MetadataError::Field { field: "Name", .. }
        ));
        assert!(matches!(
            parse("Name: a\nVersion: x"),
            MetadataError::Field { field: "Version", .. }
        ));
    }

    #[test]
    fn faults_in_other_fields_wait_until_they_are_asked_for() {
        let metadata = Metadata::parse(b"Name: a\nVersion: 1\nRequires-Python: >=3.*.1\n").unwrap();
        assert!(metadata.requires_python().is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Metadata::parse(&bytes);
            let mut named = b"Name: a\nVersion: 1\n".to_vec();
            named.extend(bytes);
            let _ = Metadata::parse(&named);
        }
    }
}
