//! The file names of wheels and source distributions, parsed into what they say.

use std::fmt;
use std::str::FromStr;

use pep440_rs::Version;

use super::name::PackageName;

/// The parsed file name of a wheel.
///
/// Spec: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-name-convention>:
/// `{distribution}-{version}(-{build tag})?-{python tag}-{abi tag}-{platform tag}.whl`. Two names are equal if they
/// are the same text; ordering is by text too. A value is safe as a file name.
#[derive(Clone)]
pub struct WheelFilename {
    text: Box<str>,
    /// Length of the distribution part in `text`.
    distribution: usize,
    /// Length of the version part in `text`.
    version_length: usize,
    /// The package's name.
    pub name: PackageName,
    /// The package's version.
    pub version: Version,
    /// The build tag, if there is one.
    pub build: Option<BuildTag>,
    /// Python tags, e.g. `["py2", "py3"]`, in the order written, lower-case.
    pub python_tags: Vec<String>,
    /// ABI tags, e.g. `["abi3"]`, in the order written, lower-case.
    pub abi_tags: Vec<String>,
    /// Platform tags, e.g. `["manylinux_2_17_x86_64", "manylinux2014_x86_64"]`, in the order written, lower-case.
    pub platform_tags: Vec<String>,
}

/// A build tag: a tie-breaker between wheels that are otherwise alike; the higher wins.
///
/// > Must start with a digit. [...] sort as a two-item tuple with the first item being the initial digits as an
/// > `int`, and the second item being the remainder of the tag as a `str`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildTag {
    /// The initial digits.
    pub number: u64,
    /// What follows them.
    pub rest: String,
}

/// Why a text is not the file name of a wheel or source distribution.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{}` is not the file name of {kind}: {reason}", text.escape_debug())]
pub struct FilenameError {
    /// `a wheel` or `a source distribution`.
    pub kind: &'static str,
    /// The refused text.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl WheelFilename {
    /// The file name as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The distribution part as written, e.g. `Flask_SQLAlchemy`.
    pub fn distribution(&self) -> &str {
        &self.text[..self.distribution]
    }

    /// The version part as written.
    pub fn version_text(&self) -> &str {
        let start = self.distribution + 1;
        &self.text[start..start + self.version_length]
    }

    /// `{distribution}-{version}` as written: what the `.dist-info` and `.data` directories in the wheel start with.
    /// Some wheels spell theirs in another way that normalises to the same.
    pub fn stem(&self) -> &str {
        &self.text[..self.distribution + 1 + self.version_length]
    }

    /// Whether it says that it runs anywhere: its only platform tag is `any`.
    pub fn is_any_platform(&self) -> bool {
        self.platform_tags == ["any"]
    }

    /// Every combination of the compressed tag sets, as `(python, abi, platform)` (PEP 425, "Compressed Tag Sets").
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.python_tags.iter().flat_map(move |python| {
            self.abi_tags.iter().flat_map(move |abi| {
                self.platform_tags
                    .iter()
                    .map(move |platform| (python.as_str(), abi.as_str(), platform.as_str()))
            })
        })
    }
}

impl FromStr for WheelFilename {
    type Err = FilenameError;

    fn from_str(text: &str) -> Result<Self, FilenameError> {
        parse_wheel(text).map_err(|reason| FilenameError {
            kind: "a wheel",
            text: text.to_owned(),
            reason,
        })
    }
}

fn parse_wheel(text: &str) -> Result<WheelFilename, String> {
    let stem = text.strip_suffix(".whl").ok_or("it does not end with `.whl`")?;
    let parts: Vec<&str> = stem.split('-').collect();
    let (distribution, version_text, build, tags) = match parts[..] {
        [name, version, a, b, c] => (name, version, None, [a, b, c]),
        [name, version, build, a, b, c] => (name, version, Some(build), [a, b, c]),
        _ => return Err("it needs 5 or 6 parts between `-`".to_owned()),
    };
    // > Each component of the filename is escaped by replacing runs of non-alphanumeric characters with `_`
    if distribution.contains("__") {
        return Err("its package name holds `__`".to_owned());
    }
    let name = distribution.parse::<PackageName>().map_err(|e| e.to_string())?;
    let version = parse_version(version_text)?;
    let build = build.map(parse_build).transpose()?;
    let [python_tags, abi_tags, platform_tags] = tags.map(tag_set);
    Ok(WheelFilename {
        text: text.into(),
        distribution: distribution.len(),
        version_length: version_text.len(),
        name,
        version,
        build,
        python_tags: python_tags?,
        abi_tags: abi_tags?,
        platform_tags: platform_tags?,
    })
}

