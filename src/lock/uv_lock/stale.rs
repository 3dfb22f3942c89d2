//! Whether a `uv.lock` still fits what the project and its neighbours say they require.
//!
//! Compared is what applies to the target: uv writes markers in its own form, and what changed for other machines changes
//! nothing in the image.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pep440_rs::Version;
use url::Url;

use super::document::{Document, Entry, Metadata, Requirement as Locked};
use crate::lock::script::Script;
use crate::lock::text::Text;
use crate::lock::{Error, Request, format};
use crate::python::tables::TableError;
use crate::python::{
    DependencyGroups, ExtraName, Marker, MarkerEnvironment, PackageName, ProjectTable, Requirement,
    Selection, Specifier, Specifiers,
};

/// Fails if the `pyproject.toml` of an entry says other requirements than when it was locked.
pub(super) fn check<'a>(
    document: &Document,
    entries: impl Iterator<Item = &'a Entry>,
    text: Text<'_>,
    (environment, request): (&MarkerEnvironment, &Request),
) -> Result<(), Error> {
    let shared = sources_of(&text.directory().join("pyproject.toml"));
    for entry in entries {
        let Some(tree) = entry.source.tree() else { continue };
        let path = text.absolute(tree).join("pyproject.toml");
        if !path.is_file() {
            continue;
        }
        // > Any `tool.uv.sources` definitions in the workspace root apply to all members, unless overridden
        let is_member = tree == "." || document.members.contains(&entry.name);
        let mut sources = if is_member { shared.clone() } else { Sources::new() };
        sources.extend(sources_of(&path));
        let project = fs_err::read_to_string(&path).map_err(|source| Error::read(&path, source))?;
        let comparison = Comparison {
            environment,
            own: &entry.name,
            sources,
            differences: Vec::new(),
        };
        let fault = |error: TableError| Error::LockFile {
            path: format::shown(&path, request),
            line: error.line,
            problem: error.problem,
        };
        let differences = comparison.run(document, entry, &project).map_err(fault)?;
        if !differences.is_empty() {
            return Err(Error::Stale {
                lock: format::shown(text.path, request),
                project: format::shown(&path, request),
                differences,
                mend: "uv lock",
            });
        }
    }
    Ok(())
}

/// Fails if the script beside its lock (`tool.py` and `tool.py.lock`) says other requirements than when it was locked.
pub(super) fn check_script(
    document: &Document,
    text: Text<'_>,
    (environment, request): (&MarkerEnvironment, &Request),
) -> Result<(), Error> {
    let path = text.path.with_extension("");
    if path.extension().is_none_or(|extension| extension != "py") || !path.is_file() {
        return Ok(());
    }
    let Some(script) = Script::read(&path)? else {
        return Ok(());
    };
    let Ok(own) = "the-script-of-the-lock".parse() else {
        return Ok(());
    };
    let mut comparison = Comparison {
        environment,
        own: &own,
        sources: sources_in(&script.table),
        differences: Vec::new(),
    };
    if let (Some(own), Some(of_lock)) = (&script.metadata.requires_python, &document.requires_python) {
        comparison.requires_python(own, of_lock, true);
    }
    let now = comparison.wanted(&script.metadata.dependencies, None, ("extra", ""));
    comparison.differ(&comparison.locked(&document.requirements, None), &now, "");
    if comparison.differences.is_empty() {
        return Ok(());
    }
    Err(Error::Stale {
        lock: format::shown(text.path, request),
        project: format::shown(&path, request),
        differences: comparison.differences,
        mend: "uv lock --script SCRIPT",
    })
}

/// `[tool.uv.sources]`: what says where a package comes from instead of an index.
type Sources = BTreeMap<PackageName, toml::Value>;

fn sources_of(pyproject: &Path) -> Sources {
    let text = fs_err::read_to_string(pyproject).unwrap_or_default();
    sources_in(&toml::from_str(&text).unwrap_or_default())
}

