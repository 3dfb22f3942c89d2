//! What a project and the user's files say of package indexes, in the words of uv, poetry, pdm and pipenv.

use std::path::{Path, PathBuf};

use toml::{Table, Value};
use url::Url;

use super::index_logins::{Logins, uv_login, with_login};
use super::script::Script;
use super::settings::expand;
use super::{Error, Request};
use crate::environment::Environment;

/// An index that something names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    /// Its name, by which packages and variables with passwords refer to it.
    pub name: Option<String>,
    /// Its root, with the user and password that are known for it.
    pub url: Url,
    /// Whether it is for packages only that name it.
    pub explicit: bool,
}

/// What one tool's settings say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// In the order in which they are asked.
    pub indexes: Vec<Index>,
    /// The index that is asked last, in the place of PyPI.
    pub default: Option<Index>,
    /// Directories and pages of links.
    pub find_links: Vec<String>,
    /// Whether no index is asked.
    pub no_index: bool,
    /// Hosts whose certificates are not looked at.
    pub insecure_hosts: Vec<String>,
    /// Whether it says how several indexes are weighed.
    pub strategy: bool,
}

/// Everything that is said beside pip's settings and variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sources {
    /// `[tool.uv]` or `uv.toml` of the project.
    pub project: Said,
    /// What poetry, pdm and pipenv are told, which uv does not read.
    pub foreign: Said,
    /// The user's and the system's `uv.toml`.
    pub user: Said,
}

impl Sources {
    /// Reads the files of the project, of its lock and of the user.
    pub fn load(request: &Request, environment: &Environment) -> Result<Self, Error> {
        let mut directories = vec![request.directory.clone()];
        let lock = request.lock.as_ref().map(|lock| request.directory.join(lock));
        directories.extend(lock.as_deref().and_then(Path::parent).map(Path::to_owned));
        directories.dedup();
        let mut sources = Self::default();
        let reads_files = environment.get("UV_NO_CONFIG").is_none();
        if let Some(file) = environment.get("UV_CONFIG_FILE") {
            let table = read(&environment.working_directory.join(file))?.unwrap_or_default();
            sources.user = of_uv(&table, environment);
        } else if reads_files {
            match Script::of(request)? {
                // What stands beside a script is not for it.
                Some(script) => {
                    let uv = script.uv().cloned().unwrap_or_default();
                    sources.project.extend(of_uv(&uv, environment));
                }
                None => {
                    for directory in &directories {
                        sources.project.extend(of_project(directory, environment)?);
                    }
                }
            }
            for file in user_files(environment) {
                let table = read(&file)?.unwrap_or_default();
                sources.user.extend(of_uv(&table, environment));
            }
        }
        let logins = Logins::load(environment)?;
        for directory in &directories {
            let Some(table) = read(&directory.join("pyproject.toml"))? else {
                continue;
            };
            let tool = |name| table.get("tool").and_then(|t| t.get(name));
            sources.foreign.extend(of_poetry(tool("poetry"), &logins));
            sources.foreign.extend(of_pdm(tool("pdm"), &logins, environment));
        }
        if let Some(pipfile) = read(&request.directory.join("Pipfile"))? {
            sources.foreign.extend(of_pipfile(&pipfile, environment));
        }
        Ok(sources)
    }

    /// Every index of all of them.
    pub fn all(&self) -> impl Iterator<Item = &Index> {
        [&self.project, &self.foreign, &self.user]
            .into_iter()
            .flat_map(|said| said.indexes.iter().chain(&said.default))
    }
}

impl Said {
    fn extend(&mut self, other: Self) {
        self.indexes.extend(other.indexes);
        self.default = self.default.take().or(other.default);
        self.find_links.extend(other.find_links);
        self.no_index |= other.no_index;
        self.insecure_hosts.extend(other.insecure_hosts);
        self.strategy |= other.strategy;
    }

