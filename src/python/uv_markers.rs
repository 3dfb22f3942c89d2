//! Markers as uv understands them, where that differs from `packaging`.

use super::markers::{Comparison, Condition, Expression, Marker, MarkerOperator, Operand, Variable};
use super::specifiers::Specifier;

impl Marker {
    /// The marker as uv understands it, who passes over comparisons of Python's version with what is no version
    /// (`python_version < '<3.10'`); `None` if nothing is left: it holds everywhere.
    pub fn as_uv_reads_it(self) -> Option<Self> {
        self.0.without_faulty_versions().map(Self)
    }
}

impl Expression {
    fn without_faulty_versions(self) -> Option<Self> {
        let condition = |condition| match condition {
            Condition::Group(group) => group.without_faulty_versions().map(Condition::Group),
            Condition::Comparison(comparison) if comparison.is_faulty_version() => None,
            sound @ Condition::Comparison(_) => Some(sound),
        };
        let alternatives = self.0.into_iter();
        let alternatives = alternatives.map(|all| all.into_iter().filter_map(condition).collect::<Vec<_>>());
        let kept: Vec<_> = alternatives.filter(|all| !all.is_empty()).collect();
        (!kept.is_empty()).then_some(Self(kept))
    }
}

impl Comparison {
    fn is_faulty_version(&self) -> bool {
        let versions = [Variable::PythonVersion, Variable::PythonFullVersion];
        match (&self.left, self.operator, &self.right) {
            (Operand::Variable(variable), MarkerOperator::Version(operator), Operand::Text(text)) => {
                versions.contains(variable) && Specifier::new(operator, text).is_err()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_that_uv_passes_over_are_left_out() {
        for (text, left) in [
            ("python_version < '<3.10'", None),
            (
                "python_version < '<3.10' and os_name == 'posix'",
                Some("os_name == \"posix\""),
            ),
            (
                "(python_full_version > 'x') or python_version > '3'",
                Some("python_version > \"3\""),
            ),
        ] {
            let read = text.parse::<Marker>().unwrap().as_uv_reads_it();
            assert_eq!(read.map(|marker| marker.to_string()).as_deref(), left, "{text}");
        }
    }
}
