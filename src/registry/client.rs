//! The client: sends requests with the right agent and the right credentials, and again where that may help.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::SendBody;
use ureq::http::Method;
use url::Url;

use super::Error;
use super::certificates::Certificates;
use super::challenge::Challenge;
use super::credentials::{self, Credential};
use super::endpoint::Endpoint;
use super::error::shown;
use super::request::{Answer, Body, Request, Tries, next};
use super::scope::Scope;
use super::token::{Tokens, Wish};
use crate::environment::Environment;
use crate::http::{self, Connection, is_loopback};
use crate::reference::Repository;

/// Larger bodies are sent only when the registry has said that it wants them: one that refuses the credentials hangs up,
/// and its answer is lost in the breaking connection. (RFC 9110 section 10.1.1)
const ASKED_FIRST: u64 = 1024 * 1024;

/// What the user says of registries.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whether only this machine may be asked.
    pub offline: bool,
    /// Whether any certificate is taken, and plain HTTP where there is no TLS.
    pub insecure: bool,
    /// The only file in which credentials are looked for.
    pub authfile: Option<PathBuf>,
}

/// A client of registries. Cheap to clone; connections, tokens and what is known of registries are shared by all threads.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    environment: Environment,
    settings: Settings,
    /// Credentials that are used instead of looking for some.
    credential: Option<Credential>,
    endpoints: Mutex<BTreeMap<Repository, Arc<Endpoint>>>,
    agents: Mutex<BTreeMap<(String, bool), ureq::Agent>>,
    credentials: Mutex<BTreeMap<String, Option<Credential>>>,
    tokens: Tokens,
}

impl Client {
    /// A client. Files and registries are not asked before they are needed.
    pub fn new(environment: &Environment, settings: Settings) -> Self {
        Self::with_credential(environment, settings, None)
    }

