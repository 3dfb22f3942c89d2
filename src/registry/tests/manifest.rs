//! Manifests: hashed whatever the headers say, of known types, within their limit; redirects and waits.

use std::time::{Duration, Instant};

use super::server::{Asked, Reply, Server, anonymous, hang_up, reply};
use crate::blob::Blob;
use crate::digest::Digest;
use crate::image::media_type::{DOCKER_MANIFEST, INDEX, MANIFEST};
use crate::registry::Error;

const DOCUMENT: &[u8] =
    br#"{"schemaVersion":2, "mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[]}"#;

fn serve(answer: impl Fn(&Asked) -> Reply + Send + 'static) -> Server {
    Server::start(move |asked| match asked.line.as_str() {
        "GET /v2/" => reply(200),
        _ => answer(asked),
    })
}

fn by_tag(server: &Server) -> Result<Blob, Error> {
    anonymous().manifest_by_tag(&server.repository("a"), "t")
}

#[test]
fn the_bytes_decide_whatever_the_registry_says() {
    let lie = Digest::of(b"other").to_string();
    let told = lie.clone();
    let server = serve(move |_| reply(200).header("docker-content-digest", &told).body(DOCUMENT));
    let client = anonymous();
    let repository = server.repository("a");
    let digest = Digest::of(DOCUMENT);
    let manifest = client.manifest_by_digest(&repository, &digest).unwrap();
    assert_eq!(manifest.read_verified(1000).unwrap(), DOCUMENT);
    let error = client
        .manifest_by_digest(&repository, &lie.parse().unwrap())
        .unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");
    let error = client.manifest_by_tag(&repository, "t").unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error}");
    let asked = server.asked();
    for media_type in [MANIFEST, INDEX, DOCKER_MANIFEST] {
        assert!(asked[0].header("accept").unwrap().contains(media_type));
    }
}

#[test]
fn a_longer_digest_is_checked_with_its_own_algorithm() {
    let mut hasher = crate::digest::Hasher::new(crate::digest::Algorithm::Sha512);
    hasher.update(DOCUMENT);
    let digest = hasher.finish();
    let server = serve(|_| reply(200).body(DOCUMENT));
    let manifest = anonymous()
        .manifest_by_digest(&server.repository("a"), &digest)
        .unwrap();
    assert_eq!(manifest.descriptor.digest, digest);
}

#[test]
fn the_type_is_the_documents_own_then_the_registrys() {
    for (content_type, document, expected) in [
        ("text/plain", DOCUMENT, Some(MANIFEST)),
        (
            DOCKER_MANIFEST,
            br#"{"schemaVersion":2,"layers":[]}"#,
            Some(DOCKER_MANIFEST),
        ),
        (
            "application/vnd.oci.image.index.v1+json; charset=utf-8",
            b"{}",
            Some(INDEX),
        ),
        ("application/octet-stream", br#"{"manifests":[]}"#, Some(INDEX)),
        ("text/html", b"{}", None),
        ("text/html", b"<html>", None),
    ] {
        let server = serve(move |_| reply(200).header("content-type", content_type).body(document));
        let media_type = by_tag(&server).ok().map(|m| m.descriptor.media_type);
        assert_eq!(media_type.as_deref(), expected, "{content_type}");
    }
    let server = serve(|_| reply(200).body(br#"{"schemaVersion":1,"fsLayers":[]}"#));
    assert!(matches!(by_tag(&server), Err(Error::Schema1 { .. })));
}

#[test]
fn a_manifest_of_more_than_four_mebibytes_is_refused() {
    let server = serve(|_| reply(200).body(vec![b' '; 4 * 1024 * 1024 + 1]));
    let error = by_tag(&server).unwrap_err();
    assert!(error.to_string().contains("larger than 4194304 bytes"), "{error}");
}

#[test]
fn a_missing_tag_names_the_reference_and_the_registrys_words() {
    let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown\nreally"}]}"#;
    let server = serve(move |_| reply(404).body(body));
    let error = by_tag(&server).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{}/a:t does not exist: manifest unknown really", server.host)
    );
    assert_eq!(
        anonymous().tag_digest(&server.repository("a"), "t").unwrap(),
        None
    );
}

#[test]
fn a_registry_is_waited_for_but_not_for_long_and_not_often() {
    for (retry_after, least, most) in [
        ("1", 1, 4),
        ("soon", 0, 3),
        ("Thu, 01 Jan 1970 00:00:03 GMT", 2, 6),
    ] {
        let server = serve(move |asked| match asked.times {
            1 => reply(429)
                .header("retry-after", retry_after)
                .header("date", "Thu, 01 Jan 1970 00:00:01 GMT"),
            _ => reply(200).body(DOCUMENT),
        });
        let start = Instant::now();
        by_tag(&server).unwrap();
        let waited = start.elapsed();
        assert!(
            waited >= Duration::from_secs(least) && waited < Duration::from_secs(most),
            "{waited:?}"
        );
    }
    let server = serve(|_| reply(503).header("retry-after", "0"));
    assert!(matches!(by_tag(&server), Err(Error::Status { status: 503, .. })));
    assert_eq!(server.asked().len(), 5);
    let server = serve(|asked| {
        if asked.times < 3 {
            hang_up()
        } else {
            reply(200).body(DOCUMENT)
        }
    });
    by_tag(&server).unwrap();
    let server = serve(|_| reply(400));
    by_tag(&server).unwrap_err();
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn redirects_end() {
    let server = serve(|asked| reply(302).header("location", asked.line.replace("GET ", "")));
    assert!(
        by_tag(&server)
            .unwrap_err()
            .to_string()
            .contains("redirects too often")
    );
    assert_eq!(server.asked().len(), 1);
    let server = serve(|asked| reply(307).header("location", format!("/v2/{}", asked.line.len())));
    assert!(by_tag(&server).is_err());
    assert!(server.asked().len() <= 10);
}

#[test]
fn the_greeting_may_fail_in_passing() {
    let server = Server::start(|asked| match (asked.line.as_str(), asked.times) {
        ("GET /v2/", 1) => hang_up(),
        ("GET /v2/", 2) => reply(503).header("retry-after", "0"),
        ("GET /v2/", _) => reply(200),
        _ => reply(200).body(DOCUMENT),
    });
    by_tag(&server).unwrap();
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn offline_and_unknown_hosts_are_told() {
    use crate::registry::{Client, Settings};
    let settings = Settings {
        offline: true,
        ..Settings::default()
    };
    let environment = super::server::User::new(&[]).environment();
    let client = Client::new(&environment, settings);
    let away: crate::reference::RegistryReference = "registry.invalid/a:1".parse().unwrap();
    let error = client.manifest_by_tag(&away.repository, "1").unwrap_err();
    assert!(matches!(error, Error::Offline { .. }), "{error}");
    let error = anonymous().manifest_by_tag(&away.repository, "1").unwrap_err();
    assert!(matches!(error, Error::Host { .. }), "{error:?}");
}
