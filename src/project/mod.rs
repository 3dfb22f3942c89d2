//! Projects: what the user wrote. Requirements, files and start command are found here; nothing is resolved or built.

mod app;
pub mod bundle;
pub mod debian;
mod discovery;
mod distribution;
mod docker_ignore;
mod document;
mod error;
mod exposed;
mod files;
mod ignore_rules;
mod labels;
mod packaging;
mod python_preference;
mod python_source;
pub mod runtime;
mod script;
pub mod settings;
mod setup_files;
mod start;
mod static_metadata;
mod uv_workspace;

use std::path::{Path, PathBuf};

pub use app::{AppOptions, Runtime};
pub use discovery::{RequirementSource, Requirements};
pub use distribution::Distribution;
pub use document::{Document, Node, Table, Value};
pub use error::{Error, Place};
pub use exposed::Exposed;
pub use files::Files;
pub use packaging::Packaging;
pub use python_preference::{PythonPreference, RequiresPython};
pub use script::Script;
pub use settings::Settings;
pub use start::{Start, Surroundings};
pub use static_metadata::StaticMetadata;

use crate::progress::Progress;
use crate::python::Target;
use crate::tree::Tree;
use ignore_rules::IgnoreRules;

/// Where a tree has the project's files.
const APP_PREFIX: &str = "app/";

/// A Python project in a directory.
#[derive(Clone, Debug)]
pub struct Project {
    /// The directory, absolute, links resolved.
    pub root: PathBuf,
    /// `[project] name`, or what stands for it in poetry's table, setup.cfg or setup.py; else the directory's name.
    pub name: String,
    /// What was asked for, over what `[tool.pyoci]` says.
    pub settings: Settings,
    /// `pyproject.toml`, if there is one.
    pub pyproject: Option<Document>,
    /// Where the requirements are, and why.
    pub requirements: Requirements,
    /// The one script that is the project, if it is no directory.
    pub script: Option<Script>,
    /// What says the start command, if something does: `--entrypoint` or `[tool.pyoci] entrypoint`.
    entrypoint_origin: &'static str,
    /// Which Python versions the project accepts.
    pub requires_python: Option<RequiresPython>,
}

