//! Relations between packages: `libc6 (>= 2.38), media-types | mime-support` (Debian Policy 7.1).

use std::cmp::Ordering;
use std::fmt;

use super::version::Version;

/// One package that a relation names, with the versions that satisfy it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The package's name; an architecture qualifier (`:any`) is left out.
    pub name: String,
    /// Which versions, where not all.
    pub constraint: Option<(Operator, Version)>,
}

/// How versions are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    const ALL: [Self; 5] = [
        Self::EarlierOrEqual,
        Self::LaterOrEqual,
        Self::Earlier,
        Self::Later,
        Self::Equal,
    ];

    fn text(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }

    fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Earlier => order.is_lt(),
            Self::EarlierOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::LaterOrEqual => order.is_ge(),
            Self::Later => order.is_gt(),
        }
    }
}

/// A relation field is malformed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a relation to a package")]
pub struct RelationError(pub String);

impl Relation {
    /// Parses one relation.
    pub fn parse(text: &str) -> Result<Self, RelationError> {
        let malformed = || RelationError(text.trim().to_owned());
        let (name, constraint) = match text.split_once('(') {
            None => (text, None),
            Some((name, rest)) => {
                let inner = rest.trim().strip_suffix(')').ok_or_else(malformed)?.trim();
                let operator = Operator::ALL
                    .into_iter()
                    .find(|o| inner.starts_with(o.text()))
                    .ok_or_else(malformed)?;
                let version = Version::parse(inner[operator.text().len()..].trim()).ok_or_else(malformed)?;
                (name, Some((operator, version)))
            }
        };
        let name = name.trim();
        let name = name.split_once(':').map_or(name, |(name, _architecture)| name);
        // > Package names [...] must consist only of lower case letters (a-z), digits (0-9), plus (+) and minus (-)
        // > signs, and periods (.).
        let valid = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.'));
        if valid {
            Ok(Self {
                name: name.to_owned(),
                constraint,
            })
        } else {
            Err(malformed())
        }
    }

    /// Whether a package of that version satisfies it. `None` is a virtual package without a version.
    ///
    /// > A `Provides` field without a version number will not satisfy a versioned dependency (Policy 7.5).
    pub fn accepts(&self, version: Option<&Version>) -> bool {
        match (&self.constraint, version) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((operator, wanted)), Some(version)) => operator.accepts(version.cmp(wanted)),
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.constraint {
            Some((operator, version)) => write!(f, " ({} {version})", operator.text()),
            None => Ok(()),
        }
    }
}

/// Parses a field such as `Depends`: all must be satisfied, each by any one of its alternatives.
pub fn parse_all(field: &str) -> Result<Vec<Vec<Relation>>, RelationError> {
    field
        .split(',')
        .filter(|group| !group.trim().is_empty())
        .map(|group| group.split('|').map(Relation::parse).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_conjunctions_of_alternatives() {
        let parsed =
            parse_all("libc6 (>= 2.38), media-types | mime-support,\n python3:any (<<3.14)").unwrap();
        let text: Vec<Vec<_>> = parsed
            .iter()
            .map(|g| g.iter().map(Relation::to_string).collect())
            .collect();
        assert_eq!(
            text,
            [
                vec!["libc6 (>= 2.38)"],
                vec!["media-types", "mime-support"],
                vec!["python3 (<< 3.14)"]
            ]
        );
        assert_eq!(parse_all(" ").unwrap(), Vec::<Vec<Relation>>::new());
    }

    #[test]
    fn versions_decide_and_a_virtual_package_without_one_satisfies_only_bare_relations() {
        let version = |text| Version::parse(text).unwrap();
        let relation = Relation::parse("a (>= 1.0)").unwrap();
        assert!(relation.accepts(Some(&version("1.0"))) && relation.accepts(Some(&version("1:0"))));
        assert!(!relation.accepts(Some(&version("1.0~rc1"))) && !relation.accepts(None));
        assert!(Relation::parse("a").unwrap().accepts(None));
    }

    #[test]
    fn malformed_relations_are_refused() {
        for bad in [
            "",
            "A",
            "a (1.0)",
            "a (>= )",
            "a (>= 1.0",
            "a b",
            "../a",
            "a [amd64]",
            "a <!nocheck>",
        ] {
            assert!(Relation::parse(bad).is_err(), "{bad}");
        }
    }
}
