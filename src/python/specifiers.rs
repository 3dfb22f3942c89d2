//! Version specifiers (`>=3.9,<4`), compared exactly as `packaging` compares them.

use std::fmt;
use std::str::FromStr;

use pep440_rs::{Version, VersionPattern};

/// A set of clauses that a version must all meet; none at all takes every version.
///
/// Spec: <https://packaging.python.org/en/latest/specifications/version-specifiers/>.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Specifiers(Vec<Specifier>);

/// One clause, e.g. `~=1.4.2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specifier {
    /// The comparison.
    pub operator: Operator,
    /// The version as written, with its `.*` if it has one.
    pub version_text: String,
    rule: Rule,
}

/// The comparison of a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// `===`: the same text.
    Arbitrary,
    /// `==`
    Equal,
    /// `~=`: compatible release.
    Compatible,
    /// `!=`
    NotEqual,
    /// `<=`
    LessEqual,
    /// `>=`
    GreaterEqual,
    /// `<`
    Less,
    /// `>`
    Greater,
}

/// What a clause compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Text,
    Version(Version),
    /// `.*`: every version that starts so.
    Prefix(Version),
}

/// Why a text is not a version specifier.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{}` is not a version specifier", .0.escape_debug())]
pub struct SpecifierError(pub String);

impl Operator {
    /// All operators, a longer one before those that it begins with.
    pub const ALL: [Self; 8] = [
        Self::Arbitrary,
        Self::Equal,
        Self::Compatible,
        Self::NotEqual,
        Self::LessEqual,
        Self::GreaterEqual,
        Self::Less,
        Self::Greater,
    ];

    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Arbitrary => "===",
            Self::Equal => "==",
            Self::Compatible => "~=",
            Self::NotEqual => "!=",
            Self::LessEqual => "<=",
            Self::GreaterEqual => ">=",
            Self::Less => "<",
            Self::Greater => ">",
        }
    }

    /// The operator that a text starts with, and what follows it.
    pub fn strip(text: &str) -> Option<(Self, &str)> {
        let mut all = Self::ALL.into_iter();
        all.find_map(|op| text.strip_prefix(op.as_str()).map(|rest| (op, rest)))
    }
}

impl Specifier {
    /// A clause from its operator and the text of its version.
    pub fn new(operator: Operator, version_text: &str) -> Result<Self, SpecifierError> {
        let version_text = version_text.trim();
        let rule = Rule::new(operator, version_text)
            .ok_or_else(|| SpecifierError(format!("{}{version_text}", operator.as_str())))?;
        Ok(Self {
            operator,
            version_text: version_text.to_owned(),
            rule,
        })
    }

    /// Whether a version meets the clause. Pre-releases are versions like others here; whether they are wanted is for
    /// the caller to decide ([`Specifiers::asks_for_prereleases`]).
    pub fn contains(&self, version: &Version) -> bool {
        match &self.rule {
            Rule::Text => self.contains_text(&version.to_string()),
            Rule::Version(own) => self.operator.compare(version, own),
            Rule::Prefix(prefix) => {
                let inside = starts_with(version, prefix);
                inside == (self.operator == Operator::Equal)
            }
        }
    }

    /// Whether a text that may not be a version meets the clause; only `===` takes one that is not.
    pub fn contains_text(&self, text: &str) -> bool {
        match self.rule {
            // > simple string equality operations [...] case insensitively
            Rule::Text => self.version_text.to_lowercase() == text.to_lowercase(),
            _ => parse_version(text).is_some_and(|version| self.contains(&version)),
        }
    }

    fn asks_for_prereleases(&self) -> bool {
        match &self.rule {
            Rule::Text => parse_version(&self.version_text).is_some_and(|v| v.any_prerelease()),
            Rule::Version(version) => self.operator != Operator::NotEqual && version.any_prerelease(),
            Rule::Prefix(_) => false,
        }
    }
}

