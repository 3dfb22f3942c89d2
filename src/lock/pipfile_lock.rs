//! Reading `Pipfile.lock`: what of it a target needs. It has hashes and no file names: the indexes are asked for those.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pep440_rs::Version;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use url::Url;

use super::content_hash::{Spacing, hash, json};
use super::fit::Fit;
use super::index::{self, Question};
use super::indexes::Indexes;
use super::listed::{self, Named};
use super::text::Text;
use super::walk::Conditions;
use super::{Content, Error, Listed, Location, Lock, Package, Request, settings};
use crate::digest::Digest;
use crate::parallel;
use crate::python::{GroupName, Marker, PackageName, Specifiers, Target};
use crate::tools::Tools;

/// The category of the app's own dependencies, and that of development.
const DEFAULT: &str = "default";
const DEVELOP: &str = "develop";
/// How development's category is asked for.
const DEV: &str = "dev";
/// What makes a new lock.
const MEND: &str = "pipenv lock";

#[derive(Deserialize)]
struct RawLock {
    #[serde(rename = "_meta")]
    meta: RawMeta,
    #[serde(flatten)]
    categories: BTreeMap<String, BTreeMap<String, RawEntry>>,
}

#[derive(Deserialize)]
struct RawMeta {
    #[serde(default)]
    hash: BTreeMap<String, String>,
    #[serde(default)]
    sources: Vec<RawSource>,
}

#[derive(Deserialize)]
struct RawSource {
    #[serde(default)]
    name: String,
    url: String,
}

#[derive(Clone, Deserialize)]
struct RawEntry {
    version: Option<String>,
    #[serde(default)]
    hashes: Vec<String>,
    markers: Option<String>,
    os_markers: Option<String>,
    index: Option<String>,
    git: Option<String>,
    r#ref: Option<String>,
    subdirectory: Option<String>,
    path: Option<String>,
    file: Option<String>,
    #[serde(default)]
    editable: bool,
}

/// Reads the text of a `Pipfile.lock` at `place`. Packages of `default`, and of the categories that are asked for as
/// groups (`dev` for `develop`), that the target needs; the lock must fit the Pipfile beside it.
pub(super) fn read(
    text: &str,
    place: &Path,
    request: &Request,
    target: &Target,
    tools: &Tools<'_>,
) -> Result<Lock, Error> {
    let text = Text { text, path: place };
    let raw: RawLock = serde_json::from_str(text.text).map_err(|e| Error::LockFile {
        path: place.to_owned(),
        line: e.line(),
        problem: e.to_string(),
    })?;
    let reader = Reader {
        text,
        raw: &raw,
        request,
        conditions: Conditions::of(target),
        tools,
        indexes: Indexes::of(request, tools.environment)?,
    };
    let beside = place.with_file_name("Pipfile");
    let pipfile = pipfile(&beside)?;
    if let Some(pipfile) = &pipfile {
        reader.check_fresh(pipfile, &beside)?;
    }
    reader.lock(pipfile.as_ref())
}

struct Reader<'a> {
    text: Text<'a>,
    raw: &'a RawLock,
    request: &'a Request,
    conditions: Conditions,
    tools: &'a Tools<'a>,
    indexes: Indexes,
}

impl RawEntry {
    /// Whether any version would do.
    fn is_unpinned(&self) -> bool {
        self.version.as_deref() == Some("*") && self.hashes.is_empty()
    }
}

/// An entry that the target needs.
type Wanted<'a> = (PackageName, &'a RawEntry);

