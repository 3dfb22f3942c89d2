//! What a lock of ours was made from, noted in it: so that it is known when it no longer fits, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::script::Script;
use super::{Error, Request, inputs};
use crate::digest::Digest;
use crate::environment::Environment;
use crate::python::requirements::{Entry, Wanted};
use crate::python::{DependencyGroups, ExtraName, GroupName, ProjectTable, Requirement};

/// The command that makes the lock anew.
const MEND: &str = "pyoci lock";

/// What a lock was made from: where the requirements stand, and what they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MadeFrom {
    /// The extras that were asked for.
    pub extras: BTreeSet<ExtraName>,
    /// The dependency groups that were asked for.
    pub groups: BTreeSet<GroupName>,
    /// Requirements files, as paths below the project.
    requirements: Vec<String>,
    /// The file with the project's own requirements.
    project: Option<String>,
    /// The script whose header has the requirements.
    script: Option<String>,
    /// The lock of another tool.
    lock: Option<String>,
    /// Requirements by file.
    requires: BTreeMap<String, BTreeSet<String>>,
    /// What counts as a whole, by name.
    digests: BTreeMap<String, Digest>,
}

impl MadeFrom {
    /// What a request is made from now.
    pub fn of(request: &Request, environment: &Environment) -> Result<Self, Error> {
        let name = |path: &PathBuf| {
            let path = request.directory.join(path);
            path.strip_prefix(&request.directory)
                .unwrap_or(&path)
                .display()
                .to_string()
        };
        let mut made = Self {
            extras: request.extras.clone(),
            groups: request.groups.clone(),
            requirements: request.requirements.iter().map(name).collect(),
            project: request.pyproject.as_ref().map(name),
            script: request.script.as_ref().map(name),
            lock: request.lock.as_ref().map(name),
            ..Self::default()
        };
        if let Some(file) = &request.lock {
            let path = request.directory.join(file);
            let bytes = fs_err::read(&path).map_err(|source| Error::read(&path, source))?;
            made.digests.insert(name(file), Digest::of(&bytes));
        }
        if !request.requirements.is_empty() {
            let read = inputs::requirements(request, environment)?;
            for file in &read.files {
                made.requires.entry(name(file)).or_default();
            }
            for entry in &read.entries {
                let own = made.requires.entry(name(&entry.origin.file)).or_default();
                own.insert(title(entry));
            }
        }
        if let Some(file) = &request.script {
            made.add_script(&name(file), &request.directory.join(file))?;
        }
        if let Some(file) = &request.pyproject {
            made.add_project(&name(file), &request.directory.join(file))?;
        }
        Ok(made)
    }

    fn add_script(&mut self, name: &str, path: &Path) -> Result<(), Error> {
        let own = self.requires.entry(name.to_owned()).or_default();
        let Some(script) = Script::read(path)? else {
            return Ok(());
        };
        let passwords = super::process::without_passwords;
        own.extend(script.dependencies().iter().map(|text| passwords(text)));
        if let Some(uv) = script.uv() {
            let digest = Digest::of(uv.to_string().as_bytes());
            self.digests.insert(format!("[tool.uv] of {name}"), digest);
        }
        Ok(())
    }

