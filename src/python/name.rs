//! Names of packages and extras, normalised so that one package has one name.

use std::fmt;
use std::str::FromStr;

/// A package name in its normalised form: `Flask_SQLAlchemy` and `flask-sqlalchemy` are the same value.
///
/// Spec: <https://packaging.python.org/en/latest/specifications/name-normalization/>. A value is safe as a file name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(Box<str>);

/// The name of an extra (`uvicorn[standard]`), normalised as package names are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtraName(Box<str>);

/// The name of a dependency group (PEP 735), normalised as package names are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(Box<str>);

/// Why a text is not a name.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{}` is not a valid {kind} name: only ASCII letters, digits, `.`, `_` and `-` inside, a letter or digit at both ends",
    text.escape_debug()
)]
pub struct NameError {
    /// `package`, `extra` or `dependency group`.
    pub kind: &'static str,
    /// The refused text.
    pub text: String,
}

/// > A valid name consists only of ASCII letters and numbers, period, underscore and hyphen. It must start and end
/// > with a letter or number.
fn is_valid(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    ends.is_some_and(|(a, b)| a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// > The name should be lowercased with all runs of the characters `.`, `-`, or `_` replaced with a single `-`.
fn normalise(text: &str, kind: &'static str) -> Result<Box<str>, NameError> {
    if !is_valid(text) {
        let text = text.to_owned();
        return Err(NameError { kind, text });
    }
    let mut name = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'.' | b'_' | b'-' if name.ends_with('-') => {}
            b'.' | b'_' | b'-' => name.push('-'),
            _ => name.push(byte.to_ascii_lowercase() as char),
        }
    }
    Ok(name.into())
}

macro_rules! name_type {
    ($name:ident, $kind:literal) => {
        impl $name {
            /// The normalised text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                normalise(text, $kind).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

name_type!(PackageName, "package");
name_type!(ExtraName, "extra");
name_type!(GroupName, "dependency group");

impl PackageName {
    /// The form used in file names of wheels and in `.dist-info` directories: `-` becomes `_`.
    pub fn escaped(&self) -> String {
        self.0.replace('-', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_a_name_are_one_name() {
        // The example of the specification.
        for text in [
            "friendly-bard",
            "Friendly-Bard",
            "FRIENDLY-BARD",
            "friendly.bard",
            "friendly_bard",
            "friendly--bard",
            "FrIeNdLy-._.-bArD",
        ] {
            let name: PackageName = text.parse().unwrap();
            assert_eq!(name.as_str(), "friendly-bard");
            assert_eq!(name.escaped(), "friendly_bard");
        }
    }

    #[test]
    fn what_could_be_a_path_or_an_option_is_refused() {
        for bad in [
            "", "-", "-e", ".", "..", "a/b", "a\\b", "a b", "é", "a\n", "_a", "a_", "a\0",
        ] {
            let error = bad.parse::<PackageName>().unwrap_err();
            assert_eq!((error.kind, error.text.as_str()), ("package", bad));
            assert!(bad.parse::<ExtraName>().is_err());
        }
        let error = "a\nb".parse::<GroupName>().unwrap_err().to_string();
        assert!(
            error.starts_with(r"`a\nb` is not a valid dependency group name"),
            "{error}"
        );
    }
}
