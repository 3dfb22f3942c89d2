//! Auth files: containers-auth.json(5) and docker's `config.json`, which have one format.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::Error;
use super::credentials::{Credential, canonical};

/// A file with credentials. What it holds beside them is kept when it is written.
pub(super) struct AuthFile {
    path: PathBuf,
    document: Map<String, Value>,
}

impl AuthFile {
    /// Reads a file; `None` if there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let fault = |source: io::Error| Error::AuthFile {
            path: path.to_owned(),
            source,
        };
        let bytes = match fs_err::read(path) {
            Ok(bytes) => bytes,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(e) => return Err(fault(e)),
        };
        if bytes.trim_ascii().is_empty() {
            return Ok(Some(Self::empty(path)));
        }
        // The parser's own message may quote what stands there.
        let malformed = |e: serde_json::Error| {
            let place = format!("not an auth file: line {}, column {}", e.line(), e.column());
            fault(io::Error::new(io::ErrorKind::InvalidData, place))
        };
        let document = serde_json::from_slice(&bytes).map_err(malformed)?;
        Ok(Some(Self {
            path: path.to_owned(),
            document,
        }))
    }

    /// A file that is still to be written.
    pub fn empty(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            document: Map::new(),
        }
    }

    /// The program that keeps the credentials of a registry.
    pub fn helper_of(&self, host: &str) -> Option<&str> {
        let helpers = self.document.get("credHelpers")?.as_object()?;
        let known = helpers.iter().find(|(key, _)| normal(key) == host);
        known?.1.as_str().filter(|name| !name.is_empty())
    }

    /// The program that keeps the credentials of all registries.
    pub fn helper_of_all(&self) -> Option<&str> {
        self.document
            .get("credsStore")?
            .as_str()
            .filter(|name| !name.is_empty())
    }

    /// The credentials of the longest prefix of `HOST[:PORT]/NAME` that has some.
    pub fn find(&self, name: &str) -> Result<Option<Credential>, Error> {
        let Some(entries) = self.document.get("auths").and_then(Value::as_object) else {
            return Ok(None);
        };
        let mut prefix = name;
        loop {
            for (_, entry) in entries.iter().filter(|(key, _)| normal(key) == prefix) {
                if let Some(credential) = self.credential(prefix, entry)? {
                    return Ok(Some(credential));
                }
            }
            match prefix.rsplit_once('/') {
                Some((shorter, _)) => prefix = shorter,
                None => return Ok(None),
            }
        }
    }

    fn credential(&self, key: &str, entry: &Value) -> Result<Option<Credential>, Error> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
        if let Some(token) = text("identitytoken") {
            return Ok(Some(Credential::Identity(token.to_owned())));
        }
        if let Some(token) = text("registrytoken") {
            return Ok(Some(Credential::Bearer(token.to_owned())));
        }
        if let Some(auth) = text("auth") {
            let decoded = STANDARD
                .decode(auth.trim())
                .ok()
                .and_then(|b| String::from_utf8(b).ok());
            let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
            let Some((user, password)) = pair else {
                let what = format!("`auth` of {key} is not base64 of USER:PASSWORD");
                return Err(self.fault(io::Error::new(io::ErrorKind::InvalidData, what)));
            };
            // Docker wrote padding of NUL bytes once.
            let password = password.trim_end_matches('\0');
            return Ok(Some(Credential::pair(user.to_owned(), password.to_owned())));
        }
        let pair = text("username").zip(text("password"));
        Ok(pair.map(|(user, password)| Credential::pair(user.to_owned(), password.to_owned())))
    }

    /// Sets the credentials of a registry.
    pub fn set(&mut self, host: &str, credential: &Credential) -> Result<(), Error> {
        self.remove(host);
        let mut entry = Map::new();
        match credential {
            Credential::Password { user, password } => {
                let auth = STANDARD.encode(format!("{user}:{password}"));
                entry.insert("auth".to_owned(), auth.into());
            }
            Credential::Identity(token) => {
                entry.insert("identitytoken".to_owned(), token.clone().into());
            }
            Credential::Bearer(token) => {
                entry.insert("registrytoken".to_owned(), token.clone().into());
            }
        }
        let auths = self.document.entry("auths").or_insert_with(|| Map::new().into());
        let Some(auths) = auths.as_object_mut() else {
            let what = "`auths` is not an object";
            return Err(self.fault(io::Error::new(io::ErrorKind::InvalidData, what)));
        };
        auths.insert(host.to_owned(), entry.into());
        Ok(())
    }

    /// Removes the credentials of a registry, however it is spelled; whether there were any.
    pub fn remove(&mut self, host: &str) -> bool {
        let Some(auths) = self.document.get_mut("auths").and_then(Value::as_object_mut) else {
            return false;
        };
        let before = auths.len();
        auths.retain(|key, _| normal(key) != host);
        auths.len() != before
    }

    /// Writes the file as a whole, readable by its owner only. Where its name is a link, what the link leads to.
    pub fn write(&self) -> Result<(), Error> {
        let path = fs_err::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let write = || -> io::Result<()> {
            let directory = path.parent().unwrap_or(Path::new("/"));
            fs_err::create_dir_all(directory)?;
            // Temporary files have mode 0600.
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            serde_json::to_writer_pretty(&mut file, &self.document)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|e| e.error)?;
            Ok(())
        };
        write().map_err(|e| self.fault(e))
    }

    fn fault(&self, source: io::Error) -> Error {
        Error::AuthFile {
            path: self.path.clone(),
            source,
        }
    }
}