    pub(super) fn with_credential(
        environment: &Environment,
        settings: Settings,
        credential: Option<Credential>,
    ) -> Self {
        Self(Arc::new(Shared {
            environment: environment.clone(),
            settings,
            credential,
            endpoints: Mutex::default(),
            agents: Mutex::default(),
            credentials: Mutex::default(),
            tokens: Tokens::default(),
        }))
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.0.environment
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The registry of a repository. Threads wait for the first that asks.
    pub(super) fn endpoint(&self, repository: &Repository) -> Result<Arc<Endpoint>, Error> {
        let mut endpoints = self.0.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = endpoints.get(repository) {
            return Ok(Arc::clone(known));
        }
        let endpoint = Arc::new(Endpoint::find(self, repository)?);
        endpoints.insert(repository.clone(), Arc::clone(&endpoint));
        Ok(endpoint)
    }

    /// Sends a request until it succeeds, fails for good, or was sent five times. Statuses that no other try will change
    /// are answers.
    pub(super) fn send(&self, endpoint: &Endpoint, request: Request) -> Result<Answer, Error> {
        self.send_and_read(endpoint, request, Ok)
    }

    /// The same; what reads the answer may find that it breaks off, which is a try that failed as well.
    pub(super) fn send_and_read<T>(
        &self,
        endpoint: &Endpoint,
        mut request: Request,
        read: impl Fn(Answer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut tries = Tries::new();
        loop {
            let result = match self.exchange(endpoint, &mut request, &mut tries) {
                Ok(answer) if answer.is_passing() => Err(answer.refusal()),
                Ok(answer) => read(answer),
                Err(error) => Err(error),
            };
            match result {
                Ok(value) => return Ok(value),
                Err(error) => tries.again(error, &request.url)?,
            }
        }
    }

    /// Sends a request once, and once more with new credentials if the registry refuses the old.
    pub(super) fn exchange(
        &self,
        endpoint: &Endpoint,
        request: &mut Request,
        tries: &mut Tries,
    ) -> Result<Answer, Error> {
        let known = endpoint.challenges();
        let first = self.authorization(endpoint, request.scope, &known, None)?;
        tries.count();
        let answer = self.follow(endpoint, request, first.as_deref())?;
        let own = answer.url.origin() == endpoint.base.origin();
        if answer.status != 401 || !own || tries.spent() {
            return Ok(answer);
        }
        let told = answer.challenges();
        let second = self.authorization(endpoint, request.scope, &told, first.as_deref())?;
        endpoint.learn(told);
        if second == first {
            return Ok(answer);
        }
        tries.count();
        self.follow(endpoint, request, second.as_deref())
    }

    /// The `Authorization` header for a request; not `refused` again if it was a token.
    fn authorization(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        challenges: &[Challenge],
        refused: Option<&str>,
    ) -> Result<Option<String>, Error> {
        if challenges.is_empty() {
            return Ok(None);
        }
        let credential = self.credential(endpoint, scope)?;
        if let Some(Credential::Bearer(token)) = &credential {
            return Ok(Some(format!("Bearer {token}")));
        }
        for challenge in challenges {
            if let Challenge::Bearer {
                realm,
                service,
                scope: told,
            } = challenge
            {
                let wish = Wish {
                    realm,
                    service: service.as_deref(),
                    told: told.as_deref(),
                    scope,
                };
                let refused = refused.and_then(|header| header.strip_prefix("Bearer "));
                let token = self.0.tokens.get(self, endpoint, &wish, refused)?;
                return Ok(Some(format!("Bearer {token}")));
            }
        }
        Ok(credential.as_ref().and_then(Credential::basic))
    }

    /// The credentials for a request.
    pub(super) fn credential(&self, endpoint: &Endpoint, scope: &Scope) -> Result<Option<Credential>, Error> {
        if let Some(credential) = &self.0.credential {
            return Ok(Some(credential.clone()));
        }
        let name = match &scope.repository {
            Some(repository) => format!("{}/{}", endpoint.registry, repository.name),
            None => endpoint.registry.clone(),
        };
        let mut known = self.0.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(credential) = known.get(&name) {
            return Ok(credential.clone());
        }
        let authfile = self.0.settings.authfile.as_ref();
        let credential = credentials::find(&self.0.environment, authfile, &name)?;
        known.insert(name, credential.clone());
        Ok(credential)
    }

    /// Holds the credentials for a repository before they are used: nothing that is made until then may have them in it.
    pub fn hold_credentials(&self, repository: &Repository) -> Result<(), Error> {
        let authfile = self.0.settings.authfile.as_ref();
        credentials::find(&self.0.environment, authfile, &repository.to_string()).map(|_| ())
    }

    /// Sends a request once, through redirects. `authorization` is for the registry only.
    pub(super) fn follow(
        &self,
        endpoint: &Endpoint,
        request: &mut Request,
        authorization: Option<&str>,
    ) -> Result<Answer, Error> {
        let own = request.url.origin() == endpoint.base.origin();
        // An upload may go on at another host (its Location says where): that host has no business with credentials.
        let authorization = authorization.filter(|_| own);
        self.follow_as(self.insecure_at(endpoint, &request.url), request, authorization)
    }

    /// Whether any certificate is taken from a host. What registries.conf says is of the registry's host alone.
    pub(super) fn insecure_at(&self, endpoint: &Endpoint, url: &Url) -> bool {
        self.0.settings.insecure || (endpoint.insecure && url.host() == endpoint.base.host())
    }

    /// As [`Client::follow`]; `authorization` is for the host that the request's URL names.
    pub(super) fn follow_as(
        &self,
        insecure: bool,
        request: &mut Request,
        authorization: Option<&str>,
    ) -> Result<Answer, Error> {
        let mut at = request.url.clone();
        let mut seen = Vec::new();
        for _ in 0..http::REDIRECTS {
            let home = at.origin() == request.url.origin();
            let insecure = insecure && (at.host() == request.url.host() || self.0.settings.insecure);
            let response = self.once(&at, insecure, request, authorization.filter(|_| home))?;
            let Some(next) = next(&at, &response, &request.method)? else {
                return Ok(Answer::new(at, response));
            };
            if request.confidential && next.origin() != request.url.origin() {
                let answer = Answer::new(at, response);
                return Err(answer.malformed(format!("it sends the credentials on to {}", shown(&next))));
            }
            seen.push(at);
            if seen.contains(&next) {
                break;
            }
            at = next;
        }
        let url = shown(&request.url);
        Err(http::Error::Redirects { url }.into())
    }

    fn once(
        &self,
        at: &Url,
        insecure: bool,
        request: &mut Request,
        authorization: Option<&str>,
    ) -> Result<ureq::http::Response<ureq::Body>, Error> {
        if self.0.settings.offline && !is_loopback(at) {
            return Err(http::Error::Offline { url: shown(at) }.into());
        }
        let agent = self.agent(at, insecure)?;
        let mut url = at.clone();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        let mut builder = ureq::http::Request::builder()
            .method(request.method.clone())
            .uri(url.as_str())
            // Digests are of the bytes as they are.
            .header("accept-encoding", "identity");
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(authorization) = authorization {
            builder = builder.header("authorization", authorization);
        }
        let transport = |source: ureq::Error| match source {
            source if is_unknown_host(&source) => Error::Host {
                host: at.host_str().unwrap_or_default().to_owned(),
            },
            source => Error::Http(http::Error::Transport {
                url: shown(at),
                source: Box::new(source),
            }),
        };
        let result = match &mut request.body {
            Body::None => builder
                .body(())
                .map_err(Into::into)
                .and_then(|request| agent.run(request)),
            Body::Bytes(bytes) => builder
                .body(*bytes)
                .map_err(Into::into)
                .and_then(|request| agent.run(request)),
            Body::Content {
                content,
                from,
                length,
            } => {
                let mut piece = content.piece(*from, *length);
                if *length > ASKED_FIRST {
                    builder = builder.header("expect", "100-continue");
                }
                builder
                    .header("content-length", length.to_string())
                    .body(SendBody::from_reader(&mut piece))
                    .map_err(Into::into)
                    .and_then(|request| agent.run(request))
            }
        };
        result.map_err(transport)
    }

    /// The agent for a host: certificates are kept by host and port.
    fn agent(&self, url: &Url, insecure: bool) -> Result<ureq::Agent, Error> {
        let host = url.host_str().unwrap_or_default();
        let host = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let mut agents = self.0.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&(host.clone(), insecure)) {
            return Ok(agent.clone());
        }
        let certificates = Certificates::load(&self.0.environment, &host)?;
        let connection = Connection {
            // Storing a large layer takes registries some time.
            patience: Duration::from_mins(5),
            authorities: certificates.authorities,
            certificate: certificates.client,
            any_certificate: insecure,
            proxy: !is_loopback(url),
        };
        let agent = connection.agent();
        agents.insert((host, insecure), agent.clone());
        Ok(agent)
    }

    /// Turns a status that is no success into an error.
    pub(super) fn refused(&self, endpoint: &Endpoint, scope: &Scope, answer: Answer) -> Error {
        let own = answer.url.origin() == endpoint.base.origin();
        if own && matches!(answer.status, 401 | 403) {
            let words = answer.words();
            return self.denied(endpoint, scope, false, words);
        }
        answer.refusal()
    }

    /// That the registry does not let the user do something.
    pub(super) fn denied(&self, endpoint: &Endpoint, scope: &Scope, tried: bool, words: String) -> Error {
        let registry = endpoint.registry.clone();
        match &scope.repository {
            Some(repository) => Error::Denied {
                registry,
                action: scope.action(),
                repository: repository.name.clone(),
                words,
            },
            None if tried || self.0.credential.is_some() => Error::Credentials { registry, words },
            None => Error::Denied {
                registry,
                action: scope.action(),
                repository: "anything".to_owned(),
                words,
            },
        }
    }

    /// A request to the registry of a repository.
    pub(super) fn request<'a>(
        endpoint: &Endpoint,
        method: Method,
        repository: &Repository,
        path: &str,
        scope: &'a Scope,
    ) -> Request<'a> {
        let url = endpoint.url(&format!("v2/{}/{path}", repository.name));
        Request::new(method, url, scope)
    }
}

/// The system's resolver says it in words only; that it cannot say it now is another thing.
fn is_unknown_host(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound => true,
        ureq::Error::Io(e) => {
            let text = e.to_string();
            text.starts_with("failed to lookup address information") && !text.contains("Temporary failure")
        }
        _ => false,
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.0.settings).finish()
    }
}