/// A version as it stands in a file name, where old tools wrote `_` for `-`.
fn parse_version(text: &str) -> Result<Version, String> {
    if !text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._+!".contains(&b))
    {
        return Err(format!("`{}` is not a version", text.escape_debug()));
    }
    Version::from_str(text)
        .or_else(|error| Version::from_str(&text.replace('_', "-")).map_err(|_| error))
        .map_err(|_| format!("`{text}` is not a version"))
}

fn parse_build(text: &str) -> Result<BuildTag, String> {
    let wrong = || format!("build tag `{}` does not start with a number", text.escape_debug());
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    if !rest
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._".contains(&b))
    {
        return Err(format!(
            "build tag `{}` holds an unexpected character",
            text.escape_debug()
        ));
    }
    Ok(BuildTag {
        number: number.parse().map_err(|_| wrong())?,
        rest: rest.to_owned(),
    })
}

fn tag_set(text: &str) -> Result<Vec<String>, String> {
    text.split('.')
        .map(|tag| {
            let valid = !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if valid {
                Ok(tag.to_ascii_lowercase())
            } else {
                Err(format!("`{}` is not a tag", text.escape_debug()))
            }
        })
        .collect()
}

impl fmt::Display for WheelFilename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for WheelFilename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl PartialEq for WheelFilename {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for WheelFilename {}

impl PartialOrd for WheelFilename {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for WheelFilename {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl fmt::Display for BuildTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.number, self.rest)
    }
}

/// The parsed file name of a source distribution. A value is safe as a file name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdistFilename {
    text: Box<str>,
    /// The package's name.
    pub name: PackageName,
    /// The package's version.
    pub version: Version,
}

