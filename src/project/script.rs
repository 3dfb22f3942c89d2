//! A script as a project: one file, with what it needs in its header (PEP 723).

use std::path::{Path, PathBuf};

use super::Project;
use super::discovery::{self, RequirementSource, Requirements};
use super::document::Document;
use super::error::{Error, Place};
use super::files::{self, Files};
use super::ignore_rules::IgnoreRules;
use super::python_preference::RequiresPython;
use super::runtime::APP;
use super::settings::Settings;
use crate::paths::TreePath;
use crate::python::ScriptMetadata;

/// The script that is a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The file, in a resolved directory.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
}

impl Project {
    /// The project that is a script: that one file, and what `include` in its header or on the command line names.
    pub(super) fn of_script(path: &Path, given: Settings) -> Result<Self, Error> {
        let (Some(name), Some(stem)) = (
            path.file_name().and_then(|name| name.to_str()),
            path.file_stem().and_then(|stem| stem.to_str()),
        ) else {
            return Err(Error::NotADirectory(path.to_owned()));
        };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let root = fs_err::canonicalize(directory.unwrap_or(Path::new("."))).map_err(Error::Io)?;
        let script = Script {
            path: root.join(name),
            name: name.to_owned(),
        };
        let header = header(&script.path)?;
        if header.is_none() && path.extension().is_none_or(|extension| extension != "py") {
            return Err(Error::NotADirectory(path.to_owned()));
        }
        let said = given.entrypoint.is_some();
        let mut settings = match &header {
            Some(header) => given.over(Settings::from_pyproject(header)?),
            None => given,
        };
        let requirements = match discovery::asked_for(&settings, false)? {
            Some(asked) => asked,
            None => requirements(&script.path, header.is_some()),
        };
        let entrypoint_origin = match (&settings.entrypoint, said) {
            (_, true) => "--entrypoint",
            (Some(_), false) => "[tool.pyoci] entrypoint",
            (None, false) => "the script itself",
        };
        if settings.entrypoint.is_none() {
            let file = match settings.workdir {
                Some(_) => format!("{APP}/{name}"),
                None => name.to_owned(),
            };
            settings.entrypoint = Some(vec!["python3".to_owned(), file]);
        }
        Ok(Self {
            name: stem.to_owned(),
            root,
            settings,
            pyproject: None,
            requirements,
            script: Some(script),
            entrypoint_origin,
            requires_python: header
                .as_ref()
                .map(RequiresPython::of_script)
                .transpose()?
                .flatten(),
        })
    }
}

impl Script {
    /// Where its requirements are if `pyoci lock` has made no lock of it.
    pub(super) fn requirements_beside_pylock(&self) -> Result<Requirements, Error> {
        let has_header = header(&self.path)?.is_some();
        Ok(requirements_beside_pylock(&self.path, has_header))
    }

    /// The lock that `pyoci lock` makes of it.
    pub fn lock(&self) -> PathBuf {
        lock_beside(&self.path)
    }

    /// The script, and what `include` takes of the directory that it is in.
    pub(super) fn files(&self, settings: &Settings, outputs: &[PathBuf]) -> Result<Files, Error> {
        let mut files = Files::default();
        if !settings.include.is_empty() {
            let mut settings = settings.clone();
            settings.ignore.push("/*".to_owned());
            let root = self.path.parent().unwrap_or(&self.path);
            files = files::collect(root, &IgnoreRules::read(root, &settings, outputs)?)?;
        }
        let at = TreePath::new(&self.name).map_err(|error| Error::FileName {
            path: self.path.clone(),
            message: error.to_string(),
        })?;
        files.tree.remove(&at);
        files.tree.insert(at, files::file(&self.path)?)?;
        Ok(files)
    }
}

/// Where a script's requirements are: its lock, else its header.
pub(super) fn requirements(script: &Path, has_header: bool) -> Requirements {
    let lock = lock_beside(script);
    if lock.is_file() {
        return Requirements {
            source: RequirementSource::Lock(lock),
            reason: "the script's lock file".to_owned(),
            ignored: None,
        };
    }
    requirements_beside_pylock(script, has_header)
}

/// The same as if `pyoci lock` had made no lock of it.
pub(super) fn requirements_beside_pylock(script: &Path, has_header: bool) -> Requirements {
    let mut lock = script.as_os_str().to_owned();
    lock.push(".lock");
    let lock = PathBuf::from(lock);
    let (source, reason) = if lock.is_file() {
        (RequirementSource::Lock(lock), "the script's lock file")
    } else if has_header {
        (
            RequirementSource::Script(script.to_owned()),
            "the script's header",
        )
    } else {
        (RequirementSource::None, "the script has no header")
    };
    Requirements {
        source,
        reason: reason.to_owned(),
        ignored: None,
    }
}

/// The lock in PEP 751's format that belongs to a script: `pylock.tool.toml` beside `tool.py`.
///
/// > The file name MUST match the regular expression `^pylock\.([^.]+)\.toml$`.
pub(super) fn lock_beside(script: &Path) -> PathBuf {
    let stem = script.file_stem().unwrap_or_default().to_string_lossy();
    script.with_file_name(format!("pylock.{}.toml", stem.replace('.', "-")))
}

