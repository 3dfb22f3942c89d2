//! Why a directory is not a project that can be built.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::python::Target;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
}

impl Place {
    /// A line of a file.
    pub fn new(path: &Path, line: usize) -> Self {
        Self {
            path: path.to_owned(),
            line,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// Why a directory is not a project that can be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path of the project does not exist.
    #[error("there is no project at {}", .0.display())]
    NoProject(PathBuf),
    /// The path of the project is a file.
    #[error("{} is neither a directory nor a Python script", .0.display())]
    NotADirectory(PathBuf),
    /// A file or directory of the project cannot be read; the cause names it.
    #[error("cannot read the project")]
    Io(#[source] std::io::Error),
    /// A text file is not UTF-8.
    #[error("{} is not UTF-8 text", .0.display())]
    NotUtf8File(PathBuf),
    /// A TOML file does not parse.
    #[error("{place}: {message}")]
    Toml {
        /// Where.
        place: Place,
        /// The parser's own words.
        message: String,
    },
    /// A key of `[tool.pyoci]` that does not exist.
    #[error("{place}: `{key}` is not a setting of [tool.pyoci]")]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// The setting that it resembles most.
        nearest: Option<&'static str>,
    },
    /// A setting whose value has the wrong type or form.
    #[error("{place}: {key}: {message}")]
    Setting {
        /// Where: a line of pyproject.toml, or the name of a variable or flag.
        place: String,
        /// The setting.
        key: String,
        /// What is wrong with its value.
        message: String,
    },
    /// A field of `[project]` that is not as the specification has it.
    #[error("{place}: {message}")]
    Metadata {
        /// Where.
        place: Place,
        /// What is wrong.
        message: String,
    },
    /// A requirements or lock file that was asked for does not exist.
    #[error("{flag} {}: no such file", .path.display())]
    MissingFile {
        /// The flag (or setting) that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A variable of `[tool.pyoci] env` or `--env` in a bundle, whose `run` is a shell script.
    #[error("a bundle cannot set the variable `{}`", .0.escape_debug())]
    ShellName(String),
    /// Two settings that exclude each other.
    #[error("{0} and {1} exclude each other")]
    Exclusive(&'static str, &'static str),
    /// Lock files of several tools: one of them may be left over from an earlier tool.
    #[error("lock files of several tools: {}", .0.join(", "))]
    LocksOfSeveralTools(Vec<String>),
    /// Several `pylock.NAME.toml` and no `pylock.toml`.
    #[error("several lock files and none named pylock.toml: {}", .0.join(", "))]
    SeveralLocks(Vec<String>),
    /// The base that was named has another Python than the one that was asked for.
    #[error("Python {}.{} is asked for, but the base has {actual}", .asked.0, .asked.1)]
    Python {
        /// `--python`, or the setting of that name.
        asked: (u32, u32),
        /// The base's own.
        actual: String,
    },
    /// The base's Python is not what the project asks for.
    #[error("{place}: requires-python is `{specifiers}`, but the base has Python {}", .target.python_full_version())]
    RequiresPython {
        /// Where.
        place: Place,
        /// The specifiers.
        specifiers: String,
        /// The target.
        target: Box<Target>,
    },
    /// A symbolic link that leads out of the project.
    #[error("symbolic link {} leaves the project: it leads to {}", .link.display(), .target.display())]
    LinkLeaves {
        /// The link.
        link: PathBuf,
        /// Where it leads, as written.
        target: PathBuf,
    },
    /// A file name that is not UTF-8, or otherwise no path of an image.
    #[error("{}: {message}", .path.display())]
    FileName {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A file that pyoci itself puts there.
    #[error("{} is in the way of pyoci's own files", .0.display())]
    Reserved(PathBuf),
    /// A pattern in an ignore file, `ignore`, `include` or `writable`.
    #[error("{place}: bad pattern: {message}")]
    Pattern {
        /// Where.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A command that cannot run without a shell, or is empty.
    #[error("{place}: `{command}` {message}")]
    Command {
        /// Where it was written.
        place: String,
        /// The command.
        command: String,
        /// What is wrong.
        message: String,
    },
    /// A line of a Procfile that only a shell understands, and a base without one.
    #[error("{place}: `{command}` needs a shell ({syntax}), and the base has no /bin/sh")]
    NeedsShell {
        /// Where.
        place: String,
        /// The command.
        command: String,
        /// What the entrypoint cannot do.
        syntax: String,
    },
    /// A line of a Procfile that was asked for and is not there.
    #[error("there is no process `{process}`: {}", .there.as_ref().map_or("the project has no Procfile".to_owned(), |names| format!("Procfile has {names}")))]
    NoProcess {
        /// What was asked for.
        process: String,
        /// The process types that there are, if there is a Procfile.
        there: Option<String>,
    },
    /// A directory of `pythonpath` that the project does not have.
    #[error("pythonpath: the project has no directory `{0}`, or it is left out")]
    NoDirectory(String),
    /// A script of the project that would be taken for an interpreter.
    #[error(
        "the project has a script `{0}`: it would be started in the place of the interpreter of that name"
    )]
    Interpreter(String),
    /// Nothing tells how the project starts.
    #[error("cannot tell how {name} starts")]
    NoStart {
        /// The project.
        name: String,
        /// What was seen and why it was not taken.
        candidates: Vec<String>,
        /// What the user probably means.
        likely: String,
    },
    /// The project's own wheel cannot be installed.
    #[error("the project's own wheel cannot be installed")]
    Wheel(#[source] Box<crate::wheel::Error>),
    /// The files of `/app/.pyoci` cannot be made.
    #[error("cannot lay out /app/.pyoci")]
    Runtime(#[source] Box<super::runtime::Error>),
    /// The parts of the app layer do not fit together.
    #[error("cannot lay out the app")]
    Tree(#[from] crate::tree::TreeError),
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoProject(_) | Self::NotADirectory(_) => {
                Some("name the directory of a Python project, or a script: pyoci build PATH".into())
            }
            Self::UnknownKey { nearest, .. } => nearest.map(|key| format!("did you mean `{key}`?")),
            Self::LocksOfSeveralTools(names) | Self::SeveralLocks(names) => {
                Some(format!("choose one: --lock {}", names.first()?))
            }
            Self::Python { .. } => Some(
                "leave out the base, and one with that Python is chosen; or leave out the version".into(),
            ),
            Self::RequiresPython { .. } => {
                Some("choose another base with --base, or let --python choose one".into())
            }
            Self::LinkLeaves { .. } => {
                Some("replace the link with the file, or name it in .containerignore".into())
            }
            Self::FileName { .. } => Some("rename it, or name it in .containerignore".into()),
            Self::Reserved(_) => Some("rename it: /app/.pyoci is where the entrypoint lives".into()),
            Self::Command { .. } => Some(
                "give the command as a list of words: entrypoint = [\"python3\", \"-m\", \"app\"]".into(),
            ),
            Self::ShellName(_) => Some(
                "its `run` is a shell script: names of letters, digits and `_` that begin with no digit"
                    .into(),
            ),
            Self::NeedsShell { .. } => Some(
                "take a base with a shell (--base recipe:trixie-debug), or say the command: --entrypoint CMD"
                    .into(),
            ),
            Self::NoStart {
                candidates, likely, ..
            } => {
                let mut hint = format!("say it: --entrypoint {likely:?}");
                if !candidates.is_empty() {
                    hint += "; seen: ";
                    hint += &candidates.join("; ");
                }
                Some(hint)
            }
            Self::Interpreter(_) => Some("give it another name in [project.scripts]".into()),
            Self::Wheel(error) => error.hint(),
            _ => None,
        }
    }
}
