//! Downloads that break off, and registries that do not know ranges.

use std::io::Read as _;

use super::server::{Asked, Reply, Server, anonymous, descriptor, hang_up, reply};
use crate::digest::Digest;
use crate::registry::RegistryBlob;
use crate::store::Store;

const CONTENT: &[u8] = b"0123456789abcdefghij0123456789abcdefghij";

fn download(server: &Server) -> std::io::Result<Vec<u8>> {
    let descriptor = descriptor(CONTENT);
    let blob = RegistryBlob::new(&anonymous(), &server.repository("a/b"), &descriptor, None).blob();
    blob.read_verified(1000)
}

/// Greets, and answers for the blob as it is told.
fn serve(answer: impl Fn(&Asked) -> Reply + Send + 'static) -> Server {
    Server::start(move |asked| {
        if asked.line == "GET /v2/" {
            return reply(200);
        }
        assert_eq!(asked.line, format!("GET /v2/a/b/blobs/{}", Digest::of(CONTENT)));
        assert_eq!(asked.header("accept-encoding"), Some("identity"));
        answer(asked)
    })
}

fn start(asked: &Asked) -> Option<usize> {
    let range = asked.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?;
    range.parse().ok()
}

fn part(start: usize) -> Reply {
    let range = format!("bytes {start}-{}/{}", CONTENT.len() - 1, CONTENT.len());
    reply(206).header("content-range", range).body(&CONTENT[start..])
}

#[test]
fn a_download_goes_on_where_it_broke_off() {
    for cut in [0, 1, 20, 39] {
        let server = serve(move |asked| match start(asked) {
            None if asked.times == 1 => reply(200).body(CONTENT).cut(cut),
            None => reply(200).body(CONTENT),
            Some(start) => part(start),
        });
        assert_eq!(download(&server).unwrap(), CONTENT, "{cut}");
        let asked = server.asked();
        assert_eq!(asked.len(), 2);
        assert_eq!(start(&asked[1]), (cut > 0).then_some(cut));
    }
}

#[test]
fn a_registry_that_ignores_ranges_is_read_from_the_start() {
    let server = serve(|asked| {
        let whole = reply(200).body(CONTENT);
        if asked.times == 1 { whole.cut(17) } else { whole }
    });
    assert_eq!(download(&server).unwrap(), CONTENT);
}

#[test]
fn a_range_that_was_not_asked_for_is_not_taken() {
    let wrong = [
        "bytes 3-39/40",
        "bytes 17-39/41",
        "bytes 17-40/40",
        "bytes */40",
        "nonsense",
        "",
    ];
    for range in wrong {
        let server = serve(move |asked| match start(asked) {
            None if asked.times == 1 => reply(200).body(CONTENT).cut(17),
            None => reply(200).body(CONTENT),
            Some(_) => reply(206).header("content-range", range).body(&CONTENT[3..26]),
        });
        assert_eq!(download(&server).unwrap(), CONTENT, "{range}");
        assert_eq!(server.asked().len(), 3);
    }
}

#[test]
fn what_always_breaks_off_is_tried_five_times() {
    let server = serve(|_| reply(200).body(CONTENT).cut(5));
    let error = download(&server).unwrap_err();
    assert!(error.to_string().contains("failed"), "{error}");
    assert_eq!(server.asked().len(), 5);
    let server = serve(|_| hang_up());
    download(&server).unwrap_err();
    assert_eq!(server.asked().len(), 5);
}

#[test]
fn wrong_bytes_and_wrong_sizes_are_errors() {
    let mut other = CONTENT.to_vec();
    other[39] ^= 1;
    let server = serve(move |_| reply(200).body(other.clone()));
    let error = download(&server).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
    let server = serve(|_| reply(200).body(&CONTENT[1..]));
    let error = download(&server).unwrap_err();
    assert!(error.to_string().contains("39 bytes, not 40"), "{error}");
    assert_eq!(server.asked().len(), 1);
    let server = serve(|_| reply(404));
    assert!(
        download(&server)
            .unwrap_err()
            .to_string()
            .contains("does not exist")
    );
}

#[test]
fn what_is_kept_is_downloaded_once_and_again_if_it_was_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let server = serve(|_| reply(200).body(CONTENT));
    let client = anonymous();
    let open = || {
        let repository = server.repository("a/b");
        RegistryBlob::new(&client, &repository, &descriptor(CONTENT), Some(&store)).blob()
    };
    let blob = open();
    assert_eq!(blob.content.path(), None);
    for _ in 0..2 {
        assert_eq!(blob.read_verified(100).unwrap(), CONTENT);
    }
    assert_eq!(open().read_verified(100).unwrap(), CONTENT);
    assert_eq!(server.asked().len(), 1);
    let path = blob.content.path().unwrap();
    fs_err::remove_file(path).unwrap();
    fs_err::write(path, CONTENT.to_ascii_uppercase()).unwrap();
    let mut bytes = Vec::new();
    open().open_verified().unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, CONTENT);
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_signed_place_is_not_told() {
    let store = Server::start(|_| reply(200).body(CONTENT).cut(3));
    let place = format!("http://{}/bucket?signature=s3cret", store.host);
    let server = serve(move |_| reply(307).header("location", &place));
    let error = download(&server).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    assert_eq!(store.asked().len(), 5);
    let away = "http://registry.example/bucket?signature=s3cret";
    let error = crate::http::redirect(
        &"https://r.example/".parse().unwrap(),
        ureq::http::StatusCode::FOUND,
        &[(ureq::http::header::LOCATION, away.parse().unwrap())]
            .into_iter()
            .collect(),
    );
    assert!(matches!(error, Err(crate::http::Error::Downgrade { .. })));
}
