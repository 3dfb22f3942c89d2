//! Index settings as pip knows them: its configuration files and `PIP_*`, translated for uv, which reads neither.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::environment::Environment;

/// pip's settings by their long option names (`index-url`), values as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    values: BTreeMap<String, String>,
}

impl Settings {
    /// Reads pip's configuration files and then `PIP_*` variables, which win.
    ///
    /// Spec: <https://pip.pypa.io/en/stable/topics/configuration/>: global, then user, then site (that of an active virtual environment), then `PIP_CONFIG_FILE`; in each
    /// `[global]`, then the command's own section. Files that are missing or malformed say nothing.
    pub fn load(environment: &Environment) -> Self {
        let mut values = BTreeMap::new();
        for file in files(environment) {
            let Ok(text) = fs_err::read_to_string(&file) else {
                continue;
            };
            let sections = parse(&text);
            for section in ["global", "download", "install"] {
                values.extend(sections.get(section).cloned().unwrap_or_default());
            }
        }
        for (name, value) in environment.variables() {
            if let Some(name) = name.strip_prefix("PIP_")
                && !value.is_empty()
            {
                values.insert(name.to_ascii_lowercase().replace('_', "-"), value.to_owned());
            }
        }
        Self { values }
    }

    /// A setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|v| v.trim()).filter(|v| !v.is_empty())
    }

    /// A setting that may be given several times, separated by white space.
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.get(name)
            .map(|v| v.split_whitespace().collect())
            .unwrap_or_default()
    }

    /// A setting that is on or off.
    pub fn is_on(&self, name: &str) -> bool {
        let on = |v: &str| {
            matches!(
                v.to_ascii_lowercase().as_str(),
                "1" | "y" | "yes" | "t" | "true" | "on"
            )
        };
        self.get(name).is_some_and(on)
    }

    /// Where to look for files besides indexes. Directories that are missing are left out: pip only warns of them.
    pub fn find_links(&self, directory: &Path) -> Vec<String> {
        let exists = |link: &&str| link.contains("://") || directory.join(link).exists();
        self.list("find-links")
            .into_iter()
            .filter(exists)
            .map(str::to_owned)
            .collect()
    }
}

/// `${NAME}` replaced by the variable's value, where it is set (pip, "Using environment variables").
pub(super) fn expand(text: &str, environment: &Environment) -> String {
    let mut out = text.to_owned();
    for name in super::inputs::variables(text) {
        if let Some(value) = environment.get(&name) {
            out = out.replace(&format!("${{{name}}}"), value);
        }
    }
    out
}

fn files(environment: &Environment) -> Vec<PathBuf> {
    let named = environment.get("PIP_CONFIG_FILE");
    // > If `PIP_CONFIG_FILE` is set to the value of `os.devnull`, then none of the configuration files are loaded.
    if named == Some("/dev/null") {
        return Vec::new();
    }
    let mut files: Vec<PathBuf> = environment
        .get("XDG_CONFIG_DIRS")
        .unwrap_or("/etc/xdg")
        .split(':')
        .map(|d| Path::new(d).join("pip/pip.conf"))
        .collect();
    files.push("/etc/pip.conf".into());
    files.extend(environment.home().map(|h| h.join(".pip/pip.conf")));
    files.extend(environment.config_home().map(|c| c.join("pip/pip.conf")));
    // > Site: `$VIRTUAL_ENV/pip.conf`
    let site = environment.get("VIRTUAL_ENV").map(PathBuf::from);
    files.extend(site.map(|site| site.join("pip.conf")));
    files.extend(named.map(PathBuf::from));
    files
}

/// Sections of an INI file as Python's `configparser` reads it: `key = value` or `key: value`, lines that begin with
/// white space continue a value, `#` and `;` begin comment lines.
fn parse(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut section = String::new();
    let mut key: Option<String> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let values = sections.entry(section.clone()).or_default();
        if line.starts_with(char::is_whitespace) {
            if let Some(value) = key.as_ref().and_then(|key| values.get_mut(key)) {
                value.push('\n');
                value.push_str(trimmed);
            }
        } else if let Some(name) = trimmed.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            name.trim().clone_into(&mut section);
            key = None;
        } else if let Some((name, value)) = trimmed.split_once(['=', ':']) {
            let name = name.trim().to_ascii_lowercase().replace('_', "-");
            values.insert(name.clone(), value.trim().to_owned());
            key = Some(name);
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Environment::new(variables, "/".into(), std::time::SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn sections_are_read_as_configparser_reads_them() {
        let text = "[global]\nindex-url = https://a/simple\n# no\nextra-index-url=\n  https://b/\n  https://c/\n[install]\nno_index: yes\n";
        let sections = parse(text);
        assert_eq!(sections["global"]["index-url"], "https://a/simple");
        assert_eq!(sections["global"]["extra-index-url"], "\nhttps://b/\nhttps://c/");
        assert_eq!(sections["install"]["no-index"], "yes");
    }

    #[test]
    fn a_find_links_directory_that_is_missing_is_left_out() {
        let there = tempfile::tempdir().unwrap();
        let links = format!("/no/such/directory {} https://h/links", there.path().display());
        let environment = environment(&[("PIP_FIND_LINKS", &links), ("PIP_CONFIG_FILE", "/dev/null")]);
        let found = Settings::load(&environment).find_links(Path::new("/"));
        assert_eq!(found, [there.path().to_str().unwrap(), "https://h/links"]);
    }
}
