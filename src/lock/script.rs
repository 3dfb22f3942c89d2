//! A script whose header says what it needs (PEP 723), and how uv is asked for it.
//!
//! `uv pip compile tool.py` takes the requirements of a header and passes over its `[tool.uv]`: a package that the header
//! takes from a directory or an index of its own would come from PyPI. So uv gets the header as a project and its settings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Error, Request};
use crate::python::ScriptMetadata;
use crate::python::tables::TableError;

/// The settings of `[tool.uv]` that decide which versions are found, and where.
const SETTINGS: [&str; 20] = [
    "index",
    "index-url",
    "extra-index-url",
    "find-links",
    "no-index",
    "index-strategy",
    "keyring-provider",
    "allow-insecure-host",
    "exclude-newer",
    "exclude-newer-package",
    "prerelease",
    "resolution",
    "fork-strategy",
    "dependency-metadata",
    "no-build",
    "no-build-package",
    "no-binary",
    "no-binary-package",
    "config-settings",
    "no-sources",
];

/// A script with a header.
pub(super) struct Script {
    /// The file.
    path: PathBuf,
    /// The TOML of the header.
    pub text: String,
    /// The same, parsed.
    pub table: Table,
    /// What it says.
    pub metadata: ScriptMetadata,
}

impl Script {
    /// The script of a request, if it has one with a header.
    pub fn of(request: &Request) -> Result<Option<Self>, Error> {
        let path = request.script.as_ref();
        path.map_or(Ok(None), |path| Self::read(&request.directory.join(path)))
    }

    /// Reads the header of a script; `None` if it has none.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let bytes = fs_err::read(path).map_err(|source| Error::read(path, source))?;
        let script = String::from_utf8_lossy(&bytes);
        let fault = |error: TableError| Error::LockFile {
            path: path.to_owned(),
            line: error.line,
            problem: error.problem,
        };
        let (Some((_, text)), Some(metadata)) = (
            ScriptMetadata::header(&script).map_err(fault)?,
            ScriptMetadata::parse(&script).map_err(fault)?,
        ) else {
            return Ok(None);
        };
        Ok(Some(Self {
            path: path.to_owned(),
            table: toml::from_str(&text).unwrap_or_default(),
            text,
            metadata,
        }))
    }

    /// Its requirements, as it writes them.
    pub fn dependencies(&self) -> Vec<String> {
        let list = self.table.get("dependencies").and_then(Value::as_array);
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    /// Its `[tool.uv]`.
    pub fn uv(&self) -> Option<&Table> {
        self.table.get("tool")?.get("uv")?.as_table()
    }

    /// Writes what the header says into a directory, in files that uv reads; gives the arguments that name them.
    pub fn for_uv(&self, directory: &Path) -> Result<[OsString; 3], Error> {
        let here = self.path.parent().unwrap_or(Path::new("/"));
        let uv = self.uv().cloned().unwrap_or_default();
        let mut project = Table::new();
        project.insert("name".to_owned(), "script".into());
        project.insert("version".to_owned(), "0".into());
        for key in ["dependencies", "requires-python"] {
            if let Some(value) = self.table.get(key) {
                project.insert(key.to_owned(), value.clone());
            }
        }
        let mut settings: Table = uv
            .iter()
            .filter(|(key, _)| SETTINGS.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        anchor_indexes(&mut settings, here);
        // A root of its own: nothing above the directory counts.
        let mut own = uv;
        own.insert("workspace".to_owned(), Value::Table(Table::new()));
        anchor_indexes(&mut own, here);
        if let Some(sources) = own.get_mut("sources") {
            anchor_paths(sources, here);
        }
        let tool = Table::from_iter([("uv".to_owned(), Value::Table(own))]);
        let document = Table::from_iter([
            ("project".to_owned(), Value::Table(project)),
            ("tool".to_owned(), Value::Table(tool)),
        ]);
        let (file, config) = (directory.join("pyproject.toml"), directory.join("uv.toml"));
        for (path, table) in [(&file, document), (&config, settings)] {
            fs_err::write(path, table.to_string()).map_err(|source| Error::read(path, source))?;
        }
        Ok(["--config-file".into(), config.into(), file.into()])
    }
}

/// Makes the paths of sources count from a directory.
fn anchor_paths(value: &mut Value, here: &Path) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| anchor_paths(item, here)),
        Value::Table(table) => {
            for (key, value) in table {
                match value {
                    Value::String(path) if key == "path" => *path = anchored(path, here),
                    other => anchor_paths(other, here),
                }
            }
        }
        _ => {}
    }
}

/// The same for the indexes and link pages that are directories.
fn anchor_indexes(uv: &mut Table, here: &Path) {
    let urls = uv.get_mut("index").and_then(Value::as_array_mut);
    let urls = urls
        .into_iter()
        .flatten()
        .filter_map(|index| index.get_mut("url"));
    for value in urls {
        anchor_text(value, here);
    }
    for key in ["index-url", "extra-index-url", "find-links"] {
        match uv.get_mut(key) {
            Some(Value::Array(items)) => items.iter_mut().for_each(|item| anchor_text(item, here)),
            Some(value) => anchor_text(value, here),
            None => {}
        }
    }
}

fn anchor_text(value: &mut Value, here: &Path) {
    if let Value::String(text) = value
        && !text.contains("://")
    {
        *text = anchored(text, here);
    }
}

fn anchored(path: &str, here: &Path) -> String {
    here.join(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uv_gets_the_header_with_paths_that_count_from_the_script() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tool.py");
        let header = "# /// script\n# dependencies = ['a', 'b']\n# [tool.uv]\n# find-links = ['wheels', 'https://h/']\n\
            # [tool.uv.sources]\n# a = [{ path = '../a', marker = 'x' }]\n# b = { index = 'own' }\n# [[tool.uv.index]]\n\
            # name = 'own'\n# url = 'https://own/simple'\n# ///\n";
        fs_err::write(&path, header).unwrap();
        let script = Script::read(&path).unwrap().unwrap();
        assert_eq!(script.dependencies(), ["a", "b"]);
        let out = tempfile::tempdir().unwrap();
        let [_, config, project] = script.for_uv(out.path()).unwrap();
        let read = |path: OsString| -> Table { fs_err::read_to_string(path).unwrap().parse().unwrap() };
        let (config, project) = (read(config), read(project));
        let here = directory.path().display();
        let links = config["find-links"].as_array().unwrap();
        assert_eq!(links[0].as_str().unwrap(), format!("{here}/wheels"));
        assert_eq!(links[1].as_str().unwrap(), "https://h/");
        assert!(!config.contains_key("sources"));
        let source = &project["tool"]["uv"]["sources"]["a"][0]["path"];
        assert_eq!(source.as_str().unwrap(), format!("{here}/../a"));
    }
}
