//! User names and passwords for HTTP, from URLs and netrc.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use netrc::Netrc;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::environment::Environment;

/// Passwords by host, as netrc gives them.
#[derive(Clone, Default)]
pub struct Credentials {
    hosts: BTreeMap<String, (String, String)>,
}

impl Credentials {
    /// Reads `$NETRC`, else `~/.netrc`; a file that is missing or malformed gives none, as pip does.
    pub fn load(environment: &Environment) -> Self {
        let named = environment.get("NETRC").map(std::path::PathBuf::from);
        let Some(file) = named.or_else(|| environment.home().map(|home| home.join(".netrc"))) else {
            return Self::default();
        };
        let Ok(netrc) = Netrc::from_file(&file) else {
            return Self::default();
        };
        for (host, entry) in &netrc.hosts {
            let what = format!("the password of {host} in {}", file.display());
            environment
                .secrets
                .hold(&what, Some(&entry.login), &entry.password);
        }
        let entry = |(host, entry): (String, netrc::Authenticator)| (host, (entry.login, entry.password));
        Self {
            hosts: netrc.hosts.into_iter().map(entry).collect(),
        }
    }

    /// The `Authorization` header for a URL (RFC 7617): what the URL says, else what netrc says of its host.
    pub fn basic(&self, url: &Url) -> Option<String> {
        let (user, password) = if url.username().is_empty() && url.password().is_none() {
            self.hosts.get(url.host_str()?).cloned()?
        } else {
            let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            (decode(url.username()), decode(url.password().unwrap_or_default()))
        };
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Some(format!("Basic {text}"))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials for {:?}", self.hosts.keys())
    }
}
