//! The text of a `uv.lock`, parsed: packages, what each depends on, and what each said when it was locked.
//!
//! The format has no specification; this follows what uv 0.4 to 0.13 write (version 1, revisions up to 5). A revision adds
//! what older readers may pass over.

use std::collections::{BTreeMap, BTreeSet};

use pep440_rs::Version;
use serde::Deserialize;
use toml::Spanned;

use super::content;
use crate::lock::text::Text;
use crate::lock::{Content, Error};
use crate::python::{ExtraName, GroupName, Marker, PackageName, Specifiers};

/// The only version of the format that there has been.
const VERSION: u64 = 1;

/// A `uv.lock`.
pub(super) struct Document {
    pub requires_python: Option<Specifiers>,
    /// `supported-markers`: the environments that it was made for.
    pub environments: Vec<Marker>,
    /// Extras, groups and projects of which no two can be installed together, by their names in markers.
    pub conflicts: Vec<Vec<Conflict>>,
    /// The members of the workspace; empty for a project alone.
    pub members: BTreeSet<PackageName>,
    /// What a script requires, and the groups of a workspace whose root is no project.
    pub requirements: Vec<Requirement>,
    pub groups: BTreeMap<GroupName, Vec<Requirement>>,
    pub packages: Vec<Entry>,
}

/// One package.
pub(super) struct Entry {
    pub name: PackageName,
    pub version: Option<Version>,
    pub source: Source,
    /// What is installed; nothing of a virtual package.
    pub content: Option<Content>,
    /// The forks of the resolution that it belongs to; all if there are none.
    pub forks: Vec<Marker>,
    pub dependencies: Vec<Edge>,
    pub extras: BTreeMap<ExtraName, Vec<Edge>>,
    pub groups: BTreeMap<GroupName, Vec<Edge>>,
    /// Early versions of uv wrote none.
    pub metadata: Option<Metadata>,
}

/// What one package asks of another.
pub(super) struct Edge {
    /// Index of the other.
    pub to: usize,
    pub extras: Vec<ExtraName>,
    pub marker: Option<Marker>,
}

/// Where a package comes from; one of the fields is set, `subdirectory` may go with it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct Source {
    pub registry: Option<String>,
    pub git: Option<String>,
    pub url: Option<String>,
    pub path: Option<String>,
    pub directory: Option<String>,
    pub editable: Option<String>,
    pub r#virtual: Option<String>,
    pub subdirectory: Option<String>,
}

/// What a source tree said of itself when it was locked.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Metadata {
    /// Not there for packages whose files are fixed.
    pub requires_dist: Vec<Requirement>,
    /// Since revision 1.
    pub provides_extras: Option<Vec<ExtraName>>,
    #[serde(alias = "dependency-groups")]
    pub requires_dev: BTreeMap<GroupName, Vec<Requirement>>,
}

/// A requirement as it was written, markers and versions in uv's own form.
#[derive(Clone, Deserialize)]
pub(super) struct Requirement {
    pub name: PackageName,
    #[serde(default, alias = "extra")]
    pub extras: BTreeSet<ExtraName>,
    #[serde(default, deserialize_with = "parsed")]
    pub marker: Option<Marker>,
    #[serde(default, deserialize_with = "parsed")]
    pub specifier: Option<Specifiers>,
    pub git: Option<String>,
    pub url: Option<String>,
    pub path: Option<toml::Value>,
    pub directory: Option<toml::Value>,
    pub editable: Option<toml::Value>,
    pub r#virtual: Option<toml::Value>,
}