impl Reader<'_> {
    /// An error about an entry; JSON has no lines for its values, so that of the name is found.
    fn fault(&self, name: &str, problem: impl Into<String>) -> Error {
        let at = self.text.text.find(&format!("\"{name}\": {{"));
        self.text.fault(at.unwrap_or(0), problem)
    }

    fn lock(&self, pipfile: Option<&toml::Table>) -> Result<Lock, Error> {
        let wanted = self.wanted(pipfile)?;
        let packages = parallel::map(&wanted, index::CONNECTIONS, |wanted| self.package(wanted))?;
        let groups = self.raw.categories.keys().filter(|name| *name != DEFAULT);
        Ok(Lock {
            groups: groups.filter_map(|name| group_of(name)).collect(),
            created_by: "pipenv".to_owned(),
            packages,
            ..Lock::default()
        })
    }

    /// The entries of the wanted categories whose markers hold; `default` has the last word, as in pipenv.
    fn wanted(&self, pipfile: Option<&toml::Table>) -> Result<Vec<Wanted<'_>>, Error> {
        let mut all: BTreeMap<PackageName, &RawEntry> = BTreeMap::new();
        let others = self.raw.categories.iter().filter(|(name, _)| {
            *name != DEFAULT && group_of(name).is_some_and(|group| self.request.groups.contains(&group))
        });
        let default = self.raw.categories.get_key_value(DEFAULT);
        for (name, entry) in others.chain(default).flat_map(|(_, entries)| entries) {
            let package = name.parse().map_err(|e| self.fault(name, format!("{e}")))?;
            all.insert(package, entry);
        }
        let mut wanted = Vec::new();
        for (name, entry) in all {
            let mut holds = true;
            for text in [&entry.markers, &entry.os_markers].into_iter().flatten() {
                holds &= self.holds(name.as_str(), text)?;
            }
            if holds && !(entry.is_unpinned() && self.is_for_others(&name, pipfile)?) {
                wanted.push((name, entry));
            }
        }
        Ok(wanted)
    }

    /// Whether the Pipfile says that a package is for other machines: pipenv then locks it without version and marker.
    fn is_for_others(&self, name: &PackageName, pipfile: Option<&toml::Table>) -> Result<bool, Error> {
        let sections = pipfile
            .into_iter()
            .flatten()
            .filter_map(|(_, section)| section.as_table());
        let same = |(other, _): &(&String, &toml::Value)| other.parse().ok().as_ref() == Some(name);
        for (_, value) in sections.flatten().filter(same) {
            for (key, condition) in value.as_table().into_iter().flatten() {
                // > `sys_platform = "== 'win32'"`: every marker can be a key.
                let marker = match (key.as_str(), condition.as_str()) {
                    ("markers", Some(marker)) => marker.to_owned(),
                    ("version" | "index" | "ref", _) | (_, None) => continue,
                    (variable, Some(condition)) => format!("{variable} {condition}"),
                };
                if marker.parse::<Marker>().is_ok() && !self.holds(name.as_str(), &marker)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn holds(&self, name: &str, marker: &str) -> Result<bool, Error> {
        let parsed: Marker = marker.parse().map_err(|e| self.fault(name, format!("{e}")))?;
        let holds = self.conditions.holds(&parsed, &BTreeSet::new());
        holds.map_err(|e| self.fault(name, e.to_string()))
    }

    fn package(&self, (name, entry): &Wanted<'_>) -> Result<Package, Error> {
        let version: Option<Version> = match &entry.version {
            Some(text) => {
                let pinned = text.parse::<Specifiers>().ok().and_then(|s| s.pinned());
                let problem = || {
                    let problem = format!("package `{name}` is locked as `{text}`, which is no version");
                    self.fault(name.as_str(), problem)
                };
                Some(pinned.ok_or_else(problem)?)
            }
            None => None,
        };
        Ok(Package {
            name: name.clone(),
            marker: None,
            kept: super::Kept::default(),
            requires_python: None,
            index: None,
            content: self.content(name, version.as_ref(), entry)?,
            version,
        })
    }

    fn content(
        &self,
        name: &PackageName,
        version: Option<&Version>,
        entry: &RawEntry,
    ) -> Result<Content, Error> {
        let at = self.text.text.find(&format!("\"{name}\": {{")).unwrap_or(0);
        if let Some(git) = &entry.git {
            let (from, commit) = match &entry.r#ref {
                Some(commit) => (git.as_str(), commit.as_str()),
                None => git.rsplit_once('@').unwrap_or((git, "")),
            };
            return listed::repository(
                &self.text,
                at,
                from,
                commit,
                (None, entry.subdirectory.as_deref()),
            );
        }
        let hashes: BTreeSet<Digest> = entry
            .hashes
            .iter()
            .filter_map(|hash| listed::strong(hash))
            .collect();
        if let Some(from) = entry.file.as_ref().or(entry.path.as_ref()) {
            let location = match from.parse::<Url>() {
                Ok(url) if matches!(url.scheme(), "http" | "https") => Location::Url(url),
                Ok(url) if url.scheme() == "file" => Location::Path(url.to_file_path().unwrap_or_default()),
                _ => Location::Path(self.text.absolute(from)),
            };
            if let Location::Path(path) = &location
                && !path.is_file()
            {
                return Ok(Content::Directory {
                    path: path.clone(),
                    editable: entry.editable,
                    subdirectory: entry.subdirectory.clone(),
                });
            }
            let hashes = hashes.into_iter().take(1).collect();
            return listed::archive(&self.text, at, location, hashes, entry.subdirectory.clone());
        }
        let Some(version) = version else {
            return Err(self.fault(name.as_str(), format!("package `{name}` has no version")));
        };
        if hashes.is_empty() {
            let problem = format!("package `{name}` has no sha256, sha384 or sha512 hash");
            return Err(self.fault(name.as_str(), problem));
        }
        let indexes = self.indexes(entry);
        let files = self.files(name, &indexes, &hashes)?;
        Ok(listed::files(name, version, &indexes, files))
    }

    /// The indexes of an entry: the one that it names, else all of the lock.
    fn indexes(&self, entry: &RawEntry) -> Vec<Url> {
        let sources = &self.raw.meta.sources;
        let named = sources.iter().filter(|s| entry.index.as_ref() == Some(&s.name));
        let mut sources: Vec<_> = named.chain(sources).collect();
        if entry.index.is_some() && sources.len() > self.raw.meta.sources.len() {
            sources.truncate(1);
        }
        let url = |source: &RawSource| settings::expand(&source.url, self.tools.environment).parse().ok();
        sources.into_iter().filter_map(url).collect()
    }

    /// The names of the files with these hashes. What an index said once about hashes stays right.
    fn files(
        &self,
        name: &PackageName,
        indexes: &[Url],
        hashes: &BTreeSet<Digest>,
    ) -> Result<Vec<Named>, Error> {
        let store = self.tools.store.alone();
        let places: Vec<String> = indexes.iter().map(crate::http::redacted).collect();
        let key = json!(["names of locked files 1", name.as_str(), places, hashes]);
        let key = Digest::of(key.to_string().as_bytes());
        let known = store.memo(&key);
        let known = known.and_then(|note| serde_json::from_slice::<Vec<(String, Digest)>>(&note).ok());
        let files = known.map_or_else(|| self.ask_for_files(name, indexes, hashes, &key), Ok)?;
        let named = |(name, digest)| Named {
            name,
            url: None,
            hashes: vec![digest],
        };
        Ok(files.into_iter().map(named).collect())
    }

    fn ask_for_files(
        &self,
        name: &PackageName,
        indexes: &[Url],
        hashes: &BTreeSet<Digest>,
        key: &Digest,
    ) -> Result<Vec<(String, Digest)>, Error> {
        let listed = Listed {
            package: name.clone(),
            indexes: indexes.to_vec(),
        };
        let found = Question::new(&listed, &self.indexes, self.tools).with_hashes(hashes)?;
        let digest = |own: &[Digest]| own.iter().find(|d| hashes.contains(*d)).cloned();
        let pairs = found
            .into_iter()
            .filter_map(|f| Some((f.name, digest(&f.hashes)?)));
        let files = pairs.collect();
        if let Ok(note) = serde_json::to_vec(&files) {
            self.tools.store.alone().remember(key, &note)?;
        }
        Ok(files)
    }

    /// The lock must fit the Pipfile.
    fn check_fresh(&self, table: &toml::Table, beside: &Path) -> Result<(), Error> {
        let known = self.raw.meta.hash.get("sha256");
        if known.is_some_and(|known| pipfile_hashes(table).contains(known)) {
            return Ok(());
        }
        let differences = self.differences(table);
        let fit = Fit {
            lock: self.text.path,
            project: beside,
            mend: MEND,
            request: self.request,
        };
        fit.check(differences, self.tools.progress)
    }

    /// Requirements of the wanted categories that nothing locked meets.
    fn differences(&self, pipfile: &toml::Table) -> Vec<String> {
        let mut differences = Vec::new();
        for (section, requirements) in pipfile {
            let category = match section.as_str() {
                "packages" => DEFAULT,
                "dev-packages" => DEVELOP,
                other => other,
            };
            let is_asked = group_of(category).is_some_and(|group| self.request.groups.contains(&group));
            let (true, Some(requirements)) = (category == DEFAULT || is_asked, requirements.as_table())
            else {
                continue;
            };
            let empty = BTreeMap::new();
            let entries = self.raw.categories.get(category).unwrap_or(&empty);
            for (name, value) in requirements {
                let same = |other: &&String| other.parse::<PackageName>().ok() == name.parse().ok();
                let Some(entry) = entries.keys().find(same).and_then(|name| entries.get(name)) else {
                    differences.push(format!("{name} is required and not locked"));
                    continue;
                };
                let asked = value.as_str().or_else(|| value.get("version")?.as_str());
                let asked = asked.and_then(|text| text.parse::<Specifiers>().ok());
                let locked = entry
                    .version
                    .as_ref()
                    .and_then(|v| v.parse::<Specifiers>().ok()?.pinned());
                if let (Some(asked), Some(locked)) = (asked, locked)
                    && !asked.contains(&locked)
                {
                    differences.push(format!("{name} {locked} is locked, and {asked} is required"));
                }
            }
        }
        differences
    }
}

/// The Pipfile at a path, if there is one.
fn pipfile(path: &Path) -> Result<Option<toml::Table>, Error> {
    let Ok(text) = fs_err::read_to_string(path) else {
        return Ok(None);
    };
    Text { text: &text, path }.toml().map(Some)
}

/// The group by which a category is asked for.
fn group_of(category: &str) -> Option<GroupName> {
    let name = if category == DEVELOP { DEV } else { category };
    name.parse().ok()
}

/// The hashes by which versions of pipenv know a Pipfile; none if they cannot be computed.
fn pipfile_hashes(pipfile: &toml::Table) -> Vec<String> {
    const SECTIONS: [&str; 9] = [
        "source",
        "packages",
        "dev-packages",
        "requires",
        "scripts",
        "pipfile",
        "pipenv",
        "default",
        "develop",
    ];
    let Some(Json::Object(all)) = json(pipfile) else {
        return Vec::new();
    };
    let get = |key: &str| all.get(key).cloned().unwrap_or_else(|| json!({}));
    let pypi = json!([{ "name": "pypi", "url": "https://pypi.org/simple", "verify_ssl": true }]);
    let of = |names: &dyn Fn(Json) -> Json| {
        let mut value = serde_json::Map::new();
        let sources = all.get("source").unwrap_or(&pypi);
        value.insert(
            "_meta".to_owned(),
            json!({ "sources": sources, "requires": get("requires") }),
        );
        value.insert(DEFAULT.to_owned(), names(get("packages")));
        value.insert(DEVELOP.to_owned(), names(get("dev-packages")));
        for (category, values) in all.iter().filter(|(name, _)| !SECTIONS.contains(&name.as_str())) {
            value.insert(category.clone(), names(values.clone()));
        }
        hash(&Json::Object(value), Spacing::Narrow)
    };
    // Newer versions normalise the names of packages first.
    let normalised = |value: Json| match value {
        Json::Object(members) => {
            let name = |name: String| name.parse::<PackageName>().map_or(name, |n| n.to_string());
            Json::Object(
                members
                    .into_iter()
                    .map(|(key, value)| (name(key), value))
                    .collect(),
            )
        }
        other => other,
    };
    vec![of(&|value| value), of(&normalised)]
}
