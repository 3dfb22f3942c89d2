//! containers-registries.conf(5): which registries may be used without encryption or with any certificate.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Error;
use crate::environment::Environment;

/// What the files say of registries.
#[derive(Clone, Debug, Default)]
pub(super) struct Registries {
    /// Host, or host and path, or `*.domain`, and whether it is insecure.
    insecure: BTreeMap<String, bool>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    registry: Vec<Registry>,
    /// The older format.
    registries: Option<BTreeMap<String, List>>,
}

#[derive(Deserialize)]
struct Registry {
    prefix: Option<String>,
    location: Option<String>,
    #[serde(default)]
    insecure: bool,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    registries: Vec<String>,
}

impl Registries {
    /// Reads `$CONTAINERS_REGISTRIES_CONF`, else the user's file, else the system's; then the files of the system's and
    /// of the user's `registries.conf.d`, later ones over earlier ones.
    pub fn load(environment: &Environment) -> Result<Self, Error> {
        let system = Path::new("/etc/containers");
        let user = environment.config_home().map(|home| home.join("containers"));
        let named = environment
            .get("CONTAINERS_REGISTRIES_CONF")
            .map(|path| environment.working_directory.join(path));
        let users = user
            .as_ref()
            .map(|directory| directory.join("registries.conf"))
            .filter(|path| path.is_file());
        let first = named.or(users).unwrap_or_else(|| system.join("registries.conf"));
        let mut files = vec![first];
        for directory in [Some(system), user.as_deref()].into_iter().flatten() {
            files.extend(drop_ins(&directory.join("registries.conf.d")));
        }
        let mut registries = Self::default();
        for file in files {
            registries.add(&file)?;
        }
        Ok(registries)
    }

    fn add(&mut self, path: &Path) -> Result<(), Error> {
        let fault = |what: String| Error::Configuration {
            path: path.to_owned(),
            what,
        };
        let text = match fs_err::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(fault(e.to_string())),
        };
        let file: File = toml::from_str(&text).map_err(|e| fault(e.message().to_owned()))?;
        for registry in file.registry {
            // > location accepts the same format as the prefix field; if it is empty, it defaults to prefix
            if let Some(place) = registry.location.or(registry.prefix) {
                self.insecure.insert(place, registry.insecure);
            }
        }
        let mut older = file.registries.unwrap_or_default();
        if let Some(list) = older.remove("insecure") {
            let entries = list.registries.into_iter().map(|place| (place, true));
            self.insecure.extend(entries);
        }
        Ok(())
    }

    /// Whether a repository (`HOST[:PORT]/NAME`) may be used without encryption: the longest entry decides.
    pub fn is_insecure(&self, name: &str) -> bool {
        let fitting = self.insecure.iter().filter(|(place, _)| covers(place, name));
        fitting
            .max_by_key(|(place, _)| place.len())
            .is_some_and(|(_, insecure)| *insecure)
    }
}

fn covers(place: &str, name: &str) -> bool {
    let host = name.split('/').next().unwrap_or(name);
    match place.strip_prefix('*') {
        Some(domain) => domain.starts_with('.') && host.ends_with(domain),
        None => name
            .strip_prefix(place)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    }
}

fn drop_ins(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = crate::files::read_dir(directory) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "conf"))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &str)]) -> Result<Registries, Error> {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = home.path().join(".config/containers").join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let variables = [("HOME".to_owned(), home.path().display().to_string())];
        let now = std::time::SystemTime::UNIX_EPOCH;
        Registries::load(&Environment::new(variables, "/".into(), now))
    }

    #[test]
    fn the_longest_entry_decides() {
        let text = "unqualified-search-registries = [\"docker.io\"]\n[[registry]]\nlocation = \"a.example:5000\"\ninsecure = true\n\
                    [[registry]]\nprefix = \"a.example:5000/safe\"\n[[registry]]\nprefix = \"*.b.example\"\ninsecure = true\n\
                    [[registry.mirror]]\nlocation = \"c.example\"\n";
        let registries = load(&[("registries.conf", text)]).unwrap();
        for (name, insecure) in [
            ("a.example:5000/x", true),
            ("a.example:5000/safe/x", false),
            ("a.example:5000/safer", true),
            ("a.example/x", false),
            ("x.b.example/y", true),
            ("b.example/y", false),
        ] {
            assert_eq!(registries.is_insecure(name), insecure, "{name}");
        }
    }

    #[test]
    fn later_files_win_and_the_older_format_is_read() {
        let registries = load(&[
            (
                "registries.conf",
                "[registries.insecure]\nregistries = [\"a.example\", \"b.example\"]\n",
            ),
            (
                "registries.conf.d/1.conf",
                "[[registry]]\nlocation = \"b.example\"\n",
            ),
            ("registries.conf.d/1.txt", "not read"),
        ])
        .unwrap();
        assert!(registries.is_insecure("a.example/x") && !registries.is_insecure("b.example/x"));
        assert!(load(&[("registries.conf", "[[registry\n")]).is_err());
    }
}
