//! `[project]` and `[build-system]` of a pyproject.toml.

use std::collections::BTreeMap;

use pep440_rs::Version;

use super::entry_points::EntryPoints;
use super::name::{ExtraName, PackageName};
use super::requirement::Requirement;
use super::specifiers::Specifiers;
use super::tables::{self, Table, TableError};

/// The `[project]` table.
///
/// Spec: <https://packaging.python.org/en/latest/specifications/pyproject-toml/#declaring-project-metadata-the-project-table>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectTable {
    /// `name`, normalised.
    pub name: PackageName,
    /// `name` as written.
    pub name_text: String,
    /// `version`; `None` if it is dynamic.
    pub version: Option<Version>,
    /// `dynamic`: the fields that the build backend gives.
    pub dynamic: Vec<String>,
    /// `description`: one line.
    pub description: Option<String>,
    /// `requires-python`
    pub requires_python: Option<Specifiers>,
    /// `license`: an SPDX expression, or the `text` of the older table form.
    pub license: Option<String>,
    /// `authors`: `Name <address>`, or what there is of it.
    pub authors: Vec<String>,
    /// `urls`, sorted by label.
    pub urls: BTreeMap<String, String>,
    /// `dependencies`
    pub dependencies: Vec<Requirement>,
    /// `optional-dependencies`
    pub optional_dependencies: BTreeMap<ExtraName, Vec<Requirement>>,
    /// `scripts`, `gui-scripts` and `entry-points`.
    pub entry_points: EntryPoints,
}

/// The `[build-system]` table (PEP 517 and 518).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildSystem {
    /// `requires`: what the build needs.
    pub requires: Vec<Requirement>,
    /// `build-backend`; setuptools' legacy backend if there is none.
    pub build_backend: Option<String>,
    /// `backend-path`: directories of the project that hold the backend.
    pub backend_path: Vec<String>,
}

impl ProjectTable {
    /// Reads the text of a pyproject.toml; `None` if it has no `[project]`.
    pub fn parse(text: &str) -> Result<Option<Self>, TableError> {
        let document = tables::parse(text)?;
        let project = Table::top(text, document.get_ref()).table("project", "[project]")?;
        project.map(Self::of_table).transpose()
    }

    /// `optional-dependencies`, after a check of `dependencies`; what else is wrong is for those to say who use it.
    pub fn extras(text: &str) -> Result<BTreeMap<ExtraName, Vec<Requirement>>, TableError> {
        let document = tables::parse(text)?;
        let Some(table) = Table::top(text, document.get_ref()).table("project", "[project]")? else {
            return Ok(BTreeMap::new());
        };
        table.list("dependencies", str::parse::<Requirement>)?;
        optional_dependencies(table)
    }

    /// Whether a field is left to the build backend.
    pub fn is_dynamic(&self, field: &str) -> bool {
        self.dynamic.iter().any(|f| f == field)
    }

    fn of_table(table: Table<'_>) -> Result<Self, TableError> {
        // > name: [...] Tools SHOULD raise an error if it is missing; it must not be dynamic.
        let name_text = table
            .text("name")?
            .ok_or_else(|| table.fault_here("[project] has no `name`".to_owned()))?;
        let dynamic = table.list("dynamic", |field| Ok::<_, TableError>(field.to_owned()))?;
        let version = table.parsed("version", str::parse::<Version>)?;
        // > version: [...] required, unless it is in `dynamic`
        if version.is_none() && !dynamic.iter().any(|f| f == "version") {
            return Err(
                table.fault_here("[project] has neither `version` nor lists it in `dynamic`".to_owned())
            );
        }
        let name = table.parsed("name", str::parse::<PackageName>)?;
        Ok(Self {
            name: name.ok_or_else(|| table.fault_here("[project] has no `name`".to_owned()))?,
            name_text: name_text.to_owned(),
            version,
            dynamic,
            description: table.text("description")?.map(str::to_owned),
            requires_python: table.parsed("requires-python", str::parse::<Specifiers>)?,
            license: license(table)?,
            authors: authors(table)?,
            urls: texts(table, "urls", "[project.urls]")?,
            dependencies: table.list("dependencies", str::parse::<Requirement>)?,
            optional_dependencies: optional_dependencies(table)?,
            entry_points: entry_points(table)?,
        })
    }
}

