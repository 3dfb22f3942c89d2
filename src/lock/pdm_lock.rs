//! Reading `pdm.lock` (lock versions 4.x): what of it a target needs.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::fit::{Fit, Locked, unmet};
use super::listed::{self, Named};
use super::pdm_project::{Project, content_hashes};
use super::poetry_constraint::Constraint;
use super::pylock;
use super::text::Text;
use super::walk::{Conditions, Edge, Node, WalkError, walk};
use super::{Content, Error, Location, Lock, Package, Request};
use crate::python::{ExtraName, GroupName, Marker, PackageName, Requirement, Specifiers, Target};
use crate::tools::Tools;

/// The group of the project's own dependencies.
const DEFAULT: &str = "default";
/// What makes a new lock.
const MEND: &str = "pdm lock";

#[derive(Deserialize)]
struct RawLock {
    metadata: RawMetadata,
    #[serde(default)]
    package: Vec<Spanned<RawPackage>>,
}

#[derive(Deserialize)]
struct RawMetadata {
    lock_version: Spanned<String>,
    content_hash: Option<String>,
    groups: Option<Vec<String>>,
    #[serde(default)]
    strategy: Vec<String>,
    #[serde(default)]
    targets: Vec<RawTarget>,
}

#[derive(Deserialize)]
struct RawTarget {
    requires_python: Option<Spanned<String>>,
}

#[derive(Deserialize)]
struct RawPackage {
    name: Spanned<String>,
    version: Option<Spanned<String>>,
    requires_python: Option<String>,
    marker: Option<Spanned<String>>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    extras: Vec<String>,
    #[serde(default)]
    dependencies: Vec<Spanned<String>>,
    #[serde(default)]
    files: Vec<Spanned<RawFile>>,
    git: Option<Spanned<String>>,
    revision: Option<String>,
    r#ref: Option<String>,
    path: Option<Spanned<String>>,
    url: Option<Spanned<String>>,
    subdirectory: Option<String>,
    #[serde(default)]
    editable: bool,
}

#[derive(Deserialize)]
struct RawFile {
    file: Option<String>,
    url: Option<Spanned<String>>,
    hash: String,
}

/// Reads the text of a `pdm.lock` at `place`. Packages of the groups and extras that are asked for and that the target
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
    if version.split('.').next() != Some("4") {
        let problem = format!("lock_version {version} is not supported (4.0 to 4.5 are)");
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
    let project = fs_err::read_to_string(&beside).map_err(|source| Error::read(&beside, source))?;
    let project = reader.project(&project, &beside, tools)?;
    reader.lock(&project, &beside)
}

struct Reader<'a> {
    text: Text<'a>,
    raw: &'a RawLock,
    request: &'a Request,
    conditions: Conditions,
}