    /// Whether it says which indexes there are.
    pub fn names_indexes(&self) -> bool {
        self.default.is_some() || !self.indexes.is_empty()
    }

    /// The indexes that are for every package.
    pub fn general(&self) -> impl Iterator<Item = &Index> {
        self.indexes.iter().filter(|index| !index.explicit)
    }
}

/// A TOML file; `None` if there is none. One that is malformed is reported by whoever it is for.
pub(super) fn read(path: &Path) -> Result<Option<Table>, Error> {
    match fs_err::read_to_string(path) {
        Ok(text) => Ok(text.parse().ok()),
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => Ok(None),
        Err(e) => Err(Error::read(path, e)),
    }
}

/// > uv will search for configuration files in the current directory or in the nearest parent directory … If both a
/// > `uv.toml` and a `pyproject.toml` are present, the `uv.toml` takes precedence.
fn of_project(directory: &Path, environment: &Environment) -> Result<Said, Error> {
    for parent in directory.ancestors() {
        if let Some(table) = read(&parent.join("uv.toml"))? {
            return Ok(of_uv(&table, environment));
        }
        let project = read(&parent.join("pyproject.toml"))?.unwrap_or_default();
        if let Some(table) = project.get("tool").and_then(|t| t.get("uv")?.as_table()) {
            return Ok(of_uv(table, environment));
        }
    }
    Ok(Said::default())
}

/// The user's `uv.toml`, then the system's.
fn user_files(environment: &Environment) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = environment
        .config_home()
        .map(|directory| directory.join("uv/uv.toml"))
        .into_iter()
        .collect();
    let system = environment.get("XDG_CONFIG_DIRS").unwrap_or("/etc/xdg");
    files.extend(system.split(':').map(|d| Path::new(d).join("uv/uv.toml")));
    files.push("/etc/uv/uv.toml".into());
    files
}

/// uv's settings; those of `pip`, the table, go over the others for `uv pip`.
fn of_uv(table: &Table, environment: &Environment) -> Said {
    let mut said = Said::default();
    for index in tables(table.get("index")) {
        let Some(url) = text(index, "url").and_then(|u| u.parse().ok()) else {
            continue;
        };
        let name = text(index, "name");
        let is = |key| index.get(key).and_then(Value::as_bool).unwrap_or(false);
        let index = Index {
            url: with_login(url, name.as_deref().and_then(|n| uv_login(n, environment))),
            name,
            explicit: is("explicit"),
        };
        if is("default") {
            said.default = Some(index);
        } else {
            said.indexes.push(index);
        }
    }
    let pip = table.get("pip").and_then(Value::as_table);
    for table in pip.into_iter().chain([table]) {
        let plain = |text: &str| text.parse().ok().map(unnamed);
        let url = table.get("index-url").and_then(Value::as_str).and_then(plain);
        said.default = said.default.take().or(url);
        let extra = strings(table.get("extra-index-url"));
        said.indexes.extend(extra.iter().filter_map(|url| plain(url)));
        said.find_links.extend(strings(table.get("find-links")));
        said.no_index |= table.get("no-index").and_then(Value::as_bool).unwrap_or(false);
        said.insecure_hosts
            .extend(strings(table.get("allow-insecure-host")));
        said.strategy |= table.contains_key("index-strategy");
    }
    said
}

fn unnamed(url: Url) -> Index {
    Index {
        name: None,
        url,
        explicit: false,
    }
}

/// Dependencies of poetry's own form that name a source: package and source. Nobody but poetry resolves them from there.
pub(super) fn unasked_of_poetry(request: &Request) -> Vec<(String, String)> {
    let file = request
        .pyproject
        .as_ref()
        .map(|file| request.directory.join(file));
    let text = file.and_then(|file| fs_err::read_to_string(file).ok());
    let table: Option<toml::Table> = text.and_then(|text| text.parse().ok());
    let poetry = table.as_ref().and_then(|table| table.get("tool")?.get("poetry"));
    let group = |name: &str| poetry?.get("group")?.get(name)?.get("dependencies")?.as_table();
    let own = poetry.and_then(|poetry| poetry.get("dependencies")?.as_table());
    let groups = request.groups.iter().filter_map(|name| group(&name.to_string()));
    let named = own
        .into_iter()
        .chain(groups)
        .flatten()
        .filter_map(|(package, wanted)| {
            let source = wanted.get("source")?.as_str()?;
            Some((package.clone(), source.to_owned()))
        });
    named.collect()
}