    fn add_project(&mut self, name: &str, path: &Path) -> Result<(), Error> {
        let text = fs_err::read_to_string(path).map_err(|source| Error::read(path, source))?;
        let table: Table = match text.parse() {
            Ok(table) if path.extension().is_some_and(|e| e == "toml") => table,
            _ => {
                self.digests.insert(name.to_owned(), Digest::of(text.as_bytes()));
                return Ok(());
            }
        };
        let fault = |error: crate::python::tables::TableError| Error::LockFile {
            path: path.to_owned(),
            line: error.line,
            problem: error.problem,
        };
        let digest = |value: &Value| Digest::of(value.to_string().as_bytes());
        let tool = |tool: &str| table.get("tool").and_then(|tools| tools.get(tool));
        // Sources, indexes, constraints and overrides.
        if let Some(uv) = tool("uv") {
            self.digests.insert(format!("[tool.uv] of {name}"), digest(uv));
        }
        let project = ProjectTable::parse(&text).map_err(fault)?;
        let is_static =
            |p: &ProjectTable| !p.is_dynamic("dependencies") && !p.is_dynamic("optional-dependencies");
        if let Some(project) = project.filter(is_static) {
            let own = self.requires.entry(name.to_owned()).or_default();
            own.extend(project.dependencies.iter().map(shown));
            for extra in &self.extras {
                let of_extra = project.optional_dependencies.get(extra).into_iter().flatten();
                own.extend(of_extra.map(|r| format!("extra {extra}: {}", shown(r))));
            }
        } else {
            // What a build backend says depends on all of them.
            let tables = ["project", "build-system"].map(|key| table.get(key));
            let tables = tables.into_iter().chain([tool("poetry"), tool("setuptools")]);
            let all: Vec<String> = tables.flatten().map(|t| digest(t).to_string()).collect();
            let all = Digest::of(all.join("\n").as_bytes());
            self.digests.insert(name.to_owned(), all);
        }
        let groups = DependencyGroups::parse(&text).map_err(fault)?;
        for group in &self.groups {
            let own = self.requires.entry(name.to_owned()).or_default();
            // One that does not exist is reported where it is resolved.
            let of_group = groups.resolve(group).unwrap_or_default();
            own.extend(
                of_group
                    .into_iter()
                    .map(|r| format!("group {group}: {}", shown(r))),
            );
        }
        Ok(())
    }

    /// The same question asked of the files as they are now, for these extras and groups.
    pub fn now(&self, directory: &Path, asked: &Self, environment: &Environment) -> Result<Self, Error> {
        let exists = |file: &&String| directory.join(file).is_file();
        let request = Request {
            directory: directory.to_owned(),
            requirements: self
                .requirements
                .iter()
                .filter(exists)
                .map(PathBuf::from)
                .collect(),
            pyproject: self.project.iter().find(exists).map(PathBuf::from),
            script: self.script.iter().find(exists).map(PathBuf::from),
            lock: self.lock.iter().find(exists).map(PathBuf::from),
            extras: asked.extras.clone(),
            groups: asked.groups.clone(),
            ..Request::default()
        };
        Self::of(&request, environment)
    }

    /// Extras and groups alone, to be compared.
    pub fn asked(extras: BTreeSet<ExtraName>, groups: BTreeSet<GroupName>) -> Self {
        Self {
            extras,
            groups,
            ..Self::default()
        }
    }

