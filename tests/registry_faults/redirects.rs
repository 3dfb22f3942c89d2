//! Redirects: followed to other hosts without anything that says who asks, and not for ever.

use std::net::Ipv4Addr;

use super::scene::{Scene, answer, each, password, tokens};
use crate::support::{Access, Fault, Habits, TokenAccess, When};

const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn to(place: &str, status: u16) -> Fault {
    Fault::Answer(answer(
        status,
        &[
            ("Location", place),
            ("Set-Cookie", "session=s3cret; Domain=127.0.0.2; Path=/"),
        ],
    ))
}

#[test]
fn blobs_are_had_at_another_host_without_credentials() {
    each([Access::Basic, Access::Token(TokenAccess::default())], |access| {
        for status in [301, 302, 303, 307, 308] {
            let scene = Scene::filled(Habits {
                access: access.clone(),
                ..Habits::default()
            });
            scene.log_in(password());
            let other = scene.registry.twin(ELSEWHERE);
            // Another port is another server too.
            let port = scene.registry.twin(Ipv4Addr::LOCALHOST);
            let place = |address| format!("http://{address}/v2/a/b/blobs/{}?X-Sig=a%2Fb+c==&e", scene.layer);
            let path = scene.blob_path();
            scene
                .registry
                .fault("GET", &path, When::Always, to(&place(other.address), status));
            other
                .fault("GET", &path, When::Nth(1), Fault::Truncated(50))
                .fault("GET", &path, When::Nth(1), to(&place(port.address), status));
            scene.pulls();
            for there in [&other, &port] {
                there.assert_no_credentials();
                there.assert_obeyed();
                let asked = there.requests();
                let query = asked[0].request.raw_query.as_deref();
                assert_eq!(query, Some("X-Sig=a%2Fb+c==&e"), "kept as it was spelled");
            }
            let range = port.requests()[0].request.header("range").map(str::to_owned);
            assert_eq!(range.as_deref(), Some("bytes=150000-"));
        }
    });
}

#[test]
fn manifests_are_had_elsewhere_without_credentials() {
    let scene = Scene::filled(tokens(TokenAccess::default()));
    scene.log_in(password());
    let other = scene.registry.twin(ELSEWHERE);
    let place = format!("http://{}/v2/a/b/manifests/1", other.address);
    scene
        .registry
        .fault("GET", "/manifests/", When::Always, to(&place, 307));
    scene.pulls();
    other.assert_no_credentials();
}

/// A 401 of another host is no reason to tell it anything, nor to ask for a token again.
#[test]
fn another_host_that_wants_credentials_gets_none() {
    each(
        ["Basic realm=\"x\"", "Bearer realm=\"http://127.0.0.2:1/token\""],
        |header| {
            let scene = Scene::filled(tokens(TokenAccess::default()));
            scene.log_in(password());
            let other = scene.registry.twin(ELSEWHERE);
            let place = format!("http://{}/x", other.address);
            let path = scene.blob_path();
            scene.registry.fault("GET", &path, When::Always, to(&place, 307));
            let wants = Fault::Answer(answer(401, &[("WWW-Authenticate", header)]));
            other.fault("GET", "/x", When::Always, wants);
            scene.refuses_to_pull("a/b:1");
            other.assert_no_credentials();
        },
    );
}

#[test]
fn credentials_in_a_location_are_not_used() {
    let scene = Scene::filled(Habits::default());
    let other = scene.registry.twin(ELSEWHERE);
    let place = format!("http://me:s3cret@{}/v2/a/b/blobs/{}", other.address, scene.layer);
    let path = scene.blob_path();
    scene.registry.fault("GET", &path, When::Always, to(&place, 307));
    scene.pulls();
    other.assert_no_credentials();
}

#[test]
fn a_circle_ends() {
    let scene = Scene::filled(Habits::default());
    let other = scene.registry.twin(ELSEWHERE);
    let target = format!("/v2/a/b/blobs/{}", scene.layer);
    let there = format!("http://{}{target}", other.address);
    let here = format!("http://{}{target}", scene.registry.address);
    let path = scene.blob_path();
    scene.registry.fault("GET", &path, When::Always, to(&there, 307));
    other.fault("GET", &path, When::Always, to(&here, 307));
    let error = scene.refuses_to_pull("a/b:1");
    assert!(error.contains("redirect"), "{error}");
    assert!(scene.registry.asked("GET", &scene.layer).len() <= 5);
    assert!(other.requests().len() <= 5);
}

#[test]
fn redirects_to_itself_end_for_every_request() {
    each(
        [
            ("GET", "=/v2/", "/v2/"),
            ("GET", "/manifests/", "?again"),
            ("GET", "/blobs/", ""),
            ("HEAD", "/blobs/", ""),
            ("POST", "/uploads/", ""),
            ("PUT", "/uploads/", ""),
            ("PUT", "/manifests/", ""),
        ],
        |(method, path, place)| {
            let scene = Scene::filled(Habits::default());
            scene.registry.content().repositories.clear();
            println!("{method} {path}");
            scene.registry.fault(method, path, When::Always, to(place, 307));
            if method == "GET" && path != "=/v2/" {
                scene.fill();
                scene.refuses_to_pull("a/b:1");
            } else {
                scene.refuses_to_push();
            }
        },
    );
}

/// Each place is another.
#[test]
fn a_spiral_ends() {
    let scene = Scene::filled(Habits::default());
    let path = scene.blob_path();
    for n in 1..30 {
        let place = format!("?{n}");
        scene.registry.fault("GET", &path, When::Nth(1), to(&place, 302));
    }
    let error = super::scene::clean_error(scene.pull());
    assert!(error.contains("redirect"), "{error}");
    assert!(scene.registry.asked("GET", &scene.layer).len() <= 11);
}

#[test]
fn redirects_to_nowhere_are_told() {
    each(
        [
            "file:///etc/passwd",
            "ftp://127.0.0.1/x",
            "http://",
            "http://[::1",
            "http://127.0.0.1:1/x",
            "gopher:x",
            "",
        ],
        |place| {
            let scene = Scene::filled(Habits::default());
            println!("{place}");
            let path = scene.blob_path();
            scene.registry.fault("GET", &path, When::Always, to(place, 302));
            scene.refuses_to_pull("a/b:1");
        },
    );
}

/// > 307, 308: the method and the body stay.
#[test]
fn an_upload_is_redirected_with_its_body_and_without_credentials() {
    each([307, 308], |status| {
        let scene = Scene::new(tokens(TokenAccess::default()));
        scene.log_in(password());
        let other = scene.registry.twin(ELSEWHERE);
        let place = format!("http://{}/v2/a/b/blobs/uploads/", other.address);
        scene
            .registry
            .fault("POST", "/uploads/", When::Always, to(&place, status));
        scene.pushes();
        other.assert_no_credentials();
        other.assert_obeyed();
    });
}