/// One of several that exclude each other.
pub(super) struct Conflict {
    /// What stands for it in markers.
    pub variable: ExtraName,
    /// As the user knows it.
    pub title: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawLock {
    version: Spanned<u64>,
    requires_python: Option<Spanned<String>>,
    #[serde(default)]
    supported_markers: Vec<Spanned<String>>,
    #[serde(default)]
    conflicts: Vec<Vec<RawConflict>>,
    #[serde(default)]
    manifest: RawManifest,
    #[serde(default, alias = "distribution")]
    package: Vec<Spanned<RawPackage>>,
}

#[derive(Deserialize)]
struct RawConflict {
    package: PackageName,
    extra: Option<ExtraName>,
    group: Option<GroupName>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct RawManifest {
    members: BTreeSet<PackageName>,
    requirements: Vec<Requirement>,
    dependency_groups: BTreeMap<GroupName, Vec<Requirement>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RawPackage {
    name: Spanned<String>,
    version: Option<Spanned<String>>,
    pub(super) source: Spanned<Source>,
    #[serde(default, alias = "environment-markers")]
    resolution_markers: Vec<Spanned<String>>,
    #[serde(default)]
    dependencies: Vec<Spanned<RawEdge>>,
    #[serde(default)]
    optional_dependencies: BTreeMap<ExtraName, Vec<Spanned<RawEdge>>>,
    #[serde(default, alias = "dependency-groups")]
    dev_dependencies: BTreeMap<GroupName, Vec<Spanned<RawEdge>>>,
    pub(super) sdist: Option<Spanned<RawFile>>,
    #[serde(default)]
    pub(super) wheels: Vec<Spanned<RawFile>>,
    metadata: Option<Metadata>,
}

/// A file of a package; its place is known from the source if the source is the file.
#[derive(Deserialize)]
pub(super) struct RawFile {
    pub url: Option<Spanned<String>>,
    pub path: Option<String>,
    pub filename: Option<String>,
    pub hash: Option<Spanned<String>>,
    pub size: Option<u64>,
}

#[derive(Deserialize)]
struct RawEdge {
    name: PackageName,
    version: Option<Spanned<String>>,
    source: Option<Source>,
    #[serde(default)]
    extra: Vec<ExtraName>,
    marker: Option<Spanned<String>>,
}

fn parsed<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

impl Document {
    pub fn parse(text: Text<'_>) -> Result<Self, Error> {
        let raw: RawLock = text.toml()?;
        if *raw.version.get_ref() != VERSION {
            let problem = format!("version {} is not supported (1 is)", raw.version.get_ref());
            return Err(text.fault(raw.version.span().start, problem));
        }
        let names = Names::of(&raw.package, text)?;
        let packages = raw.package.into_iter().enumerate();
        let entries = packages.map(|(at, package)| entry(at, package, &names, text));
        let conflicts = raw.conflicts.into_iter();
        Ok(Self {
            requires_python: text.optional(raw.requires_python.as_ref())?,
            environments: text.values::<Marker, _>(&raw.supported_markers)?,
            conflicts: conflicts
                .map(|set| set.iter().map(conflict).collect::<Result<_, _>>())
                .collect::<Result<_, _>>()
                .map_err(|problem: String| text.fault(0, problem))?,
            members: raw.manifest.members,
            requirements: raw.manifest.requirements,
            groups: raw.manifest.dependency_groups,
            packages: entries.collect::<Result<_, _>>()?,
        })
    }
}

/// What stands in markers for an extra, a group, or the dependencies of a project themselves. The length of the name
/// tells where it ends.
pub(super) fn variable(kind: &str, package: &PackageName, name: Option<&str>) -> Result<ExtraName, String> {
    let package = package.as_str();
    let text = match name {
        Some(name) => format!("{kind}-{}-{package}-{name}", package.len()),
        None => format!("{kind}-{}-{package}", package.len()),
    };
    text.parse()
        .map_err(|e: crate::python::name::NameError| e.to_string())
}

fn conflict(raw: &RawConflict) -> Result<Conflict, String> {
    let package = &raw.package;
    let (kind, name, title) = match (&raw.extra, &raw.group) {
        (Some(extra), _) => (
            "extra",
            Some(extra.as_str()),
            format!("extra `{extra}` of {package}"),
        ),
        (None, Some(group)) => (
            "group",
            Some(group.as_str()),
            format!("group `{group}` of {package}"),
        ),
        (None, None) => ("project", None, format!("the dependencies of {package}")),
    };
    Ok(Conflict {
        variable: variable(kind, package, name)?,
        title,
    })
}

/// All packages by name, to find those that edges mean.
struct Names(Vec<(PackageName, Option<Version>, Source)>);

impl Names {
    fn of(raw: &[Spanned<RawPackage>], text: Text<'_>) -> Result<Self, Error> {
        let name = |package: &RawPackage| {
            let version = text.optional(package.version.as_ref())?;
            Ok((
                text.value(&package.name)?,
                version,
                package.source.get_ref().clone(),
            ))
        };
        raw.iter()
            .map(|p| name(p.get_ref()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// uv leaves out what is not needed to tell packages of one name apart.
    fn find(&self, edge: &Spanned<RawEdge>, text: Text<'_>) -> Result<usize, Error> {
        let raw = edge.get_ref();
        let version: Option<Version> = text.optional(raw.version.as_ref())?;
        let fits = |(name, own_version, source): &(PackageName, Option<Version>, Source)| {
            *name == raw.name
                && (version.is_none() || version == *own_version)
                && raw.source.as_ref().is_none_or(|asked| asked == source)
        };
        let mut found = (0..self.0.len()).filter(|at| fits(&self.0[*at]));
        match (found.next(), found.next()) {
            (Some(at), None) => Ok(at),
            (None, _) => Err(text.fault(
                edge.span().start,
                format!("`{}` is depended on and not in the lock", raw.name),
            )),
            (Some(_), Some(_)) => Err(text.fault(
                edge.span().start,
                format!("several packages are meant by `{}`", raw.name),
            )),
        }
    }

    fn edges(&self, raw: &[Spanned<RawEdge>], text: Text<'_>) -> Result<Vec<Edge>, Error> {
        let edge = |raw| {
            Ok(Edge {
                to: self.find(raw, text)?,
                extras: raw.get_ref().extra.clone(),
                marker: text.optional(raw.get_ref().marker.as_ref())?,
            })
        };
        raw.iter().map(edge).collect()
    }

    fn tables<K: Ord + Clone>(
        &self,
        raw: &BTreeMap<K, Vec<Spanned<RawEdge>>>,
        text: Text<'_>,
    ) -> Result<BTreeMap<K, Vec<Edge>>, Error> {
        let table = |(key, raw): (&K, &Vec<_>)| Ok((key.clone(), self.edges(raw, text)?));
        raw.iter().map(table).collect()
    }
}

fn entry(at: usize, package: Spanned<RawPackage>, names: &Names, text: Text<'_>) -> Result<Entry, Error> {
    let start = package.span().start;
    let raw = package.into_inner();
    let (name, version, source) = &names.0[at];
    Ok(Entry {
        content: content::of(&raw, name, version.as_ref(), (start, text))?,
        name: name.clone(),
        version: version.clone(),
        source: source.clone(),
        forks: text.values::<Marker, _>(&raw.resolution_markers)?,
        dependencies: names.edges(&raw.dependencies, text)?,
        extras: names.tables(&raw.optional_dependencies, text)?,
        groups: names.tables(&raw.dev_dependencies, text)?,
        metadata: raw.metadata,
    })
}

impl Entry {
    /// The dependency groups that it has, also those of nothing.
    pub fn group_names(&self) -> impl Iterator<Item = &GroupName> {
        let metadata = self.metadata.iter().flat_map(|m| m.requires_dev.keys());
        self.groups.keys().chain(metadata)
    }

    /// Whether it depends on anything, with whatever extra or group.
    pub fn has_dependencies(&self) -> bool {
        !(self.dependencies.is_empty() && self.extras.is_empty() && self.groups.is_empty())
    }
}

impl Source {
    /// The directory of a source tree, as written.
    pub fn tree(&self) -> Option<&str> {
        let trees = [&self.directory, &self.editable, &self.r#virtual];
        trees.into_iter().find_map(Option::as_deref)
    }
}
