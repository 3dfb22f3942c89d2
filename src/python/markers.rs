//! Environment markers (`python_version < "3.12" and extra == "socks"`), parsed as `packaging` parses them.

use std::fmt;
use std::str::FromStr;

use super::scanner::Scanner;
use super::specifiers::Operator;

/// How deep parentheses may nest; the standard gives no bound, real markers stay below five.
const MAX_DEPTH: usize = 64;

/// A marker: when a requirement applies. Evaluate it with [`Marker::evaluate`](super::marker_environment).
///
/// Spec: <https://packaging.python.org/en/latest/specifications/dependency-specifiers/#environment-markers>, with the
/// `extras` and `dependency_groups` of lock files (PEP 751).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker(pub(super) Expression);

/// One level of a marker: alternatives, each a list of conditions of which all must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expression(pub(super) Vec<Vec<Condition>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Group(Expression),
    Comparison(Comparison),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) left: Operand,
    pub(super) operator: MarkerOperator,
    pub(super) right: Operand,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Variable(Variable),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkerOperator {
    In,
    NotIn,
    Version(Operator),
}

/// What a marker can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the name in the specification")]
pub enum Variable {
    PythonVersion,
    PythonFullVersion,
    OsName,
    SysPlatform,
    PlatformRelease,
    PlatformSystem,
    PlatformVersion,
    PlatformMachine,
    PlatformPythonImplementation,
    ImplementationName,
    ImplementationVersion,
    Extra,
    Extras,
    DependencyGroups,
}

/// Why a text is not a marker, or cannot be evaluated.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum MarkerError {
    /// The text does not follow the grammar.
    #[error("marker `{}` is wrong at character {at}: expected {expected}", marker.escape_debug())]
    Syntax {
        /// The whole marker.
        marker: String,
        /// 1-based.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// An operator that means nothing for these values, e.g. `os_name ~= "posix"`.
    #[error("marker compares `{left}` with `{right}` by `{operator}`, which is not defined")]
    Comparison {
        /// The left value.
        left: String,
        /// The operator.
        operator: &'static str,
        /// The right value.
        right: String,
    },
    /// A variable that does not exist here: `extra` in a lock file, `extras` elsewhere, or two texts compared.
    #[error("marker asks for `{0}`, which is not known here")]
    Unknown(String),
}

impl Variable {
    /// The names, also the deprecated ones with `.`; a longer one before those that it begins with.
    const NAMES: [(&'static str, Self); 20] = [
        ("python_full_version", Self::PythonFullVersion),
        ("python_version", Self::PythonVersion),
        ("os_name", Self::OsName),
        ("os.name", Self::OsName),
        ("sys_platform", Self::SysPlatform),
        ("sys.platform", Self::SysPlatform),
        ("platform_release", Self::PlatformRelease),
        ("platform_system", Self::PlatformSystem),
        ("platform_version", Self::PlatformVersion),
        ("platform.version", Self::PlatformVersion),
        ("platform_machine", Self::PlatformMachine),
        ("platform.machine", Self::PlatformMachine),
        (
            "platform_python_implementation",
            Self::PlatformPythonImplementation,
        ),
        (
            "platform.python_implementation",
            Self::PlatformPythonImplementation,
        ),
        ("python_implementation", Self::PlatformPythonImplementation),
        ("implementation_name", Self::ImplementationName),
        ("implementation_version", Self::ImplementationVersion),
        ("extras", Self::Extras),
        ("extra", Self::Extra),
        ("dependency_groups", Self::DependencyGroups),
    ];

    /// The name that the specification gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PlatformPythonImplementation => "platform_python_implementation",
            _ => Self::NAMES
                .iter()
                .find(|(_, variable)| *variable == self)
                .map_or("", |(name, _)| name),
        }
    }

    /// The variable of this name in the specification.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let mut all = Self::NAMES.iter().map(|(_, variable)| *variable);
        all.find(|variable| variable.name() == name)
    }
}

impl MarkerOperator {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::NotIn => "not in",
            Self::Version(operator) => operator.as_str(),
        }
    }
}

impl Marker {
    /// Whether the marker asks for this variable anywhere.
    pub fn mentions(&self, variable: Variable) -> bool {
        self.0.mentions(variable)
    }
}

impl Expression {
    fn mentions(&self, variable: Variable) -> bool {
        self.0.iter().flatten().any(|condition| match condition {
            Condition::Group(group) => group.mentions(variable),
            Condition::Comparison(c) => [&c.left, &c.right].contains(&&Operand::Variable(variable)),
        })
    }
}

