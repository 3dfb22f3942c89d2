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
        let (last, first) = candidates
            .split_last()
            .ok_or_else(|| Error::Name(registry.to_owned()))?;
        for base in first {
            let endpoint = endpoint(base.clone());
            match endpoint.ask(client) {
                // > Client sent an HTTP request to an HTTPS server: Go, nginx and others say it with 400.
                Ok(answer) if base.scheme() == "http" && answer.status == 400 => {}
                Ok(answer) => return Ok(endpoint.taught_by(&answer)),
                Err(error) if error.is_refused_connection() => return Err(error),
                Err(Error::Http(http::Error::Transport { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        let endpoint = endpoint(last.clone());
        let answer = endpoint.ask(client)?;
        Ok(endpoint.taught_by(&answer))
    }

    fn ask(&self, client: &Client) -> Result<Answer, Error> {
        let scope = Scope::registry();
        let mut request = Request::new(ureq::http::Method::GET, self.url("v2/"), &scope);
        let mut tries = Tries::new();
        loop {
            tries.count();
            let result = client.follow(self, &mut request, None);
            let error = match result {
                Ok(answer) if answer.is_passing() => answer.refusal(),
                // Plain requests to TLS break in many ways; the next candidate is tried instead.
                Err(error) if is_loopback(&self.base) => return Err(error),
                result => return result,
            };
            tries.again(error, &request.url)?;
        }
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

    /// Remembers how the registry wants to be asked.
    pub fn learn(&self, challenges: Vec<Challenge>) {
        if !challenges.is_empty() {
            *self.challenges.lock().unwrap_or_else(PoisonError::into_inner) = challenges;
        }
    }
}