impl Project {
    /// Finds out about the project in a directory. `given` is what flags and `PYOCI_*` variables say (paths absolute).
    pub fn discover(path: &Path, given: Settings) -> Result<Self, Error> {
        let root = match fs_err::canonicalize(path) {
            Ok(root) => root,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoProject(path.to_owned()));
            }
            Err(error) => return Err(Error::Io(error)),
        };
        if !root.is_dir() {
            return Self::of_script(path, given);
        }
        let said = given.entrypoint.is_some();
        let pyproject = Document::read(&root.join("pyproject.toml"))?;
        let settings = match &pyproject {
            Some(document) => given.over(Settings::from_pyproject(document)?),
            None => given,
        };
        let requirements = discovery::requirements(&root, pyproject.as_ref(), &settings)?;
        let requires_python = match (&pyproject, &requirements.source) {
            (_, RequirementSource::Script(script)) => script::requires_python(script)?,
            (Some(document), _) => match RequiresPython::of(document)? {
                Some(requires) => Some(requires),
                None if document.get(&["project"]).is_some() => None,
                None => RequiresPython::of_setup_files(&root),
            },
            (None, _) => RequiresPython::of_setup_files(&root),
        };
        Ok(Self {
            name: name(&root, pyproject.as_ref()),
            root,
            entrypoint_origin: if said {
                "--entrypoint"
            } else {
                "[tool.pyoci] entrypoint"
            },
            settings,
            pyproject,
            requirements,
            requires_python,
            script: None,
        })
    }

    /// The source of the requirements as if no `pylock.toml` were there: what such a lock can be made from.
    pub fn requirements_beside_pylock(&self) -> Result<Requirements, Error> {
        let of_script = match &self.script {
            Some(script) => Some(script.requirements_beside_pylock()?),
            None => None,
        };
        let pyproject = self.pyproject.as_ref();
        discovery::requirements_beside_pylock(&self.root, pyproject, &self.settings, of_script)
    }

    /// Which Python the project wants: `--python`, else `.python-version`, `runtime.txt`, the Pipfile, requires-python.
    pub fn python_preference(&self) -> Result<PythonPreference, Error> {
        // What a script says of itself comes before what stands beside it.
        let requires = self.requires_python.as_ref();
        let root = Some(&*self.root).filter(|_| self.script.is_none() || requires.is_none());
        python_preference::preference(root, &self.settings, requires)
    }

    /// Fails if requires-python does not accept the target's Python.
    pub fn check_python(&self, target: &Target) -> Result<(), Error> {
        if let Some(asked) = self.settings.python.filter(|asked| *asked != target.python) {
            let actual = target.python_full_version();
            return Err(Error::Python { asked, actual });
        }
        self.requires_python
            .as_ref()
            .map_or(Ok(()), |requires| requires.check(target))
    }

    /// Whether requires-python accepts the target's Python, whatever was asked for.
    pub fn accepts_python(&self, target: &Target) -> bool {
        let requires = self.requires_python.as_ref();
        requires.is_none_or(|requires| requires.check(target).is_ok())
    }

    /// The project's files, at their paths below the project's directory; `outputs` are what the build writes, and are
    /// left out. Says what else was left out where the user should know.
    pub fn files(&self, outputs: &[PathBuf], progress: &Progress) -> Result<Files, Error> {
        let files = match &self.script {
            Some(script) => script.files(&self.settings, outputs)?,
            None => files::collect(
                &self.root,
                &IgnoreRules::read(&self.root, &self.settings, outputs)?,
            )?,
        };
        if !files.secrets.is_empty() {
            let names = files.secrets.join(", ");
            progress.choice("left out", format!("{names}: secrets never go into an image"));
        }
        if !files.outputs.is_empty() {
            let names = files.outputs.join(", ");
            let way = "looks like build output; [tool.pyoci] include takes it";
            progress.choice("left out", format!("{names}: {way}"));
        }
        for name in &files.special {
            progress.warn(format!("{name} is no file, directory or link: left out"));
        }
        Ok(files)
    }
}

impl Project {
    /// What looks like a credential in the files of the app's tree; paths count from the project's directory. What
    /// `include` names is taken on purpose: it is not told.
    pub fn exposed(&self, app: &Tree) -> Result<Vec<Exposed>, Error> {
        let mut found = Vec::new();
        let kept = ignore_rules::patterns(&self.root, &self.settings.include, "include")?;
        for exposed in exposed::exposed(app) {
            let path = exposed.path.strip_prefix(APP_PREFIX).unwrap_or(&exposed.path);
            let is_kept = kept.matched_path_or_any_parents(path, false).is_ignore();
            if !is_kept {
                let path = path.to_owned();
                found.push(Exposed { path, ..exposed });
            }
        }
        Ok(found)
    }

    /// The variables that the settings give to the image whose values look like credentials, and what they look like.
    pub fn exposed_variables(&self) -> Vec<(&str, &'static str)> {
        let variables = self.settings.env.iter();
        variables
            .filter_map(|(name, value)| Some((name.as_str(), exposed::first(value.as_bytes())?.1)))
            .collect()
    }
}

fn name(root: &Path, pyproject: Option<&Document>) -> String {
    let named = pyproject.and_then(|document| {
        [&["project", "name"][..], &["tool", "poetry", "name"]]
            .into_iter()
            .find_map(|keys| document.get(keys)?.text())
    });
    let of_directory = || root.file_name().unwrap_or_default().to_string_lossy();
    match named {
        Some(named) => named.to_owned(),
        None => setup_files::name(root).unwrap_or_else(|| of_directory().into_owned()),
    }
}
