//! Markers evaluated for a Target, by the rules of `packaging`.

use std::collections::BTreeSet;

use super::markers::{
    Comparison, Condition, Expression, Marker, MarkerError, MarkerOperator, Operand, Variable, normalised,
};
use super::name::{ExtraName, GroupName};
use super::specifiers::{Operator, Specifier};
use super::target::Target;

/// The values of the marker variables in the image.
///
/// `platform_release` and `platform_version` describe the kernel of the host that will run the image, which nobody
/// knows when it is built: both are empty, as Python has them where they cannot be determined. A version comparison
/// with an empty value is false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerEnvironment {
    python_version: String,
    python_full_version: String,
    platform_machine: &'static str,
}

/// Which extras and groups count while a marker is evaluated.
#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// For requirements and package metadata: the marker holds if it does with `extra` as any of these; with `extra`
    /// as the empty text if there is none.
    Extras(&'a BTreeSet<ExtraName>),
    /// For uv's lock files: `extra` has all these values at once, `==` asks whether it has one and `!=` whether it has
    /// it not.
    Active(&'a BTreeSet<ExtraName>),
    /// For lock files (PEP 751): the sets `extras` and `dependency_groups`; there is no `extra`.
    Lock {
        /// The extras that the user asked for.
        extras: &'a BTreeSet<ExtraName>,
        /// The dependency groups that the user asked for.
        groups: &'a BTreeSet<GroupName>,
    },
}

/// One evaluation: `extra` has one value or none, or is a set.
#[derive(Clone, Copy)]
struct Evaluation<'a> {
    environment: &'a MarkerEnvironment,
    extra: Option<&'a str>,
    active: Option<&'a BTreeSet<ExtraName>>,
    sets: Option<(&'a BTreeSet<ExtraName>, &'a BTreeSet<GroupName>)>,
}

