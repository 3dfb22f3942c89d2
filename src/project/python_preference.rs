//! Which Python the project wants: `--python`, `.python-version`, `runtime.txt`, the Pipfile, requires-python.

use std::path::Path;
use std::str::FromStr as _;

use pep440_rs::{Version, VersionSpecifiers};

use super::document::{Document, Node};
use super::error::{Error, Place};
use super::settings::{Settings, python};
use super::setup_files;
use crate::lock::specifiers_of_poetry;
use crate::python::Target;

/// `[project] requires-python`, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiresPython {
    /// The specifiers.
    pub specifiers: VersionSpecifiers,
    /// The line that says so.
    pub place: Place,
}

/// Which Python the project wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PythonPreference {
    /// This minor version, if it is said.
    pub version: Option<(u32, u32)>,
    /// Versions that the project accepts.
    pub accepted: Option<VersionSpecifiers>,
    /// What says so, e.g. `.python-version`; empty if nothing does.
    pub reason: String,
}

impl PythonPreference {
    /// Whether a minor version may be chosen: it is the one that is said, or else is accepted at some patch level.
    pub fn allows(&self, minor: (u32, u32)) -> bool {
        match (self.version, &self.accepted) {
            (Some(version), _) => version == minor,
            // Some patch level: `>=3.11.4` takes 3.11, and `<3.12` does not take 3.12.
            (None, Some(accepted)) => (0..=40).any(|patch| {
                accepted.contains(&Version::new([u64::from(minor.0), u64::from(minor.1), patch]))
            }),
            (None, None) => true,
        }
    }
}

impl RequiresPython {
    /// Reads `requires-python` of the header of a script.
    pub fn of_script(header: &Document) -> Result<Option<Self>, Error> {
        let node = header.get(&["requires-python"]);
        node.map(|node| Self::of_node(header, node)).transpose()
    }

    /// Reads `[project] requires-python`, or what stands for it in poetry's own form.
    pub fn of(document: &Document) -> Result<Option<Self>, Error> {
        let Some(node) = document.get(&["project", "requires-python"]) else {
            return Ok(Self::of_poetry(document));
        };
        Self::of_node(document, node).map(Some)
    }

    fn of_node(document: &Document, node: &Node) -> Result<Self, Error> {
        let text = node.text().unwrap_or_default();
        let specifiers = VersionSpecifiers::from_str(text).map_err(|error| Error::Metadata {
            place: document.place(node),
            message: format!(
                "requires-python is no version specifier: {}",
                one_line(&error.to_string())
            ),
        })?;
        Ok(Self {
            specifiers,
            place: document.place(node),
        })
    }

    /// `python = "^3.11"` of `[tool.poetry.dependencies]`; what poetry alone could tell of it says nothing.
    fn of_poetry(document: &Document) -> Option<Self> {
        let node = document.get(&["tool", "poetry", "dependencies", "python"])?;
        let specifiers = specifiers_of_poetry(node.text()?)?.to_string().parse().ok()?;
        Some(Self {
            specifiers,
            place: document.place(node),
        })
    }

    /// `python_requires` of setup.cfg or setup.py; what is no version specifier is for setuptools to complain of.
    pub(super) fn of_setup_files(root: &Path) -> Option<Self> {
        let said = setup_files::python_requires(root)?;
        Some(Self {
            specifiers: VersionSpecifiers::from_str(&said.value).ok()?,
            place: said.place,
        })
    }

    /// What says it, in words: the key, what it says, and the file if it is not pyproject.toml.
    fn reason(&self) -> String {
        let name = self.place.path.file_name().unwrap_or_default();
        match name.to_str() {
            Some(name @ ("setup.cfg" | "setup.py")) => {
                format!("python_requires `{}` of {name}", self.specifiers)
            }
            _ => format!("requires-python `{}`", self.specifiers),
        }
    }

