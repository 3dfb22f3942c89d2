//! Uploads: known blobs are not sent, neighbours' are mounted, the rest arrives whole or is an error.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{Asked, BASIC, ENTRY, Reply, Server, User, anonymous, blob, hang_up, reply};
use crate::blob::{Blob, Open};
use crate::digest::Digest;
use crate::progress::Progress;
use crate::reference::Repository;
use crate::registry::{Error, Upload};

const CONTENT: &[u8] = b"some content";
const UPLOADS: &str = "POST /v2/a/blobs/uploads/";

fn upload(server: &Server, blob: &Blob) -> Result<Upload, Error> {
    anonymous().upload(&server.repository("a"), blob, &Progress::silent())
}

fn finish(location: &str) -> String {
    format!("PUT {location}digest={}", Digest::of(CONTENT))
}

#[test]
fn a_known_blob_is_not_sent() {
    let server = Server::start(|_| reply(200));
    assert_eq!(upload(&server, &blob(CONTENT)).unwrap(), Upload::Existing);
    assert_eq!(
        server.lines(),
        [format!("HEAD /v2/a/blobs/{}", Digest::of(CONTENT))]
    );
}

#[test]
fn an_upload_goes_where_the_registry_says() {
    for (location, expected) in [
        ("/up?_state=a%3D=&b", "/up?_state=a%3D=&b&"),
        ("session", "/v2/a/blobs/uploads/session?"),
        ("http://HOST/abs?", "/abs?"),
    ] {
        let server = Server::start(move |asked| match asked.line.as_str() {
            UPLOADS => {
                let host = asked.header("host").unwrap();
                reply(202).header("location", location.replace("HOST", host))
            }
            line if line.starts_with("PUT ") => reply(201),
            _ => reply(404),
        });
        assert_eq!(upload(&server, &blob(CONTENT)).unwrap(), Upload::Sent);
        let put = server.asked().pop().unwrap();
        assert_eq!((put.line.clone(), &put.body[..]), (finish(expected), CONTENT));
        assert_eq!(put.header("content-type"), Some("application/octet-stream"));
        assert_eq!(put.header("content-length"), Some("12"));
    }
}

#[test]
fn another_host_gets_the_bytes_and_not_the_password() {
    let other = Server::start(|_| reply(201));
    let location = format!("http://{}/bucket?signed=1", other.host);
    let server = Server::start(move |asked| match asked.header("authorization") {
        Some(BASIC) if asked.line == UPLOADS => reply(202).header("location", &location),
        Some(BASIC) => reply(404),
        _ => reply(401).header("www-authenticate", "Basic"),
    });
    let user = User::new(&[(&server.host, ENTRY)]);
    let client = user.client();
    client
        .upload(&server.repository("a"), &blob(CONTENT), &Progress::silent())
        .unwrap();
    let put = other.asked().pop().unwrap();
    assert_eq!((put.header("authorization"), &put.body[..]), (None, CONTENT));
}

#[derive(Debug)]
struct Elsewhere(Repository);

impl Open for Elsewhere {
    fn open(&self) -> std::io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(CONTENT))
    }

    fn repository(&self) -> Option<&Repository> {
        Some(&self.0)
    }
}

#[test]
fn a_neighbours_blob_is_mounted_or_else_sent_in_the_upload_that_was_begun() {
    let mount = format!("{UPLOADS}?mount={}&from=b%2Fc", Digest::of(CONTENT)).replace("sha256:", "sha256%3A");
    for (status, expected, posts) in [
        (201, Upload::Mounted, 1),
        (202, Upload::Sent, 1),
        (403, Upload::Sent, 2),
    ] {
        let expected_line = mount.clone();
        let server = Server::start(move |asked| match asked.line.as_str() {
            line if line == expected_line => reply(status).header("location", "/up"),
            UPLOADS => reply(202).header("location", "/up"),
            line if line.starts_with("PUT /up?digest=") => reply(201),
            _ => reply(404),
        });
        let blob = Blob {
            content: Arc::new(Elsewhere(server.repository("b/c"))),
            ..blob(CONTENT)
        };
        assert_eq!(upload(&server, &blob).unwrap(), expected);
        let begun = server.lines().iter().filter(|l| l.starts_with("POST")).count();
        assert_eq!(begun, posts, "{status}");
    }
}

