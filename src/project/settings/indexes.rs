//! Where packages are looked for: pip's options by pip's names, put in the place of what the environment says.

use std::path::Path;

use super::SettingError;
use super::keys::Key;
use super::value::{boolean, text, texts};
use crate::environment::Environment;
use crate::project::document::{Node, Value};

/// Package indexes, as flags, variables or `[tool.pyoci]` name them. URLs may hold passwords.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexSettings {
    /// The index that is asked in the place of PyPI.
    pub index_url: Option<String>,
    /// Indexes that are asked before it.
    pub extra_index_urls: Vec<String>,
    /// Directories, or URLs of pages, with links to files.
    pub find_links: Vec<String>,
    /// Whether only `find_links` count.
    pub no_index: Option<bool>,
    /// Hosts (`HOST` or `HOST:PORT`) whose certificates are not looked at.
    pub trusted_hosts: Vec<String>,
}

impl IndexSettings {
    /// Sets one of the settings; `false` if it is none of these.
    pub(super) fn set(&mut self, key: &Key, node: &Node) -> Result<bool, SettingError> {
        let list = |node: &Node| match &node.value {
            Value::Array(_) => texts(node),
            _ => Ok(vec![text(node)?]),
        };
        match key.name {
            "index-url" => self.index_url = Some(text(node)?),
            "extra-index-url" => self.extra_index_urls = list(node)?,
            "find-links" => self.find_links = list(node)?,
            "no-index" => self.no_index = Some(boolean(node)?),
            "trusted-host" => self.trusted_hosts = list(node)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// These over others.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        let list = |above: Vec<String>, below| if above.is_empty() { below } else { above };
        Self {
            index_url: self.index_url.or(below.index_url),
            extra_index_urls: list(self.extra_index_urls, below.extra_index_urls),
            find_links: list(self.find_links, below.find_links),
            no_index: self.no_index.or(below.no_index),
            trusted_hosts: list(self.trusted_hosts, below.trusted_hosts),
        }
    }

    /// Makes relative paths of `find-links` count from a directory.
    pub fn anchor(&mut self, directory: &Path) {
        for link in &mut self.find_links {
            if !link.contains("://") {
                *link = directory.join(&*link).display().to_string();
            }
        }
    }

    /// The environment as it would be if the variables of pip and uv said this.
    #[must_use]
    pub fn apply(&self, environment: &Environment) -> Environment {
        let mut out = environment.clone();
        let mut set = |names: &[&str], without: &[&str], value: Option<String>| {
            let Some(value) = value else { return };
            let all = names.iter().map(|name| (*name, Some(value.clone())));
            for (name, value) in all.chain(without.iter().map(|name| (*name, None))) {
                out = out.clone().with(name, value);
            }
        };
        let joined = |list: &[String], separator: &str| (!list.is_empty()).then(|| list.join(separator));
        set(
            &["UV_DEFAULT_INDEX", "PIP_INDEX_URL"],
            &["UV_INDEX_URL"],
            self.index_url.clone(),
        );
        let extra = joined(&self.extra_index_urls, " ");
        set(
            &["UV_INDEX", "PIP_EXTRA_INDEX_URL"],
            &["UV_EXTRA_INDEX_URL"],
            extra,
        );
        set(&["UV_FIND_LINKS"], &[], joined(&self.find_links, ","));
        set(&["PIP_FIND_LINKS"], &[], joined(&self.find_links, " "));
        let no_index = self
            .no_index
            .map(|is_on| if is_on { "1" } else { "0" }.to_owned());
        set(&["UV_NO_INDEX", "PIP_NO_INDEX"], &[], no_index);
        let hosts = joined(&self.trusted_hosts, " ");
        set(&["UV_INSECURE_HOST", "PIP_TRUSTED_HOST"], &[], hosts);
        out
    }
}
