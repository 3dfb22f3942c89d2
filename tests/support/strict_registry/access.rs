//! Whom a registry lets in: everybody, who has a password, or who has a token for what is to be done.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::Shared;
use super::wire::{Request, Response};

/// Who may do everything.
pub const USER: &str = "me";
/// That user's password; it has what Basic has to get through.
pub const PASSWORD: &str = "s3cret:with/colon+";
/// That user's identity token.
pub const IDENTITY: &str = "identity/of+me==";
/// What tokens are for.
const SERVICE: &str = "strict registry, loopback";

/// Whom a registry lets in.
#[derive(Clone)]
pub enum Access {
    /// Everybody.
    Open,
    /// Who knows the password.
    Basic,
    /// Who has a token.
    Token(TokenAccess),
}

/// How tokens are had, and how long they last.
#[derive(Clone)]
pub struct TokenAccess {
    /// Where; a path of the registry's own if there is none.
    pub realm: Option<String>,
    /// How many requests a token is good for.
    pub uses: Option<u32>,
    /// The `WWW-Authenticate` headers; `{bearer}` stands for the right challenge.
    pub challenges: Vec<&'static str>,
    /// Whether everybody may pull.
    pub public: bool,
}

impl Default for TokenAccess {
    fn default() -> Self {
        Self {
            realm: None,
            uses: None,
            challenges: vec!["{bearer}"],
            public: false,
        }
    }
}

/// The tokens that were given: for which scopes, and how often they may still be used.
#[derive(Default)]
pub struct Tokens {
    known: BTreeMap<String, (Vec<String>, Option<u32>)>,
}

/// `repository:NAME:ACTION`, one of each that a request needs.
type Scopes = Vec<(String, &'static str)>;

impl Shared {
    /// The refusal, unless the request may be done.
    pub(super) fn refusal(&self, request: &Request, repository: &str) -> Option<Response> {
        match &self.habits.access {
            Access::Open => None,
            Access::Basic if is_me(request) => None,
            Access::Basic => {
                Some(denied().header("WWW-Authenticate", "Basic realm=\"strict\", charset=\"UTF-8\""))
            }
            Access::Token(access) => {
                let needed = needed(request, repository);
                if self.tokens.lock().unwrap().admit(request, &needed) {
                    return None;
                }
                let bearer = self.bearer(access, &needed);
                let challenges = access.challenges.iter().map(|c| c.replace("{bearer}", &bearer));
                Some(challenges.fold(denied(), |r, c| r.header("WWW-Authenticate", c)))
            }
        }
    }

    fn bearer(&self, access: &TokenAccess, needed: &Scopes) -> String {
        let realm = access.realm.clone().unwrap_or_else(|| own_realm(self.address));
        let scopes: Vec<_> = needed
            .iter()
            .map(|(r, a)| format!("repository:{r}:{a}"))
            .collect();
        let mut text = format!("Bearer realm=\"{realm}\",service=\"{SERVICE}\"");
        if !scopes.is_empty() {
            text.push_str(",scope=\"");
            text.push_str(&scopes.join(" "));
            text.push('"');
        }
        text
    }

    /// Gives a token, as the distribution token specification says.
    pub(super) fn token(&self, request: &Request) -> Response {
        let Access::Token(access) = &self.habits.access else {
            return Response::new(404);
        };
        let posted = Request {
            raw_query: Some(String::from_utf8_lossy(&request.body).into_owned()),
            ..request.clone()
        };
        let asked = match request.method.as_str() {
            "GET" => request,
            "POST" => &posted,
            _ => return Response::new(405),
        };
        if asked.query("service").as_deref() != Some(SERVICE) {
            return super::answer::broken(400, "DENIED", "the service is another");
        }
        let me = match request.method.as_str() {
            "GET" => request.header("authorization").is_some().then(|| is_me(request)),
            _ => Some(is_mine(request, &posted)),
        };
        if me == Some(false) || (me.is_none() && !access.public) {
            return denied();
        }
        let mut granted = Vec::new();
        for (_, scopes) in asked.parameters().filter(|(name, _)| name == "scope") {
            for scope in scopes.split_whitespace() {
                let (resource, actions) = scope.rsplit_once(':').unwrap_or_default();
                let allowed = |action: &&str| me == Some(true) || *action == "pull";
                let actions = actions.split(',').filter(allowed);
                granted.extend(actions.map(|action| format!("{resource}:{action}")));
            }
        }
        let token = self.tokens.lock().unwrap().give(granted, access.uses);
        // What both variants of the specification call it.
        let name = if request.method == "POST" {
            "access_token"
        } else {
            "token"
        };
        let answer = json!({ name: token, "expires_in": 300 }).to_string();
        Response::new(200)
            .header("Content-Type", "application/json")
            .body(answer)
    }
}

impl Tokens {
    fn give(&mut self, scopes: Vec<String>, uses: Option<u32>) -> String {
        let token = format!("token-{}", self.known.len() + 1);
        self.known.insert(token.clone(), (scopes, uses));
        token
    }

    fn admit(&mut self, request: &Request, needed: &Scopes) -> bool {
        let header = request.header("authorization").unwrap_or_default();
        let token = header.strip_prefix("Bearer ").unwrap_or_default();
        let Some((scopes, uses)) = self.known.get_mut(token) else {
            return false;
        };
        if *uses == Some(0) {
            return false;
        }
        let granted = |(repository, action): &(String, &str)| {
            scopes.contains(&format!("repository:{repository}:{action}"))
        };
        if !needed.iter().all(granted) {
            return false;
        }
        *uses = uses.map(|uses| uses - 1);
        true
    }
}

/// Where a registry gives tokens.
fn own_realm(address: SocketAddr) -> String {
    format!("http://{address}/token")
}

fn needed(request: &Request, repository: &str) -> Scopes {
    if repository.is_empty() {
        return Vec::new();
    }
    let action = match request.method.as_str() {
        "GET" | "HEAD" if !request.path.contains("/blobs/uploads/") => "pull",
        _ => "push",
    };
    let mut scopes = vec![(repository.to_owned(), action)];
    scopes.extend(request.query("from").map(|from| (from, "pull")));
    scopes
}

fn is_me(request: &Request) -> bool {
    let right = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    request.header("authorization") == Some(&format!("Basic {right}"))
}

/// > POST: application/x-www-form-urlencoded; grant_type, service, client_id, refresh_token
fn is_mine(request: &Request, form: &Request) -> bool {
    request.header("content-type") == Some("application/x-www-form-urlencoded")
        && form.query("grant_type").as_deref() == Some("refresh_token")
        && form.query("refresh_token").as_deref() == Some(IDENTITY)
        && form.query("client_id").is_some_and(|id| !id.is_empty())
}

fn denied() -> Response {
    super::answer::error(401, "UNAUTHORIZED", "who are you?").header("Set-Cookie", "session=s3cret; Path=/")
}