impl Rule {
    fn new(operator: Operator, text: &str) -> Option<Self> {
        if operator == Operator::Arbitrary {
            let valid = !text.contains(|c: char| c.is_whitespace() || c == ';' || c == ')');
            return valid.then_some(Self::Text);
        }
        let pattern = VersionPattern::from_str(text).ok()?;
        let (wildcard, version) = (pattern.is_wildcard(), pattern.into_version());
        let equality = matches!(operator, Operator::Equal | Operator::NotEqual);
        if wildcard {
            // > the wildcard is permitted with == and != only, after the release segment
            let plain = !version.any_prerelease() && !version.is_post() && !version.is_local();
            return (equality && plain).then_some(Self::Prefix(version));
        }
        // > Local version identifiers are NOT permitted in this version specifier (all but == and !=)
        if version.is_local() && !equality {
            return None;
        }
        // > This operator MUST NOT be used with a single segment version number such as `~=1`.
        if operator == Operator::Compatible && version.release().len() < 2 {
            return None;
        }
        Some(Self::Version(version))
    }
}

impl Operator {
    fn compare(self, version: &Version, own: &Version) -> bool {
        match self {
            Self::Arbitrary => version == own,
            Self::Equal => equal(version, own),
            Self::NotEqual => !equal(version, own),
            Self::LessEqual => version.clone().without_local() <= *own,
            Self::GreaterEqual => version >= own,
            Self::Less => *version < upper_bound(own),
            Self::Greater => greater(version, own),
            Self::Compatible => {
                // > `~= V.N` is `>= V.N, == V.*`
                let release = own.release();
                let prefix = Version::new(&release[..release.len() - 1]).with_epoch(own.epoch());
                version >= own && starts_with(version, &prefix)
            }
        }
    }
}

/// > If the specified version identifier is a public version identifier, then the local version label of any
/// > candidate versions MUST be ignored when matching versions.
fn equal(version: &Version, own: &Version) -> bool {
    if own.is_local() {
        version == own
    } else {
        version.clone().without_local() == *own
    }
}

/// > The exclusive ordered comparison `<V` MUST NOT allow a pre-release of the specified version unless the specified
/// > version is itself a pre-release.
fn upper_bound(own: &Version) -> Version {
    if own.any_prerelease() {
        own.clone()
    } else {
        own.clone().with_dev(Some(0))
    }
}

/// > The exclusive ordered comparison `>V` MUST NOT allow a post-release of the given version unless `V` itself is a
/// > post release. \[It\] MUST NOT match a local version of the specified version.
fn greater(version: &Version, own: &Version) -> bool {
    if let Some(dev) = own.dev() {
        return *version >= own.clone().with_dev(Some(dev.saturating_add(1)));
    }
    if let Some(post) = own.post() {
        let next = own.clone().with_post(Some(post.saturating_add(1)));
        return *version >= next.with_dev(Some(0));
    }
    let family = Version::new(version.release())
        .with_epoch(version.epoch())
        .with_pre(version.pre());
    version > own && family != *own
}

/// > a prefix match: the version's release, padded with zeros, starts with it
fn starts_with(version: &Version, prefix: &Version) -> bool {
    let padded = version.release().iter().chain(std::iter::repeat(&0));
    version.epoch() == prefix.epoch() && prefix.release().iter().zip(padded).all(|(a, b)| a == b)
}

/// A version by the rules of `packaging`, with white space of any kind round it; `None` if it is none.
pub fn parse_version(text: &str) -> Option<Version> {
    Version::from_str(text.trim()).ok()
}

impl Specifiers {
    /// No clause: every version.
    pub fn any() -> Self {
        Self::default()
    }

    /// Clauses that are already parsed.
    pub fn of(clauses: Vec<Specifier>) -> Self {
        Self(clauses)
    }

    /// The clauses, in the order written.
    pub fn clauses(&self) -> &[Specifier] {
        &self.0
    }

    /// Whether there is no clause.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a version, pre-release or not, meets all clauses.
    pub fn contains(&self, version: &Version) -> bool {
        self.0.iter().all(|clause| clause.contains(version))
    }

    /// Whether a clause names a pre-release, so that pre-releases are wanted (PEP 440, "Handling of pre-releases").
    pub fn asks_for_prereleases(&self) -> bool {
        self.0.iter().any(Specifier::asks_for_prereleases)
    }

    /// The version in a lone `==V` or `===V`: what a pinned requirement asks for.
    pub fn pinned(&self) -> Option<Version> {
        match &self.0[..] {
            [clause] => match (&clause.rule, clause.operator) {
                (Rule::Version(version), Operator::Equal) => Some(version.clone()),
                (Rule::Text, _) => parse_version(&clause.version_text),
                _ => None,
            },
            _ => None,
        }
    }
}

