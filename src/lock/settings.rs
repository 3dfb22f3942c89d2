//! Index settings as pip knows them: its configuration files and `PIP_*`, translated for uv, which reads neither.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use url::Url;

use super::Request;
use crate::environment::Environment;

/// pip's settings by their long option names (`index-url`), values as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    values: BTreeMap<String, String>,
}

impl Settings {
    /// Reads pip's configuration files and then `PIP_*` variables, which win.
    ///
    /// Spec: <https://pip.pypa.io/en/stable/topics/configuration/>: global, then user, then `PIP_CONFIG_FILE`; in each
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

    /// The settings as variables of uv. What the user set for uv itself is not touched: it wins. In variables, as
    /// arguments of a process may be seen by other users and URLs may hold passwords.
    pub fn for_uv(&self, environment: &Environment, own_index: OwnIndex) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        let mut set = |name: &str, also: &[&str], value: Option<String>| {
            let unset = environment.get(name).is_none() && also.iter().all(|n| environment.get(n).is_none());
            if let Some(value) = value.filter(|v| unset && !v.is_empty()) {
                out.insert(name.to_owned(), value);
            }
        };
        let text = |name: &str| self.get(name).map(str::to_owned);
        if own_index == OwnIndex::No {
            set("UV_DEFAULT_INDEX", &["UV_INDEX_URL"], text("index-url"));
        }
        let extra = self.list("extra-index-url").join(" ");
        set("UV_INDEX", &["UV_EXTRA_INDEX_URL"], Some(extra));
        // pip takes the best version of all indexes; so must we where the indexes are set for pip.
        set("UV_INDEX_STRATEGY", &[], Some("unsafe-best-match".to_owned()));
        let links = self.find_links(&environment.working_directory).join(",");
        set("UV_FIND_LINKS", &[], Some(links));
        set("UV_NO_INDEX", &[], self.is_on("no-index").then(|| "1".to_owned()));
        set("UV_INSECURE_HOST", &[], Some(self.list("trusted-host").join(" ")));
        set(
            "UV_PRERELEASE",
            &[],
            self.is_on("pre").then(|| "allow".to_owned()),
        );
        set(
            "UV_HTTP_TIMEOUT",
            &["UV_REQUEST_TIMEOUT"],
            text("timeout").or(text("default-timeout")),
        );
        set("SSL_CERT_FILE", &[], text("cert"));
        set("HTTPS_PROXY", &["https_proxy", "ALL_PROXY"], text("proxy"));
        set("HTTP_PROXY", &["http_proxy", "ALL_PROXY"], text("proxy"));
        out
    }
}

/// Whether the project itself says which index is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnIndex {
    /// It does: the machine's setting for pip does not hold.
    Yes,
    /// It does not.
    No,
}

/// Every index URL with a password that the user's settings and requirements files name: files that such an index lists
/// are often on the same host without one.
pub(super) fn credentials(request: &Request, environment: &Environment) -> Vec<Url> {
    let settings = Settings::load(environment);
    let mut texts: Vec<String> = ["index-url", "extra-index-url", "find-links"]
        .iter()
        .flat_map(|name| settings.list(name))
        .map(str::to_owned)
        .collect();
    for name in [
        "UV_DEFAULT_INDEX",
        "UV_INDEX_URL",
        "UV_INDEX",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
    ] {
        let values = environment.get(name).unwrap_or_default();
        texts.extend(values.split([' ', ',']).map(str::to_owned));
    }
    for text in super::inputs::texts(request).unwrap_or_default() {
        let words = text
            .split(|c: char| c.is_whitespace() || c == '=')
            .map(|w| expand(w, environment));
        texts.extend(words.filter(|w| w.contains("://")));
    }
    let urls = texts.iter().filter_map(|t| {
        // uv names an index as `name=url`.
        let text = t
            .split_once("=http")
            .map_or(t.clone(), |(_, rest)| format!("http{rest}"));
        text.parse::<Url>().ok()
    });
    urls.filter(|u| !u.username().is_empty()).collect()
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

/// The URL with the credentials that are known for its server, if it has none of its own.
pub(super) fn with_credentials(url: &Url, credentials: &[Url]) -> Url {
    let mut url = url.clone();
    let known = credentials.iter().find(|c| c.origin() == url.origin());
    if let Some(known) = known.filter(|_| url.username().is_empty()) {
        let _ = url.set_username(known.username());
        let _ = url.set_password(known.password());
    }
    url
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
    fn variables_win_over_files_and_uv_settings_over_both() {
        let home = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(home.path().join(".config/pip")).unwrap();
        let file = home.path().join(".config/pip/pip.conf");
        fs_err::write(
            file,
            "[global]\nindex-url = https://file/\nextra-index-url = https://x/ https://y/\n",
        )
        .unwrap();
        let home = home.path().to_str().unwrap();
        let plain = environment(&[("HOME", home)]);
        let settings = Settings::load(&plain).for_uv(&plain, OwnIndex::No);
        assert_eq!(settings["UV_DEFAULT_INDEX"], "https://file/");
        assert_eq!(settings["UV_INDEX"], "https://x/ https://y/");
        let both = environment(&[
            ("HOME", home),
            ("PIP_INDEX_URL", "https://variable/"),
            ("UV_INDEX", "https://z/"),
        ]);
        let settings = Settings::load(&both).for_uv(&both, OwnIndex::No);
        assert_eq!(settings["UV_DEFAULT_INDEX"], "https://variable/");
        assert!(!settings.contains_key("UV_INDEX"));
        let own = Settings::load(&both).for_uv(&both, OwnIndex::Yes);
        assert!(!own.contains_key("UV_DEFAULT_INDEX"));
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
