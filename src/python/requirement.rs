//! One requirement: `name[extra] >=1; marker` or `name @ URL` (PEP 508).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::markers::{Marker, parse_expression};
use super::name::{ExtraName, PackageName};
use super::scanner::Scanner;
use super::specifiers::{Operator, Specifiers};

/// A dependency specifier.
///
/// Spec: <https://packaging.python.org/en/latest/specifications/dependency-specifiers/>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The package.
    pub name: PackageName,
    /// Its extras.
    pub extras: BTreeSet<ExtraName>,
    /// The versions that do; any if there is a URL.
    pub specifiers: Specifiers,
    /// Where the package is, as written.
    pub url: Option<String>,
    /// When the requirement applies.
    pub marker: Option<Marker>,
}

/// Why a text is not a requirement.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("requirement `{}` is wrong at character {at}: expected {expected}", text.escape_debug())]
pub struct RequirementError {
    /// The refused text.
    pub text: String,
    /// 1-based.
    pub at: usize,
    /// What should stand there.
    pub expected: &'static str,
}

impl RequirementError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let lone = self.text.contains('=') && !Operator::ALL.iter().any(|op| self.text.contains(op.as_str()));
        lone.then(|| "`=` is not an operator; did you mean `==`?".to_owned())
    }
}

impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        let mut scanner = Scanner::new(text);
        parse(&mut scanner).map_err(|expected| RequirementError {
            text: redacted(text),
            at: text[..scanner.position()].chars().count() + 1,
            expected,
        })
    }
}

fn parse(scanner: &mut Scanner) -> Result<Requirement, &'static str> {
    scanner.skip_space();
    let name = identifier(scanner, "a package name")?;
    scanner.skip_space();
    let extras = parse_extras(scanner)?;
    scanner.skip_space();
    let mut requirement = Requirement {
        name,
        extras,
        specifiers: Specifiers::any(),
        url: None,
        marker: None,
    };
    if scanner.take("@") {
        scanner.skip_space();
        // As in `packaging`, only blanks and tabs end it.
        let url = scanner.take_while(|c| !matches!(c, ' ' | '\t'));
        if url.is_empty() {
            return Err("a URL after `@`");
        }
        requirement.url = Some(url.to_owned());
    } else {
        requirement.specifiers = parse_specifiers(scanner)?;
    }
    scanner.skip_space();
    if scanner.take(";") {
        requirement.marker = Some(Marker(parse_expression(scanner, 0)?));
        scanner.skip_space();
    }
    match (scanner.is_done(), &requirement.marker, &requirement.url) {
        (true, _, _) => Ok(requirement),
        (_, Some(_), _) => Err("`and`, `or` or the end"),
        (_, _, Some(_)) => Err("`;` or the end"),
        _ => Err("a version specifier, `;` or the end"),
    }
}

/// A name at the cursor. Trailing `.` and `-` are left to what follows, as in `packaging`.
fn identifier<T: FromStr>(scanner: &mut Scanner, expected: &'static str) -> Result<T, &'static str> {
    let mut ahead = scanner.clone();
    let text = ahead.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    let name = text.trim_end_matches(['.', '-']);
    let parsed = name.parse().map_err(|_| expected)?;
    scanner.take(name);
    Ok(parsed)
}

fn parse_extras(scanner: &mut Scanner) -> Result<BTreeSet<ExtraName>, &'static str> {
    let mut extras = BTreeSet::new();
    if !scanner.take("[") {
        return Ok(extras);
    }
    scanner.skip_space();
    if scanner.take("]") {
        return Ok(extras);
    }
    loop {
        extras.insert(identifier(scanner, "the name of an extra")?);
        scanner.skip_space();
        if scanner.take("]") {
            return Ok(extras);
        }
        if !scanner.take(",") {
            return Err("`,` or `]` after an extra");
        }
        scanner.skip_space();
    }
}

