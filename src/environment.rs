//! The host's environment as a value: read once by the cli layer, handed to whoever needs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Environment variables, working directory, home, and the time at which the command started.
#[derive(Clone, Debug)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// The working directory of the command.
    pub working_directory: PathBuf,
    /// When the command started.
    pub now: SystemTime,
}

impl Environment {
    /// An environment from its parts; variables that are not UTF-8 must be left out by the caller.
    pub fn new(
        variables: impl IntoIterator<Item = (String, String)>,
        working_directory: PathBuf,
        now: SystemTime,
    ) -> Self {
        Self {
            variables: variables.into_iter().collect(),
            working_directory,
            now,
        }
    }

    /// A variable's value; an empty one counts as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    /// All variables, sorted by name.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// `$HOME`, if it is set and absolute.
    pub fn home(&self) -> Option<&Path> {
        self.get("HOME").map(Path::new).filter(|p| p.is_absolute())
    }

    /// `$XDG_CACHE_HOME`, else `~/.cache` (XDG Base Directory Specification).
    pub fn cache_home(&self) -> Option<PathBuf> {
        let set = self
            .get("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|p| p.is_absolute());
        set.or_else(|| self.home().map(|home| home.join(".cache")))
    }

    /// `$XDG_CONFIG_HOME`, else `~/.config` (XDG Base Directory Specification).
    pub fn config_home(&self) -> Option<PathBuf> {
        let set = self
            .get("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|p| p.is_absolute());
        set.or_else(|| self.home().map(|home| home.join(".config")))
    }

    /// The first executable file of that name on `$PATH`.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        self.get("PATH")?
            .split(':')
            .filter(|d| d.starts_with('/'))
            .map(|d| Path::new(d).join(name))
            .find(|file| {
                fs_err::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
            })
    }

    /// Seconds since 1970 at the start of the command.
    pub fn now_seconds(&self) -> u64 {
        self.now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let variables = [("A", ""), ("HOME", "/h"), ("XDG_CACHE_HOME", "relative")];
        let variables = variables.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let environment = Environment::new(variables, "/".into(), SystemTime::UNIX_EPOCH);
        assert_eq!(environment.get("A"), None);
        assert_eq!(environment.cache_home(), Some("/h/.cache".into()));
        assert_eq!(environment.now_seconds(), 0);
    }
}