/// Whether a lock belongs to a script beside it, and not to the directory.
pub(super) fn is_lock_of_script(lock: &Path) -> Result<bool, Error> {
    for entry in crate::files::read_dir(lock.parent().unwrap_or(lock)).map_err(Error::Io)? {
        let path = entry.map_err(Error::Io)?.path();
        let is_python = path.extension().is_some_and(|extension| extension == "py") && path.is_file();
        if is_python && lock_beside(&path) == lock && header(&path)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The requirements of a directory in which nothing else names any: those of its one script with a header.
/// `of` says where those of a script are.
pub(super) fn requirements_of_directory(
    root: &Path,
    of: fn(&Path, bool) -> Requirements,
) -> Result<Requirements, Error> {
    let mut scripts = Vec::new();
    for entry in crate::files::read_dir(root).map_err(Error::Io)? {
        let path = entry.map_err(Error::Io)?.path();
        let is_python = path.extension().is_some_and(|extension| extension == "py") && path.is_file();
        if is_python && header(&path)?.is_some() {
            scripts.push(path);
        }
    }
    scripts.sort();
    let none = |reason: String| Requirements {
        source: RequirementSource::None,
        reason,
        ignored: None,
    };
    Ok(match scripts.as_slice() {
        [] => none("nothing names any".to_owned()),
        [script] => of(script, true),
        _ => {
            let names = scripts.iter().filter_map(|script| script.file_name()?.to_str());
            let names: Vec<&str> = names.collect();
            none(format!(
                "{} each have a header: build one by its path",
                names.join(", ")
            ))
        }
    })
}

/// `requires-python` of the header of a script.
pub(super) fn requires_python(script: &Path) -> Result<Option<RequiresPython>, Error> {
    let header = header(script)?;
    Ok(header
        .as_ref()
        .map(RequiresPython::of_script)
        .transpose()?
        .flatten())
}

/// The header of a script, with the lines of the script; `None` if it has none.
fn header(script: &Path) -> Result<Option<Document>, Error> {
    let bytes = fs_err::read(script).map_err(Error::Io)?;
    let text = String::from_utf8_lossy(&bytes);
    let header = ScriptMetadata::header(&text).map_err(|error| Error::Toml {
        place: Place::new(script, error.line),
        message: error.problem,
    })?;
    let Some((above, toml)) = header else {
        return Ok(None);
    };
    Document::parse(script, &("\n".repeat(above) + &toml)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Progress;

    fn sandbox(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        directory
    }

    const HEADER: &str = "#!/usr/bin/env python3\n# /// script\n# requires-python = '>=3.12'\n# dependencies = ['six']\n\
        # [tool.pyoci]\n# include = ['data/']\n# ///\n";

    #[test]
    fn a_script_is_that_one_file_and_what_its_header_includes() {
        let directory = sandbox(&[
            ("tool.py", HEADER),
            ("setup.py", ""),
            ("requirements.txt", "flask"),
            (".python-version", "3.11"),
            ("data/a/b.txt", ""),
            ("data/__pycache__/x.pyc", ""),
            ("other/c", ""),
        ]);
        let path = directory.path().join("tool.py");
        let project = Project::discover(&path, Settings::default()).unwrap();
        assert_eq!(project.name, "tool");
        let RequirementSource::Script(script) = &project.requirements.source else {
            panic!("{:?}", project.requirements);
        };
        assert!(script.ends_with("tool.py"));
        assert_eq!(
            project.python_preference().unwrap().reason,
            "requires-python `>=3.12`"
        );
        assert_eq!(project.requires_python.as_ref().unwrap().place.line, 3);
        let files = project.files(&[], &Progress::silent()).unwrap();
        let names: Vec<_> = files.tree.iter().filter(|(_, e)| !e.is_directory()).collect();
        let names: Vec<_> = names.into_iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(names, ["data/a/b.txt", "tool.py"]);
        assert_eq!(project.settings.entrypoint.unwrap(), ["python3", "tool.py"]);
    }

    #[test]
    fn faults_of_a_header_name_the_line_of_the_script() {
        let directory = sandbox(&[("tool.py", &HEADER.replace("include", "inclde")), ("x.txt", "")]);
        let of =
            |name: &str| Project::discover(&directory.path().join(name), Settings::default()).unwrap_err();
        assert!(
            of("tool.py").to_string().contains("tool.py:6: `inclde`"),
            "{}",
            of("tool.py")
        );
        assert!(matches!(of("x.txt"), Error::NotADirectory(_)));
    }

    #[test]
    fn a_directory_takes_the_header_of_its_only_script_that_has_one() {
        let directory = sandbox(&[("a.py", HEADER), ("b.py", "")]);
        let discover = || Project::discover(directory.path(), Settings::default()).unwrap();
        assert!(matches!(
            discover().requirements.source,
            RequirementSource::Script(_)
        ));
        assert!(discover().requires_python.is_some());
        fs_err::write(directory.path().join("a.py.lock"), "version = 1").unwrap();
        assert!(matches!(
            discover().requirements.source,
            RequirementSource::Lock(_)
        ));
        fs_err::write(directory.path().join("pylock.a.toml"), "").unwrap();
        assert!(
            matches!(discover().requirements.source, RequirementSource::Lock(lock) if lock.ends_with("pylock.a.toml"))
        );
        fs_err::write(directory.path().join("b.py"), HEADER).unwrap();
        let requirements = discover().requirements;
        assert_eq!(requirements.source, RequirementSource::None);
        assert_eq!(
            requirements.reason,
            "a.py, b.py each have a header: build one by its path"
        );
    }
}