    /// What is different now, for the user; nothing if a lock made from this still fits.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let mut all = Vec::new();
        let asked = |kind: &str, name: &dyn Display, new: bool| {
            let how = if new {
                "asked for now"
            } else {
                "no longer asked for"
            };
            format!("{kind} `{name}` is {how}")
        };
        compare(&self.extras, &now.extras, |extra, new| {
            all.push(asked("extra", extra, new));
        });
        compare(&self.groups, &now.groups, |group, new| {
            all.push(asked("group", group, new));
        });
        let nothing = BTreeSet::new();
        let files: BTreeSet<&String> = self.requires.keys().chain(now.requires.keys()).collect();
        for file in files {
            let (before, after) = (self.requires.get(file), now.requires.get(file));
            if after.is_none() {
                all.push(format!("{file} is no longer there"));
                continue;
            }
            let differs = |requirement: &String, new: bool| {
                let how = if new { "required now" } else { "no longer required" };
                all.push(format!("`{requirement}` is {how}"));
            };
            compare(before.unwrap_or(&nothing), after.unwrap_or(&nothing), differs);
        }
        let names: BTreeSet<&String> = self.digests.keys().chain(now.digests.keys()).collect();
        for name in names {
            match (self.digests.get(name), now.digests.get(name)) {
                (Some(_), None) => all.push(format!("{name} is no longer there")),
                (before, after) if before != after => all.push(format!("{name} was changed")),
                _ => {}
            }
        }
        all
    }

    /// The error that a lock does not fit any more.
    pub fn stale(&self, lock: &Path, differences: Vec<String>) -> Error {
        let files = self.requirements.iter().chain(&self.project);
        let mut sources = files.chain(&self.lock).chain(&self.script);
        Error::Stale {
            lock: lock.to_owned(),
            project: sources.next().map_or("the project", String::as_str).into(),
            differences,
            mend: MEND,
        }
    }

    /// As a part of `[tool.pyoci]`.
    pub fn to_table(&self) -> Table {
        let mut table = Table::new();
        let mut list = |key: &str, items: Vec<String>| {
            if !items.is_empty() {
                table.insert(key.to_owned(), items.into());
            }
        };
        list("extras", self.extras.iter().map(ToString::to_string).collect());
        list("groups", self.groups.iter().map(ToString::to_string).collect());
        list("requirements", self.requirements.clone());
        for (key, file) in [
            ("project", &self.project),
            ("script", &self.script),
            ("lock", &self.lock),
        ] {
            if let Some(file) = file {
                table.insert(key.to_owned(), file.clone().into());
            }
        }
        let requires = self.requires.iter().map(|(file, requires)| {
            let requires: Vec<String> = requires.iter().cloned().collect();
            (file.clone(), Value::from(requires))
        });
        let digests = self
            .digests
            .iter()
            .map(|(name, d)| (name.clone(), d.to_string().into()));
        for (key, part) in [
            ("requires", requires.collect::<Table>()),
            ("digests", digests.collect()),
        ] {
            if !part.is_empty() {
                table.insert(key.to_owned(), part.into());
            }
        }
        table
    }

    /// Reads what [`Self::to_table`] gives; `None` if it is something else.
    pub fn from_table(table: &Table) -> Option<Self> {
        let texts = |value: Option<&Value>| -> Option<Vec<String>> {
            let items = value.and_then(Value::as_array).into_iter().flatten();
            items.map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let part = |key: &str| table.get(key).and_then(Value::as_table).into_iter().flatten();
        let text = |key: &str| table.get(key).and_then(Value::as_str).map(str::to_owned);
        let requires = part("requires").map(|(file, list)| {
            let list = texts(Some(list))?;
            Some((file.clone(), list.into_iter().collect()))
        });
        let digests = part("digests").map(|(name, d)| Some((name.clone(), d.as_str()?.parse().ok()?)));
        let extras = texts(table.get("extras"))?;
        let groups = texts(table.get("groups"))?;
        Some(Self {
            extras: extras.iter().map(|e| e.parse().ok()).collect::<Option<_>>()?,
            groups: groups.iter().map(|g| g.parse().ok()).collect::<Option<_>>()?,
            requirements: texts(table.get("requirements"))?,
            project: text("project"),
            script: text("script"),
            lock: text("lock"),
            requires: requires.collect::<Option<_>>()?,
            digests: digests.collect::<Option<_>>()?,
        })
    }
}

/// Calls for everything that only one has; true for what is new.
fn compare<T: Ord>(before: &BTreeSet<T>, after: &BTreeSet<T>, mut differs: impl FnMut(&T, bool)) {
    after.difference(before).for_each(|item| differs(item, true));
    before.difference(after).for_each(|item| differs(item, false));
}

/// A requirement without secrets.
fn shown(requirement: &Requirement) -> String {
    super::process::without_passwords(&requirement.to_string())
}