/// A key without what docker and others put around it: `https://index.docker.io/v1/` is `docker.io`.
fn normal(key: &str) -> String {
    let bare = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"));
    let bare = bare.unwrap_or(key).trim_end_matches('/');
    let bare = bare
        .strip_suffix("/v1")
        .or_else(|| bare.strip_suffix("/v2"))
        .unwrap_or(bare);
    match bare.split_once('/') {
        Some((host, path)) => format!("{}/{path}", canonical(host)),
        None => canonical(bare).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn file(text: &str) -> AuthFile {
        AuthFile {
            path: "/auth.json".into(),
            document: serde_json::from_str(text).unwrap(),
        }
    }

    fn pair(user: &str, password: &str) -> Credential {
        Credential::pair(user.to_owned(), password.to_owned())
    }

    #[test]
    fn the_longest_prefix_wins() {
        let file = file(
            r#"{"auths":{"r.example/a":{"auth":"YTox"},"r.example":{"auth":"aG9zdDoy"},"r.example/a/b":{"auth":"YWI6Mw=="},
                "https://index.docker.io/v1/":{"username":"u","password":"p"},"t.example":{"auth":"","identitytoken":"T"},
                "e.example":{}}}"#,
        );
        for (name, expected) in [
            ("r.example/a/b/c", Some(pair("ab", "3"))),
            ("r.example/a/x", Some(pair("a", "1"))),
            ("r.example/ab", Some(pair("host", "2"))),
            ("r.example", Some(pair("host", "2"))),
            ("docker.io/library/x", Some(pair("u", "p"))),
            ("t.example/x", Some(Credential::Identity("T".to_owned()))),
            ("e.example/x", None),
            ("other.example/x", None),
        ] {
            assert_eq!(file.find(name).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn programs_are_found_under_every_spelling() {
        let file = file(r#"{"credHelpers":{"https://index.docker.io/v1/":"hub"},"credsStore":"all"}"#);
        assert_eq!(file.helper_of("docker.io"), Some("hub"));
        assert_eq!(file.helper_of("r.example"), None);
        assert_eq!(file.helper_of_all(), Some("all"));
    }

    #[test]
    fn what_is_malformed_is_told_without_secrets() {
        let file = file(r#"{"auths":{"r.example":{"auth":"c2VjcmV0"}}}"#);
        let error = file.find("r.example").unwrap_err();
        let text = format!("{error:?}");
        assert!(!text.contains("secret") && !text.contains("c2VjcmV0"), "{text}");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.json");
        fs_err::write(&path, r#"{"auths": "s3cret" "#).unwrap();
        let error = AuthFile::read(&path).err().unwrap();
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }

    #[test]
    fn writing_keeps_the_rest_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/auth.json");
        let mut file = AuthFile::empty(&path);
        file.set("r.example", &pair("u", "p")).unwrap();
        file.write().unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        fs_err::write(&path, text.replacen('{', r#"{"other": [1], "#, 1)).unwrap();
        let mut file = AuthFile::read(&path).unwrap().unwrap();
        assert_eq!(file.find("r.example").unwrap(), Some(pair("u", "p")));
        assert!(file.remove("r.example") && !file.remove("r.example"));
        file.write().unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        assert_eq!(
            text.split_whitespace().collect::<String>(),
            r#"{"other":[1],"auths":{}}"#
        );
        assert_eq!(
            fs_err::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