/// > License: a string with an SPDX expression; older: a table with `file` or `text`.
fn license(table: Table<'_>) -> Result<Option<String>, TableError> {
    let Some(value) = table.get("license") else {
        return Ok(None);
    };
    let text = match table.as_table(value, "[project.license]") {
        Ok(license) => license.text("text")?,
        Err(_) => table.text("license")?,
    };
    Ok(text.map(str::to_owned))
}

fn authors(table: Table<'_>) -> Result<Vec<String>, TableError> {
    let Some(value) = table.get("authors") else {
        return Ok(Vec::new());
    };
    let mut authors = Vec::new();
    for item in table.as_array(value, "authors")? {
        let author = table.as_table(item, "an item of `authors`")?;
        match (author.text("name")?, author.text("email")?) {
            (Some(name), Some(email)) => authors.push(format!("{name} <{email}>")),
            (Some(one), None) | (None, Some(one)) => authors.push(one.to_owned()),
            (None, None) => {}
        }
    }
    Ok(authors)
}

fn texts(table: Table<'_>, key: &str, name: &str) -> Result<BTreeMap<String, String>, TableError> {
    let Some(value) = table.get(key) else {
        return Ok(BTreeMap::new());
    };
    let texts = table.as_table(value, name)?;
    let pairs = texts
        .entries()
        .map(|(key, value)| Ok((key.to_owned(), texts.as_text(value, key)?.to_owned())));
    pairs.collect()
}

fn optional_dependencies(table: Table<'_>) -> Result<BTreeMap<ExtraName, Vec<Requirement>>, TableError> {
    let mut extras = BTreeMap::new();
    let optional = table.table("optional-dependencies", "[project.optional-dependencies]")?;
    for (key, value) in optional.iter().flat_map(|o| o.entries()) {
        let extra: ExtraName = key.parse().map_err(|e| table.fault(value, format!("{e}")))?;
        let requirements = table.as_list(value, key, str::parse::<Requirement>)?;
        if extras.insert(extra, requirements).is_some() {
            return Err(table.fault(value, format!("extra `{key}` is defined twice")));
        }
    }
    Ok(extras)
}

fn entry_points(table: Table<'_>) -> Result<EntryPoints, TableError> {
    let mut groups = BTreeMap::new();
    let others = table.table("entry-points", "[project.entry-points]")?;
    for (group, value) in others.iter().flat_map(|o| o.entries()) {
        // > Build back-ends MUST raise an error if the metadata defines [project.entry-points.console_scripts] [...]
        if matches!(group, "console_scripts" | "gui_scripts") {
            let right = group.replace("console_", "").replace('_', "-");
            return Err(table.fault(
                value,
                format!("[project.entry-points.{group}] must be [project.{right}]"),
            ));
        }
        let entries = others.map(|o| texts(o, group, group)).transpose()?;
        groups.insert(group.to_owned(), entries.unwrap_or_default());
    }
    for (key, group) in [("scripts", "console_scripts"), ("gui-scripts", "gui_scripts")] {
        let entries = texts(table, key, key)?;
        if !entries.is_empty() {
            groups.insert(group.to_owned(), entries);
        }
    }
    let place = table.get("scripts").or(table.get("gui-scripts"));
    EntryPoints::of_groups(groups).map_err(|e| match place {
        Some(value) => table.fault(value, e.to_string()),
        None => table.fault_here(e.to_string()),
    })
}

