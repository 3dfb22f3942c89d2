//! What is needed to be let in by servers of one's own: authorities, a client's certificate, hosts that are trusted blindly.

use std::path::{Path, PathBuf};

use ureq::tls::{ClientCert, PemItem, parse_pem};
use url::Url;

use super::pem::{certificate, key};
use super::{Connection, Error};
use crate::secrets::Secrets;

/// How servers are reached that need more than the system knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// A file, or a directory of files, of certificate authorities in PEM form, trusted beside the system's.
    pub authorities: Option<PathBuf>,
    /// A file with the client's certificate and its private key, in PEM form and not encrypted.
    pub client_certificate: Option<PathBuf>,
    /// `HOST` or `HOST:PORT`: whatever certificate these show is taken.
    pub trusted_hosts: Vec<String>,
}

impl Access {
    /// Whether a URL's host is trusted blindly.
    pub(super) fn trusts(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let with_port = url
            .port_or_known_default()
            .map(|port| format!("{host}:{port}"))
            .unwrap_or_default();
        let is_it = |trusted: &String| {
            let bare = trusted.split_once("://").map_or(&**trusted, |(_, rest)| rest);
            bare.eq_ignore_ascii_case(host) || bare.eq_ignore_ascii_case(&with_port)
        };
        self.trusted_hosts.iter().any(is_it)
    }

    /// Reads the files. From now on nothing is written that has the private key in it.
    pub(super) fn connection(&self, secrets: &Secrets) -> Result<Connection, Error> {
        let mut connection = Connection::default();
        if let Some(path) = &self.authorities {
            for file in files(path)? {
                let items = pem(&file)?.into_iter();
                connection.authorities.extend(items.filter_map(certificate));
            }
        }
        if let Some(path) = &self.client_certificate {
            let fault = |problem: &str| Error::Certificate {
                path: path.clone(),
                problem: problem.to_owned(),
            };
            let chain: Vec<_> = pem(path)?.into_iter().filter_map(certificate).collect();
            if chain.is_empty() {
                return Err(fault("it has no certificate"));
            }
            let key = pem(path)?.into_iter().find_map(key);
            let key = key.ok_or_else(|| fault("it has no private key that is not encrypted"))?;
            connection.certificate = Some(ClientCert::new_with_certs(&chain, key));
            hold_key(path, secrets)?;
        }
        Ok(connection)
    }
}

/// Lines from the middle of the private key stand for all of it.
fn hold_key(path: &Path, secrets: &Secrets) -> Result<(), Error> {
    let text = fs_err::read_to_string(path).map_err(|e| unreadable(path, &e))?;
    let mut in_key = false;
    for line in text.lines() {
        if line.starts_with("-----") {
            in_key = line.contains("BEGIN") && line.contains("PRIVATE KEY");
        } else if in_key && line.len() >= 40 {
            let what = format!("the private key in {}", path.display());
            secrets.hold(&what, None, line.trim());
        }
    }
    Ok(())
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let list = || -> std::io::Result<Vec<PathBuf>> {
        fs_err::read_dir(path)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut files = list().map_err(|e| unreadable(path, &e))?;
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

fn pem(path: &Path) -> Result<Vec<PemItem<'static>>, Error> {
    let bytes = fs_err::read(path).map_err(|e| unreadable(path, &e))?;
    let items: Result<_, _> = parse_pem(&bytes).collect();
    items.map_err(|e| Error::Certificate {
        path: path.to_owned(),
        problem: e.to_string(),
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let text = error.to_string();
    Error::Certificate {
        path: path.to_owned(),
        problem: text
            .rsplit_once("`: ")
            .map_or(text.clone(), |(_, own)| own.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_trusted_by_its_name_with_or_without_a_port() {
        let access = Access {
            trusted_hosts: vec!["a.example".to_owned(), "b.example:8443".to_owned()],
            ..Access::default()
        };
        let trusts = |url: &str| access.trusts(&url.parse().unwrap());
        assert!(
            trusts("https://A.example/x")
                && trusts("https://a.example:1/")
                && trusts("https://b.example:8443/")
        );
        assert!(!trusts("https://b.example/") && !trusts("https://x.a.example/"));
    }
}