/// `[[tool.poetry.source]]`: primary ones replace PyPI, unless that is named too; then come the supplemental ones.
///
/// > any custom source … with priority `primary` … disables the implicit PyPI. `supplemental` sources are only searched
/// > if no other (higher-priority) source yields a compatible package distribution.
fn of_poetry(poetry: Option<&Value>, logins: &Logins<'_>) -> Said {
    let (mut first, mut last, mut said) = (Vec::new(), Vec::new(), Said::default());
    for table in tables(poetry.and_then(|p| p.get("source"))) {
        let Some(name) = text(table, "name") else { continue };
        let known = name
            .eq_ignore_ascii_case("pypi")
            .then(|| super::indexes::PYPI.to_owned());
        let Some(url) = text(table, "url").or(known).and_then(|u| u.parse().ok()) else {
            continue;
        };
        let priority = text(table, "priority").unwrap_or_else(|| "primary".to_owned());
        let index = Index {
            url: with_login(url, logins.of_poetry(&name)),
            name: Some(name),
            explicit: priority.eq_ignore_ascii_case("explicit"),
        };
        match priority.to_ascii_lowercase().as_str() {
            "explicit" => said.indexes.push(index),
            "supplemental" | "secondary" => last.push(index),
            "default" => first.insert(0, index),
            _ => first.push(index),
        }
    }
    if first.is_empty() && !last.is_empty() {
        first.extend(super::indexes::PYPI.parse().ok().map(unnamed));
    }
    let mut all: Vec<Index> = first.into_iter().chain(last).collect();
    said.default = all.pop();
    said.indexes.extend(all);
    said
}

/// `[[tool.pdm.source]]`; the one named `pypi` takes the place of PyPI.
fn of_pdm(pdm: Option<&Value>, logins: &Logins<'_>, environment: &Environment) -> Said {
    let mut said = Said::default();
    for table in tables(pdm.and_then(|p| p.get("source"))) {
        let Some(url) = text(table, "url") else { continue };
        let url = expand(&url, environment);
        if text(table, "type").as_deref() == Some("find_links") {
            said.find_links.push(url);
            continue;
        }
        let Ok(url) = url.parse() else { continue };
        let name = text(table, "name");
        let own = |key| text(table, key).map(|t| expand(&t, environment));
        let own = own("username").map(|user| (user, own("password").unwrap_or_default()));
        let login = own.or_else(|| logins.pdm.get(name.as_deref()?).cloned());
        let is_default = name.as_deref() == Some("pypi");
        let index = Index {
            name,
            url: with_login(url, login),
            explicit: false,
        };
        if is_default {
            said.default = Some(index);
        } else {
            said.indexes.push(index);
        }
    }
    said
}

/// `[[source]]` of a Pipfile: the first is for packages that name none.
fn of_pipfile(table: &Table, environment: &Environment) -> Said {
    let mut said = Said::default();
    for source in tables(table.get("source")) {
        let url = text(source, "url").and_then(|u| expand(&u, environment).parse().ok());
        let Some(url) = url else { continue };
        let index = Index {
            name: text(source, "name"),
            url,
            explicit: said.default.is_some(),
        };
        if said.default.is_none() {
            said.default = Some(index);
        } else {
            said.indexes.push(index);
        }
    }
    said
}

fn tables(value: Option<&Value>) -> impl Iterator<Item = &Table> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_table)
}