impl Reader<'_> {
    fn check_python(&self, target: &Target) -> Result<(), Error> {
        let mut requires = Vec::new();
        for raw in self
            .raw
            .metadata
            .targets
            .iter()
            .filter_map(|t| t.requires_python.as_ref())
        {
            let versions: Specifiers = self.text.value(raw)?;
            if self.conditions.is_python_in(&versions.into()) {
                return Ok(());
            }
            requires.push(raw.get_ref().as_str());
        }
        if requires.len() < self.raw.metadata.targets.len() || requires.is_empty() {
            return Ok(());
        }
        Err(Error::LockPython {
            requires: requires.join(" or "),
            python: target.python_full_version(),
        })
    }

    fn lock(&self, project: &Project, beside: &Path) -> Result<Lock, Error> {
        let is_noted = self.raw.metadata.strategy.iter().any(|s| s == "inherit_metadata");
        let chosen = if is_noted {
            self.by_groups()?
        } else {
            self.by_walk(project, beside)?
        };
        let mut packages = Vec::new();
        for index in chosen {
            let package = self.raw.package[index].get_ref();
            // `name[extra]` is an entry beside `name`: the same files again.
            let is_again =
                |p: &Package| p.name.as_str() == package.name.get_ref() && self.is_version(p, package);
            if !packages.iter().any(is_again) {
                packages.push(self.package(package, &project.indexes)?);
            }
        }
        let mut groups = project.groups.clone();
        // An extra is a group of the lock as well; without pyproject.toml's word it is not known which it is.
        let locked = self.raw.metadata.groups.iter().flatten();
        groups.extend(
            locked
                .filter_map(|name| name.parse().ok())
                .filter(|name: &GroupName| {
                    name.as_str() != DEFAULT
                        && project.extras.iter().all(|extra| extra.as_str() != name.as_str())
                }),
        );
        Ok(Lock {
            extras: project.extras.clone(),
            groups,
            created_by: "pdm".to_owned(),
            packages,
            ..Lock::default()
        })
    }

    fn is_version(&self, package: &Package, raw: &RawPackage) -> bool {
        raw.version.as_ref().and_then(|v| self.text.value(v).ok()) == package.version
    }

    /// Whether a group of the lock is asked for; extras are groups too.
    fn is_wanted(&self, group: &str) -> bool {
        let is_extra = || {
            group
                .parse()
                .is_ok_and(|extra: ExtraName| self.request.extras.contains(&extra))
        };
        let is_group = || {
            group
                .parse()
                .is_ok_and(|group: GroupName| self.request.groups.contains(&group))
        };
        group == DEFAULT || is_extra() || is_group()
    }

    fn by_groups(&self) -> Result<BTreeSet<usize>, Error> {
        let mut chosen = BTreeSet::new();
        for (index, package) in self.raw.package.iter().enumerate() {
            let package = package.get_ref();
            let is_wanted =
                package.groups.is_empty() || package.groups.iter().any(|group| self.is_wanted(group));
            if is_wanted && self.holds(package)? {
                chosen.insert(index);
            }
        }
        Ok(chosen)
    }

    fn holds(&self, package: &RawPackage) -> Result<bool, Error> {
        let Some(raw) = &package.marker else {
            return Ok(true);
        };
        let marker: Marker = self.text.value(raw)?;
        let holds = self.conditions.holds(&marker, &self.request.extras);
        holds.map_err(|e| self.text.fault(raw.span().start, e.to_string()))
    }

    /// For locks that do not note groups and markers of each package.
    fn by_walk(&self, project: &Project, beside: &Path) -> Result<BTreeSet<usize>, Error> {
        let nodes = self
            .raw
            .package
            .iter()
            .map(|package| self.node(package.get_ref()));
        let nodes: Vec<Node> = nodes.collect::<Result<_, _>>()?;
        let chosen = walk(
            &nodes,
            project.edges.iter().collect(),
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

    fn node(&self, package: &RawPackage) -> Result<Node, Error> {
        let requires = package
            .dependencies
            .iter()
            .map(|line| self.text.value::<Requirement>(line).map(Edge::from));
        let python = package
            .requires_python
            .as_ref()
            .and_then(|text| text.parse::<Specifiers>().ok());
        Ok(Node {
            name: self.text.value(&package.name)?,
            version: package.version.as_ref().map(|v| self.text.value(v)).transpose()?,
            extras: Some(
                package
                    .extras
                    .iter()
                    .filter_map(|extra| extra.parse().ok())
                    .collect(),
            ),
            python: python.map_or_else(Constraint::any, Constraint::from),
            requires: requires.collect::<Result<_, _>>()?,
        })
    }

    fn package(&self, raw: &RawPackage, indexes: &[Url]) -> Result<Package, Error> {
        let name: PackageName = self.text.value(&raw.name)?;
        Ok(Package {
            version: raw.version.as_ref().map(|v| self.text.value(v)).transpose()?,
            marker: None,
            kept: super::Kept::default(),
            requires_python: raw.requires_python.as_ref().and_then(|text| text.parse().ok()),
            index: None,
            content: self.content(raw, &name, indexes)?,
            name,
        })
    }

    fn content(&self, raw: &RawPackage, name: &PackageName, indexes: &[Url]) -> Result<Content, Error> {
        let hashes = || {
            raw.files
                .iter()
                .filter_map(|f| listed::strong(&f.get_ref().hash))
                .take(1)
                .collect()
        };
        if let Some(git) = &raw.git {
            let commit = raw.revision.as_deref().unwrap_or_default();
            let rest = (raw.r#ref.as_deref(), raw.subdirectory.as_deref());
            return listed::repository(&self.text, git.span().start, git.get_ref(), commit, rest);
        }
        if let Some(path) = &raw.path {
            let place = self.text.absolute(path.get_ref());
            if place.is_file() {
                let at = path.span().start;
                return listed::archive(
                    &self.text,
                    at,
                    Location::Path(place),
                    hashes(),
                    raw.subdirectory.clone(),
                );
            }
            return Ok(Content::Directory {
                path: place,
                editable: raw.editable,
                subdirectory: raw.subdirectory.clone(),
            });
        }
        if let Some(url) = &raw.url {
            let location = self.text.place(url)?;
            return listed::archive(
                &self.text,
                url.span().start,
                location,
                hashes(),
                raw.subdirectory.clone(),
            );
        }
        let at = raw.name.span().start;
        let Some(version) = &raw.version else {
            return Err(self.text.fault(at, format!("package `{name}` has no version")));
        };
        let files = raw
            .files
            .iter()
            .map(|file| self.file(file))
            .collect::<Result<Vec<_>, _>>()?;
        if files.is_empty() {
            return Err(self.text.fault(at, format!("package `{name}` has no files")));
        }
        Ok(listed::files(name, &self.text.value(version)?, indexes, files))
    }

    fn file(&self, spanned: &Spanned<RawFile>) -> Result<Named, Error> {
        let (raw, at) = (spanned.get_ref(), spanned.span().start);
        let url = raw
            .url
            .as_ref()
            .map(|url| self.text.value::<Url>(url))
            .transpose()?;
        let of_url = || pylock::file_name(&Location::Url(url.clone()?));
        let name = raw.file.clone().or_else(of_url).unwrap_or_default();
        let hashes: Vec<_> = listed::strong(&raw.hash).into_iter().collect();
        if hashes.is_empty() {
            let problem = format!("{} has no sha256, sha384 or sha512 hash", name.escape_debug());
            return Err(self.text.fault(at, problem));
        }
        Ok(Named { name, url, hashes })
    }

    /// The project beside the lock, which the lock must fit.
    fn project(&self, text: &str, beside: &Path, tools: &Tools<'_>) -> Result<Project, Error> {
        let text = Text { text, path: beside };
        let table: toml::Table = text.toml()?;
        let project = Project::read(&table, &text, self.request)?;
        let known = self.raw.metadata.content_hash.as_deref();
        if known.is_some_and(|known| {
            content_hashes(&table)
                .iter()
                .any(|own| known == format!("sha256:{own}"))
        }) {
            return Ok(project);
        }
        let extras = &self.request.extras;
        let differences = unmet(&project.edges, &self.conditions, extras, &self.locked()?);
        // Newer locks note what they were made of in another way, which the requirements just met.
        if known.is_some() || !differences.is_empty() {
            self.fit(beside).check(differences, tools.progress)?;
        }
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
            let version = package.version.as_ref().map(|v| self.text.value(v)).transpose()?;
            if let Ok(name) = package.name.get_ref().parse() {
                locked.entry(name).or_default().push(version);
            }
        }
        Ok(locked)
    }
}
