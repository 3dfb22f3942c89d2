//! `entry_points.txt`: the named objects that a package offers, among them its scripts.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The entry points of one distribution, read as `importlib.metadata` reads them.
///
/// Spec: <https://packaging.python.org/en/latest/specifications/entry-points/>. The scripts are checked strictly, as
/// their names become files and their references become code; other groups are kept as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPoints {
    /// `console_scripts`, sorted by name.
    pub console_scripts: Vec<EntryPoint>,
    /// `gui_scripts`, sorted by name; on Linux they are started like console scripts.
    pub gui_scripts: Vec<EntryPoint>,
    /// Every group (the scripts too): name to object reference as written.
    pub groups: BTreeMap<String, BTreeMap<String, String>>,
}

/// One script: a name and the object that it calls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryPoint {
    /// The script's name: not empty, no `/`, no control character, not `.` or `..`.
    pub name: String,
    /// The module to import, dotted identifiers.
    pub module: String,
    /// The object in it, dotted identifiers.
    pub attribute: String,
    /// Extras in `[]` after the reference, as written. Installers ignore them.
    pub extras: Vec<String>,
}

/// What is wrong with an entry point.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EntryPointError {
    /// A line before the first `[group]`.
    #[error("entry_points.txt:{line}: text before the first [group]")]
    NoGroup {
        /// 1-based.
        line: usize,
    },
    /// Neither `[group]` nor `name = value`.
    #[error("entry_points.txt:{line}: expected `name = module:object`")]
    Form {
        /// 1-based.
        line: usize,
    },
    /// A script's name that is empty or could not be a file name.
    #[error("script name `{}` is not a file name", .0.escape_debug())]
    Name(String),
    /// A group or name that could not be written on a line of its own.
    #[error("entry point `{}` has a line break", .0.escape_debug())]
    LineBreak(String),
    /// A script that does not name a callable object.
    #[error("script `{name}`: `{}` is not of the form `module:object`", .reference.escape_debug())]
    Reference {
        /// The script's name.
        name: String,
        /// What it refers to, as written.
        reference: String,
    },
}

impl EntryPoints {
    /// Reads the text of an `entry_points.txt`.
    pub fn parse(text: &str) -> Result<Self, EntryPointError> {
        let mut groups: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut group = None;
        for (index, line) in text.lines().enumerate() {
            let (line, text) = (index + 1, line.trim());
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if let Some(name) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
                group = Some(groups.entry(name.to_owned()).or_default());
                continue;
            }
            let entries = group.as_mut().ok_or(EntryPointError::NoGroup { line })?;
            let (name, value) = text.split_once('=').ok_or(EntryPointError::Form { line })?;
            entries.insert(name.trim().to_owned(), value.trim().to_owned());
        }
        Self::of_groups(groups)
    }

    /// Entry points from `group -> name -> reference`, as `[project.scripts]` and its neighbours give them.
    pub fn of_groups(groups: BTreeMap<String, BTreeMap<String, String>>) -> Result<Self, EntryPointError> {
        // What TOML may hold would be further lines of entry_points.txt, which nothing has checked.
        let texts = groups.iter().flat_map(|(group, entries)| {
            let entries = entries.iter().flat_map(|(name, value)| [name, value]);
            [group].into_iter().chain(entries)
        });
        if let Some(broken) = texts.into_iter().find(|text| text.contains(['\n', '\r'])) {
            return Err(EntryPointError::LineBreak(broken.clone()));
        }
        let scripts = |group: &str| {
            let entries = groups.get(group).into_iter().flatten();
            entries
                .map(|(name, value)| EntryPoint::new(name, value))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            console_scripts: scripts("console_scripts")?,
            gui_scripts: scripts("gui_scripts")?,
            groups,
        })
    }

    /// Console scripts, then GUI scripts.
    pub fn scripts(&self) -> impl Iterator<Item = &EntryPoint> {
        self.console_scripts.iter().chain(&self.gui_scripts)
    }
}

impl fmt::Display for EntryPoints {
    /// The text of an `entry_points.txt`: groups and names sorted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (group, entries)) in self.groups.iter().enumerate() {
            writeln!(f, "{}[{group}]", if index == 0 { "" } else { "\n" })?;
            for (name, value) in entries {
                writeln!(f, "{name} = {value}")?;
            }
        }
        Ok(())
    }
}

impl EntryPoint {
    /// A script from its name and its reference, `module:object` with extras in `[]` or without.
    pub fn new(name: &str, reference: &str) -> Result<Self, EntryPointError> {
        let unsafe_name = matches!(name, "" | "." | "..")
            || name.len() > 255
            || name.trim() != name
            || name.starts_with('[')
            || name.contains(['/', '\\', '='])
            || name.chars().any(char::is_control);
        if unsafe_name {
            return Err(EntryPointError::Name(name.to_owned()));
        }
        Self::of_reference(name, reference).ok_or_else(|| EntryPointError::Reference {
            name: name.to_owned(),
            reference: reference.to_owned(),
        })
    }