enum Value<'a> {
    Text(&'a str),
    Names(Vec<&'a str>),
}

impl MarkerEnvironment {
    /// The environment that a target's Python will find.
    pub fn of(target: &Target) -> Self {
        let full = target.python_full_version();
        Self {
            python_version: target.python_minor(),
            // Builds from a checkout say `3.13.0+`, which is no version; `packaging` completes it so.
            python_full_version: if full.ends_with('+') { full + "local" } else { full },
            platform_machine: target.platform.architecture.machine(),
        }
    }

    /// The value of a variable; `None` for the extras and groups.
    pub fn get(&self, variable: Variable) -> Option<&str> {
        Some(match variable {
            Variable::PythonVersion => &self.python_version,
            Variable::PythonFullVersion | Variable::ImplementationVersion => &self.python_full_version,
            Variable::OsName => "posix",
            Variable::SysPlatform => "linux",
            Variable::PlatformRelease | Variable::PlatformVersion => "",
            Variable::PlatformSystem => "Linux",
            Variable::PlatformMachine => self.platform_machine,
            Variable::PlatformPythonImplementation => "CPython",
            Variable::ImplementationName => "cpython",
            Variable::Extra | Variable::Extras | Variable::DependencyGroups => return None,
        })
    }
}

impl Marker {
    /// Whether the marker holds in an environment.
    pub fn evaluate(
        &self,
        environment: &MarkerEnvironment,
        selection: Selection<'_>,
    ) -> Result<bool, MarkerError> {
        let evaluation = |extra, sets| Evaluation {
            environment,
            extra,
            active: None,
            sets,
        };
        match selection {
            Selection::Active(extras) => Evaluation {
                active: Some(extras),
                ..evaluation(None, None)
            }
            .holds(&self.0),
            Selection::Lock { extras, groups } => evaluation(None, Some((extras, groups))).holds(&self.0),
            Selection::Extras(extras) if extras.is_empty() => evaluation(Some(""), None).holds(&self.0),
            Selection::Extras(extras) => {
                for extra in extras {
                    if evaluation(Some(extra.as_str()), None).holds(&self.0)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

impl<'a> Evaluation<'a> {
    /// Every condition is evaluated, also where the result is already known, so that a faulty marker is always an
    /// error and not only on some platforms.
    fn holds(self, expression: &Expression) -> Result<bool, MarkerError> {
        let mut any = false;
        for conditions in &expression.0 {
            let mut all = true;
            for condition in conditions {
                all &= match condition {
                    Condition::Group(group) => self.holds(group)?,
                    Condition::Comparison(comparison) => self.compare(comparison)?,
                };
            }
            any |= all;
        }
        Ok(any)
    }

    fn value(self, variable: Variable) -> Result<Value<'a>, MarkerError> {
        let unknown = || MarkerError::Unknown(variable.name().to_owned());
        match variable {
            Variable::Extra => self.extra.map(Value::Text).ok_or_else(unknown),
            Variable::Extras => {
                let names = self.sets.map(|(extras, _)| extras.iter().map(ExtraName::as_str));
                names.map(|n| Value::Names(n.collect())).ok_or_else(unknown)
            }
            Variable::DependencyGroups => {
                let names = self.sets.map(|(_, groups)| groups.iter().map(GroupName::as_str));
                names.map(|n| Value::Names(n.collect())).ok_or_else(unknown)
            }
            _ => self
                .environment
                .get(variable)
                .map(Value::Text)
                .ok_or_else(unknown),
        }
    }

    /// As in `packaging`, a comparison has one variable: the left side if it is one, else the right side. The other
    /// side is taken as text, also if it is the name of a variable.
    fn compare(self, comparison: &Comparison) -> Result<bool, MarkerError> {
        let operator = comparison.operator;
        if let Some(active) = self.active
            && let (Operand::Variable(Variable::Extra), Operand::Text(extra))
            | (Operand::Text(extra), Operand::Variable(Variable::Extra)) =
                (&comparison.left, &comparison.right)
        {
            let is_active = active.iter().any(|name| name.as_str() == extra);
            return match operator {
                MarkerOperator::Version(Operator::Equal) => Ok(is_active),
                MarkerOperator::Version(Operator::NotEqual) => Ok(!is_active),
                _ => Err(undefined("extra", operator, extra)),
            };
        }
        match (&comparison.left, &comparison.right) {
            (Operand::Variable(variable), right) => {
                let right = match right {
                    Operand::Variable(name) => name.name(),
                    Operand::Text(text) => text,
                };
                match self.value(*variable)? {
                    Value::Text(left) => compare_texts(*variable, left, operator, right),
                    Value::Names(_) => Err(undefined(variable.name(), operator, right)),
                }
            }
            (Operand::Text(left), right) => {
                let variable = match right {
                    Operand::Variable(variable) => *variable,
                    Operand::Text(name) => {
                        Variable::of_name(name).ok_or_else(|| MarkerError::Unknown(name.clone()))?
                    }
                };
                match self.value(variable)? {
                    Value::Text(right) => compare_texts(variable, left, operator, right),
                    Value::Names(names) => compare_names(variable, left, operator, &names),
                }
            }
        }
    }
}

fn undefined(left: &str, operator: MarkerOperator, right: &str) -> MarkerError {
    MarkerError::Comparison {
        left: left.to_owned(),
        operator: operator.as_str(),
        right: right.to_owned(),
    }
}

/// > Comparisons in marker expressions are typed by the comparison operator and the type of the marker value.
fn compare_texts(
    variable: Variable,
    left: &str,
    operator: MarkerOperator,
    right: &str,
) -> Result<bool, MarkerError> {
    let is_version = matches!(
        variable,
        Variable::ImplementationVersion
            | Variable::PlatformRelease
            | Variable::PythonFullVersion
            | Variable::PythonVersion
    );
    match operator {
        MarkerOperator::Version(version) if is_version => match Specifier::new(version, right) {
            Ok(specifier) => Ok(specifier.contains_text(left)),
            Err(_) => compare_strings(left, operator, right),
        },
        _ => compare_strings(left, operator, right),
    }
}

/// > Otherwise the `<` and `>` operators [on strings] are false, `<=` and `>=` are `==`.
fn compare_strings(left: &str, operator: MarkerOperator, right: &str) -> Result<bool, MarkerError> {
    let MarkerOperator::Version(version) = operator else {
        return Ok(right.contains(left) == (operator == MarkerOperator::In));
    };
    match version {
        Operator::Equal | Operator::LessEqual | Operator::GreaterEqual => Ok(left == right),
        Operator::NotEqual => Ok(left != right),
        Operator::Less | Operator::Greater => Ok(false),
        Operator::Compatible | Operator::Arbitrary => Err(undefined(left, operator, right)),
    }
}

/// A set is never equal to a text; only `in` and `not in` look into it.
fn compare_names(
    variable: Variable,
    left: &str,
    operator: MarkerOperator,
    names: &[&str],
) -> Result<bool, MarkerError> {
    let is_in = || names.contains(&normalised(left).as_str());
    match operator {
        MarkerOperator::In => Ok(is_in()),
        MarkerOperator::NotIn => Ok(!is_in()),
        MarkerOperator::Version(Operator::NotEqual) => Ok(true),
        MarkerOperator::Version(Operator::Compatible | Operator::Arbitrary) => {
            Err(undefined(left, operator, variable.name()))
        }
        MarkerOperator::Version(_) => Ok(false),
    }
}
