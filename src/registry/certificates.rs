//! containers-certs.d(5): certificate authorities and client certificates of single registries.

use std::io;
use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, ClientCert, PemItem, parse_pem};

use super::Error;
use crate::environment::Environment;
use crate::http::pem::{certificate, key};

/// What certs.d holds for a host.
#[derive(Default)]
pub(super) struct Certificates {
    pub authorities: Vec<Certificate<'static>>,
    pub client: Option<ClientCert>,
}

impl Certificates {
    /// Reads the first of the directories for `HOST:PORT` that is there: the user's, podman's, docker's.
    pub fn load(environment: &Environment, host: &str) -> Result<Self, Error> {
        let user = environment
            .config_home()
            .map(|home| home.join("containers/certs.d"));
        let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
        let mut directories = user.into_iter().chain(system).map(|d| d.join(host));
        match directories.find(|directory| directory.is_dir()) {
            Some(directory) => Self::read(&directory),
            None => Ok(Self::default()),
        }
    }

    /// > A certificate file with the extension .crt is a CA; .cert and .key are a client's certificate and its key.
    fn read(directory: &Path) -> Result<Self, Error> {
        let fault = |path: &Path, what: String| Error::Configuration {
            path: path.to_owned(),
            what,
        };
        let list = || -> io::Result<Vec<PathBuf>> {
            crate::files::read_dir(directory)?
                .map(|entry| Ok(entry?.path()))
                .collect()
        };
        let mut files = list().map_err(|e| fault(directory, e.to_string()))?;
        files.sort();
        let mut found = Self::default();
        for path in files {
            let extension = path.extension().unwrap_or_default();
            if extension == "crt" {
                let items = pem(&path)?.into_iter();
                let before = found.authorities.len();
                found.authorities.extend(items.filter_map(certificate));
                if found.authorities.len() == before {
                    return Err(fault(&path, "no certificate in PEM form".to_owned()));
                }
            } else if extension == "cert" {
                let chain: Vec<_> = pem(&path)?.into_iter().filter_map(certificate).collect();
                let key_path = path.with_extension("key");
                let key = pem(&key_path)?.into_iter().find_map(key);
                let key = key.ok_or_else(|| fault(&key_path, "no private key in PEM form".to_owned()))?;
                found.client = Some(ClientCert::new_with_certs(&chain, key));
            }
        }
        Ok(found)
    }
}

fn pem(path: &Path) -> Result<Vec<PemItem<'static>>, Error> {
    let fault = |what: String| Error::Configuration {
        path: path.to_owned(),
        what,
    };
    let bytes = fs_err::read(path).map_err(|e| fault(e.to_string()))?;
    let items: Result<_, _> = parse_pem(&bytes).collect();
    items.map_err(|e| fault(e.to_string()))
}