    fn of_reference(name: &str, reference: &str) -> Option<Self> {
        let (object, extras) = match reference.split_once('[') {
            Some((object, rest)) => (object, rest.trim_end().strip_suffix(']')?),
            None => (reference, ""),
        };
        let (module, attribute) = object.split_once(':')?;
        let (module, attribute) = (module.trim(), attribute.trim());
        if !is_dotted_identifier(module) || !is_dotted_identifier(attribute) {
            return None;
        }
        let extras = extras.split(',').map(str::trim).filter(|e| !e.is_empty());
        Some(Self {
            name: name.to_owned(),
            module: module.to_owned(),
            attribute: attribute.to_owned(),
            extras: extras.map(str::to_owned).collect(),
        })
    }

    /// The first part of the attribute: what the script imports from the module.
    pub fn import_name(&self) -> &str {
        self.attribute.split('.').next().unwrap_or(&self.attribute)
    }
}

impl FromStr for EntryPoints {
    type Err = EntryPointError;

    fn from_str(text: &str) -> Result<Self, EntryPointError> {
        Self::parse(text)
    }
}

/// Whether a script of that name would be taken for an interpreter by whatever looks for one on `PATH`: an image and its
/// entrypoint start `python3`, scripts start with `#!/usr/bin/env python3`, and packages call `sh`.
pub fn is_interpreter(name: &str) -> bool {
    let is_version = |text: &str| {
        let text = text.strip_suffix('t').unwrap_or(text);
        text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    ["python", "pypy"]
        .iter()
        .any(|stem| name.strip_prefix(stem).is_some_and(is_version))
        || ["sh", "ash", "bash", "dash", "busybox", "env"].contains(&name)
}

/// Whether the text is one or more Python identifiers separated by `.`: safe to write into an import statement.
fn is_dotted_identifier(text: &str) -> bool {
    text.split('.').all(|part| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
            && chars.all(|c| c == '_' || c.is_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn groups_scripts_and_extras_are_read() {
        let text = "# made by a tool\n[console_scripts]\nflask = flask.cli:main\nb=b : C.run [ x , y ]\n\n\
                    [gui_scripts]\ngui = g:m\n[other/group]\na/b = not checked\n";
        let points = EntryPoints::parse(text).unwrap();
        let names: Vec<_> = points.scripts().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["b", "flask", "gui"]);
        let b = &points.console_scripts[0];
        assert_eq!((b.module.as_str(), b.attribute.as_str()), ("b", "C.run"));
        assert_eq!(
            (b.import_name(), &b.extras[..]),
            ("C", &["x".to_owned(), "y".to_owned()][..])
        );
        assert_eq!(points.groups["other/group"]["a/b"], "not checked");
        assert_eq!(EntryPoints::parse(&points.to_string()).unwrap(), points);
    }

    #[test]
    fn the_last_of_two_equal_names_wins_as_in_pip() {
        let points = EntryPoints::parse("[console_scripts]\na = b:c\na = d:e\n").unwrap();
        assert_eq!(points.console_scripts.len(), 1);
        assert_eq!(points.console_scripts[0].module, "d");
    }

    #[test]
    fn script_names_that_are_paths_are_refused() {
        for name in ["", ".", "..", "../x", "a/b", "/bin/sh", "a\0b", "a\tb", "a\\b"] {
            let text = format!("[console_scripts]\n{name} = m:f\n");
            assert_eq!(
                EntryPoints::parse(&text),
                Err(EntryPointError::Name(name.to_owned()))
            );
        }
        assert!(EntryPoint::new("a\nb", "m:f").is_err());
    }

    #[test]
    fn scripts_that_would_be_taken_for_interpreters_are_known() {
        for name in [
            "python",
            "python3",
            "python3.13",
            "python3.13t",
            "pypy3",
            "sh",
            "env",
        ] {
            assert!(is_interpreter(name), "{name}");
        }
        for name in ["pythonic", "python3-config", "ipython", "sh2", "pip3", "pytest"] {
            assert!(!is_interpreter(name), "{name}");
        }
    }

    #[test]
    fn nothing_of_a_project_adds_lines_to_entry_points_txt() {
        for (group, name, value) in [
            ("g]\n[console_scripts", "a", "m:f"),
            ("g", "a\nb", "m:f"),
            ("g", "a", "m:f\n[console_scripts]\nsh = m:f"),
        ] {
            let entries = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            let error = EntryPoints::of_groups(BTreeMap::from([(group.to_owned(), entries)])).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("has a line break") && !text.contains('\n'),
                "{text}"
            );
        }
    }

    #[test]
    fn references_that_are_not_module_and_object_are_refused() {
        for reference in [
            "",
            "m",
            "m:",
            ":f",
            "m:f:g",
            "m-n:f",
            "m:f()",
            "m.:f",
            "1m:f",
            "m:f[x",
            "m:f\nimport os",
            "m: f;g",
        ] {
            assert!(EntryPoint::new("a", reference).is_err(), "{reference}");
        }
    }

    #[test]
    fn lines_that_are_no_entries_are_refused_with_their_number() {
        assert_eq!(
            EntryPoints::parse("\na = b:c"),
            Err(EntryPointError::NoGroup { line: 2 })
        );
        assert_eq!(
            EntryPoints::parse("[g]\nabc"),
            Err(EntryPointError::Form { line: 2 })
        );
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "(\\[console_scripts\\]\n)?([a-b=:\\[\\]. /\n]|\\PC){0,40}") {
            if let Ok(points) = EntryPoints::parse(&text) {
                for script in points.scripts() {
                    prop_assert!(!script.name.contains('/'));
                }
            }
        }
    }
}