fn sources_in(table: &toml::Table) -> Sources {
    let sources = table
        .get("tool")
        .and_then(|tool| tool.get("uv")?.get("sources")?.as_table());
    let pair = |(name, source): (&String, &toml::Value)| Some((name.parse().ok()?, source.clone()));
    sources.into_iter().flatten().filter_map(pair).collect()
}

struct Comparison<'a> {
    environment: &'a MarkerEnvironment,
    own: &'a PackageName,
    sources: Sources,
    differences: Vec<String>,
}

/// One requirement as it is compared and shown: the package, and all of it.
type Wanted = BTreeSet<(PackageName, String)>;

impl Comparison<'_> {
    fn run(mut self, document: &Document, entry: &Entry, text: &str) -> Result<Vec<String>, TableError> {
        let empty = Metadata::default();
        let locked = match &entry.metadata {
            Some(metadata) => metadata,
            None if entry.has_dependencies() => return Ok(Vec::new()),
            None => &empty,
        };
        let Some(project) = ProjectTable::parse(text)? else {
            return Ok(Vec::new());
        };
        if let (Some(own), Some(of_lock)) = (&project.requires_python, &document.requires_python) {
            self.requires_python(own, of_lock, document.members.is_empty());
        }
        if !project.is_dynamic("dependencies") {
            let now = self.wanted(&project.dependencies, None, ("extra", ""));
            self.differ(&self.locked(&locked.requires_dist, None), &now, "");
        }
        if !project.is_dynamic("optional-dependencies") && !project.is_dynamic("dependencies") {
            self.extras(locked, &project);
        }
        self.groups(locked, text)?;
        Ok(self.differences)
    }

    /// The lock of a workspace holds for what all members accept.
    fn requires_python(&mut self, own: &Specifiers, of_lock: &Specifiers, is_alone: bool) {
        let versions = (0..=30).flat_map(|minor| (0..=30).map(move |patch| Version::new([3, minor, patch])));
        let mut versions = versions.chain([Version::new([2, 7, 18]), Version::new([4, 0, 0])]);
        let differs = |v: &Version| match (own.contains(v), of_lock.contains(v)) {
            (false, true) => true,
            (true, false) => is_alone,
            _ => false,
        };
        if versions.any(|v| differs(&v)) {
            let difference = format!("requires-python is now `{own}`, and it was locked for `{of_lock}`");
            self.differences.push(difference);
        }
    }

    fn extras(&mut self, locked: &Metadata, project: &ProjectTable) {
        let now: BTreeSet<&ExtraName> = project.optional_dependencies.keys().collect();
        let provided: Option<BTreeSet<&ExtraName>> =
            locked.provides_extras.as_ref().map(|p| p.iter().collect());
        for extra in &now {
            let base = self.locked(&locked.requires_dist, None);
            let with = self.locked(&locked.requires_dist, Some(extra));
            let then: Wanted = with.difference(&base).cloned().collect();
            let requirements = &project.optional_dependencies[*extra];
            let own: Wanted = self.wanted(requirements, Some(extra), ("extra", extra.as_str()));
            let own = own.difference(&base).cloned().collect();
            self.differ(&then, &own, &format!(" in extra `{extra}`"));
            if provided.as_ref().is_some_and(|p| !p.contains(*extra)) && then == own {
                self.differences.push(format!("extra `{extra}` is new"));
            }
        }
        for gone in provided.iter().flat_map(|p| p.difference(&now)) {
            self.differences.push(format!("extra `{gone}` is gone"));
        }
    }

    fn groups(&mut self, locked: &Metadata, text: &str) -> Result<(), TableError> {
        let groups = DependencyGroups::parse(text)?;
        let table: toml::Table = toml::from_str(text).unwrap_or_default();
        let uv = table.get("tool").and_then(|tool| tool.get("uv"));
        let setting = |key: &str| uv.and_then(|uv| uv.get(key));
        // > `tool.uv.dev-dependencies` [...] are combined with the `dev` group
        let old = setting("dev-dependencies").and_then(toml::Value::as_array);
        let old = old.into_iter().flatten().filter_map(|r| r.as_str()?.parse().ok());
        let old: Vec<Requirement> = old.collect();
        let dev = "dev".parse().ok().filter(|_| !old.is_empty());
        let names: BTreeSet<_> = groups
            .names()
            .chain(locked.requires_dev.keys())
            .chain(&dev)
            .collect();
        for name in names {
            // Its markers are those of the group too.
            if setting("dependency-groups").is_some_and(|g| g.get(name.as_str()).is_some()) {
                continue;
            }
            let now = match groups.resolve(name) {
                Ok(now) => now,
                // A group that includes what is not there is for those to refuse who use it.
                Err(_) if groups.names().any(|known| known == name) => continue,
                Err(_) => Vec::new(),
            };
            let mut now: Vec<Requirement> = now.into_iter().cloned().collect();
            if dev.as_ref() == Some(name) {
                now.extend(old.iter().cloned());
            }
            let then = locked
                .requires_dev
                .get(name)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let now = self.wanted(&now, None, ("group", name.as_str()));
            self.differ(&self.locked(then, None), &now, &format!(" in group `{name}`"));
        }
        Ok(())
    }

    fn differ(&mut self, then: &Wanted, now: &Wanted, place: &str) {
        let mut gone: Vec<_> = then.difference(now).collect();
        for (name, new) in now.difference(then) {
            let old = gone.iter().position(|(old, _)| old == name);
            self.differences.push(match old.map(|at| gone.remove(at)) {
                Some((_, old)) => format!("`{old}` is now `{new}`{place}"),
                None => format!("`{new}` is new{place}"),
            });
        }
        let gone = gone.into_iter().map(|(_, old)| format!("`{old}` is gone{place}"));
        self.differences.extend(gone);
    }

    fn locked(&self, requirements: &[Locked], extra: Option<&ExtraName>) -> Wanted {
        let applying = requirements
            .iter()
            .filter(|r| self.applies(r.marker.as_ref(), extra));
        let wanted = |r: &Locked| {
            let tree = [&r.path, &r.directory, &r.editable, &r.r#virtual];
            let from = match (&r.git, &r.url) {
                _ if r.name == *self.own => Some("itself".to_owned()),
                (Some(git), _) => Some(format!("git{}", revision_of_query(git))),
                (None, Some(url)) => Some(plain(url)),
                (None, None) => tree.iter().any(|t| t.is_some()).then(|| "a path".to_owned()),
            };
            shown(&r.name, &r.extras, from, r.specifier.as_ref())
        };
        applying.map(wanted).collect()
    }

    /// `place` is where they stand, as sources ask for it: `extra` or `group`, and its name.
    fn wanted(&self, requirements: &[Requirement], extra: Option<&ExtraName>, place: (&str, &str)) -> Wanted {
        let applying = requirements
            .iter()
            .filter(|r| self.applies(r.marker.as_ref(), extra));
        let wanted = |r: &Requirement| {
            let from = match &r.url {
                // With extras; uv notes a place for it in some cases and in others not.
                _ if r.name == *self.own => Some("itself".to_owned()),
                Some(url) => Some(of_url(url)),
                None => self.source(&r.name, place),
            };
            shown(&r.name, &r.extras, from, Some(&r.specifiers))
        };
        applying.map(wanted).collect()
    }

    fn applies(&self, marker: Option<&Marker>, extra: Option<&ExtraName>) -> bool {
        let extras = extra.cloned().into_iter().collect();
        let marker = marker.cloned().and_then(Marker::as_uv_reads_it);
        marker.is_none_or(|m| {
            m.evaluate(self.environment, Selection::Extras(&extras))
                .unwrap_or(false)
        })
    }

    /// Where `[tool.uv.sources]` takes a package from, if not from an index.
    fn source(&self, name: &PackageName, (kind, place): (&str, &str)) -> Option<String> {
        let source = self.sources.get(name)?;
        let all = source
            .as_array()
            .map_or(std::slice::from_ref(source), Vec::as_slice);
        let text = |source: &toml::Value, key| Some(source.get(key)?.as_str()?.to_owned());
        let applies = |source: &&toml::Value| {
            let marker = text(source, "marker").and_then(|m| m.parse().ok());
            let is_place = |key| text(source, key).is_none_or(|asked| key == kind && asked == place);
            self.applies(marker.as_ref(), None) && is_place("extra") && is_place("group")
        };
        let source = all.iter().find(applies)?;
        if source.get("git").is_some() {
            let revision = ["rev", "tag", "branch"].iter().find_map(|key| text(source, key));
            return Some(format!(
                "git{}",
                revision.map(|r| format!("@{r}")).unwrap_or_default()
            ));
        }
        if let Some(url) = text(source, "url") {
            return Some(plain(&url));
        }
        let is_tree = source.get("path").is_some() || source.get("workspace").is_some();
        is_tree.then(|| "a path".to_owned())
    }
}

