//! How the project starts: the first of several sources that says so, always with its reason.

mod dashboards;
mod django;
mod procfile;
mod scripts;
mod web;

use super::distribution::Distribution;
use super::error::Error;
use super::python_source::Module;
use super::{Files, Project};
use crate::python::PackageName;
use crate::tree::Tree;

/// How the project starts, and why so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The command in words. `$NAME`, `${NAME}` and `${NAME:-default}` are expanded by the image's entrypoint.
    pub command: Vec<String>,
    /// Why it is this one.
    pub reason: String,
    /// Directories below the project (empty: its own) that the command imports from, beside those of the distribution.
    pub import_roots: Vec<String>,
}

/// What the project will find around it.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Which packages are locked.
    pub installed: &'a dyn Fn(&PackageName) -> bool,
    /// Whether the base has a `/bin/sh`.
    pub shell: bool,
    /// Whether the project is a distribution whose wheel has not been built: its scripts are then those that its files
    /// declare.
    pub unbuilt: bool,
}

/// Sources are read up to this size; larger ones are data.
const MAX_SOURCE: u64 = 4 << 20;

/// What the start command is guessed from.
struct Clues<'a> {
    project: &'a Project,
    tree: &'a Tree,
    distribution: Option<&'a Distribution>,
    surroundings: Surroundings<'a>,
    /// What was seen and not taken, for the error.
    seen: Vec<String>,
    /// What the error's hint proposes.
    likely: Option<String>,
}

impl Project {
    /// Finds the start command: `--entrypoint`, `[tool.pyoci] entrypoint`, Procfile, console script, Django, an ASGI or
    /// WSGI object, a dashboard (streamlit, gradio, ...), a package's `__main__.py`, `main.py`.
    pub fn start(
        &self,
        files: &Files,
        distribution: Option<&Distribution>,
        surroundings: Surroundings<'_>,
    ) -> Result<Start, Error> {
        for root in &self.settings.pythonpath {
            let there = files.tree.get(root).is_some_and(crate::tree::Entry::is_directory);
            if !there && !root.is_empty() {
                return Err(Error::NoDirectory(root.clone()));
            }
        }
        if let Some(command) = &self.settings.entrypoint {
            return Ok(Start {
                command: command.clone(),
                reason: self.entrypoint_origin.to_owned(),
                import_roots: self.settings.pythonpath.clone(),
            });
        }
        let mut start = self.found_start(files, distribution, surroundings)?;
        for root in &self.settings.pythonpath {
            if !start.import_roots.contains(root) {
                start.import_roots.push(root.clone());
            }
        }
        Ok(start)
    }

    fn found_start(
        &self,
        files: &Files,
        distribution: Option<&Distribution>,
        surroundings: Surroundings<'_>,
    ) -> Result<Start, Error> {
        let mut clues = Clues {
            project: self,
            tree: &files.tree,
            distribution,
            surroundings,
            seen: Vec::new(),
            likely: None,
        };
        if let Some(start) = procfile::start(&mut clues)? {
            return Ok(start);
        }
        let sources: [fn(&mut Clues<'_>) -> Option<Start>; 7] = [
            scripts::console_script,
            django::start,
            web::start,
            dashboards::start,
            scripts::package_main,
            scripts::main_file,
            scripts::with_header,
        ];
        for source in sources {
            if let Some(mut start) = source(&mut clues) {
                // `python3 -m` imports from the working directory, which is then another one.
                if self.settings.workdir.is_some() {
                    start.import_roots.push(String::new());
                }
                return Ok(start);
            }
        }
        Err(Error::NoStart {
            name: self.name.clone(),
            candidates: clues.seen,
            likely: clues.likely.unwrap_or_else(|| "python3 -m app".to_owned()),
        })
    }
}

impl Clues<'_> {
    fn has(&self, file: &str) -> bool {
        self.tree.get(file).is_some_and(|entry| !entry.is_directory())
    }

    /// The bytes of a file of the project, followed if it is a link; `None` if there is none or it is too large.
    fn read(&self, file: &str) -> Option<Vec<u8>> {
        match self.tree.get(file)?.content() {
            Some(content) => content.read(MAX_SOURCE).ok(),
            None => fs_err::read(self.project.root.join(file)).ok(),
        }
    }

    fn module(&self, file: &str) -> Option<Module> {
        Module::parse(&self.read(file)?)
    }

    fn is_installed(&self, name: &str) -> bool {
        name.parse()
            .is_ok_and(|name| (self.surroundings.installed)(&name))
    }

    /// The names in a directory (empty: the project's own), sorted; directories end in `/`.
    fn list(&self, directory: &str) -> Vec<String> {
        let prefix = if directory.is_empty() {
            String::new()
        } else {
            format!("{directory}/")
        };
        self.tree
            .iter()
            .filter_map(|(path, entry)| {
                let name = path.as_str().strip_prefix(&prefix)?;
                let slash = if entry.is_directory() { "/" } else { "" };
                (!name.contains('/')).then(|| format!("{name}{slash}"))
            })
            .collect()
    }

    /// Directories that packages are looked for in: the project's own, and `src` unless it is a package itself.
    fn roots(&self) -> Vec<&'static str> {
        let src = self.tree.get("src").is_some_and(crate::tree::Entry::is_directory);
        if src && !self.has("src/__init__.py") {
            vec!["", "src"]
        } else {
            vec![""]
        }
    }

    /// The file as the command names it: relative to `/app`, unless the working directory is another one.
    fn argument(&self, file: &str) -> String {
        match self.project.settings.workdir {
            Some(_) => format!("{}/{file}", super::runtime::APP),
            None => file.to_owned(),
        }
    }
}

/// `directory/name`, or `name` in the project's own directory.
fn below(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

/// A command from its words, with a reason.
fn of_words(words: &[&str], reason: String) -> Start {
    Start {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        reason,
        import_roots: Vec::new(),
    }
}

/// The parent of a path, empty at the top.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests;
