//! Labels of the image from the project's metadata: `org.opencontainers.image.*` (image-spec annotations.md).

use std::collections::BTreeMap;

use super::document::Node;
use super::{Distribution, Project};

impl Project {
    /// What the project's metadata says in the terms of the OCI image spec. A dynamic version (and
    /// the name in a setup.py) is the one of the distribution that was built.
    ///
    /// Whose names and e-mail addresses are in `authors` they are because `[project]` publishes them.
    pub fn labels(&self, distribution: Option<&Distribution>) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        let mut add = |name: &str, value: Option<String>| {
            // Whoever shows a label shows a line, and passes no orders to a terminal.
            let line = |value: String| {
                value
                    .split(char::is_control)
                    .map(str::trim)
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            if let Some(value) = value
                .map(|value| line(value).trim().to_owned())
                .filter(|value| !value.is_empty())
            {
                labels.insert(format!("org.opencontainers.image.{name}"), value);
            }
        };
        // The directory's name would do for a title, but an image must not depend on where its project lies.
        add("title", distribution.map(|built| built.name().to_string()));
        add("version", distribution.map(|built| built.version().to_owned()));
        let Some(project) = self
            .pyproject
            .as_ref()
            .and_then(|document| document.get(&["project"]))
        else {
            return labels;
        };
        let text = |key: &str| project.get(key).and_then(Node::text).map(str::to_owned);
        add("title", text("name"));
        add("version", text("version"));
        add("description", text("description"));
        add("authors", project.get("authors").map(authors));
        let license = project.get("license");
        // > licenses: License(s) under which contained software is distributed as an SPDX License Expression.
        let is_expression = |text: &&str| !text.contains('\n') && text.len() < 200;
        let expression = license.and_then(Node::text).or_else(|| {
            let text = license
                .and_then(|license| license.get("text"))
                .and_then(Node::text);
            text.filter(is_expression)
        });
        add("licenses", expression.map(str::to_owned));
        let url = |labels: &[&str]| {
            let urls = project.get("urls").and_then(Node::table)?;
            let found = labels
                .iter()
                .find_map(|label| urls.iter().find(|(key, _)| normalise_label(key) == *label))?;
            found.1.text().map(str::to_owned)
        };
        add("url", url(&["homepage", "url"]));
        add(
            "source",
            url(&["source", "repository", "sourcecode", "github", "code"]),
        );
        add("documentation", url(&["documentation", "docs"]));
        labels
    }
}

/// > Contact details of the people or organization responsible for the image (freeform string)
fn authors(node: &Node) -> String {
    let people = node.array().unwrap_or_default().iter().filter_map(|person| {
        let part = |key| person.get(key).and_then(Node::text);
        match (part("name"), part("email")) {
            (Some(name), Some(email)) => Some(format!("{name} <{email}>")),
            (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
            (None, None) => None,
        }
    });
    people.collect::<Vec<_>>().join(", ")
}

/// > removing all ASCII punctuation and whitespace characters [...] and then converting the result to lowercase
/// > (well-known labels in project URLs)
fn normalise_label(label: &str) -> String {
    label
        .chars()
        .filter(|c| !c.is_ascii_punctuation() && !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{Packaging, Settings};

    #[test]
    fn labels_come_from_the_metadata_and_never_from_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let project = || Project::discover(directory.path(), Settings::default()).unwrap();
        assert!(project().labels(None).is_empty());
        let text = r#"
            [project]
            name = "demo"
            version = "1.2"
            description = "Shows"
            license = { text = "MIT" }
            authors = [{ name = "A", email = "a@b.c" }, { name = "B" }, { email = "c@d.e" }]
            [project.urls]
            "Home Page" = "https://home"
            "Source Code" = "https://code"
        "#;
        fs_err::write(directory.path().join("pyproject.toml"), text).unwrap();
        let labels: Vec<_> = project()
            .labels(None)
            .into_iter()
            .map(|(key, value)| {
                format!(
                    "{}={value}",
                    key.strip_prefix("org.opencontainers.image.").unwrap()
                )
            })
            .collect();
        assert_eq!(
            labels,
            [
                "authors=A <a@b.c>, B, c@d.e",
                "description=Shows",
                "licenses=MIT",
                "source=https://code",
                "title=demo",
                "url=https://home",
                "version=1.2",
            ]
        );
    }

    #[test]
    fn a_version_that_the_backend_computed_is_a_label_too() {
        let directory = tempfile::tempdir().unwrap();
        let pyproject = |text: &str| fs_err::write(directory.path().join("pyproject.toml"), text).unwrap();
        let project = || Project::discover(directory.path(), Settings::default()).unwrap();
        pyproject("[project]\nname = 'Other.Name'\nversion = '2'\n");
        let Packaging::Static(metadata) = project().packaging().unwrap() else {
            panic!("the metadata is static");
        };
        let built = Distribution::Static(metadata);
        pyproject("[project]\nname = 'Demo'\ndynamic = ['version']\n");
        let labels = project().labels(Some(&built));
        assert_eq!(labels["org.opencontainers.image.version"], "2");
        assert_eq!(labels["org.opencontainers.image.title"], "Demo");
        fs_err::remove_file(directory.path().join("pyproject.toml")).unwrap();
        let labels = project().labels(Some(&built));
        assert_eq!(labels["org.opencontainers.image.title"], "other-name");
    }
}