/// A requirement as a user would write it, in one form; `from` is where it comes from if not from an index, and then
/// versions are not looked at.
fn shown(
    name: &PackageName,
    extras: &BTreeSet<ExtraName>,
    from: Option<String>,
    specifiers: Option<&Specifiers>,
) -> (PackageName, String) {
    let clauses = specifiers.map(Specifiers::clauses).unwrap_or_default();
    let clauses: BTreeSet<String> = clauses.iter().map(clause).collect();
    let what = match from {
        Some(from) => format!(" from {from}"),
        None => clauses.into_iter().collect::<Vec<_>>().join(","),
    };
    let extras: Vec<_> = extras.iter().map(ExtraName::as_str).collect();
    let text = match extras.as_slice() {
        [] => format!("{name}{what}"),
        extras => format!("{name}[{}]{what}", extras.join(",")),
    };
    (name.clone(), text)
}

/// A clause with its version in normal form.
fn clause(clause: &Specifier) -> String {
    let text = &clause.version_text;
    let (version, star) = text
        .strip_suffix(".*")
        .map_or((text.as_str(), ""), |version| (version, ".*"));
    let version = version
        .parse()
        .map_or_else(|_| version.to_owned(), |version: Version| version.to_string());
    format!("{}{version}{star}", clause.operator.as_str())
}

