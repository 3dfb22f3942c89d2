//! Reading `poetry.lock` (lock versions 1.0 to 2.1): what of it a target needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value as Json, json};
use toml::{Spanned, Value};
use url::Url;

use super::content_hash::{Spacing, hash, json};
use super::fit::{Fit, Locked, unmet};
use super::listed::{self, Named};
use super::poetry_constraint::Constraint;
use super::poetry_project::{Project, edges};
use super::text::Text;
use super::walk::{Conditions, Edge, Node, WalkError, walk};
use super::{Content, Error, Location, Lock, Package, Request};
use crate::python::{ExtraName, GroupName, Marker, PackageName, Target};
use crate::tools::Tools;

/// The group of the project's own dependencies.
const MAIN: &str = "main";
/// What makes a new lock.
const MEND: &str = "poetry lock";

#[derive(Deserialize)]
struct RawLock {
    #[serde(default)]
    package: Vec<Spanned<RawPackage>>,
    #[serde(default)]
    extras: BTreeMap<String, Value>,
    metadata: RawMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawMetadata {
    lock_version: Spanned<String>,
    python_versions: Option<Spanned<String>>,
    content_hash: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, Vec<RawFile>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawPackage {
    name: Spanned<String>,
    version: Spanned<String>,
    python_versions: Option<String>,
    groups: Option<Vec<Spanned<String>>>,
    markers: Option<Spanned<Value>>,
    files: Option<Vec<RawFile>>,
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
    #[serde(default)]
    extras: BTreeMap<String, Vec<String>>,
    source: Option<RawSource>,
    #[serde(default)]
    develop: bool,
}

#[derive(Clone, Deserialize)]
struct RawFile {
    file: String,
    hash: String,
}

#[derive(Deserialize)]
struct RawSource {
    r#type: Spanned<String>,
    url: Spanned<String>,
    reference: Option<String>,
    resolved_reference: Option<String>,
    subdirectory: Option<String>,
}

/// Reads the text of a `poetry.lock` at `place`. Packages of the groups and extras that are asked for and that the target
/// needs; the lock must fit the pyproject.toml beside it.
pub(super) fn read(
    text: &str,
    place: &Path,
    request: &Request,
    target: &Target,
    tools: &Tools<'_>,
) -> Result<Lock, Error> {
    let text = Text { text, path: place };
    let raw: RawLock = text.toml()?;
    let version = raw.metadata.lock_version.get_ref();
    if !matches!(version.split('.').next(), Some("1" | "2")) {
        let problem = format!("lock-version {version} is not supported (1.0 to 2.1 are)");
        return Err(text.fault(raw.metadata.lock_version.span().start, problem));
    }
    let reader = Reader {
        text,
        raw: &raw,
        request,
        conditions: Conditions::of(target),
    };
    reader.check_python(target)?;
    let beside = place.with_file_name("pyproject.toml");
    let project_text = fs_err::read_to_string(&beside).ok();
    let project = match &project_text {
        Some(text) => Some(reader.project(text, &beside, tools)?),
        None => None,
    };
    reader.lock(project.as_ref(), &beside)
}

struct Reader<'a> {
    text: Text<'a>,
    raw: &'a RawLock,
    request: &'a Request,
    conditions: Conditions,
}

impl Reader<'_> {
    fn check_python(&self, target: &Target) -> Result<(), Error> {
        let Some(raw) = &self.raw.metadata.python_versions else {
            return Ok(());
        };
        let versions: Constraint = self.text.value(raw)?;
        if self.conditions.is_python_in(&versions) {
            return Ok(());
        }
        Err(Error::LockPython {
            requires: raw.get_ref().clone(),
            python: target.python_full_version(),
        })
    }

