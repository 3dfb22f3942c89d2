//! Credentials: what a user name, password or token is, and where they are looked for.

use std::fmt;
use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::auth_file::AuthFile;
use super::{Error, helper};
use crate::environment::Environment;

/// What Docker Hub is called in auth files and by the programs that keep credentials.
pub(super) const HUB_KEY: &str = "https://index.docker.io/v1/";
/// A user name that says that the password is an identity token (docker's credential helpers).
pub(super) const TOKEN_USER: &str = "<token>";

/// What proves who asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user name and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token for which tokens are given (OAuth 2 refresh token).
    Identity(String),
    /// A token that the registry itself takes.
    Bearer(String),
}

impl Credential {
    /// The `Authorization` header of user name and password (RFC 7617).
    pub(super) fn basic(&self) -> Option<String> {
        match self {
            Self::Password { user, password } => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            _ => None,
        }
    }

    /// From now on nothing is written that has it in it.
    fn hold(&self, environment: &Environment, name: &str) {
        let host = name.split('/').next().unwrap_or(name);
        let (what, user, secret) = match self {
            Self::Password { user, password } => ("password", Some(user.as_str()), password),
            Self::Identity(token) | Self::Bearer(token) => ("token", None, token),
        };
        let what = format!("the {what} of the registry {host}");
        environment.secrets.hold(&what, user, secret);
    }

    /// A pair of which the user may say that the other is a token.
    pub(super) fn pair(user: String, password: String) -> Self {
        if user == TOKEN_USER {
            Self::Identity(password)
        } else {
            Self::Password { user, password }
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password(****)",
            Self::Identity(_) => "Identity(****)",
            Self::Bearer(_) => "Bearer(****)",
        })
    }
}

/// One spelling of each registry's name: Docker Hub has three.
pub(super) fn canonical(registry: &str) -> &str {
    match registry {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}

/// The credentials for a repository (`HOST[:PORT]/NAME`, or only the host): of the first file that has some.
pub(super) fn find(
    environment: &Environment,
    given: Option<&PathBuf>,
    name: &str,
) -> Result<Option<Credential>, Error> {
    for place in places(environment, given) {
        let Some(file) = AuthFile::read(&place.path)? else {
            if place.must_exist {
                return Err(Error::AuthFile {
                    path: place.path,
                    source: io::ErrorKind::NotFound.into(),
                });
            }
            continue;
        };
        if let Some(credential) = in_file(environment, &file, name)? {
            credential.hold(environment, name);
            return Ok(Some(credential));
        }
    }
    Ok(None)
}

/// In one file: a program for the registry, the program for all registries, then what the file itself holds.
fn in_file(environment: &Environment, file: &AuthFile, name: &str) -> Result<Option<Credential>, Error> {
    let host = name.split('/').next().unwrap_or(name);
    let server = if host == "docker.io" { HUB_KEY } else { host };
    for helper in file.helper_of(host).into_iter().chain(file.helper_of_all()) {
        if let Some(credential) = helper::get(environment, helper, server)? {
            return Ok(Some(credential));
        }
    }
    file.find(name)
}

struct Place {
    path: PathBuf,
    must_exist: bool,
}

/// The files in podman's order, then docker's. One that the user names is the only one, as with podman.
fn places(environment: &Environment, given: Option<&PathBuf>) -> Vec<Place> {
    let place = |path: PathBuf| Place {
        path: environment.working_directory.join(path),
        must_exist: false,
    };
    if let Some(path) = given {
        return vec![Place {
            must_exist: true,
            ..place(path.clone())
        }];
    }
    if let Some(path) = environment.get("REGISTRY_AUTH_FILE") {
        return vec![place(path.into())];
    }
    let mut places = Vec::new();
    match environment.get("XDG_RUNTIME_DIR") {
        Some(directory) => places.push(PathBuf::from(directory).join("containers/auth.json")),
        // What `podman login` writes where there is no session: as root, in CI.
        None => places.extend(own_run_directory().map(|d| d.join("auth.json"))),
    }
    if let Some(directory) = environment.config_home() {
        places.push(directory.join("containers/auth.json"));
    }
    let docker = environment.get("DOCKER_CONFIG").map(PathBuf::from);
    if let Some(directory) = docker {
        places.push(directory.join("config.json"));
    }
    if let Some(home) = environment.home() {
        places.push(home.join(".docker/config.json"));
    }
    places.into_iter().map(place).collect()
}

/// `/run/containers/UID`
fn own_run_directory() -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let process = fs_err::metadata("/proc/self").ok()?;
    Some(PathBuf::from(format!("/run/containers/{}", process.uid())))
}

/// The file that a login writes: podman's choice, and without a runtime directory one that stays.
pub(super) fn file_to_write(environment: &Environment, given: Option<&PathBuf>) -> Option<PathBuf> {
    let named = given
        .cloned()
        .or_else(|| environment.get("REGISTRY_AUTH_FILE").map(PathBuf::from));
    let runtime = || environment.get("XDG_RUNTIME_DIR").map(PathBuf::from);
    let directory = || runtime().or_else(|| environment.config_home());
    let path = named.or_else(|| Some(directory()?.join("containers/auth.json")))?;
    Some(environment.working_directory.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn environment(variables: &[(&str, &Path)]) -> Environment {
        let variables = variables
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.display().to_string()));
        Environment::new(variables, "/".into(), std::time::SystemTime::UNIX_EPOCH)
    }

    fn write(path: &Path, user: &str) {
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let auth = STANDARD.encode(format!("{user}:p"));
        fs_err::write(
            path,
            format!(r#"{{"auths":{{"r.example":{{"auth":"{auth}"}}}}}}"#),
        )
        .unwrap();
    }

    fn user(environment: &Environment, given: Option<&PathBuf>) -> Option<String> {
        match find(environment, given, "r.example/a").unwrap()? {
            Credential::Password { user, .. } => Some(user),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn files_are_looked_through_in_podmans_order_and_then_dockers() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let (home, run, docker) = (at("home"), at("run"), at("docker"));
        let all = [
            ("HOME", &*home),
            ("XDG_RUNTIME_DIR", &*run),
            ("DOCKER_CONFIG", &*docker),
        ];
        let environment_of_all = environment(&all);
        assert_eq!(user(&environment_of_all, None), None);
        for (path, name) in [
            (home.join(".docker/config.json"), "legacy"),
            (docker.join("config.json"), "docker"),
            (home.join(".config/containers/auth.json"), "config"),
            (run.join("containers/auth.json"), "runtime"),
        ] {
            write(&path, name);
            assert_eq!(user(&environment_of_all, None).as_deref(), Some(name));
        }
        let named = at("named.json");
        write(&named, "named");
        let mut with_name = all.to_vec();
        with_name.push(("REGISTRY_AUTH_FILE", &named));
        let with_name = environment(&with_name);
        assert_eq!(user(&with_name, None).as_deref(), Some("named"));
        write(&at("given.json"), "given");
        assert_eq!(
            user(&with_name, Some(&at("given.json"))).as_deref(),
            Some("given")
        );
        assert!(find(&with_name, Some(&at("missing.json")), "r.example").is_err());
    }

    #[test]
    fn secrets_are_not_shown() {
        let credential = Credential::pair("me".to_owned(), "s3cret".to_owned());
        assert_eq!(format!("{credential:?}"), "Password(****)");
        let token = Credential::pair("<token>".to_owned(), "s3cret".to_owned());
        assert_eq!(token, Credential::Identity("s3cret".to_owned()));
    }
}