/// An entry of a requirements file without secrets, with a digest of its hashes.
fn title(entry: &Entry) -> String {
    let marker = entry.marker().map(|m| format!(" ; {m}")).unwrap_or_default();
    let text = match &entry.wanted {
        Wanted::Requirement(requirement) => requirement.to_string(),
        Wanted::Url { url, .. } => format!("{url}{marker}"),
        Wanted::Path { path, extras, .. } => {
            let extras: Vec<_> = extras.iter().map(ToString::to_string).collect();
            format!("{} [{}]{marker}", path.display(), extras.join(","))
        }
    };
    let mut title = super::process::without_passwords(&text);
    if !entry.hashes.is_empty() {
        let mut hashes: Vec<_> = entry.hashes.iter().map(ToString::to_string).collect();
        hashes.sort();
        let digest = Digest::of(hashes.join("\n").as_bytes());
        title = format!("{title} (hashes {})", &digest.hex()[..16]);
    }
    if entry.constraint {
        title = format!("constraint: {title}");
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment::new([], "/".into(), std::time::SystemTime::UNIX_EPOCH)
    }

    fn request(directory: &Path) -> Request {
        Request {
            directory: directory.to_owned(),
            ..Request::default()
        }
    }

    #[test]
    fn a_lock_says_what_it_was_made_from_and_what_is_different() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs_err::write(directory.path().join(name), text).unwrap();
        let project = |dependencies: &str| {
            write(
                "pyproject.toml",
                &format!(
                    "[project]\nname = 'x'\nversion = '1'\ndependencies = {dependencies}\n\
                     [project.optional-dependencies]\nweb = ['uvicorn']\n\
                     [dependency-groups]\ndev = ['pytest']\n[tool.uv]\nconstraint-dependencies = ['a<2']\n"
                ),
            );
        };
        project("['flask>=3', 'a @ https://me:secret@h/a-1.zip']");
        let request = Request {
            pyproject: Some("pyproject.toml".into()),
            extras: ["web".parse().unwrap()].into(),
            groups: ["dev".parse().unwrap()].into(),
            ..request(directory.path())
        };
        let made = MadeFrom::of(&request, &environment()).unwrap();
        let text = made.to_table().to_string();
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(MadeFrom::from_table(&text.parse().unwrap()).as_ref(), Some(&made));
        let now = |asked: &MadeFrom| made.now(directory.path(), asked, &environment()).unwrap();
        assert_eq!(made.differences(&now(&made)), [""; 0]);
        project("['flask>=4', 'a @ https://me:secret@h/a-1.zip']");
        let asked = MadeFrom::asked(BTreeSet::new(), made.groups.clone());
        assert_eq!(
            made.differences(&now(&asked)),
            [
                "extra `web` is no longer asked for",
                "`flask>=4` is required now",
                "`extra web: uvicorn` is no longer required",
                "`flask>=3` is no longer required",
            ]
        );
        fs_err::remove_file(directory.path().join("pyproject.toml")).unwrap();
        let gone = made.differences(&now(&made));
        assert!(
            gone.contains(&"pyproject.toml is no longer there".to_owned()),
            "{gone:?}"
        );
        let error = made.stale(Path::new("pylock.toml"), gone);
        assert_eq!(error.hint().unwrap(), "run `pyoci lock`");
    }

    #[test]
    fn files_that_requirements_include_count_and_so_do_hashes() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs_err::write(directory.path().join(name), text).unwrap();
        let hash = |n: u8| format!("--hash=sha256:{}", format!("{n:02x}").repeat(32));
        write("r.txt", "# comment\nflask==3\n-r more.txt\n-c c.txt\n");
        write("more.txt", &format!("click==8 {}\n", hash(1)));
        write("c.txt", "a<2\n");
        let request = Request {
            requirements: vec!["r.txt".into()],
            ..request(directory.path())
        };
        let made = MadeFrom::of(&request, &environment()).unwrap();
        write("r.txt", "flask == 3  # other spelling\n-r more.txt\n-c c.txt\n");
        let now = || MadeFrom::of(&request, &environment()).unwrap();
        assert_eq!(made.differences(&now()), [""; 0]);
        write("more.txt", &format!("click==8 {}\n", hash(2)));
        assert_eq!(made.differences(&now()).len(), 2);
        write("c.txt", "a<3\n");
        let differences = made.differences(&now());
        assert!(
            differences.contains(&"`constraint: a<3` is required now".to_owned()),
            "{differences:?}"
        );
    }
}