impl BuildSystem {
    /// Reads the text of a pyproject.toml; `None` if it has no `[build-system]`.
    pub fn parse(text: &str) -> Result<Option<Self>, TableError> {
        let document = tables::parse(text)?;
        let top = Table::top(text, document.get_ref());
        let Some(table) = top.table("build-system", "[build-system]")? else {
            return Ok(None);
        };
        // > The `[build-system]` table [...] `requires` is mandatory.
        if table.get("requires").is_none() {
            return Err(table.fault_here("[build-system] has no `requires`".to_owned()));
        }
        Ok(Some(Self {
            requires: table.list("requires", str::parse::<Requirement>)?,
            build_backend: table.text("build-backend")?.map(str::to_owned),
            backend_path: table.list("backend-path", |p| Ok::<_, TableError>(p.to_owned()))?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_project_is_read() {
        let text = r#"
            [project]
            name = "My.App"
            dynamic = ["version"]
            description = "Does it"
            requires-python = ">=3.11"
            license = { text = "MIT" }
            authors = [{ name = "A", email = "a@b.c" }, { email = "c@d.e" }]
            dependencies = ["flask>=3", "uvicorn[standard]; os_name == 'posix'"]
            optional-dependencies.Dev_Tools = ["pytest"]
            scripts = { app = "my.app:main" }
            [project.urls]
            Source = "https://example.org"
            [project.entry-points."other.group"]
            x = "y"
            [build-system]
            requires = ["hatchling"]
            build-backend = "hatchling.build"
        "#;
        let project = ProjectTable::parse(text).unwrap().unwrap();
        assert_eq!(
            (project.name.as_str(), project.name_text.as_str()),
            ("my-app", "My.App")
        );
        assert!(project.is_dynamic("version") && project.version.is_none());
        assert_eq!(project.license.as_deref(), Some("MIT"));
        assert_eq!(project.authors, ["A <a@b.c>", "c@d.e"]);
        assert_eq!(
            project.dependencies[1].to_string(),
            "uvicorn[standard]; os_name == \"posix\""
        );
        assert_eq!(
            project.optional_dependencies[&"dev-tools".parse().unwrap()].len(),
            1
        );
        assert_eq!(project.entry_points.console_scripts[0].name, "app");
        assert_eq!(project.entry_points.groups["other.group"]["x"], "y");
        assert_eq!(project.urls["Source"], "https://example.org");
        let build = BuildSystem::parse(text).unwrap().unwrap();
        assert_eq!(build.build_backend.as_deref(), Some("hatchling.build"));
        assert_eq!(ProjectTable::parse("[tool.x]").unwrap(), None);
        assert_eq!(BuildSystem::parse("").unwrap(), None);
    }

    #[test]
    fn faults_name_their_line() {
        for (text, line) in [
            ("[project", 1),
            ("\nproject = 1", 2),
            ("[project]\nversion = '1'", 2),
            ("[project]\nname = 'a'", 2),
            ("[project]\nname = 'a'\nversion = 'x'", 3),
            ("[project]\nname = '-'\nversion = '1'", 2),
            (
                "[project]\nname = 'a'\nversion = '1'\ndependencies = [\n 'b',\n 'c=1'\n]",
                6,
            ),
            ("[project]\nname = 'a'\nversion = '1'\ndependencies = 'b'", 4),
            (
                "[project]\nname = 'a'\nversion = '1'\n[project.optional-dependencies]\na = []\nA = []",
                5,
            ),
            (
                "[project]\nname = 'a'\nversion = '1'\n[project.entry-points]\nconsole_scripts = {}",
                5,
            ),
            (
                "[project]\nname = 'a'\nversion = '1'\nscripts = { '../x' = 'a:b' }",
                4,
            ),
        ] {
            assert_eq!(ProjectTable::parse(text).unwrap_err().line, line, "{text}");
        }
        assert_eq!(
            BuildSystem::parse("[build-system]\nbuild-backend = 'x'")
                .unwrap_err()
                .line,
            2
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([a-z\\[\\]='\"{}.,\n -]|\\PC){0,60}") {
            let _ = ProjectTable::parse(&text);
            let _ = ProjectTable::parse(&format!("[project]\nname = 'a'\nversion = '1'\n{text}"));
            let _ = BuildSystem::parse(&format!("[build-system]\n{text}"));
        }
    }
}