    fn lock(&self, project: Option<&Project>, beside: &Path) -> Result<Lock, Error> {
        let chosen = match project {
            _ if self.notes_groups() => self.by_groups()?,
            Some(project) => self.by_walk(project, beside)?,
            None => {
                let source = std::io::Error::from(std::io::ErrorKind::NotFound);
                return Err(Error::read(beside, source));
            }
        };
        let packages = chosen
            .into_iter()
            .map(|index| self.package(&self.raw.package[index]));
        let extras = self.raw.extras.keys().filter_map(|name| name.parse().ok());
        let groups = self
            .raw
            .package
            .iter()
            .flat_map(|p| p.get_ref().groups.iter().flatten());
        let groups = groups.filter_map(|name| name.get_ref().parse().ok());
        let mut lock = Lock {
            extras: extras.collect(),
            groups: groups.collect(),
            created_by: "poetry".to_owned(),
            packages: packages.collect::<Result<_, _>>()?,
            ..Lock::default()
        };
        if let Some(project) = project {
            lock.extras.extend(project.extras.iter().cloned());
            lock.groups.extend(project.groups.keys().cloned());
        }
        Ok(lock)
    }

    /// Whether each package says for which groups it is (since lock version 2.1).
    fn notes_groups(&self) -> bool {
        self.raw.package.iter().all(|p| p.get_ref().groups.is_some())
    }

    /// The groups whose packages are wanted.
    fn is_wanted(&self, group: &str) -> bool {
        group == MAIN
            || group
                .parse()
                .is_ok_and(|group: GroupName| self.request.groups.contains(&group))
    }

    fn by_groups(&self) -> Result<BTreeSet<usize>, Error> {
        let mut chosen = BTreeSet::new();
        for (index, package) in self.raw.package.iter().enumerate() {
            let package = package.get_ref();
            for group in package.groups.iter().flatten() {
                if self.is_wanted(group.get_ref()) && self.holds(package, group.get_ref())? {
                    chosen.insert(index);
                }
            }
        }
        Ok(chosen)
    }

    /// Whether the marker of a package holds for one of its groups.
    fn holds(&self, package: &RawPackage, group: &str) -> Result<bool, Error> {
        let Some(markers) = &package.markers else {
            return Ok(true);
        };
        let marker = match markers.get_ref() {
            Value::String(marker) => marker.as_str(),
            of_groups => of_groups.get(group).and_then(Value::as_str).unwrap_or("*"),
        };
        if marker == "*" {
            return Ok(true);
        }
        let at = markers.span().start;
        let marker: Marker = marker.parse().map_err(|e| self.text.fault(at, format!("{e}")))?;
        let holds = self.conditions.holds(&marker, &self.request.extras);
        holds.map_err(|e| self.text.fault(at, e.to_string()))
    }

    fn by_walk(&self, project: &Project, beside: &Path) -> Result<BTreeSet<usize>, Error> {
        let nodes = self
            .raw
            .package
            .iter()
            .map(|package| self.node(package.get_ref()));
        let nodes: Vec<Node> = nodes.collect::<Result<_, _>>()?;
        let chosen = walk(
            &nodes,
            self.roots(project),
            &self.request.extras,
            &self.conditions,
        );
        chosen.map_err(|error| match error {
            WalkError::Missing(edge) => self
                .fit(beside)
                .stale(vec![format!("{} is not locked as it is required", edge.name)]),
            WalkError::Marker(name, source) => Error::Marker {
                what: name.to_string(),
                source,
            },
        })
    }