#[test]
fn an_answer_that_is_lost_after_the_whole_body_is_found_out() {
    let server = Server::start(|asked| match asked.line.as_str() {
        line if line.starts_with("HEAD") && asked.times > 1 => reply(200),
        UPLOADS => reply(202).header("location", "/up"),
        line if line.starts_with("PUT") => hang_up(),
        _ => reply(404),
    });
    assert_eq!(upload(&server, &blob(CONTENT)).unwrap(), Upload::Sent);
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn an_upload_is_begun_anew_at_most_five_times() {
    for refusal in [hang_up(), reply(500).header("retry-after", "0"), reply(404)] {
        let server = Server::start(move |asked| match asked.line.as_str() {
            UPLOADS => reply(202).header("location", format!("/up/{}", asked.times)),
            line if line.starts_with("PUT") => refusal.clone(),
            _ => reply(404),
        });
        upload(&server, &blob(CONTENT)).unwrap_err();
        let count = |method: &str| server.lines().iter().filter(|l| l.starts_with(method)).count();
        assert_eq!((count("POST"), count("PUT")), (5, 5));
    }
    let server = Server::start(|asked| match asked.line.as_str() {
        UPLOADS => reply(503).header("retry-after", "0"),
        _ => reply(404),
    });
    upload(&server, &blob(CONTENT)).unwrap_err();
    assert_eq!(server.lines().iter().filter(|l| l.starts_with("POST")).count(), 5);
}

#[test]
fn wrong_bytes_are_not_sent_whole_and_not_again() {
    let server = Server::start(|asked| match asked.line.as_str() {
        UPLOADS => reply(202).header("location", "/up"),
        _ => reply(404),
    });
    let wrong = Blob {
        content: blob(b"Some content").content,
        ..blob(CONTENT)
    };
    let error = upload(&server, &wrong).unwrap_err();
    assert!(matches!(error, Error::Content { .. }), "{error}");
    assert!(!server.lines().iter().any(|l| l.starts_with("PUT")));
    assert_eq!(server.lines().iter().filter(|l| l.starts_with("POST")).count(), 1);
}

#[test]
fn a_registry_that_stored_something_else_is_found_out() {
    let server = Server::start(|asked| match asked.line.as_str() {
        UPLOADS => reply(202).header("location", "/up"),
        line if line.starts_with("PUT") => {
            reply(201).header("docker-content-digest", Digest::of(b"").to_string())
        }
        _ => reply(404),
    });
    let error = upload(&server, &blob(CONTENT)).unwrap_err();
    assert!(matches!(error, Error::Answer { .. }), "{error}");
    let manifest = Blob::from_bytes(crate::image::MANIFEST, b"{}".to_vec());
    let error = anonymous()
        .put_manifest(&server.repository("a"), &manifest)
        .unwrap_err();
    assert!(matches!(error, Error::Answer { .. }), "{error}");
}

#[test]
fn an_upload_without_a_place_to_go_on_is_an_error() {
    for location in ["", "ftp://x/", "http://"] {
        let server = Server::start(move |asked| match asked.line.as_str() {
            UPLOADS if location.is_empty() => reply(202),
            UPLOADS => reply(202).header("location", location),
            _ => reply(404),
        });
        let error = upload(&server, &blob(CONTENT)).unwrap_err();
        assert!(matches!(error, Error::Answer { .. }), "{location} {error}");
    }
}

/// Twenty megabytes, which the registry asks for in pieces of at least nine; `fault` comes before what is right.
fn pieces(fault: impl Fn(&Asked, usize) -> Option<Reply> + Send + 'static) -> (Server, Blob) {
    let bytes: Vec<u8> = (0..20_000_000_u32)
        .map(|i| (i ^ (i >> 9)).to_le_bytes()[0])
        .collect();
    let have = AtomicUsize::new(0);
    let server = Server::start(move |asked| {
        if let Some(reply) = fault(asked, have.load(Ordering::SeqCst)) {
            return reply;
        }
        let status = |status| {
            let have = have.load(Ordering::SeqCst);
            let next = format!("/up?at={have}");
            reply(status)
                .header("location", next)
                .header("range", format!("0-{}", have.max(1) - 1))
        };
        match asked.line.split(' ').next().unwrap() {
            "POST" => reply(202)
                .header("location", "/up?at=0")
                .header("oci-chunk-min-length", "9000000"),
            "PATCH" => {
                let (start, end) = asked.header("content-range").unwrap().split_once('-').unwrap();
                let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
                assert_eq!(asked.body.len(), end + 1 - start);
                if start != have.load(Ordering::SeqCst) {
                    return reply(416);
                }
                have.store(end + 1, Ordering::SeqCst);
                status(202)
            }
            "GET" if asked.line.starts_with("GET /up") => status(204),
            "PUT" => reply(if have.load(Ordering::SeqCst) == 20_000_000 {
                201
            } else {
                400
            }),
            "GET" => reply(200),
            _ => reply(404),
        }
    });
    (server, blob(&bytes))
}

fn sent(server: &Server) -> Vec<String> {
    let patches = server.asked().into_iter().filter(|a| a.line.starts_with("PATCH"));
    patches
        .map(|a| a.header("content-range").unwrap().to_owned())
        .collect()
}

#[test]
fn pieces_follow_each_other() {
    let (server, blob) = pieces(|_, _| None);
    assert_eq!(upload(&server, &blob).unwrap(), Upload::Sent);
    assert_eq!(
        sent(&server),
        ["0-8999999", "9000000-17999999", "18000000-19999999"]
    );
    let put = server.asked().pop().unwrap();
    assert_eq!(
        put.line,
        format!("PUT /up?at=20000000&digest={}", blob.descriptor.digest)
    );
}

#[test]
fn a_piece_that_breaks_is_gone_on_with_from_where_the_registry_stands() {
    let (server, blob) = pieces(|asked, have| {
        // Broken once, after all of the first piece and again within the second.
        let first = asked.line == "PATCH /up?at=9000000" && asked.times == 1 && have == 9_000_000;
        first.then(hang_up)
    });
    assert_eq!(upload(&server, &blob).unwrap(), Upload::Sent);
    let second = "9000000-17999999";
    assert_eq!(sent(&server), ["0-8999999", second, second, "18000000-19999999"]);
}

#[test]
fn a_registry_that_took_less_is_obeyed() {
    let (server, blob) = pieces(|asked, have| {
        let first = asked.line.starts_with("PATCH") && have == 0 && asked.body.len() > 5_000_000;
        first.then(|| reply(202).header("location", "/up?at=0").header("range", "0-0"))
    });
    let error = upload(&server, &blob).unwrap_err();
    assert!(matches!(error, Error::Answer { .. }), "{error}");
    assert_eq!(sent(&server).len(), 5);
}
