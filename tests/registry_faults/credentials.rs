//! Who asks: passwords, tokens and identity tokens, wherever in a push they are asked for, and for nobody else's eyes.

use std::net::Ipv4Addr;

use serde_json::json;

use super::scene::{Scene, answer, clean_error, each, password, tokens};
use crate::support::{Access, Fault, Habits, IDENTITY, Location, StrictRegistry, TokenAccess, When};

#[test]
fn a_password_is_sent_where_it_is_asked_for() {
    let scene = Scene::new(Habits {
        access: Access::Basic,
        ..Habits::default()
    });
    scene.log_in(password());
    scene.pushes();
    scene.pulls();
    let first = &scene.registry.requests()[0];
    assert_eq!(first.request.header("authorization"), None, "{first:?}");
}

#[test]
fn tokens_are_had_for_what_is_done() {
    let scene = Scene::new(tokens(TokenAccess::default()));
    scene.log_in(password());
    scene.pushes();
    let asked = scene.registry.asked("GET", "/token");
    assert_eq!(asked.len(), 1, "one token for one repository: {asked:?}");
    scene.pulls();
    for recorded in scene.registry.requests() {
        let shown = recorded.request.header("authorization").unwrap_or_default();
        let expected = if recorded.request.path == "/token" {
            "Basic "
        } else {
            ""
        };
        let bearer = shown.is_empty() || shown.starts_with("Bearer ");
        assert!(
            bearer || shown.starts_with(expected) && !expected.is_empty(),
            "{recorded:?}"
        );
    }
}

/// Tokens that end at any moment: each is good for so many requests, whatever those are.
#[test]
fn tokens_that_expire_in_mid_push_are_renewed() {
    each([3, 4, 5, 6], |uses| {
        let scene = Scene::new(tokens(TokenAccess {
            uses: Some(uses),
            ..TokenAccess::default()
        }));
        scene.log_in(password());
        scene.pushes();
        scene.pulls();
        let asked = scene.registry.asked("GET", "/token").len();
        assert!(asked > 2, "{uses}: {asked}");
    });
}

#[test]
fn a_401_at_any_step_is_answered_with_a_new_token_and_the_whole_body() {
    each(
        [
            ("HEAD", "/blobs/sha256", None),
            ("POST", "/blobs/uploads/", None),
            ("PUT", "/blobs/uploads/", None),
            ("PATCH", "/blobs/uploads/", Some(1)),
            ("PUT", "/blobs/uploads/", Some(1)),
            ("PUT", "/manifests/", None),
        ],
        |(method, path, piece)| {
            let scene = Scene::new(Habits {
                piece,
                ..tokens(TokenAccess::default())
            });
            scene.log_in(password());
            let realm = format!("http://{}/token", scene.registry.address);
            let challenge = format!(
                "Bearer realm=\"{realm}\",service=\"strict registry, loopback\",error=\"invalid_token\""
            );
            let refusal = answer(401, &[("WWW-Authenticate", &challenge)]);
            scene
                .registry
                .fault(method, path, When::Nth(1), Fault::Answer(refusal));
            scene.pushes();
            let tokens = scene.registry.asked("GET", "/token").len();
            assert!(tokens >= 2, "{method} {path}: {tokens}");
        },
    );
}

#[test]
fn a_401_that_stays_is_told() {
    each(
        [
            ("POST", "/blobs/uploads/"),
            ("PUT", "/blobs/uploads/"),
            ("PUT", "/manifests/"),
        ],
        |(method, path)| {
            let scene = Scene::new(tokens(TokenAccess::default()));
            scene.log_in(password());
            let refusal = answer(401, &[]);
            scene
                .registry
                .fault(method, path, When::Always, Fault::Answer(refusal));
            let error = scene.refuses_to_push();
            let hint = format!("hint: pyoci login {}", scene.registry.address);
            assert!(error.contains(&hint), "{error}");
        },
    );
}

#[test]
fn the_right_challenge_is_found_among_several() {
    each(
        [
            &["Negotiate", "{bearer}"][..],
            &["{bearer}, Basic realm=\"x\""],
            &["Basic realm=\"a, Bearer realm=b\", {bearer}"],
            &[
                "Digest qop=\"auth, auth-int\", nonce=\"a\\\"b\", algorithm=MD5",
                "basic Realm=x",
                "{bearer}",
            ],
            &["NTLM TlRMTVNTUAAB==, {bearer}"],
            &["{bearer}", "Basic realm=\"x\""],
        ],
        |challenges| {
            let scene = Scene::new(tokens(TokenAccess {
                challenges: challenges.to_vec(),
                ..TokenAccess::default()
            }));
            scene.log_in(password());
            println!("{challenges:?}");
            scene.pushes();
        },
    );
}

