//! Endpoints: where a registry's name leads, with or without encryption, and how it wants to be asked.

use std::sync::{Mutex, PoisonError};

use url::Url;

use super::challenge::Challenge;
use super::credentials::canonical;
use super::registries_conf::Registries;
use super::request::{Answer, Request, Tries};
use super::scope::Scope;
use super::{Client, Error};
use crate::http::{self, is_loopback};
use crate::reference::Repository;

/// A registry that has answered.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// The registry's name, as in references.
    pub registry: String,
    /// `https://HOST[:PORT]/`
    pub base: Url,
    /// Whether any certificate of it is taken.
    pub insecure: bool,
    challenges: Mutex<Vec<Challenge>>,
}

impl Endpoint {
    /// Finds out how a registry is spoken to: with `GET /v2/` (distribution-spec, "Determining Support").
    pub fn find(client: &Client, repository: &Repository) -> Result<Self, Error> {
        let registry = canonical(&repository.registry);
        let host = if registry == "docker.io" {
            "registry-1.docker.io"
        } else {
            registry
        };
        let base = |scheme: &str| {
            let url = Url::parse(&format!("{scheme}://{host}/")).ok();
            let url = url.filter(|u| u.path() == "/" && u.username().is_empty());
            url.ok_or_else(|| Error::Name(registry.to_owned()))
        };
        let insecure = client.settings().insecure
            || Registries::load(client.environment())?.is_insecure(&repository.to_string());
        let (https, plain) = (base("https")?, base("http")?);
        // Names of this machine are plain unless they show otherwise, as with ko and crane.
        let candidates = match (is_loopback(&https), insecure) {
            (true, _) => vec![plain, https],
            (false, true) => vec![https, plain],
            (false, false) => vec![https],
        };
        if client.settings().offline && !is_loopback(&candidates[0]) {
            return Err(Error::Offline {
                registry: registry.to_owned(),
            });
        }
        let endpoint = |base: Url| Self {
            registry: registry.to_owned(),
            base,
            insecure,
            challenges: Mutex::default(),
        };
        let mut tries = Tries::new();
        loop {
            tries.count();
            let mut failure = None;
            for (at, base) in candidates.iter().enumerate() {
                let endpoint = endpoint(base.clone());
                let is_last = at + 1 == candidates.len();
                match endpoint.ask(client) {
                    // > Client sent an HTTP request to an HTTPS server: Go, nginx and others say it with 400.
                    Ok(answer) if answer.status == 400 && base.scheme() == "http" && !is_last => {}
                    Ok(answer) if answer.is_passing() => {
                        failure = Some(answer.refusal());
                        break;
                    }
                    Ok(answer) => return Ok(endpoint.taught_by(&answer)),
                    Err(error) if error.is_certificate_fault() && is_last => return Err(error),
                    Err(error) if is_last || error.is_refused_connection() => {
                        // The first failure is that of what was most likely meant.
                        failure.get_or_insert(error);
                        break;
                    }
                    Err(error @ Error::Http(http::Error::Transport { .. })) => failure = Some(error),
                    Err(error) => return Err(error),
                }
            }
            let error = failure.unwrap_or_else(|| Error::Name(registry.to_owned()));
            tries.again(error, &candidates[0])?;
        }
    }

    fn ask(&self, client: &Client) -> Result<Answer, Error> {
        let scope = Scope::registry();
        let mut request = Request::new(ureq::http::Method::GET, self.url("v2/"), &scope);
        client.follow(self, &mut request, None)
    }

    fn taught_by(mut self, answer: &Answer) -> Self {
        self.learn(answer.challenges());
        // A plain port that leads to its encrypted one.
        if answer.url.host() == self.base.host() && answer.url.scheme() == "https" {
            let mut base = answer.url.clone();
            base.set_path("/");
            base.set_query(None);
            self.base = base;
        }
        self
    }

    /// A URL of the registry.
    pub fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    /// How the registry wants to be asked, as it said last.
    pub fn challenges(&self) -> Vec<Challenge> {
        self.challenges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Remembers how the registry wants to be asked. Which scope one request would have needed is no matter for others.
    pub fn learn(&self, mut challenges: Vec<Challenge>) {
        for challenge in &mut challenges {
            if let Challenge::Bearer { scope, .. } = challenge {
                *scope = None;
            }
        }
        if !challenges.is_empty() {
            *self.challenges.lock().unwrap_or_else(PoisonError::into_inner) = challenges;
        }
    }
}
