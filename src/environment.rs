//! The host's environment as a value: read once by the cli layer, handed to whoever needs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::secrets::Secrets;

/// Environment variables, working directory, home, and the time at which the command started.
#[derive(Clone, Debug)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// The working directory of the command.
    pub working_directory: PathBuf,
    /// When the command started.
    pub now: SystemTime,
    /// Every credential that was read, here or by whoever has this environment.
    pub secrets: Secrets,
}

/// Variables of programs that pyoci works with or reads settings of: their passwords are held.
const READ: [&str; 5] = ["PIP_", "UV_", "PYOCI_", "POETRY_", "PDM_"];

impl Environment {
    /// An environment from its parts; variables that are not UTF-8 must be left out by the caller.
    pub fn new(
        variables: impl IntoIterator<Item = (String, String)>,
        working_directory: PathBuf,
        now: SystemTime,
    ) -> Self {
        let environment = Self {
            variables: variables.into_iter().collect(),
            working_directory,
            now,
            secrets: Secrets::default(),
        };
        environment.hold();
        environment
    }

    /// The same with another value of a variable; `None` takes it away. What is held is shared.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<String>) -> Self {
        match value {
            Some(value) => self.variables.insert(name.to_owned(), value),
            None => self.variables.remove(name),
        };
        self.hold();
        self
    }

    /// Holds the passwords in index URLs, proxies, and variables that are passwords.
    fn hold(&self) {
        for (name, value) in self.variables() {
            let is_read = READ.iter().any(|prefix| name.starts_with(prefix));
            if !is_read && !name.to_ascii_lowercase().ends_with("_proxy") {
                continue;
            }
            self.secrets.hold_urls(value);
            let is_secret = ["_PASSWORD", "_TOKEN"].iter().any(|end| name.ends_with(end))
                || name.contains("_PYPI_TOKEN_");
            if is_read && is_secret {
                let user = name
                    .strip_suffix("PASSWORD")
                    .and_then(|n| self.get(&format!("{n}USERNAME")));
                self.secrets.hold(&format!("the value of {name}"), user, value);
            }
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
        self.find_programs(name).next()
    }

    /// All executable files of that name on `$PATH`, in its order.
    pub fn find_programs(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let is_executable = |file: &PathBuf| {
            fs_err::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        };
        let directories = self.get("PATH").unwrap_or_default().split(':');
        directories
            .filter(|d| d.starts_with('/'))
            .map(move |d| Path::new(d).join(name))
            .filter(is_executable)
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