    /// Fails if the target's Python is not accepted.
    pub fn check(&self, target: &Target) -> Result<(), Error> {
        let minor = (u64::from(target.python.0), u64::from(target.python.1));
        let met = match target.python_full.as_deref().map(Version::from_str) {
            Some(Ok(version)) => self.specifiers.contains(&version),
            // The patch level is unknown: only a minor version that no patch level of it can meet is refused.
            _ => (0..=40).any(|patch| self.specifiers.contains(&Version::new([minor.0, minor.1, patch]))),
        };
        if met {
            return Ok(());
        }
        Err(Error::RequiresPython {
            place: self.place.clone(),
            specifiers: self.specifiers.to_string(),
            target: Box::new(target.clone()),
        })
    }
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// What the settings, the files in `root` (if they count) and requires-python say, the first of them that says something.
pub fn preference(
    root: Option<&Path>,
    settings: &Settings,
    requires: Option<&RequiresPython>,
) -> Result<PythonPreference, Error> {
    let accepted = requires.map(|requires| requires.specifiers.clone());
    let said = |version, reason: &str| PythonPreference {
        version: Some(version),
        accepted: accepted.clone(),
        reason: reason.to_owned(),
    };
    if let Some(version) = settings.python {
        return Ok(said(version, "--python"));
    }
    if let Some(root) = root {
        if let Some(version) = python_version_file(&root.join(".python-version"))? {
            return Ok(said(version, ".python-version"));
        }
        if let Some(version) = runtime_file(&root.join("runtime.txt"))? {
            return Ok(said(version, "runtime.txt"));
        }
        if let Some(version) = pipfile(&root.join("Pipfile")) {
            return Ok(said(version, "[requires] of Pipfile"));
        }
    }
    Ok(PythonPreference {
        version: None,
        reason: requires.map(RequiresPython::reason).unwrap_or_default(),
        accepted,
    })
}

/// The first version of a `.python-version` file: `3.12`, `3.12.4`, `cpython@3.12`, `cpython-3.12.4-linux-...`.
///
/// Names of pyenv's own (`system`, a virtualenv) say nothing about the version.
fn python_version_file(path: &Path) -> Result<Option<(u32, u32)>, Error> {
    let text = match fs_err::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::Io(error)),
    };
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if line.starts_with("pypy") || line.starts_with("graalpy") {
            return Err(Error::Metadata {
                place: Place::new(path, index + 1),
                message: format!("`{line}`: only CPython is supported"),
            });
        }
        let version = line
            .trim_start_matches("cpython")
            .trim_start_matches("python")
            .trim_start_matches(['@', '-']);
        let version = version.split(['-', '+']).next().unwrap_or_default();
        return Ok(python(version).ok());
    }
    Ok(None)
}

/// The version of Heroku's `runtime.txt`: `python-3.11.5`.
fn runtime_file(path: &Path) -> Result<Option<(u32, u32)>, Error> {
    let text = match fs_err::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::Io(error)),
    };
    let line = text.trim_start_matches('\u{feff}').trim();
    if line.starts_with("pypy") {
        return Err(Error::Metadata {
            place: Place::new(path, 1),
            message: format!("`{line}`: only CPython is supported"),
        });
    }
    // Another file of this name says nothing.
    Ok(line
        .strip_prefix("python-")
        .and_then(|version| python(version).ok()))
}

