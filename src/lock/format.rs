//! The formats of lock files, told apart by name or content, and the reader of each.

use std::path::{Path, PathBuf};

use super::{Error, Lock, Request, pdm_lock, pipfile_lock, poetry_lock, pylock, uv_lock};
use crate::python::Target;
use crate::tools::Tools;

/// The format of a lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockFormat {
    /// `pylock.toml` and `pylock.NAME.toml` (PEP 751), of any tool.
    Pylock,
    /// uv's `uv.lock`.
    Uv,
    /// poetry's `poetry.lock`.
    Poetry,
    /// pdm's `pdm.lock`.
    Pdm,
    /// pipenv's `Pipfile.lock`.
    Pipfile,
}

impl LockFormat {
    /// The formats of one tool each, in the order in which they are looked for.
    pub const OF_TOOLS: [Self; 4] = [Self::Uv, Self::Poetry, Self::Pdm, Self::Pipfile];

    /// The name that files of this format have.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Pylock => "pylock.toml",
            Self::Uv => "uv.lock",
            Self::Poetry => "poetry.lock",
            Self::Pdm => "pdm.lock",
            Self::Pipfile => "Pipfile.lock",
        }
    }

    /// The format that a file's name tells.
    pub fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if pylock::is_lock_name(name) {
            return Some(Self::Pylock);
        }
        // `uv lock --script tool.py`
        if name.ends_with(".py.lock") {
            return Some(Self::Uv);
        }
        Self::OF_TOOLS
            .into_iter()
            .find(|format| format.file_name() == name)
    }

    /// The format that a file's content tells, where its name does not; `pylock.toml` if nothing else fits.
    fn of_text(text: &str) -> Self {
        if text.trim_start().starts_with('{') {
            return Self::Pipfile;
        }
        let Ok(table) = toml::from_str::<toml::Table>(text) else {
            return Self::Pylock;
        };
        let metadata = |key| table.get("metadata").and_then(|m| m.get(key)).is_some();
        match () {
            () if table.contains_key("lock-version") => Self::Pylock,
            () if metadata("python-versions") => Self::Poetry,
            () if metadata("lock_version") => Self::Pdm,
            () if table.contains_key("version") => Self::Uv,
            () => Self::Pylock,
        }
    }
}

/// Reads a lock file of any known format. That of a `uv.lock` has only what the request needs on the target.
pub(super) fn read(
    path: &Path,
    request: &Request,
    target: &Target,
    tools: &Tools<'_>,
) -> Result<Lock, Error> {
    let text = fs_err::read_to_string(path).map_err(|source| Error::read(path, source))?;
    let format = LockFormat::of_name(path).unwrap_or_else(|| LockFormat::of_text(&text));
    match format {
        LockFormat::Pylock => {
            let lock = request.parsed.pylock(path, &text, || {
                pylock::parse(&text, path, pylock::Hashes::Required)
            })?;
            if lock.minor > 0 {
                let name = shown(path, request).display().to_string();
                tools.progress.warn(format!(
                    "{name} is of version 1.{} of its format: what is new since 1.0 is not known here",
                    lock.minor
                ));
            }
            if let Some(first) = lock.unusual_names.first() {
                let (name, count) = (shown(path, request), lock.unusual_names.len());
                let name = name.display();
                tools.progress.warn(format!(
                    "{name}: {count} names are not normalised, as the format has them, e.g. `{first}`: taken as what they mean"
                ));
            }
            Ok(lock)
        }
        LockFormat::Uv => uv_lock::read(&text, path, request, target),
        LockFormat::Poetry => poetry_lock::read(&text, path, request, target, tools),
        LockFormat::Pdm => pdm_lock::read(&text, path, request, target, tools),
        LockFormat::Pipfile => pipfile_lock::read(&text, path, request, target, tools),
    }
}

/// A path as errors name it: below the project's directory if it is there.
pub(super) fn shown(path: &Path, request: &Request) -> PathBuf {
    path.strip_prefix(&request.directory).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_name_or_by_content() {
        use LockFormat::{Pdm, Pipfile, Poetry, Pylock, Uv};
        for (name, format) in [
            ("a/pylock.toml", Some(Pylock)),
            ("pylock.dev.toml", Some(Pylock)),
            ("uv.lock", Some(Uv)),
            ("x/poetry.lock", Some(Poetry)),
            ("pdm.lock", Some(Pdm)),
            ("Pipfile.lock", Some(Pipfile)),
            ("my.lock", None),
        ] {
            assert_eq!(LockFormat::of_name(Path::new(name)), format, "{name}");
        }
        for (text, format) in [
            ("lock-version = '1.0'", Pylock),
            ("version = 1\nrevision = 3\n[[package]]\nname = 'a'", Uv),
            (
                "[metadata]\nlock-version = '2.1'\npython-versions = '*'\ncontent-hash = ''",
                Poetry,
            ),
            ("[metadata]\ngroups = ['default']\nlock_version = '4.5.0'", Pdm),
            ("\n{ \"_meta\": {} }", Pipfile),
            ("= nothing", Pylock),
        ] {
            assert_eq!(LockFormat::of_text(text), format, "{text}");
        }
    }
}
