//! Version constraints as poetry writes them: `^1.2`, `~1.2`, `1.*`, `>=1,<2 || >=3`.

use std::str::FromStr;

use pep440_rs::Version;

use crate::python::Specifiers;

/// Alternatives of which one must take a version.
///
/// Spec: <https://python-poetry.org/docs/dependency-specification/#version-constraints>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Constraint(Vec<Specifiers>);

/// Why a text is no constraint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no version constraint of poetry", .0.escape_debug())]
pub(super) struct ConstraintError(String);

impl Constraint {
    /// Takes every version.
    pub fn any() -> Self {
        Self(vec![Specifiers::any()])
    }

    /// Whether a version is taken; of alternatives one must.
    pub fn contains(&self, version: &Version) -> bool {
        self.0.iter().any(|clauses| clauses.contains(version))
    }
}

/// A version constraint of poetry (`^3.11`) as specifiers; `None` if it is none, or one with alternatives.
pub fn specifiers_of_poetry(text: &str) -> Option<Specifiers> {
    let Constraint(mut alternatives) = text.parse().ok()?;
    alternatives.pop().filter(|_| alternatives.is_empty())
}

impl From<Specifiers> for Constraint {
    fn from(specifiers: Specifiers) -> Self {
        Self(vec![specifiers])
    }
}

impl FromStr for Constraint {
    type Err = ConstraintError;

    fn from_str(text: &str) -> Result<Self, ConstraintError> {
        let alternatives = text.split('|').map(str::trim).filter(|t| !t.is_empty());
        let parsed: Option<Vec<_>> = alternatives.map(conjunction).collect();
        match parsed {
            Some(alternatives) if !alternatives.is_empty() => Ok(Self(alternatives)),
            _ => Err(ConstraintError(text.to_owned())),
        }
    }
}

/// Clauses separated by commas or spaces; an operator may stand apart from its version.
fn conjunction(text: &str) -> Option<Specifiers> {
    let is_operator = |c: char| "<>=!~^".contains(c);
    let mut clauses: Vec<String> = Vec::new();
    let mut waits = false;
    for word in text.split([',', ' ', '\t']).filter(|w| !w.is_empty()) {
        match clauses.last_mut() {
            Some(operator) if waits => operator.push_str(word),
            _ => clauses.push(word.to_owned()),
        }
        waits = word.chars().all(is_operator);
    }
    let parsed: Option<Vec<_>> = clauses.iter().map(|c| clause(c)).collect();
    let all = parsed?.into_iter().flat_map(|s| s.clauses().to_vec());
    Some(Specifiers::of(all.collect()))
}

fn clause(text: &str) -> Option<Specifiers> {
    if matches!(text, "*" | "x" | "X") {
        return Some(Specifiers::any());
    }
    if let Some(version) = text.strip_prefix('^') {
        let version: Version = version.parse().ok()?;
        return range(&version, next_breaking(&version));
    }
    if let Some(version) = text.strip_prefix('~').filter(|t| !t.starts_with('=')) {
        let version: Version = version.parse().ok()?;
        // > If you only specify a major version, then minor- and patch-level changes are allowed; else patch-level ones.
        let keep = version.release().len().min(2);
        return range(&version, raised(&version, keep - 1));
    }
    if text.starts_with(|c: char| c.is_ascii_digit() || c == 'v') {
        return format!("=={text}").parse().ok();
    }
    let single = text.strip_prefix('=').filter(|t| !t.starts_with('='));
    match single {
        Some(version) => format!("=={version}").parse().ok(),
        None => text.parse().ok(),
    }
}

/// From a version, which is taken, up to another, which is not.
fn range(from: &Version, to: Version) -> Option<Specifiers> {
    let to = to.with_epoch(from.epoch());
    format!(">={from},<{to}").parse().ok()
}

/// > An update is allowed if the new version number does not modify the left-most non-zero digit.
fn next_breaking(version: &Version) -> Version {
    let release = version.release();
    let first = release.iter().position(|part| *part != 0);
    raised(version, first.unwrap_or(release.len().saturating_sub(1)))
}

/// The release with one part raised and what follows it cut off.
fn raised(version: &Version, part: usize) -> Version {
    let mut release = version.release()[..=part].to_vec();
    release[part] = release[part].saturating_add(1);
    Version::new(release)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn takes(constraint: &str, version: &str) -> bool {
        let constraint: Constraint = constraint.parse().unwrap();
        constraint.contains(&version.parse().unwrap())
    }

    #[test]
    fn constraints_take_what_poetry_takes() {
        for (constraint, inside, outside) in [
            ("^1.2.3", &["1.2.3", "1.9"][..], &["1.2.2", "2.0", "2.0a1"][..]),
            ("^0.2.3", &["0.2.3", "0.2.9"], &["0.3.0"]),
            ("^0.0.3", &["0.0.3"], &["0.0.4"]),
            ("^0.0", &["0.0.9"], &["0.1"]),
            ("^0", &["0.9"], &["1.0"]),
            ("^3.11,<3.14", &["3.11", "3.13.5"], &["3.14", "3.10"]),
            ("~1.2.3", &["1.2.9"], &["1.3"]),
            ("~1.2", &["1.2.9"], &["1.3"]),
            ("~1", &["1.9"], &["2"]),
            ("~=1.4.2", &["1.4.9"], &["1.5"]),
            ("1.2.*", &["1.2.7"], &["1.3"]),
            ("1.2", &["1.2.0"], &["1.2.1"]),
            ("=1.2", &["1.2"], &["1.3"]),
            (">= 1.2 , < 2", &["1.5"], &["2"]),
            (">=1.2 <2", &["1.5"], &["2"]),
            ("<1 || ^2.1", &["0.9", "2.3"], &["1.5", "3"]),
            (">=2.7, !=3.0.*, !=3.1.*", &["2.7", "3.2"], &["3.0.1"]),
            ("*", &["1"], &[]),
        ] {
            for version in inside {
                assert!(takes(constraint, version), "{constraint} takes {version}");
            }
            for version in outside {
                assert!(
                    !takes(constraint, version),
                    "{constraint} does not take {version}"
                );
            }
        }
        assert_eq!(specifiers_of_poetry("^3.11").unwrap().to_string(), ">=3.11,<4");
        assert_eq!(specifiers_of_poetry("^3.8 || ^4"), None);
        for text in ["", "||", "^", "~", "a", "^1 b"] {
            assert!(text.parse::<Constraint>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[0-9.*^~<>=!|, a]{0,20}|\\PC{0,20}") {
            let _ = text.parse::<Constraint>();
        }
    }
}