pub(super) fn text(table: &Table, key: &str) -> Option<String> {
    table.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// A list of texts, or one.
fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> Sources {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("pyproject.toml"), text).unwrap();
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let environment = Environment::new(variables, "/".into(), std::time::SystemTime::UNIX_EPOCH);
        let request = Request {
            directory: directory.path().to_owned(),
            ..Request::default()
        };
        Sources::load(&request, &environment).unwrap()
    }

    fn urls<'a>(indexes: impl IntoIterator<Item = &'a Index>) -> Vec<&'a str> {
        indexes.into_iter().map(|i| i.url.as_str()).collect()
    }

    #[test]
    fn indexes_of_uv_have_names_passwords_and_places() {
        let text = "[[tool.uv.index]]\nname='pytorch-cpu'\nurl='https://torch/cpu'\nexplicit=true\n\
            [[tool.uv.index]]\nname='own.index'\nurl='https://own/simple'\n\
            [[tool.uv.index]]\nurl='https://mirror/simple'\ndefault=true\n";
        let variables = [
            ("UV_INDEX_OWN_INDEX_USERNAME", "me"),
            ("UV_INDEX_OWN_INDEX_PASSWORD", "p@ss"),
        ];
        let said = load(text, &variables).project;
        assert_eq!(urls(said.general()), ["https://me:p%40ss@own/simple"]);
        assert!(said.indexes[0].explicit);
        assert_eq!(urls(&said.default), ["https://mirror/simple"]);
    }

    #[test]
    fn sources_of_poetry_go_by_their_priority() {
        let source = |name: &str, priority: &str| {
            format!("[[tool.poetry.source]]\nname='{name}'\nurl='https://{name}/'\npriority='{priority}'\n")
        };
        let text = [source("a", "supplemental"), source("b", "explicit")].concat();
        let variables = [
            ("POETRY_HTTP_BASIC_A_USERNAME", "u"),
            ("POETRY_HTTP_BASIC_A_PASSWORD", "p"),
        ];
        let said = load(&text, &variables).foreign;
        assert_eq!(urls(said.general()), ["https://pypi.org/simple/"]);
        assert_eq!(urls(&said.default), ["https://u:p@a/"]);
        let said = load(&source("c", "primary"), &[]).foreign;
        assert_eq!(
            (urls(said.general()), urls(&said.default)),
            (vec![], vec!["https://c/"])
        );
    }

    #[test]
    fn sources_of_pdm_take_variables_and_may_replace_pypi() {
        let text = "[[tool.pdm.source]]\nname='own'\nurl='https://${U}:${P}@own/'\n\
            [[tool.pdm.source]]\nname='pypi'\nurl='https://mirror/'\nusername='x'\npassword='y'\n";
        let said = load(text, &[("U", "me"), ("P", "pw")]).foreign;
        assert_eq!(urls(said.general()), ["https://me:pw@own/"]);
        assert_eq!(urls(&said.default), ["https://x:y@mirror/"]);
    }

    #[test]
    fn sources_of_single_dependencies_of_poetry_are_known() {
        let directory = tempfile::tempdir().unwrap();
        let text = "[tool.poetry.dependencies]\npython = '^3.11'\ntorch = { version = '2', source = 'cpu' }\n\
                    [tool.poetry.group.dev.dependencies]\nx = { version = '1', source = 'own' }\n";
        fs_err::write(directory.path().join("pyproject.toml"), text).unwrap();
        let mut request = Request {
            directory: directory.path().to_owned(),
            pyproject: Some("pyproject.toml".into()),
            ..Request::default()
        };
        let pair = |package: &str, source: &str| (package.to_owned(), source.to_owned());
        assert_eq!(unasked_of_poetry(&request), [pair("torch", "cpu")]);
        request.groups.insert("dev".parse().unwrap());
        assert_eq!(
            unasked_of_poetry(&request),
            [pair("torch", "cpu"), pair("x", "own")]
        );
        request.pyproject = None;
        assert!(unasked_of_poetry(&request).is_empty());
    }
}