/// What the URL of a requirement means: uv tells repositories, paths and others apart by it.
fn of_url(url: &str) -> String {
    if url.starts_with("git+") {
        let path = url.split(['#', '?']).next().unwrap_or(url);
        let last = path.rsplit('/').next().unwrap_or(path);
        let revision = last.split_once('@').map(|(_, revision)| format!("@{revision}"));
        return format!("git{}", revision.unwrap_or_default());
    }
    if url.starts_with("file:") || !url.contains("://") {
        return "a path".to_owned();
    }
    plain(url)
}

/// The revision in `https://host/repository?tag=v1`, with `@` before it.
fn revision_of_query(git: &str) -> String {
    let Ok(url) = git.parse::<Url>() else {
        return String::new();
    };
    let mut pairs = url.query_pairs();
    let revision = pairs.find(|(key, _)| matches!(key.as_ref(), "rev" | "tag" | "branch"));
    revision.map(|(_, value)| format!("@{value}")).unwrap_or_default()
}

/// A URL without what is not part of the address, and without credentials.
fn plain(url: &str) -> String {
    let Ok(mut parsed) = url.parse::<Url>() else {
        return url.to_owned();
    };
    parsed.set_fragment(None);
    // Fails only for URLs that have no host, and those have no credentials.
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.to_string()
}