impl FromStr for Marker {
    type Err = MarkerError;

    fn from_str(text: &str) -> Result<Self, MarkerError> {
        let mut scanner = Scanner::new(text);
        let parsed = parse_expression(&mut scanner, 0).and_then(|expression| {
            let done = scanner.is_done().then_some(expression);
            done.ok_or("`and`, `or` or the end")
        });
        parsed.map(Self).map_err(|expected| MarkerError::Syntax {
            marker: text.to_owned(),
            at: text[..scanner.position()].chars().count() + 1,
            expected,
        })
    }
}

/// Reads a marker up to where it ends; the error says what was expected at the cursor.
pub(super) fn parse_expression(scanner: &mut Scanner, depth: usize) -> Result<Expression, &'static str> {
    let mut alternatives = vec![vec![parse_condition(scanner, depth)?]];
    loop {
        if scanner.take_word("and") {
            let condition = parse_condition(scanner, depth)?;
            if let Some(conditions) = alternatives.last_mut() {
                conditions.push(condition);
            }
        } else if scanner.take_word("or") {
            alternatives.push(vec![parse_condition(scanner, depth)?]);
        } else {
            return Ok(Expression(alternatives));
        }
    }
}

fn parse_condition(scanner: &mut Scanner, depth: usize) -> Result<Condition, &'static str> {
    scanner.skip_space();
    let condition = if scanner.take("(") {
        if depth == MAX_DEPTH {
            return Err("fewer parentheses");
        }
        let group = parse_expression(scanner, depth + 1)?;
        if !scanner.take(")") {
            return Err("`)`");
        }
        Condition::Group(group)
    } else {
        Condition::Comparison(parse_comparison(scanner)?)
    };
    scanner.skip_space();
    Ok(condition)
}

fn parse_comparison(scanner: &mut Scanner) -> Result<Comparison, &'static str> {
    let mut left = parse_operand(scanner)?;
    scanner.skip_space();
    let operator = parse_operator(scanner)?;
    scanner.skip_space();
    let mut right = parse_operand(scanner)?;
    // > When comparing extra names, tools MUST normalize the names being compared (PEP 685)
    match (&mut left, &mut right) {
        (Operand::Variable(Variable::Extra), Operand::Text(text))
        | (
            Operand::Text(text),
            Operand::Variable(Variable::Extra | Variable::Extras | Variable::DependencyGroups),
        ) => *text = normalised(text),
        _ => {}
    }
    Ok(Comparison {
        left,
        operator,
        right,
    })
}

fn parse_operator(scanner: &mut Scanner) -> Result<MarkerOperator, &'static str> {
    if scanner.take_word("in") {
        return Ok(MarkerOperator::In);
    }
    if scanner.take_word("not") {
        let complete = scanner.skip_space() && scanner.take_word("in");
        return complete
            .then_some(MarkerOperator::NotIn)
            .ok_or("`in` after `not`");
    }
    match Operator::strip(scanner.rest()) {
        Some((operator, _)) if scanner.take(operator.as_str()) => Ok(MarkerOperator::Version(operator)),
        _ => Err("one of <=, <, !=, ==, >=, >, ~=, ===, in, not in"),
    }
}

fn parse_operand(scanner: &mut Scanner) -> Result<Operand, &'static str> {
    for quote in ['"', '\''] {
        if scanner.peek() == Some(quote) {
            let text = parse_string(scanner, quote).ok_or("a quoted string")?;
            return Ok(Operand::Text(text));
        }
    }
    let mut names = Variable::NAMES.iter();
    let found = names.find(|(name, _)| scanner.take_word(name));
    found
        .map(|(_, variable)| Operand::Variable(*variable))
        .ok_or("a marker variable or a quoted string")
}

/// A text in quotes; there is no way to write the quote itself.
fn parse_string(scanner: &mut Scanner, quote: char) -> Option<String> {
    let inner = scanner.rest().strip_prefix(quote)?;
    let text = &inner[..inner.find(quote)?];
    let plain = unescape(text)?;
    scanner.skip(text.len() + 2);
    Some(plain)
}

/// What a Python string literal with this between its quotes means: `packaging` reads marker strings as such.
fn unescape(text: &str) -> Option<String> {
    if text.contains(['\n', '\r', '\0']) {
        return None;
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let length = unescape_one(after, &mut plain)?;
        rest = &after[length..];
    }
    plain.push_str(rest);
    Some(plain)
}