fn parse_specifiers(scanner: &mut Scanner) -> Result<Specifiers, &'static str> {
    let in_parentheses = scanner.take("(");
    let mut clauses = Vec::new();
    loop {
        scanner.skip_space();
        let Some((operator, _)) = Operator::strip(scanner.rest()) else {
            break;
        };
        let start = scanner.clone();
        scanner.take(operator.as_str());
        scanner.take_while(char::is_whitespace);
        let version = match operator {
            // Takes commas too: what follows one is a clause of its own again.
            Operator::Arbitrary => scanner.take_while(|c| !c.is_whitespace() && c != ';' && c != ')'),
            _ => scanner.take_while(|c| c.is_ascii_alphanumeric() || "._-+!*".contains(c)),
        };
        let Ok(parsed) = format!("{}{version}", operator.as_str()).parse::<Specifiers>() else {
            *scanner = start;
            return Err("a version specifier");
        };
        clauses.extend_from_slice(parsed.clauses());
        scanner.skip_space();
        if !scanner.take(",") {
            break;
        }
    }
    if in_parentheses && !scanner.take(")") {
        return Err("`)`");
    }
    Ok(Specifiers::of(clauses))
}

/// The text with user and password of every URL in it replaced: errors are printed.
pub(super) fn redacted(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str("://");
        let authority = part.find(['/', '?', '#', ' ']).unwrap_or(part.len());
        match part[..authority].rfind('@') {
            Some(at) => {
                clean.push_str("****");
                clean.push_str(&part[at..]);
            }
            None => clean.push_str(part),
        }
    }
    clean
}

impl fmt::Display for Requirement {
    /// The requirement with its secrets, as a resolver must read it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        for (index, extra) in self.extras.iter().enumerate() {
            write!(f, "{}{extra}", if index == 0 { "[" } else { "," })?;
        }
        f.write_str(if self.extras.is_empty() { "" } else { "]" })?;
        if let Some(url) = &self.url {
            write!(f, " @ {url}")?;
        }
        write!(f, "{}", self.specifiers)?;
        match (&self.marker, &self.url) {
            (Some(marker), Some(_)) => write!(f, " ; {marker}"),
            (Some(marker), None) => write!(f, "; {marker}"),
            (None, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requirements_are_written_in_one_way() {
        for (text, written) in [
            ("A", "a"),
            (
                " Flask_Login [ B , a.c ] ( >=1.0 , <2 ) ",
                "flask-login[a-c,b]>=1.0,<2",
            ),
            ("a[]>=1,", "a>=1"),
            ("a ; os_name=='posix'", "a; os_name == \"posix\""),
            ("a@https://h/a.whl#sha256=0", "a @ https://h/a.whl#sha256=0"),
            (
                "a[x] @ git+ssh://git@h/r.git@v1 ; extra == 'y'",
                "a[x] @ git+ssh://git@h/r.git@v1 ; extra == \"y\"",
            ),
            ("a===1.0;extra=='x'", "a===1.0; extra == \"x\""),
            ("a~=1.0", "a~=1.0"),
        ] {
            let requirement: Requirement = text.parse().unwrap();
            assert_eq!(requirement.to_string(), written);
            assert_eq!(written.parse::<Requirement>().unwrap(), requirement);
        }
    }

    #[test]
    fn what_is_no_requirement_is_refused_with_its_place() {
        for (text, at) in [
            ("", 1),
            ("-a", 1),
            ("a b", 3),
            ("a=1", 2),
            ("a>=x", 2),
            ("a[b", 4),
            ("a[b c]", 5),
            ("a @ ", 5),
            ("a (>=1", 7),
            ("a; os", 4),
            ("a>=1.*", 2),
            ("a @ x os_name", 7),
        ] {
            assert_eq!(text.parse::<Requirement>().unwrap_err().at, at, "{text}");
        }
        assert!("a=1".parse::<Requirement>().unwrap_err().hint().is_some());
    }

    #[test]
    fn an_error_holds_no_password() {
        let error = "a @ https://user:secret@host/a b"
            .parse::<Requirement>()
            .unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[a-b]?([ab1.*;,@()\\[\\]=<>! '-]|os_name){0,20}|\\PC{0,30}") {
            if let Ok(requirement) = text.parse::<Requirement>() {
                prop_assert_eq!(requirement.to_string().parse::<Requirement>().unwrap(), requirement);
            }
        }
    }
}
