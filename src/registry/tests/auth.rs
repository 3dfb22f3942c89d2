//! Credentials: asked for, renewed, and never sent where they do not belong.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{Asked, BASIC, ENTRY, Reply, Server, User, anonymous, reply};
use crate::blob::Blob;
use crate::progress::Progress;
use crate::registry::{Error, Upload};

const DOCUMENT: &[u8] = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#;

fn manifest() -> Blob {
    Blob::from_bytes("application/vnd.oci.image.manifest.v1+json", DOCUMENT.to_vec())
}

/// Gives numbered tokens.
fn tokens(answer: impl Fn(usize) -> String + Send + 'static) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |_| reply(200).body(answer(count.fetch_add(1, Ordering::SeqCst) + 1)))
}

fn challenge(realm: &str) -> String {
    format!(r#"Bearer realm="{realm}",service="reg""#)
}

/// Wants the token that `good` names, for everything.
fn guarded(realm: String, good: Arc<Mutex<String>>) -> Server {
    Server::start(move |asked| {
        let token = asked
            .header("authorization")
            .and_then(|a| a.strip_prefix("Bearer "));
        if token != Some(good.lock().unwrap().as_str()) {
            return reply(401)
                .header("www-authenticate", r#"Basic realm="x""#)
                .header("www-authenticate", challenge(&realm));
        }
        answer(asked)
    })
}

fn answer(asked: &Asked) -> Reply {
    match asked.line.split(' ').next().unwrap() {
        "GET" if asked.line.contains("/manifests/") => reply(200).body(DOCUMENT),
        "POST" => reply(202).header("location", "/upload?x=1"),
        "PATCH" => reply(202).header("location", "/upload?x=2"),
        "PUT" => reply(201),
        _ => reply(404),
    }
}

#[test]
fn tokens_are_fetched_once_for_each_scope_with_the_credentials() {
    let realm = tokens(|n| format!(r#"{{"token":"t{n}"}}"#));
    let server = guarded(
        format!("http://{}/token?own=1", realm.host),
        Arc::new(Mutex::new("t1".to_owned())),
    );
    let user = User::new(&[(&server.host, ENTRY)]);
    let client = user.client();
    for _ in 0..3 {
        client.manifest_by_tag(&server.repository("a/b"), "t").unwrap();
    }
    let asked = realm.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].line,
        "GET /token?own=1&service=reg&scope=repository%3Aa%2Fb%3Apull"
    );
    assert_eq!(asked[0].header("authorization"), Some(BASIC));
    assert!(
        server
            .asked()
            .iter()
            .all(|a| a.header("authorization") == Some("Bearer t1"))
    );
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_token_that_credentials_bought_is_held_and_an_anonymous_one_is_not() {
    const TOKEN: &str = "bought-w1th-a-password";
    for known in [true, false] {
        let realm = tokens(|_| format!(r#"{{"token":"{TOKEN}"}}"#));
        let good = Arc::new(Mutex::new(TOKEN.to_owned()));
        let server = guarded(format!("http://{}/", realm.host), good);
        let user = User::new(&[(&server.host, ENTRY)]);
        let client = if known { user.client() } else { anonymous() };
        client.manifest_by_tag(&server.repository("a"), "t").unwrap();
        let found = client.environment().secrets.check("a file", TOKEN.as_bytes());
        assert_eq!(found.is_err(), known);
    }
}

#[test]
fn a_token_that_is_refused_is_renewed_once_for_each_request() {
    for stage in ["POST", "PUT /upload", "PUT /v2/a/manifests"] {
        let realm = tokens(|n| format!(r#"{{"access_token":"t{n}","expires_in":3600}}"#));
        let good = Arc::new(Mutex::new("t1".to_owned()));
        let renewed = AtomicUsize::new(0);
        let url = format!("http://{}/", realm.host);
        let server = Server::start(move |asked| {
            let expired = asked.line.starts_with(stage) && renewed.fetch_add(1, Ordering::SeqCst) == 0;
            if expired {
                "t2".clone_into(&mut good.lock().unwrap());
            }
            let expected = format!("Bearer {}", good.lock().unwrap());
            if expired || asked.header("authorization") != Some(&expected) {
                return reply(401).header("www-authenticate", challenge(&url));
            }
            answer(asked)
        });
        let client = anonymous();
        let repository = server.repository("a");
        let progress = Progress::silent();
        let upload = client.upload(&repository, &super::server::blob(b"hello"), &progress);
        assert_eq!(upload.unwrap(), Upload::Sent, "{stage}");
        client.put_tag(&repository, &manifest(), "t").unwrap();
        assert_eq!(realm.asked().len(), 2, "{stage}");
        let last = server.asked().pop().unwrap();
        assert_eq!(
            (last.line.as_str(), &last.body[..]),
            ("PUT /v2/a/manifests/t", DOCUMENT)
        );
    }
}

#[test]
fn a_refusal_that_lasts_is_an_error_and_no_loop() {
    let realm = tokens(|n| format!(r#"{{"token":"t{n}"}}"#));
    let server = guarded(
        format!("http://{}/", realm.host),
        Arc::new(Mutex::new("none".to_owned())),
    );
    let error = anonymous()
        .manifest_by_tag(&server.repository("a"), "t")
        .unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error}");
    assert_eq!(error.hint(), Some(format!("pyoci login {}", server.host)));
    assert_eq!((server.asked().len(), realm.asked().len()), (2, 2));
}

#[test]
fn tokens_that_have_expired_are_not_sent() {
    let realm = tokens(|n| format!(r#"{{"token":"t{n}","expires_in":0}}"#));
    let url = format!("http://{}/", realm.host);
    let server = Server::start(move |asked| match asked.header("authorization") {
        Some(_) => answer(asked),
        None => reply(401).header("www-authenticate", challenge(&url)),
    });
    let client = anonymous();
    for _ in 0..2 {
        client.manifest_by_tag(&server.repository("a"), "t").unwrap();
    }
    let sent: Vec<_> = server
        .asked()
        .iter()
        .map(|a| a.header("authorization").map(str::to_owned))
        .collect();
    assert_eq!(sent, [Some("Bearer t1".to_owned()), Some("Bearer t2".to_owned())]);
}

#[test]
fn an_identity_token_is_traded() {
    let realm = tokens(|_| r#"{"access_token":"good"}"#.to_owned());
    let server = guarded(
        format!("http://{}/token", realm.host),
        Arc::new(Mutex::new("good".to_owned())),
    );
    // The same as `identitytoken`: user <token>.
    for entry in [
        r#"{"identitytoken":"id&ent"}"#,
        r#"{"username":"<token>","password":"id&ent"}"#,
    ] {
        let user = User::new(&[(&server.host, entry)]);
        let client = user.client();
        client.manifest_by_tag(&server.repository("a"), "t").unwrap();
        let asked = realm.asked().pop().unwrap();
        assert_eq!(asked.line, "POST /token");
        assert_eq!(asked.header("authorization"), None);
        let expected = "grant_type=refresh_token&service=reg&client_id=pyoci&scope=repository%3Aa%3Apull&refresh_token=id%26ent";
        assert_eq!(String::from_utf8(asked.body).unwrap(), expected);
    }
}

#[test]
fn credentials_are_not_sent_in_the_clear_to_another_host() {
    let realm = tokens(|_| r#"{"token":"good"}"#.to_owned());
    // Another name: another host.
    let url = format!("http://{}/", realm.host.replace("127.0.0.1", "localhost"));
    let server = guarded(url, Arc::new(Mutex::new("good".to_owned())));
    let user = User::new(&[(&server.host, ENTRY)]);
    let client = user.client();
    let error = client.manifest_by_tag(&server.repository("a"), "t").unwrap_err();
    assert!(matches!(error, Error::Realm { .. }), "{error}");
    assert_eq!(realm.asked().len(), 0);
    // Without credentials there is nothing to lose.
    anonymous().manifest_by_tag(&server.repository("a"), "t").unwrap();
    assert!(realm.asked().iter().all(|a| a.header("authorization").is_none()));
}

#[test]
fn an_identity_token_is_not_sent_on_by_a_redirect() {
    let other = tokens(|_| r#"{"access_token":"good"}"#.to_owned());
    for status in [307, 308] {
        let elsewhere = format!("http://{}/token", other.host);
        let realm = Server::start(move |_| reply(status).header("location", &elsewhere));
        let server = guarded(
            format!("http://{}/token", realm.host),
            Arc::new(Mutex::new("good".to_owned())),
        );
        let user = User::new(&[(&server.host, r#"{"identitytoken":"id-s3cret"}"#)]);
        let client = user.client();
        let error = client.manifest_by_tag(&server.repository("a"), "t").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("sends the credentials on to http://127.0.0.1:"),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
    assert_eq!(other.asked().len(), 0);
}

#[test]
fn realms_that_are_no_places_for_tokens_are_refused() {
    for realm in [
        "",
        "token",
        "file:///etc/passwd",
        "ftp://203.0.113.5/",
        "https://",
    ] {
        let server = guarded(realm.to_owned(), Arc::new(Mutex::new("none".to_owned())));
        let error = anonymous()
            .manifest_by_tag(&server.repository("a"), "t")
            .unwrap_err();
        assert!(
            error.to_string().contains("the registry names no URL"),
            "{realm}: {error}"
        );
    }
}

#[test]
fn passwords_go_with_each_request_to_the_registry_and_nowhere_else() {
    let other = Server::start(|_| reply(200).body(DOCUMENT));
    let elsewhere = format!("http://{}/elsewhere", other.host);
    let server = Server::start(move |asked| match asked.header("authorization") {
        Some(BASIC) if asked.line.contains("manifests/away") => reply(307).header("location", &elsewhere),
        Some(BASIC) => answer(asked),
        _ => reply(401).header("www-authenticate", r#"Basic realm="x""#),
    });
    let user = User::new(&[(&server.host, ENTRY)]);
    let client = user.client();
    client.manifest_by_tag(&server.repository("a"), "t").unwrap();
    client.manifest_by_tag(&server.repository("a"), "away").unwrap();
    assert_eq!(other.asked()[0].header("authorization"), None);
    let error = anonymous()
        .manifest_by_tag(&server.repository("a"), "t")
        .unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error}");
}

#[test]
fn nothing_of_a_token_is_in_errors() {
    for body in [
        r#"{"token": "s3cret" nonsense"#,
        r#"{"token": ["s3cret"]}"#,
        r#"{"token":"s3cret\nx"}"#,
        "{}",
    ] {
        let realm = Server::start(move |_| reply(200).body(body));
        let server = guarded(
            format!("http://{}/?s3cret=1", realm.host),
            Arc::new(Mutex::new("x".to_owned())),
        );
        let error = anonymous()
            .manifest_by_tag(&server.repository("a"), "t")
            .unwrap_err();
        assert!(matches!(error, Error::Token { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}
