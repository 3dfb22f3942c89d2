//! `[dependency-groups]` of a pyproject.toml (PEP 735).

use std::collections::{BTreeMap, BTreeSet};

use super::name::GroupName;
use super::requirement::Requirement;
use super::tables::{self, Table, TableError};

/// How deep groups may include each other.
const MAX_DEPTH: usize = 64;

/// All dependency groups.
///
/// Spec: <https://packaging.python.org/en/latest/specifications/dependency-groups/>.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DependencyGroups(BTreeMap<GroupName, Vec<(usize, Item)>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Requirement(Requirement),
    Include(GroupName),
}

/// What is wrong with a group that was asked for.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum GroupError {
    /// No group of this name.
    #[error("there is no dependency group `{name}`{}", line.map(|l| format!(" (line {l})")).unwrap_or_default())]
    Unknown {
        /// The name.
        name: GroupName,
        /// The line that includes it.
        line: Option<usize>,
    },
    /// A group that includes itself, maybe through others.
    #[error("line {line}: dependency group `{name}` includes itself")]
    Circular {
        /// The group.
        name: GroupName,
        /// The line that closes the circle.
        line: usize,
    },
    /// Groups nested deeper than anyone writes.
    #[error("line {line}: dependency groups include each other more than {MAX_DEPTH} deep")]
    Depth {
        /// The line of the include that is one too many.
        line: usize,
    },
}

impl DependencyGroups {
    /// Reads the text of a pyproject.toml; no groups if it has no `[dependency-groups]`.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let document = tables::parse(text)?;
        let top = Table::top(text, document.get_ref());
        let mut groups = BTreeMap::new();
        let table = top.table("dependency-groups", "[dependency-groups]")?;
        for (key, value) in table.iter().flat_map(|t| t.entries()) {
            let name: GroupName = key.parse().map_err(|e| top.fault(value, format!("{e}")))?;
            let mut items = Vec::new();
            for item in top.as_array(value, key)? {
                let line = top.fault(item, String::new()).line;
                items.push((line, parse_item(top, item)?));
            }
            // > Tools SHOULD [...] emit an error if [...] names are the same after normalization.
            if groups.insert(name, items).is_some() {
                return Err(top.fault(value, format!("dependency group `{key}` is defined twice")));
            }
        }
        Ok(Self(groups))
    }

    /// The names of all groups.
    pub fn names(&self) -> impl Iterator<Item = &GroupName> {
        self.0.keys()
    }

    /// The requirements of a group with those of the groups that it includes, in the order written; a group that is
    /// included twice counts once.
    pub fn resolve(&self, name: &GroupName) -> Result<Vec<&Requirement>, GroupError> {
        let mut walk = Walk {
            groups: self,
            open: Vec::new(),
            done: BTreeSet::new(),
            found: Vec::new(),
        };
        walk.group(name, None)?;
        Ok(walk.found)
    }
}

fn parse_item(top: Table<'_>, item: &toml::Spanned<toml::de::DeValue<'_>>) -> Result<Item, TableError> {
    if item.get_ref().is_str() {
        let text = top.as_text(item, "a requirement")?;
        let requirement = text.parse().map(Item::Requirement);
        return requirement.map_err(|e: super::requirement::RequirementError| top.fault(item, e.to_string()));
    }
    let include = top.as_table(item, "an item that is no string")?;
    let name = include.parsed("include-group", str::parse::<GroupName>)?;
    match name {
        Some(name) if include.entries().count() == 1 => Ok(Item::Include(name)),
        _ => Err(top.fault(
            item,
            "only `{ include-group = \"name\" }` is known here".to_owned(),
        )),
    }
}

struct Walk<'a> {
    groups: &'a DependencyGroups,
    /// The groups being read, each included by the one before.
    open: Vec<&'a GroupName>,
    done: BTreeSet<&'a GroupName>,
    found: Vec<&'a Requirement>,
}

impl Walk<'_> {
    fn group(&mut self, name: &GroupName, line: Option<usize>) -> Result<(), GroupError> {
        let found = self.groups.0.get_key_value(name);
        let (name, items) = found.ok_or_else(|| GroupError::Unknown {
            name: name.clone(),
            line,
        })?;
        let line = line.unwrap_or(1);
        if self.open.contains(&name) {
            return Err(GroupError::Circular {
                name: name.clone(),
                line,
            });
        }
        if self.open.len() == MAX_DEPTH {
            return Err(GroupError::Depth { line });
        }
        if !self.done.insert(name) {
            return Ok(());
        }
        self.open.push(name);
        for (line, item) in items {
            match item {
                Item::Requirement(requirement) => self.found.push(requirement),
                Item::Include(other) => self.group(other, Some(*line))?,
            }
        }
        self.open.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resolve(text: &str, name: &str) -> Result<Vec<String>, GroupError> {
        let groups = DependencyGroups::parse(text).unwrap();
        let found = groups.resolve(&name.parse().unwrap())?;
        Ok(found.into_iter().map(ToString::to_string).collect())
    }

    #[test]
    fn groups_include_groups() {
        let text = "[dependency-groups]\nTest = ['pytest']\ndocs = ['sphinx', {include-group = 'test'}]\n\
                    all = [{include-group = 'docs'}, {include-group = 'TEST'}, 'b>1']";
        assert_eq!(resolve(text, "all").unwrap(), ["sphinx", "pytest", "b>1"]);
        assert_eq!(resolve(text, "test").unwrap(), ["pytest"]);
    }

    #[test]
    fn circles_and_unknown_groups_are_errors_with_their_line() {
        let text = "[dependency-groups]\na = [{include-group = 'b'}]\nb = [\n{include-group = 'a'}]\nc = [{include-group = 'x'}]";
        assert!(matches!(
            resolve(text, "a"),
            Err(GroupError::Circular { line: 4, .. })
        ));
        assert!(matches!(
            resolve(text, "c"),
            Err(GroupError::Unknown { line: Some(5), .. })
        ));
        assert!(matches!(
            resolve(text, "d"),
            Err(GroupError::Unknown { line: None, .. })
        ));
        let mut deep = "[dependency-groups]\n".to_owned();
        for n in 0..100 {
            deep += &[
                "g",
                &n.to_string(),
                " = [{include-group = 'g",
                &(n + 1).to_string(),
                "'}]\n",
            ]
            .concat();
        }
        assert!(matches!(
            resolve(&deep, "g0"),
            Err(GroupError::Depth { line: 65 })
        ));
    }

    #[test]
    fn faults_name_their_line() {
        for (text, line) in [
            ("[dependency-groups]\na = 'b'", 2),
            ("[dependency-groups]\na = ['b',\n'c d']", 3),
            ("[dependency-groups]\na = [1]", 2),
            ("[dependency-groups]\na = [{include = 'b'}]", 2),
            ("[dependency-groups]\na = [{include-group = 'b', x = 1}]", 2),
            ("[dependency-groups]\na-b = []\na_b = []", 3),
            ("dependency-groups = []", 1),
        ] {
            assert_eq!(DependencyGroups::parse(text).unwrap_err().line, line, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([ab\\[\\]='{},\n]|include-group|\\PC){0,40}") {
            if let Ok(groups) = DependencyGroups::parse(&format!("[dependency-groups]\n{text}")) {
                for name in groups.names() {
                    let _ = groups.resolve(name);
                }
            }
        }
    }
}