/// `python_full_version` or `python_version` of a Pipfile's `[requires]`; one that does not parse says nothing.
fn pipfile(path: &Path) -> Option<(u32, u32)> {
    let document = Document::read(path).ok().flatten()?;
    let requires = document.get(&["requires"])?;
    ["python_full_version", "python_version"]
        .into_iter()
        .find_map(|key| python(requires.get(key)?.text()?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(full: Option<&str>) -> Target {
        Target {
            platform: crate::platform::Platform::host(),
            libc: crate::python::Libc::Glibc { major: 2, minor: 41 },
            python: (3, 13),
            python_full: full.map(str::to_owned),
            interpreter: "/usr/bin/python3.13".into(),
        }
    }

    fn requires(text: &str) -> Result<RequiresPython, Error> {
        let text = format!("[project]\nname = 'x'\nrequires-python = \"{text}\"\n");
        let document = Document::parse(Path::new("pyproject.toml"), &text)?;
        Ok(RequiresPython::of(&document)?.unwrap())
    }

    #[test]
    fn a_base_that_is_too_old_is_refused_with_the_line() {
        assert!(requires(">=3.10").unwrap().check(&target(Some("3.13.5"))).is_ok());
        assert!(requires(">=3.13.4").unwrap().check(&target(None)).is_ok());
        let error = requires(">=3.14")
            .unwrap()
            .check(&target(Some("3.13.5")))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "pyproject.toml:3: requires-python is `>=3.14`, but the base has Python 3.13.5"
        );
        assert!(requires("<3.13").unwrap().check(&target(None)).is_err());
        let error = requires("three").unwrap_err().to_string();
        assert!(
            error.starts_with("pyproject.toml:3: requires-python is no version specifier"),
            "{error}"
        );
    }

    #[test]
    fn the_flag_goes_over_the_file_and_the_file_over_the_metadata() {
        let directory = tempfile::tempdir().unwrap();
        let requires = requires(">=3.10,<3.13").unwrap();
        let none = Settings::default();
        let of = |settings: &Settings| preference(Some(directory.path()), settings, Some(&requires)).unwrap();
        assert_eq!(of(&none).reason, "requires-python `>=3.10, <3.13`");
        assert!(of(&none).allows((3, 11)) && !of(&none).allows((3, 13)));
        fs_err::write(directory.path().join(".python-version"), "# mine\n3.11.9\n3.12\n").unwrap();
        assert_eq!(of(&none).version, Some((3, 11)));
        let write = |name: &str, text: &str| fs_err::write(directory.path().join(name), text).unwrap();
        let now = || {
            let preference = of(&Settings::default());
            (preference.version, preference.reason)
        };
        write("Pipfile", "[requires]\npython_version = '3.10'\n");
        write("runtime.txt", "python-3.12.1\n");
        assert_eq!(now(), (Some((3, 11)), ".python-version".to_owned()));
        write(".python-version", "system\n");
        assert_eq!(now(), (Some((3, 12)), "runtime.txt".to_owned()));
        write("runtime.txt", "What runs here.\n");
        assert_eq!(now(), (Some((3, 10)), "[requires] of Pipfile".to_owned()));
        write(
            "Pipfile",
            "[requires]\npython_version = '3'\npython_full_version = '3.12.3'\n",
        );
        assert_eq!(now().0, Some((3, 12)));
        write("Pipfile", "[requires]\npython_version = '3'\n");
        assert_eq!(now(), (None, "requires-python `>=3.10, <3.13`".to_owned()));
        write("runtime.txt", "pypy-3.10-7.3\n");
        assert!(preference(Some(directory.path()), &none, None).is_err());
        let settings = Settings {
            python: Some((3, 12)),
            ..none
        };
        assert_eq!(
            (of(&settings).version, of(&settings).reason.as_str()),
            (Some((3, 12)), "--python")
        );
    }

    #[test]
    fn setup_files_say_which_python_they_want() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        assert_eq!(RequiresPython::of_setup_files(root), None);
        fs_err::write(
            root.join("setup.cfg"),
            "[options]\npython_requires = >=3.9,<3.13\n",
        )
        .unwrap();
        let requires = RequiresPython::of_setup_files(root).unwrap();
        let chosen = preference(Some(root), &Settings::default(), Some(&requires)).unwrap();
        assert_eq!(chosen.reason, "python_requires `>=3.9, <3.13` of setup.cfg");
        assert!(chosen.allows((3, 11)) && !chosen.allows((3, 13)));
        fs_err::write(root.join("setup.cfg"), "[options]\npython_requires = three\n").unwrap();
        assert_eq!(RequiresPython::of_setup_files(root), None);
    }

    #[test]
    fn poetrys_own_form_says_which_python_it_wants() {
        let text = "[tool.poetry.dependencies]\npython = '^3.11,<3.13'\n";
        let document = Document::parse(Path::new("pyproject.toml"), text).unwrap();
        let requires = RequiresPython::of(&document).unwrap().unwrap();
        let versions = ["3.10.1", "3.11.0", "3.12.9", "3.13.0"]
            .map(|v| requires.specifiers.contains(&v.parse().unwrap()));
        assert_eq!(versions, [false, true, true, false]);
        let text = "[tool.poetry.dependencies]\npython = '*'\n";
        let document = Document::parse(Path::new("pyproject.toml"), text).unwrap();
        assert!(
            RequiresPython::of(&document)
                .unwrap()
                .is_some_and(|r| r.specifiers.is_empty())
        );
    }

    #[test]
    fn python_version_files_come_in_several_forms() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".python-version");
        for (text, version) in [
            ("3.12", Some((3, 12))),
            ("cpython@3.12\n", Some((3, 12))),
            ("cpython-3.13.1-linux-x86_64-gnu", Some((3, 13))),
            ("python-3.9.2", Some((3, 9))),
            ("3.13t", None),
            ("system", None),
            ("", None),
        ] {
            fs_err::write(&path, text).unwrap();
            assert_eq!(python_version_file(&path).unwrap(), version, "{text}");
        }
        fs_err::write(&path, "pypy3.10-7.3").unwrap();
        assert!(python_version_file(&path).is_err());
    }
}
