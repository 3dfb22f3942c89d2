//! Core metadata from a static `[project]` table (packaging.python.org/specifications/pyproject-toml).

use std::str::FromStr as _;

use pep440_rs::Version;

use super::document::{Document, Node};
use super::error::Error;
use super::packaging::entry_point_groups;
use crate::python::{EntryPoints, ExtraName, PackageName, Requirement};

/// What `[project]` says, checked.
#[derive(Clone, Debug)]
pub struct StaticMetadata {
    /// The distribution's name.
    pub name: PackageName,
    /// Its version, normalised as build backends do.
    pub version: String,
    /// Its entry points.
    pub entry_points: EntryPoints,
    /// The text of METADATA.
    pub text: String,
    /// The directories below the project (empty: its own) that its packages are imported from.
    pub import_roots: Vec<String>,
}

/// Reads `[project]`; its name and version must be there.
pub fn read(document: &Document, import_roots: Vec<String>) -> Result<StaticMetadata, Error> {
    let missing = Node {
        line: 1,
        value: super::Value::Text(String::new()),
    };
    let project = document.get(&["project"]).unwrap_or(&missing);
    let wrong = |node: &Node, message: String| Error::Metadata {
        place: document.place(node),
        message,
    };
    let name_node = project.get("name").unwrap_or(project);
    let name_text = name_node.text().unwrap_or_default();
    let name: PackageName = name_text
        .parse()
        .map_err(|error| wrong(name_node, format!("project.name: {error}")))?;
    let version_node = project.get("version").unwrap_or(project);
    let version = Version::from_str(version_node.text().unwrap_or_default())
        .map_err(|error| wrong(version_node, format!("project.version: {error}")))?
        .to_string();
    let entry_points = EntryPoints::of_groups(entry_point_groups(project))
        .map_err(|error| wrong(project.get("scripts").unwrap_or(project), error.to_string()))?;
    let mut headers = Headers::default();
    headers.add("Metadata-Version", "2.4");
    headers.add("Name", name_text);
    headers.add("Version", &version);
    describe(&mut headers, project);
    requirements(&mut headers, document, project)?;
    Ok(StaticMetadata {
        name,
        version,
        entry_points,
        text: headers.0,
        import_roots,
    })
}

/// RFC 822 headers, each on one line.
#[derive(Default)]
struct Headers(String);

impl Headers {
    fn add(&mut self, name: &str, value: &str) {
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        if !value.is_empty() {
            self.0.extend([name, ": ", &value, "\n"]);
        }
    }
}

fn describe(headers: &mut Headers, project: &Node) {
    let text = |key: &str| project.get(key).and_then(Node::text).unwrap_or_default();
    headers.add("Summary", text("description"));
    let words: Vec<_> = project
        .get("keywords")
        .into_iter()
        .flat_map(Node::texts)
        .collect();
    headers.add("Keywords", &words.join(","));
    for (key, plain, with_email) in [
        ("authors", "Author", "Author-email"),
        ("maintainers", "Maintainer", "Maintainer-email"),
    ] {
        people(headers, project.get(key), plain, with_email);
    }
    if let Some(node) = project.get("license") {
        match (node.text(), node.get("text").and_then(Node::text)) {
            (Some(expression), _) => headers.add("License-Expression", expression),
            (None, Some(text)) if !text.trim().contains('\n') => headers.add("License", text),
            _ => {}
        }
    }
    for classifier in project.get("classifiers").into_iter().flat_map(Node::texts) {
        headers.add("Classifier", classifier);
    }
    for (label, url) in project.get("urls").and_then(Node::table).into_iter().flatten() {
        headers.add(
            "Project-URL",
            &format!("{label}, {}", url.text().unwrap_or_default()),
        );
    }
    headers.add("Requires-Python", text("requires-python"));
}

/// > If only `name` is provided, the value goes in Author or Maintainer [...] If both email and name are provided, the
/// > value goes in Author-email or Maintainer-email as appropriate, with the format `{name} <{email}>`. Multiple
/// > values should be separated by commas.
fn people(headers: &mut Headers, people: Option<&Node>, plain: &str, with_email: &str) {
    let (mut names, mut emails) = (Vec::new(), Vec::new());
    for person in people.and_then(Node::array).unwrap_or_default() {
        let part = |key| person.get(key).and_then(Node::text);
        match (part("name"), part("email")) {
            (Some(name), Some(email)) => emails.push(format!("{name} <{email}>")),
            (None, Some(email)) => emails.push(email.to_owned()),
            (Some(name), None) => names.push(name.to_owned()),
            (None, None) => {}
        }
    }
    headers.add(plain, &names.join(", "));
    headers.add(with_email, &emails.join(", "));
}

fn requirements(headers: &mut Headers, document: &Document, project: &Node) -> Result<(), Error> {
    let items = |node: &Node| node.array().unwrap_or_default().to_vec();
    for item in project.get("dependencies").map(items).unwrap_or_default() {
        headers.add("Requires-Dist", &requirement(document, &item, None)?);
    }
    let extras = project.get("optional-dependencies").and_then(Node::table);
    for (extra, list) in extras.into_iter().flatten() {
        let extra = ExtraName::from_str(extra).map_err(|error| Error::Metadata {
            place: document.place(list),
            message: error.to_string(),
        })?;
        headers.add("Provides-Extra", extra.as_str());
        for item in items(list) {
            headers.add("Requires-Dist", &requirement(document, &item, Some(&extra))?);
        }
    }
    Ok(())
}

/// A requirement as METADATA has it: of an extra, its marker asks for the extra; credentials in a URL are removed.
fn requirement(document: &Document, item: &Node, extra: Option<&ExtraName>) -> Result<String, Error> {
    let wrong = |message: String| Error::Metadata {
        place: document.place(item),
        message,
    };
    let text = item
        .text()
        .ok_or_else(|| wrong(format!("expected a requirement, found {}", item.kind())))?;
    let mut requirement = Requirement::from_str(text).map_err(|error| wrong(error.to_string()))?;
    requirement.url = requirement.url.map(|url| without_credentials(&url));
    let marker = requirement.marker.take().map(|marker| marker.to_string());
    let marker = match (marker, extra) {
        (None, None) => return Ok(requirement.to_string()),
        (Some(marker), None) => marker,
        (None, Some(extra)) => format!("extra == \"{extra}\""),
        (Some(marker), Some(extra)) => format!("({marker}) and extra == \"{extra}\""),
    };
    // > URL [...] a space before the semicolon
    Ok(format!("{requirement} ; {marker}"))
}

fn without_credentials(text: &str) -> String {
    match url::Url::parse(text) {
        Ok(mut url) if !url.username().is_empty() || url.password().is_some() => {
            let removed = url.set_username("").and_then(|()| url.set_password(None));
            if removed.is_ok() {
                url.to_string()
            } else {
                String::new()
            }
        }
        _ => text.to_owned(),
    }
}