/// One escape sequence, given what follows its backslash; returns its length in bytes.
fn unescape_one(after: &str, plain: &mut String) -> Option<usize> {
    let letter = after.chars().next()?;
    let (radix, digits) = match letter {
        'x' => (16, after.get(1..3)?),
        'u' => (16, after.get(1..5)?),
        'U' => (16, after.get(1..9)?),
        '0'..='7' => {
            let length = after.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b));
            (8, &after[..length.count()])
        }
        // Named characters would need the Unicode name table.
        'N' => return None,
        _ => {
            match "abfnrtv".find(letter) {
                Some(index) => plain.push(b"\x07\x08\x0c\n\r\t\x0b"[index] as char),
                None if matches!(letter, '\\' | '\'' | '"') => plain.push(letter),
                None => plain.extend(['\\', letter]),
            }
            return Some(letter.len_utf8());
        }
    };
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    plain.push(char::from_u32(u32::from_str_radix(digits, radix).ok()?)?);
    Some(digits.len() + usize::from(radix == 16))
}

/// The normal form of a name, for a text that may not be a valid name: a marker may hold any.
pub(super) fn normalised(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    let mut in_run = false;
    for c in text.chars() {
        let separator = matches!(c, '-' | '_' | '.');
        if !separator {
            name.extend(c.to_lowercase());
        } else if !in_run {
            name.push('-');
        }
        in_run = separator;
    }
    name
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, conditions) in self.0.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { " or " })?;
            for (j, condition) in conditions.iter().enumerate() {
                f.write_str(if j == 0 { "" } else { " and " })?;
                match condition {
                    Condition::Group(group) => write!(f, "({group})")?,
                    Condition::Comparison(comparison) => comparison.fmt(f)?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.left, self.operator.as_str(), self.right)
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(variable) => f.write_str(variable.name()),
            Self::Text(text) => {
                f.write_str("\"")?;
                for c in text.chars() {
                    match c {
                        '\\' => f.write_str("\\\\")?,
                        // The grammar ends a string at its quote even after a backslash.
                        '"' => f.write_str("\\x22")?,
                        c if c.is_control() => write!(f, "\\x{:02x}", c as u32)?,
                        c => write!(f, "{c}")?,
                    }
                }
                f.write_str("\"")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markers_are_written_in_one_way() {
        for (text, written) in [
            ("os.name=='posix'", "os_name == \"posix\""),
            (
                "'a'in extras or(python_implementation not  in\"x\"and extra=='A_b')",
                "\"a\" in extras or (platform_python_implementation not in \"x\" and extra == \"a-b\")",
            ),
            ("(( python_version>='3.9' ))", "((python_version >= \"3.9\"))"),
            (
                r#"os_name == 'say "hi"\t\\'"#,
                r#"os_name == "say \x22hi\x22\x09\\""#,
            ),
        ] {
            let marker: Marker = text.parse().unwrap();
            assert_eq!(marker.to_string(), written);
            assert_eq!(written.parse::<Marker>().unwrap(), marker);
        }
        let marker: Marker = "os_name == 'a' and ('b' in extras)".parse().unwrap();
        assert!(marker.mentions(Variable::Extras) && !marker.mentions(Variable::Extra));
    }

    #[test]
    fn what_is_no_marker_is_refused_with_its_place() {
        let fault = |text: &str| match text.parse::<Marker>() {
            Err(MarkerError::Syntax { at, expected, .. }) => (at, expected),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(fault("os_name = 'a'").0, 9);
        assert_eq!(fault("os_name == 'a' extra").1, "`and`, `or` or the end");
        assert_eq!(fault("é == 'a'"), (1, "a marker variable or a quoted string"));
        assert_eq!(fault("(os_name == 'a'").1, "`)`");
        assert_eq!(
            fault("os_name not_in 'a'").1,
            "one of <=, <, !=, ==, >=, >, ~=, ===, in, not in"
        );
        assert_eq!(fault("os_name == 'a\n'").1, "a quoted string");
        assert_eq!(fault("os_name == 'a").1, "a quoted string");
        assert_eq!(fault("").0, 1);
        let deep = format!("{}os_name == 'a'{}", "(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(fault(&deep).1, "fewer parentheses");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(
            text in "((extras?|os_name|'[a\\\\x0é]{0,4}'|\"\"|==|~=|in|not|and|or|[()]| ){0,12})|\\PC{0,30}"
        ) {
            if let Ok(marker) = text.parse::<Marker>() {
                prop_assert_eq!(marker.to_string().parse::<Marker>().unwrap(), marker);
            }
        }
    }
}
