//! What a pyproject.toml of poetry requires: `[tool.poetry]`, `[project]` and dependency groups.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::Error;
use super::poetry_constraint::Constraint;
use super::text::Text;
use super::walk::Edge;
use crate::python::{ExtraName, GroupName, Marker, PackageName, Requirement};

/// The requirements of a project.
#[derive(Clone, Debug, Default)]
pub(super) struct Project {
    /// Those that are always there, and those of extras.
    pub main: Vec<Edge>,
    /// The names of its extras.
    pub extras: BTreeSet<ExtraName>,
    /// Its dependency groups; a group that includes others has their requirements too.
    pub groups: BTreeMap<GroupName, Vec<Edge>>,
}

/// A group as it is written: its requirements, and the groups that it includes.
type Group = (Vec<Edge>, BTreeSet<GroupName>);

/// The value at a path of keys.
fn at<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    rest.iter()
        .try_fold(table.get(*first)?, |value, key| value.get(key))
}

/// The table at a path of keys; empty if there is none.
fn entries<'a>(table: &'a Table, keys: &[&str]) -> impl Iterator<Item = (&'a String, &'a Value)> {
    at(table, keys).and_then(Value::as_table).into_iter().flatten()
}

fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let items = value.and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str)
}

impl Project {
    /// Reads a parsed pyproject.toml; `text` is for errors.
    pub fn read(table: &Table, text: &Text<'_>) -> Result<Self, Error> {
        let mut project = Self::default();
        let own = at(table, &["project"]).and_then(Value::as_table);
        let own_lists =
            own.filter(|p| p.contains_key("dependencies") || p.contains_key("optional-dependencies"));
        if let Some(own) = own_lists {
            project.add_standard(own, text)?;
        }
        let is_dynamic =
            own.is_some_and(|own| strings(own.get("dynamic")).any(|field| field == "dependencies"));
        if own_lists.is_none() || is_dynamic {
            project.add_poetry(table, text)?;
        }
        project.groups = groups(table, text)?;
        Ok(project)
    }

    fn add_standard(&mut self, table: &Table, text: &Text<'_>) -> Result<(), Error> {
        for line in strings(table.get("dependencies")) {
            self.main.push(requirement(line, text)?);
        }
        for (extra, lines) in entries(table, &["optional-dependencies"]) {
            let extra: ExtraName = parsed(extra, extra, text)?;
            for line in strings(Some(lines)) {
                let mut edge = requirement(line, text)?;
                edge.only_with = Some(BTreeSet::from([extra.clone()]));
                self.main.push(edge);
            }
            self.extras.insert(extra);
        }
        Ok(())
    }

    fn add_poetry(&mut self, table: &Table, text: &Text<'_>) -> Result<(), Error> {
        let mut with: BTreeMap<PackageName, BTreeSet<ExtraName>> = BTreeMap::new();
        for (extra, names) in entries(table, &["tool", "poetry", "extras"]) {
            let extra: ExtraName = parsed(extra, extra, text)?;
            for name in strings(Some(names)) {
                with.entry(parsed(name, name, text)?)
                    .or_default()
                    .insert(extra.clone());
            }
            self.extras.insert(extra);
        }
        for (name, value) in entries(table, &["tool", "poetry", "dependencies"]) {
            for mut edge in edges(name, value, text)? {
                if edge.only_with.is_some() {
                    edge.only_with = Some(with.get(&edge.name).cloned().unwrap_or_default());
                }
                self.main.push(edge);
            }
        }
        Ok(())
    }
}

fn groups(table: &Table, text: &Text<'_>) -> Result<BTreeMap<GroupName, Vec<Edge>>, Error> {
    let mut all: BTreeMap<GroupName, Group> = BTreeMap::new();
    for (name, items) in entries(table, &["dependency-groups"]) {
        let group = all.entry(parsed(name, name, text)?).or_default();
        for item in items.as_array().into_iter().flatten() {
            match (item.as_str(), item.get("include-group").and_then(Value::as_str)) {
                (Some(line), _) => group.0.push(requirement(line, text)?),
                (None, Some(other)) => drop(group.1.insert(parsed(other, other, text)?)),
                (None, None) => {}
            }
        }
    }
    for (name, settings) in entries(table, &["tool", "poetry", "group"]) {
        let group = all.entry(parsed(name, name, text)?).or_default();
        let dependencies = settings.get("dependencies").and_then(Value::as_table);
        for (name, value) in dependencies.into_iter().flatten() {
            group.0.extend(edges(name, value, text)?);
        }
        for other in strings(settings.get("include-groups")) {
            group.1.insert(parsed(other, other, text)?);
        }
    }
    for (name, value) in entries(table, &["tool", "poetry", "dev-dependencies"]) {
        let group = all.entry(parsed("dev", "dev-dependencies", text)?).or_default();
        group.0.extend(edges(name, value, text)?);
    }
    Ok(all
        .keys()
        .map(|name| (name.clone(), with_included(name, &all)))
        .collect())
}

/// The requirements of a group and of all that it includes, each group once.
fn with_included(name: &GroupName, all: &BTreeMap<GroupName, Group>) -> Vec<Edge> {
    let (mut open, mut seen, mut edges) = (vec![name], BTreeSet::from([name]), Vec::new());
    while let Some((own, includes)) = open.pop().and_then(|name| all.get(name)) {
        edges.extend(own.iter().cloned());
        open.extend(includes.iter().filter(|other| seen.insert(*other)));
    }
    edges
}

fn requirement(line: &str, text: &Text<'_>) -> Result<Edge, Error> {
    // Poetry writes versions in parentheses, as the specification allows.
    parsed::<Requirement>(line, line, text).map(Edge::from)
}

/// The requirements of one entry `name = constraint`, in a project or a lock: a version, a table, or several of them.
/// One that is optional has an empty `only_with`; `python` is no package.
pub(super) fn edges(name: &str, value: &Value, text: &Text<'_>) -> Result<Vec<Edge>, Error> {
    if name.eq_ignore_ascii_case("python") {
        return Ok(Vec::new());
    }
    match value {
        Value::Array(items) => items.iter().map(|item| edge(name, item, text)).collect(),
        one => Ok(vec![edge(name, one, text)?]),
    }
}

fn edge(name: &str, value: &Value, text: &Text<'_>) -> Result<Edge, Error> {
    let get = |key: &str| value.get(key).and_then(Value::as_str);
    let constraint = |given: Option<&str>| given.map_or(Ok(Constraint::any()), |c| parsed(c, name, text));
    let platform = get("platform").map(|platform| format!("sys_platform == \"{platform}\""));
    let conditions: Vec<String> = get("markers")
        .map(|m| format!("({m})"))
        .into_iter()
        .chain(platform)
        .collect();
    let marker = (!conditions.is_empty()).then(|| parsed::<Marker>(&conditions.join(" and "), name, text));
    let is_optional = value.get("optional").and_then(Value::as_bool) == Some(true);
    let extras = strings(value.get("extras")).map(|extra| parsed(extra, name, text));
    Ok(Edge {
        name: parsed(name, name, text)?,
        extras: extras.collect::<Result<_, _>>()?,
        versions: constraint(value.as_str().or(get("version")))?,
        marker: marker.transpose()?,
        python: constraint(get("python"))?,
        only_with: is_optional.then(BTreeSet::new),
    })
}

/// A value of the file, parsed; `near` stands on its line.
fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    value: &str,
    near: &str,
    text: &Text<'_>,
) -> Result<T, Error> {
    value.parse().map_err(|e: T::Err| {
        let at = text.text.find(near).unwrap_or(0);
        text.fault(at, e.to_string())
    })
}
