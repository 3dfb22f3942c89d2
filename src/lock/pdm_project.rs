//! What a pyproject.toml says to pdm: requirements, indexes, and the hash by which pdm knows it again.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use url::Url;

use super::content_hash::{Spacing, hash, json};
use super::text::Text;
use super::walk::Edge;
use super::{Error, Request};
use crate::python::{DependencyGroups, ExtraName, GroupName, Requirement};

/// What the pyproject.toml beside the lock says.
pub(super) struct Project {
    /// What is required.
    pub edges: Vec<Edge>,
    /// The extras that there are.
    pub extras: BTreeSet<ExtraName>,
    /// The groups that there are.
    pub groups: BTreeSet<GroupName>,
    /// Where files are looked up.
    pub indexes: Vec<Url>,
}

impl Project {
    /// Reads what it requires: its dependencies, and those of the extras and groups that are asked for.
    pub fn read(table: &toml::Table, text: &Text<'_>, request: &Request) -> Result<Self, Error> {
        let fault = |line: &str, problem: String| text.fault(text.text.find(line).unwrap_or(0), problem);
        let parse = |line: &str| {
            let requirement: Result<Requirement, _> = line.parse();
            requirement
                .map(Edge::from)
                .map_err(|e| fault(line, e.to_string()))
        };
        let strings = |value: Option<&toml::Value>| -> Vec<String> {
            let items = value.and_then(toml::Value::as_array).into_iter().flatten();
            items.filter_map(toml::Value::as_str).map(str::to_owned).collect()
        };
        let own = table.get("project");
        let mut lines = strings(own.and_then(|p| p.get("dependencies")));
        let mut extras = BTreeSet::new();
        let optional = own
            .and_then(|p| p.get("optional-dependencies"))
            .and_then(toml::Value::as_table);
        for (name, value) in optional.into_iter().flatten() {
            let extra: ExtraName = name.parse().map_err(|e| fault(name, format!("{e}")))?;
            if request.extras.contains(&extra) {
                lines.extend(strings(Some(value)));
            }
            extras.insert(extra);
        }
        let mut edges = lines
            .iter()
            .map(|line| parse(line))
            .collect::<Result<Vec<_>, _>>()?;
        let standard = DependencyGroups::parse(text.text).map_err(|e| Error::LockFile {
            path: text.path.to_owned(),
            line: e.line,
            problem: e.problem,
        })?;
        let mut groups: BTreeSet<GroupName> = standard.names().cloned().collect();
        for group in request.groups.intersection(&groups) {
            let found = standard
                .resolve(group)
                .map_err(|e| fault(group.as_str(), e.to_string()))?;
            edges.extend(found.into_iter().cloned().map(Edge::from));
        }
        let settings = table.get("tool").and_then(|tool| tool.get("pdm"));
        let dev = settings
            .and_then(|s| s.get("dev-dependencies"))
            .and_then(toml::Value::as_table);
        for (name, value) in dev.into_iter().flatten() {
            let group: GroupName = name.parse().map_err(|e| fault(name, format!("{e}")))?;
            if request.groups.contains(&group) {
                // Editable ones (`-e path`) are pdm's own form.
                let lines = strings(Some(value))
                    .into_iter()
                    .filter(|line| !line.starts_with('-'));
                edges.extend(lines.map(|line| parse(&line)).collect::<Result<Vec<_>, _>>()?);
            }
            groups.insert(group);
        }
        Ok(Self {
            edges,
            extras,
            groups,
            indexes: indexes(settings),
        })
    }
}

/// The project's own indexes, and PyPI (or what the user has in its place) unless one of them is named `pypi`.
fn indexes(settings: Option<&toml::Value>) -> Vec<Url> {
    let sources = settings
        .and_then(|s| s.get("source"))
        .and_then(toml::Value::as_array);
    let sources: Vec<_> = sources.into_iter().flatten().collect();
    let text =
        |source: &toml::Value, key: &str| source.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let is_index = |source: &&toml::Value| text(source, "type").is_none_or(|kind| kind == "index");
    let urls = sources
        .iter()
        .copied()
        .filter(is_index)
        .filter_map(|s| text(s, "url")?.parse().ok());
    let mut urls: Vec<Url> = urls.collect();
    let replaces_pypi = sources.iter().any(|s| text(s, "name").as_deref() == Some("pypi"));
    if !urls.is_empty() && !replaces_pypi {
        urls.extend(super::indexes::PYPI.parse().ok());
    }
    urls
}

/// The hashes by which versions of pdm know a pyproject.toml; none if they cannot be computed.
pub(super) fn content_hashes(table: &toml::Table) -> Vec<String> {
    let Some(all) = json(table) else {
        return Vec::new();
    };
    let get = |keys: &[&str], missing: Json| {
        let found = keys.iter().try_fold(&all, |value, key| value.get(key));
        found.cloned().unwrap_or(missing)
    };
    let settings = |key: &str, missing| get(&["tool", "pdm", key], missing);
    let groups = get(&["dependency-groups"], json!({}));
    // Group names are normalised; those of `[tool.pdm.dev-dependencies]` come after.
    let mut dev = serde_json::Map::new();
    for table in [&groups, &settings("dev-dependencies", json!({}))] {
        for (name, lines) in table.as_object().into_iter().flatten() {
            let name = name
                .parse::<GroupName>()
                .map_or_else(|_| name.clone(), |n| n.to_string());
            let all = dev.entry(name).or_insert_with(|| json!([]));
            if let (Some(all), Some(lines)) = (all.as_array_mut(), lines.as_array()) {
                all.extend(lines.iter().cloned());
            }
        }
    }
    let mut hashes = Vec::new();
    for dev in [Json::Object(dev), settings("dev-dependencies", json!({}))] {
        let mut value = json!({
            "sources": settings("source", json!([])),
            "dependencies": get(&["project", "dependencies"], json!([])),
            "dev-dependencies": dev,
            "optional-dependencies": get(&["project", "optional-dependencies"], json!({})),
            "requires-python": get(&["project", "requires-python"], json!("")),
            "resolution": settings("resolution", json!({})),
        });
        hashes.push(hash(&value, Spacing::Wide));
        // Before 2.12 only the overrides counted, under a name of their own.
        if let Some(members) = value.as_object_mut() {
            members.remove("resolution");
            members.insert(
                "overrides".to_owned(),
                get(&["tool", "pdm", "resolution", "overrides"], json!({})),
            );
        }
        hashes.push(hash(&value, Spacing::Wide));
    }
    hashes
}
