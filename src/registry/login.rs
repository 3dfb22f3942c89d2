//! Logging in and out: credentials are tried, then written to an auth file; or removed from it.

use std::io;
use std::path::PathBuf;

use ureq::http::Method;

use super::auth_file::AuthFile;
use super::credentials::{canonical, file_to_write};
use super::request::Request;
use super::scope::Scope;
use super::{Client, Credential, Error, Settings};
use crate::environment::Environment;
use crate::reference::Repository;

/// Tries credentials against a registry (`HOST[:PORT]`) and writes them to the auth file; gives the file. Nothing is
/// written if the registry refuses them.
pub fn login(
    environment: &Environment,
    settings: &Settings,
    registry: &str,
    credential: &Credential,
) -> Result<PathBuf, Error> {
    let registry = named(registry)?;
    let path = place(environment, settings)?;
    let client = Client::with_credential(environment, settings.clone(), Some(credential.clone()));
    check(&client, registry)?;
    let mut file = AuthFile::read(&path)?.unwrap_or_else(|| AuthFile::empty(&path));
    file.set(registry, credential)?;
    file.write()?;
    Ok(path)
}

/// Removes the credentials of a registry from the auth file; gives the file if it had some.
pub fn logout(
    environment: &Environment,
    settings: &Settings,
    registry: &str,
) -> Result<Option<PathBuf>, Error> {
    let registry = named(registry)?;
    let path = place(environment, settings)?;
    let Some(mut file) = AuthFile::read(&path)? else {
        return Ok(None);
    };
    if !file.remove(registry) {
        return Ok(None);
    }
    file.write()?;
    Ok(Some(path))
}

fn named(registry: &str) -> Result<&str, Error> {
    let bare = registry.trim_end_matches('/');
    let is_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    if bare.is_empty() || !bare.bytes().all(is_host) {
        return Err(Error::Name(registry.to_owned()));
    }
    Ok(canonical(bare))
}

fn place(environment: &Environment, settings: &Settings) -> Result<PathBuf, Error> {
    file_to_write(environment, settings.authfile.as_ref()).ok_or_else(|| Error::AuthFile {
        path: "auth.json".into(),
        source: io::Error::other("neither XDG_RUNTIME_DIR nor HOME is set"),
    })
}

/// > GET /v2/ … 200 OK: … the user is authorized (distribution-spec, "Determining Support").
fn check(client: &Client, registry: &str) -> Result<(), Error> {
    let repository = Repository {
        registry: registry.to_owned(),
        name: String::new(),
    };
    let endpoint = client.endpoint(&repository)?;
    let scope = Scope::registry();
    let answer = client.send(&endpoint, Request::new(Method::GET, endpoint.url("v2/"), &scope))?;
    match answer.status {
        401 | 403 => Err(client.refused(&endpoint, &scope, answer)),
        _ if answer.is_success() => Ok(()),
        _ => Err(answer.refusal()),
    }
}