    fn roots<'p>(&self, project: &'p Project) -> Vec<&'p Edge> {
        let groups = self
            .request
            .groups
            .iter()
            .filter_map(|group| project.groups.get(group));
        project.main.iter().chain(groups.flatten()).collect()
    }

    fn node(&self, package: &RawPackage) -> Result<Node, Error> {
        let mut requires = Vec::new();
        for (name, value) in &package.dependencies {
            for mut edge in edges(name, value, &self.text)? {
                if edge.only_with.is_some() {
                    edge.only_with = Some(extras_with(&edge.name, &package.extras));
                }
                requires.push(edge);
            }
        }
        Ok(Node {
            name: self.text.value(&package.name)?,
            version: Some(self.text.value(&package.version)?),
            extras: None,
            python: package.python().unwrap_or_else(Constraint::any),
            requires,
        })
    }

    fn package(&self, spanned: &Spanned<RawPackage>) -> Result<Package, Error> {
        let raw = spanned.get_ref();
        let name: PackageName = self.text.value(&raw.name)?;
        let source = raw.source.as_ref();
        let is_index = source.is_none_or(|s| s.r#type.get_ref() == "legacy");
        let content = match source {
            Some(source) if !is_index => self.direct(raw, source)?,
            _ => self.listed(raw, &name)?,
        };
        Ok(Package {
            version: Some(self.text.value(&raw.version)?),
            marker: None,
            kept: super::Kept::default(),
            requires_python: raw.python_versions.as_ref().and_then(|text| text.parse().ok()),
            index: source
                .filter(|_| is_index)
                .map(|s| self.text.value(&s.url))
                .transpose()?,
            name,
            content,
        })
    }

    fn listed(&self, raw: &RawPackage, name: &PackageName) -> Result<Content, Error> {
        let at = raw.name.span().start;
        let indexes: Vec<Url> = match &raw.source {
            Some(source) => vec![self.text.value(&source.url)?],
            None => Vec::new(),
        };
        let mut files = Vec::new();
        for file in self.files(raw) {
            let hashes: Vec<_> = listed::strong(&file.hash).into_iter().collect();
            if hashes.is_empty() {
                let problem = format!(
                    "{} has no sha256, sha384 or sha512 hash",
                    file.file.escape_debug()
                );
                return Err(self.text.fault(at, problem));
            }
            let name = file.file.clone();
            files.push(Named {
                name,
                url: None,
                hashes,
            });
        }
        if files.is_empty() {
            return Err(self.text.fault(at, format!("package `{name}` has no files")));
        }
        Ok(listed::files(
            name,
            &self.text.value(&raw.version)?,
            &indexes,
            files,
        ))
    }

    /// The files of a package; before lock version 2.0 they stand together at the end.
    fn files<'p>(&'p self, raw: &'p RawPackage) -> &'p [RawFile] {
        match &raw.files {
            Some(files) => files,
            None => self
                .raw
                .metadata
                .files
                .get(raw.name.get_ref())
                .map(Vec::as_slice)
                .unwrap_or_default(),
        }
    }

    /// What does not come of an index.
    fn direct(&self, raw: &RawPackage, source: &RawSource) -> Result<Content, Error> {
        let at = source.url.span().start;
        let url = source.url.get_ref();
        let hashes = || {
            self.files(raw)
                .iter()
                .filter_map(|f| listed::strong(&f.hash))
                .take(1)
                .collect()
        };
        match source.r#type.get_ref().as_str() {
            "directory" => Ok(Content::Directory {
                path: self.text.absolute(url),
                editable: raw.develop,
                subdirectory: source.subdirectory.clone(),
            }),
            "file" => {
                let location = Location::Path(self.text.absolute(url));
                listed::archive(&self.text, at, location, hashes(), source.subdirectory.clone())
            }
            "url" => {
                let location = self.text.place(&source.url)?;
                listed::archive(&self.text, at, location, hashes(), source.subdirectory.clone())
            }
            "git" => {
                let commit = source.resolved_reference.as_deref().unwrap_or_default();
                let rest = (source.reference.as_deref(), source.subdirectory.as_deref());
                listed::repository(&self.text, at, url, commit, rest)
            }
            other => Err(self.text.fault(at, format!("source type `{other}` is not known"))),
        }
    }

    /// The project beside the lock, which the lock must fit.
    fn project(&self, text: &str, beside: &Path, tools: &Tools<'_>) -> Result<Project, Error> {
        let text = Text { text, path: beside };
        let table: toml::Table = text.toml()?;
        let project = Project::read(&table, &text)?;
        let known = self.raw.metadata.content_hash.as_deref();
        if known.is_some_and(|known| content_hashes(&table).iter().any(|own| own == known)) {
            return Ok(project);
        }
        let (roots, extras) = (self.roots(&project), &self.request.extras);
        let differences = unmet(roots, &self.conditions, extras, &self.locked()?);
        self.fit(beside).check(differences, tools.progress)?;
        Ok(project)
    }

    fn fit<'f>(&'f self, project: &'f Path) -> Fit<'f> {
        Fit {
            lock: self.text.path,
            project,
            mend: MEND,
            request: self.request,
        }
    }

    /// What is locked, by name.
    fn locked(&self) -> Result<Locked, Error> {
        let mut locked = Locked::new();
        for package in self.raw.package.iter().map(Spanned::get_ref) {
            let version = self.text.value(&package.version)?;
            if let Ok(name) = package.name.get_ref().parse() {
                locked.entry(name).or_default().push(Some(version));
            }
        }
        Ok(locked)
    }
}