impl SdistFilename {
    /// Endings of source distributions that pip installs.
    const ENDINGS: [&'static str; 5] = [".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz"];

    /// Parses `{name}-{version}.tar.gz` (or an older ending). Old names hold `-`, so that the name must be known to
    /// tell it from the version.
    pub fn parse(text: &str, expected: &PackageName) -> Result<Self, FilenameError> {
        Self::split(text, expected).map_err(|reason| FilenameError {
            kind: "a source distribution",
            text: text.to_owned(),
            reason,
        })
    }

    fn split(text: &str, expected: &PackageName) -> Result<Self, String> {
        let stem = Self::ENDINGS
            .iter()
            .find_map(|ending| text.strip_suffix(ending))
            .ok_or("it does not end with `.tar.gz` or `.zip`")?;
        let candidates = stem.match_indices('-').filter(|(at, _)| {
            stem[..*at]
                .parse::<PackageName>()
                .is_ok_and(|name| name == *expected)
        });
        let mut problem = format!("it is not of package `{expected}`");
        for (at, _) in candidates {
            let version = &stem[at + 1..];
            match version_of_sdist(version) {
                Ok(version) => {
                    return Ok(Self {
                        text: text.into(),
                        name: expected.clone(),
                        version,
                    });
                }
                Err(reason) => problem = reason,
            }
        }
        Err(problem)
    }

    /// The file name as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// As in wheels, but old source distributions keep the `-` of an implicit post release (`1.0-1`).
fn version_of_sdist(text: &str) -> Result<Version, String> {
    if text.starts_with('-') {
        return Err(format!("`{}` is not a version", text.escape_debug()));
    }
    match parse_version(&text.replace('-', "_")) {
        Ok(version) => Ok(version),
        Err(_) => Err(format!("`{}` is not a version", text.escape_debug())),
    }
}

impl fmt::Display for SdistFilename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wheel(text: &str) -> WheelFilename {
        text.parse().unwrap()
    }

    #[test]
    fn the_parts_of_a_wheel_name_are_read() {
        let name = wheel("cryptography-42.0.5-cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl");
        assert_eq!(name.name.as_str(), "cryptography");
        assert_eq!(name.version.to_string(), "42.0.5");
        assert_eq!(name.build, None);
        assert_eq!(name.python_tags, ["cp39"]);
        assert_eq!(name.abi_tags, ["abi3"]);
        assert_eq!(
            name.platform_tags,
            ["manylinux_2_17_x86_64", "manylinux2014_x86_64"]
        );
        assert_eq!(name.tags().count(), 2);
        assert_eq!(name.stem(), "cryptography-42.0.5");
    }

    #[test]
    fn what_was_written_is_kept() {
        let text = "Flask_SQLAlchemy-2.0rc01+Local_1-10b-py2.py3-none-any.whl";
        let name = wheel(text);
        assert_eq!(name.to_string(), text);
        assert_eq!(name.distribution(), "Flask_SQLAlchemy");
        assert_eq!(name.version_text(), "2.0rc01+Local_1");
        assert_eq!(name.version.to_string(), "2.0rc1+local.1");
        assert_eq!(name.name.as_str(), "flask-sqlalchemy");
        assert_eq!(
            name.build,
            Some(BuildTag {
                number: 10,
                rest: "b".to_owned()
            })
        );
        assert!(name.is_any_platform());
    }

    #[test]
    fn build_tags_sort_by_number_first() {
        let build = |b: &str| wheel(&format!("a-1-{b}-py3-none-any.whl")).build;
        assert!(build("9z") < build("10"));
        assert!(build("10") < build("10a"));
    }

    #[test]
    fn names_that_say_nothing_or_leave_are_refused() {
        for bad in [
            "",
            ".whl",
            "a-1-py3-none-any",
            "a-1-py3-none-any.zip",
            "a-1-py3-none.whl",
            "a-1-1-2-py3-none-any.whl",
            "a-1-x1-py3-none-any.whl",
            "a__b-1-py3-none-any.whl",
            "../a-1-py3-none-any.whl",
            "a-1/2-py3-none-any.whl",
            "a-1-py3-none-../any.whl",
            "a-1-py3-none-any..whl",
            "a-x-py3-none-any.whl",
            "a-1-py3-none-any.whl\n",
            "a-1-99999999999999999999999-py3-none-any.whl",
        ] {
            assert!(bad.parse::<WheelFilename>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sdist_names_are_split_where_the_known_name_ends() {
        let parse = |text: &str, name: &str| SdistFilename::parse(text, &name.parse().unwrap());
        for (text, name, version) in [
            ("docopt-0.6.2.tar.gz", "docopt", "0.6.2"),
            ("zope.interface-5.0.zip", "zope-interface", "5.0"),
            ("python-dateutil-2.8.2.tar.gz", "python-dateutil", "2.8.2"),
            ("a-1-2.tar.gz", "a-1", "2"),
            ("a-1-2.tgz", "a", "1.post2"),
        ] {
            assert_eq!(parse(text, name).unwrap().version.to_string(), version, "{text}");
        }
        for (text, name) in [
            ("docopt-0.6.2.tar.gz", "docpt"),
            ("docopt-.tar.gz", "docopt"),
            ("docopt-1/2.zip", "docopt"),
            ("docopt.zip", "docopt"),
            ("docopt-1.whl", "docopt"),
            ("docopt--1.zip", "docopt"),
        ] {
            assert!(parse(text, name).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[a-c1._!+é-]{0,30}(\\.whl|\\.tar\\.gz|\\PC{0,5})") {
            if let Ok(name) = text.parse::<WheelFilename>() {
                prop_assert_eq!(name.to_string(), text.clone());
                prop_assert!(!text.contains('/'));
            }
            let _ = SdistFilename::parse(&text, &"a".parse().unwrap());
        }
    }
}
