//! Tokens (distribution token specification, and its OAuth 2 variant): fetched, kept while they live, never shown.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::Method;
use url::Url;

use super::endpoint::Endpoint;
use super::error::shown;
use super::request::{Body, Request, Tries};
use super::scope::Scope;
use super::{Client, Credential, Error};
use crate::http::{is_loopback, leads_inside};

/// > expires_in: (Optional) … If omitted, this defaults to 60 seconds.
const LIFE: u64 = 60;
/// Larger than any token.
const LIMIT: u64 = 1024 * 1024;

/// The tokens of a command.
#[derive(Default)]
pub(super) struct Tokens(Mutex<BTreeMap<String, Token>>);

struct Token {
    value: String,
    until: Instant,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// Where a token is had, and for what.
pub(super) struct Wish<'a> {
    pub realm: &'a str,
    pub service: Option<&'a str>,
    /// What the registry said that the request needs.
    pub told: Option<&'a str>,
    pub scope: &'a Scope,
}

impl Wish<'_> {
    /// What the request needs, by its own account and by the registry's.
    fn scopes(&self) -> Vec<String> {
        let mut scopes = self.scope.texts();
        for told in self.told.unwrap_or_default().split_ascii_whitespace() {
            if scopes.iter().all(|known| known != told) {
                scopes.push(told.to_owned());
            }
        }
        scopes
    }
}

impl Tokens {
    /// A token that lives, other than `refused`. Threads that want tokens wait for each other, so that each is fetched once.
    pub fn get(
        &self,
        client: &Client,
        endpoint: &Endpoint,
        wish: &Wish,
        refused: Option<&str>,
    ) -> Result<String, Error> {
        let service = wish.service.unwrap_or_default();
        let scopes = wish.scope.texts().join(" ");
        let key = format!("{} {} {service} {scopes}", endpoint.registry, wish.realm);
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.get(&key)
            && token.until > Instant::now()
            && refused != Some(&token.value)
        {
            return Ok(token.value.clone());
        }
        let asked = Instant::now();
        let (value, life) = fetch(client, endpoint, wish)?;
        let until = asked + life.mul_f32(0.9);
        let token = Token {
            value: value.clone(),
            until,
        };
        tokens.insert(key, token);
        Ok(value)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

fn fetch(client: &Client, endpoint: &Endpoint, wish: &Wish) -> Result<(String, Duration), Error> {
    let realm = place(&endpoint.registry, &endpoint.base, wish.realm)?;
    let credential = client.credential(endpoint, wish.scope)?;
    if credential.is_some() && !may_see_credentials(endpoint, &realm) {
        return Err(Error::Realm {
            registry: endpoint.registry.clone(),
            realm: shown(&realm),
        });
    }
    let scopes = wish.scopes();
    let form;
    let nothing = Scope::registry();
    let (mut request, authorization) = match &credential {
        Some(Credential::Identity(token)) => {
            form = refresh_form(token, wish.service, &scopes);
            let request = Request::new(Method::POST, realm.clone(), &nothing)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Body::Bytes(form.as_bytes()))
                .confidential();
            (request, None)
        }
        other => {
            let mut url = realm.clone();
            {
                let mut query = url.query_pairs_mut();
                query.extend_pairs(wish.service.map(|service| ("service", service)));
                query.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
            }
            let basic = other.as_ref().and_then(Credential::basic);
            (Request::new(Method::GET, url, &nothing), basic)
        }
    };
    let mut tries = Tries::new();
    let answer = loop {
        tries.count();
        let result = client.follow_as(
            client.insecure_at(endpoint, &realm),
            &mut request,
            authorization.as_deref(),
        );
        let error = match result {
            Ok(answer) if answer.is_passing() => answer.refusal(),
            Ok(answer) => break answer,
            Err(error) => error,
        };
        tries.again(error, &request.url)?;
    };
    if matches!(answer.status, 400 | 401 | 403) {
        let words = answer.words();
        return Err(client.denied(endpoint, wish.scope, credential.is_some(), words));
    }
    if !answer.is_success() {
        return Err(answer.refusal());
    }
    let fault = |what: &str| Error::Token {
        realm: shown(&realm),
        what: what.to_owned(),
    };
    let (token, life) = read(&answer.read(LIMIT)?).map_err(fault)?;
    if credential.is_some() {
        // Whoever has it may do for a while what the credentials allow.
        let what = format!("a token of the registry {}", endpoint.registry);
        client.environment().secrets.hold(&what, None, &token);
    }
    Ok((token, life))
}

/// A token and how long it lives, or what is wrong with the answer.
fn read(answer: &[u8]) -> Result<(String, Duration), &'static str> {
    // The parser's own message might quote the token.
    let answer: Answer = serde_json::from_slice(answer).map_err(|_| "the answer is not JSON of a token")?;
    let token = answer.token.filter(|t| !t.is_empty()).or(answer.access_token);
    let token = token.filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_graphic()));
    let life = answer.expires_in.unwrap_or(LIFE).min(86_400);
    Ok((token.ok_or("the answer has no token")?, Duration::from_secs(life)))
}

/// Where tokens are, as a registry at `base` says it.
fn place(registry: &str, base: &Url, realm: &str) -> Result<Url, Error> {
    let url = Url::parse(realm)
        .ok()
        .filter(|u| matches!(u.scheme(), "https" | "http") && u.has_host());
    let url = url.ok_or_else(|| Error::Token {
        realm: registry.to_owned(),
        what: "the registry names no URL".to_owned(),
    })?;
    if leads_inside(base, &url) {
        return Err(Error::InsideRealm {
            registry: registry.to_owned(),
            realm: shown(&url),
        });
    }
    Ok(url)
}

/// Tokens are had elsewhere with https (that is how Docker Hub works); without, only on the host of a registry that is
/// itself asked without encryption, or where both are this machine.
fn may_see_credentials(endpoint: &Endpoint, realm: &Url) -> bool {
    let same_host = realm.host() == endpoint.base.host();
    let in_the_clear = endpoint.base.scheme() == "http" || is_loopback(&endpoint.base);
    realm.scheme() == "https" || (same_host && in_the_clear)
}

/// > POST: grant_type=refresh_token (distribution, "Token Authentication: OAuth2")
fn refresh_form(token: &str, service: Option<&str>, scopes: &[String]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token");
    form.append_pair("service", service.unwrap_or_default());
    form.append_pair("client_id", "pyoci");
    form.append_pair("scope", &scopes.join(" "));
    form.append_pair("refresh_token", token);
    form.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_fetched_at_no_address_inside_for_a_registry_outside() {
        let base: Url = "https://203.0.113.5/".parse().unwrap();
        for realm in [
            "http://169.254.169.254/latest/?token=x",
            "https://10.0.0.1/t",
            "http://localhost:1/",
        ] {
            let error = place("r.example", &base, realm).unwrap_err().to_string();
            assert!(
                error.starts_with("r.example wants tokens to be fetched at http"),
                "{error}"
            );
            assert!(
                error.ends_with("an address of this machine or its network") && !error.contains("token=x")
            );
        }
        assert!(place("r.example", &base, "https://auth.example/token").is_ok());
        let own: Url = "http://127.0.0.1:5000/".parse().unwrap();
        assert!(place("127.0.0.1:5000", &own, "http://localhost:5001/token").is_ok());
    }
}