impl RawPackage {
    fn python(&self) -> Option<Constraint> {
        self.python_versions.as_ref()?.parse().ok()
    }
}

/// The extras of a locked package that bring a requirement.
fn extras_with(name: &PackageName, extras: &BTreeMap<String, Vec<String>>) -> BTreeSet<ExtraName> {
    // Old locks write `name (>=1)`, newer ones requirements with markers: the name comes first in both.
    let names = |line: &String| {
        let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
        line[..end.unwrap_or(line.len())].parse().ok().as_ref() == Some(name)
    };
    let bring = extras.iter().filter(|(_, lines)| lines.iter().any(names));
    bring.filter_map(|(extra, _)| extra.parse().ok()).collect()
}

/// The hashes by which versions of poetry know a pyproject.toml; none if they cannot be computed.
fn content_hashes(table: &toml::Table) -> Vec<String> {
    // Poetry hashes what these keys hold; those of the first list count as `null` where they are missing.
    const LEGACY: [&str; 4] = ["dependencies", "source", "extras", "dev-dependencies"];
    const PROJECT: [&str; 3] = ["requires-python", "dependencies", "optional-dependencies"];
    let Some(all) = json(table) else {
        return Vec::new();
    };
    let get = |keys: &[&str]| keys.iter().try_fold(&all, |value, key| value.get(key)).cloned();
    let object = |members: Vec<(&str, Json)>| {
        Json::Object(
            members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    };
    let present = |keys: &[&'static str], of: &[&str]| {
        let found = |key: &&'static str| Some((*key, get(&[of, &[*key]].concat())?));
        keys.iter().filter_map(found).collect::<Vec<_>>()
    };
    let poetry = ["tool", "poetry"];
    // 1.x, and later versions where nothing is in `[project]`.
    let of_poetry = |with_group: bool| {
        let legacy = LEGACY.map(|key| (key, get(&["tool", "poetry", key]).unwrap_or(Json::Null)));
        let group = present(&["group"], &poetry).into_iter().filter(|_| with_group);
        object(legacy.into_iter().chain(group).collect())
    };
    let mut values = vec![of_poetry(true), of_poetry(false)];
    // 2.x; dependency groups count since 2.3.
    let project = present(&PROJECT, &["project"]);
    let groups = get(&["dependency-groups"]).filter(|g| g.as_object().is_some_and(|g| !g.is_empty()));
    for groups in [groups, None] {
        let mut members = Vec::new();
        if !project.is_empty() {
            members.push(("project", object(project.clone())));
        }
        members.extend(groups.map(|groups| ("dependency-groups", groups)));
        if !members.is_empty() {
            let own = [&LEGACY[..], &["group"]].concat();
            members.push(("tool", json!({ "poetry": object(present(&own, &poetry)) })));
            values.push(object(members));
        }
    }
    values.iter().map(|value| hash(value, Spacing::Wide)).collect()
}