impl FromStr for Specifiers {
    type Err = SpecifierError;

    fn from_str(text: &str) -> Result<Self, SpecifierError> {
        let clauses = text.split(',').map(str::trim).filter(|c| !c.is_empty());
        clauses.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Specifier {
    type Err = SpecifierError;

    fn from_str(text: &str) -> Result<Self, SpecifierError> {
        let (operator, version) =
            Operator::strip(text.trim()).ok_or_else(|| SpecifierError(text.to_owned()))?;
        Self::new(operator, version)
    }
}

impl fmt::Display for Specifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, clause) in self.0.iter().enumerate() {
            write!(f, "{}{clause}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for Specifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.operator.as_str(), self.version_text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn takes(specifiers: &str, version: &str) -> bool {
        let specifiers: Specifiers = specifiers.parse().unwrap();
        specifiers.contains(&version.parse().unwrap())
    }

    #[test]
    fn clauses_take_what_packaging_takes() {
        for (specifiers, version) in [
            ("", "1"),
            (">=3.9,<4", "3.13.5"),
            ("==1.0", "1.0.0+local"),
            ("==1.0+local", "1+local"),
            ("!=1.0+other", "1.0"),
            ("==1.2.*", "1.2.3rc1"),
            ("==1.0.0.*", "1"),
            ("!=1.2.3.*", "1.2"),
            ("~=1.4.5", "1.4.9"),
            ("~=2.2.post3", "2.9"),
            ("<=1.0", "1.0+local"),
            ("<1.0rc2", "1.0rc1"),
            (">1.0.post1", "1.0.post2"),
            (">1.0", "1.0.1"),
            (">1.0.dev1", "1.0.dev2"),
            ("===1.0", "1.0"),
            (">= 1.0 , != 1.5", "1.4"),
        ] {
            assert!(takes(specifiers, version), "{version} is in {specifiers}");
        }
        for (specifiers, version) in [
            (">=3.9,<4", "4.0"),
            ("<4", "4.0rc1"),
            ("<4.0.post1", "4.0.post1.dev0"),
            ("==1.0+local", "1"),
            ("==1.2.3.*", "1.2"),
            ("~=1.4.5", "1.5"),
            ("~=3.13.5.1", "3.13.5"),
            (">1.0", "1.0.post1"),
            (">1.0", "1.0+local"),
            (">1.0rc1", "1.0rc1.post1"),
            (">1.0.post1", "1.0.post1+local"),
            ("===1.0", "1.0.0"),
            ("==1.0", "1!1.0"),
        ] {
            assert!(!takes(specifiers, version), "{version} is not in {specifiers}");
        }
    }

    #[test]
    fn what_no_version_can_be_compared_with_is_refused() {
        for bad in [
            "1.0",
            "=1.0",
            ">=",
            ">=1.*",
            "~=1",
            "~=1.0.*",
            "==1.0a1.*",
            ">=1.0+local",
            "==1.x",
            "=>1",
            "===a b",
            "== 1 2",
        ] {
            assert!(bad.parse::<Specifiers>().is_err(), "{bad}");
        }
    }

    #[test]
    fn pins_and_prereleases_are_seen() {
        let parse = |text: &str| text.parse::<Specifiers>().unwrap();
        assert_eq!(parse("==1.2.0").pinned(), Some("1.2".parse().unwrap()));
        assert_eq!(parse("==1.2.*").pinned(), None);
        assert_eq!(parse("==1.2,!=1.3").pinned(), None);
        assert!(parse(">=1.0rc1").asks_for_prereleases());
        assert!(!parse("!=1.0rc1,>=1").asks_for_prereleases());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "([<>=!~]{1,3}[ 0-9.a*!+v]{0,8},?){0,3}|\\PC{0,20}") {
            if let Ok(specifiers) = text.parse::<Specifiers>() {
                prop_assert_eq!(specifiers.to_string().parse::<Specifiers>().unwrap(), specifiers.clone());
                let _ = specifiers.contains(&"1.2.3rc1.post1+a".parse().unwrap());
            }
        }
    }
}