#[test]
fn identity_tokens_become_tokens_and_go_to_the_realm_only() {
    let scene = Scene::new(tokens(TokenAccess {
        uses: Some(5),
        ..TokenAccess::default()
    }));
    scene.log_in(json!({ "identitytoken": IDENTITY }));
    scene.pushes();
    scene.pulls();
    assert!(scene.registry.asked("POST", "/token").len() > 1);
    for recorded in scene.registry.requests() {
        let request = &recorded.request;
        let header = request.header("authorization").unwrap_or_default();
        assert!(
            !header.contains("Basic") && !header.contains(IDENTITY),
            "{recorded:?}"
        );
        assert!(!request.target().contains("identity"), "{recorded:?}");
    }
}

#[test]
fn wrong_credentials_are_told_with_what_to_do() {
    each([Access::Basic, Access::Token(TokenAccess::default())], |access| {
        for entry in [
            json!({ "username": "me", "password": "another" }),
            json!({ "identitytoken": "another" }),
            json!({}),
        ] {
            let scene = Scene::new(Habits {
                access: access.clone(),
                ..Habits::default()
            });
            scene.log_in(entry.clone());
            let error = scene.refuses_to_push();
            let hint = format!("hint: pyoci login {}", scene.registry.address);
            assert!(error.contains(&hint), "{entry} {error}");
            assert!(!error.contains("another"), "{error}");
            let sent = scene.registry.asked("POST", "/uploads/").len();
            let asked = scene.registry.requests().len();
            assert!(asked <= 12 && sent <= 4, "{:#?}", scene.registry.requests());
        }
    });
}

#[test]
fn what_is_public_needs_no_credentials() {
    let scene = Scene::filled(tokens(TokenAccess {
        public: true,
        ..TokenAccess::default()
    }));
    scene.pulls();
    scene.registry.forget();
    let error = clean_error(scene.push());
    assert!(error.contains("hint: pyoci login"), "{error}");
    scene.registry.assert_obeyed();
}

#[test]
fn a_realm_on_another_host_without_encryption_gets_no_credentials() {
    each([password(), json!({ "identitytoken": IDENTITY })], |entry| {
        let other = StrictRegistry::with(Habits {
            host: Ipv4Addr::new(127, 0, 0, 2),
            ..tokens(TokenAccess::default())
        });
        let scene = Scene::filled(tokens(TokenAccess {
            realm: Some(format!("http://{}/token", other.address)),
            ..TokenAccess::default()
        }));
        scene.log_in(entry);
        let error = scene.refuses_to_pull("a/b:1");
        assert!(error.contains(&other.address.to_string()), "{error}");
        other.assert_no_credentials();
    });
}

#[test]
fn a_realm_that_is_none_is_told() {
    each(
        [
            "",
            "file:///etc/passwd",
            "/token",
            "http://",
            "ftp://127.0.0.1/token",
        ],
        |realm| {
            let scene = Scene::filled(tokens(TokenAccess {
                realm: Some(realm.to_owned()),
                ..TokenAccess::default()
            }));
            scene.log_in(password());
            scene.refuses_to_pull("a/b:1");
        },
    );
}

/// What the realm answers is not trusted.
#[test]
fn answers_that_are_no_tokens_are_told() {
    let mut answers: Vec<_> = [
        "",
        "{}",
        "[]",
        "token-x",
        r#"{"token":""}"#,
        r#"{"token":"a\r\nX: y"}"#,
        r#"{"token":1}"#,
        r#"{"token":"token-x","expires_in":-5}"#,
    ]
    .map(|body| answer(200, &[]).body(body))
    .into();
    answers.push(answer(200, &[]).body(vec![b' '; 3_000_000]));
    answers.extend([404, 400, 403, 302].map(|status| answer(status, &[])));
    each(answers, |response| {
        let scene = Scene::filled(tokens(TokenAccess::default()));
        scene.log_in(password());
        scene
            .registry
            .fault("GET", "=/token", When::Always, Fault::Answer(response));
        scene.refuses_to_pull("a/b:1");
    });
}

#[test]
fn a_redirect_of_the_realm_takes_no_password_along() {
    let scene = Scene::filled(tokens(TokenAccess::default()));
    scene.log_in(password());
    let other = scene.registry.twin(Ipv4Addr::new(127, 0, 0, 2));
    let there = format!("http://{}/token", other.address);
    let redirect = answer(307, &[("Location", &there)]);
    scene
        .registry
        .fault("GET", "=/token", When::Always, Fault::Answer(redirect));
    scene.refuses_to_pull("a/b:1");
    other.assert_no_credentials();
}

#[test]
fn an_upload_that_goes_on_elsewhere_takes_no_credentials_there() {
    each([Access::Basic, Access::Token(TokenAccess::default())], |access| {
        for piece in [None, Some(1)] {
            let storage = StrictRegistry::with(Habits {
                host: Ipv4Addr::new(127, 0, 0, 2),
                piece,
                ..Habits::default()
            });
            let scene = Scene::before(
                &storage,
                Habits {
                    access: access.clone(),
                    piece,
                    location: Location::Elsewhere(storage.address),
                    ..Habits::default()
                },
            );
            scene.log_in(password());
            scene.pushes();
            storage.assert_obeyed();
            storage.assert_no_credentials();
            assert_eq!(storage.asked("PUT", "/blobs/uploads/").len(), 2);
        }
    });
}
