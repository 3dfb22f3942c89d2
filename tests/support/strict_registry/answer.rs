//! What a registry answers: distribution-spec 1.1, pull and push.

use std::sync::MutexGuard;

use pyoci::digest::{Algorithm, Digest};
use serde_json::{Value, json};

use super::wire::{Request, Response};
use super::{Content, Location, Shared};

/// > a 4 megabyte limit … SHOULD
const MANIFEST_LIMIT: usize = 4 * 1024 * 1024;

/// An error as the spec wants it told.
pub fn error(status: u16, code: &str, message: &str) -> Response {
    let body = json!({ "errors": [{ "code": code, "message": message, "detail": {} }] });
    Response::new(status)
        .header("Content-Type", "application/json; charset=utf-8")
        .body(body.to_string())
}

/// The same, for what no client should do.
pub fn broken(status: u16, code: &str, message: &str) -> Response {
    Response {
        violation: Some(format!("{code}: {message}")),
        ..error(status, code, message)
    }
}

impl Shared {
    pub(super) fn answer(&self, request: &Request, ranges: bool) -> Response {
        if request.header("host") != Some(&self.address.to_string()) {
            return broken(400, "UNSUPPORTED", "this is another host");
        }
        let sends = matches!(request.method.as_str(), "POST" | "PUT" | "PATCH");
        if sends && request.length().is_none() {
            return broken(411, "SIZE_INVALID", "no Content-Length");
        }
        if request.path == "/token" {
            return self.token(request);
        }
        let Some(path) = request.path.strip_prefix("/v2/") else {
            return broken(404, "UNSUPPORTED", "no such path");
        };
        let (name, kind, rest) = ["/blobs/uploads/", "/blobs/", "/manifests/"]
            .iter()
            .find_map(|kind| path.split_once(kind).map(|(name, rest)| (name, *kind, rest)))
            .unwrap_or((path, "", ""));
        if let Some(refusal) = self.refusal(request, name) {
            return refusal;
        }
        match (request.method.as_str(), kind) {
            ("GET", "") if path.is_empty() => Response::new(200).body("{}"),
            ("GET" | "HEAD", "/blobs/") => self.blob(request, name, rest, ranges),
            ("GET" | "HEAD", "/manifests/") => self.manifest(request, name, rest),
            ("PUT", "/manifests/") => self.put_manifest(request, name, rest),
            ("POST", "/blobs/uploads/") if rest.is_empty() => self.begin(request, name),
            ("PATCH" | "PUT" | "GET", "/blobs/uploads/") => self.session(request, name, rest),
            _ => broken(405, "UNSUPPORTED", "no such method here"),
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }

    fn blob(&self, request: &Request, name: &str, digest: &str, ranges: bool) -> Response {
        let mut content = self.content();
        let Some(bytes) = content.repository(name).blobs.get(digest) else {
            return error(404, "BLOB_UNKNOWN", "there is no such blob");
        };
        let response = Response::new(200)
            .header("Content-Type", "application/octet-stream")
            .header("Docker-Content-Digest", digest);
        let range = request.header("range").filter(|_| ranges);
        let Some(range) = range else {
            return response.body(bytes.clone());
        };
        let bounds = range.strip_prefix("bytes=").and_then(|r| r.split_once('-'));
        let (start, end) = bounds.unwrap_or_default();
        let end = if end.is_empty() {
            Ok(bytes.len() - 1)
        } else {
            end.parse()
        };
        match (start.parse::<usize>(), end) {
            (Ok(start), Ok(end)) if start <= end && end < bytes.len() => Response {
                status: 206,
                ..response
                    .header("Content-Range", format!("bytes {start}-{end}/{}", bytes.len()))
                    .body(&bytes[start..=end])
            },
            _ => broken(416, "SIZE_INVALID", "no such range")
                .header("Content-Range", format!("bytes */{}", bytes.len())),
        }
    }

    fn manifest(&self, request: &Request, name: &str, reference: &str) -> Response {
        let mut content = self.content();
        let repository = content.repository(name);
        let digest = repository.tags.get(reference).map_or(reference, String::as_str);
        let Some((media_type, bytes)) = repository.manifests.get(digest) else {
            return error(404, "MANIFEST_UNKNOWN", "there is no such manifest");
        };
        // > The client SHOULD include an Accept header indicating which manifest content types it supports.
        let accepted = request.headers.iter().filter(|(name, _)| name == "accept");
        let mut accepted = accepted.flat_map(|(_, value)| value.split(','));
        if !accepted.any(|value| value.trim() == media_type) {
            return broken(404, "MANIFEST_UNKNOWN", "the client does not accept its type");
        }
        Response::new(200)
            .header("Content-Type", media_type)
            .header("Docker-Content-Digest", digest)
            .body(bytes.clone())
    }

    fn put_manifest(&self, request: &Request, name: &str, reference: &str) -> Response {
        let invalid = |message: &str| broken(400, "MANIFEST_INVALID", message);
        if request.body.len() > MANIFEST_LIMIT {
            return broken(413, "SIZE_INVALID", "the manifest is too large");
        }
        let Ok(document) = serde_json::from_slice::<Value>(&request.body) else {
            return invalid("not JSON");
        };
        let media_type = request.header("content-type").unwrap_or_default();
        // > The MediaType in the manifest SHOULD match Content-Type.
        if document["mediaType"]
            .as_str()
            .is_some_and(|own| own != media_type)
            || media_type.is_empty()
        {
            return invalid("Content-Type is not its type");
        }
        let digest = Digest::of(&request.body).to_string();
        if reference.contains(':') && reference != digest {
            return broken(400, "DIGEST_INVALID", "the digest is another");
        }
        let mut content = self.content();
        let repository = content.repository(name);
        let list = |field: &str| document[field].as_array().cloned().unwrap_or_default();
        let mut blobs = list("layers");
        blobs.extend(document.get("config").cloned());
        let of = |descriptor: &Value| descriptor["digest"].as_str().unwrap_or_default().to_owned();
        let mut missing = blobs.iter().map(of).filter(|d| !repository.blobs.contains_key(d));
        if let Some(missing) = missing.next() {
            return broken(400, "MANIFEST_BLOB_UNKNOWN", &missing);
        }
        let manifests = list("manifests");
        let mut missing = manifests
            .iter()
            .map(of)
            .filter(|d| !repository.manifests.contains_key(d));
        if let Some(missing) = missing.next() {
            return broken(404, "MANIFEST_UNKNOWN", &missing);
        }
        let held = (media_type.to_owned(), request.body.clone());
        repository.manifests.insert(digest.clone(), held);
        if !reference.contains(':') {
            repository.tags.insert(reference.to_owned(), digest.clone());
        }
        Response::new(201)
            .header("Location", format!("/v2/{name}/manifests/{digest}"))
            .header("Docker-Content-Digest", digest)
    }

    fn begin(&self, request: &Request, name: &str) -> Response {
        if !request.body.is_empty() {
            return broken(400, "SIZE_INVALID", "a body at POST");
        }
        let mut content = self.content();
        let mut names = request.parameters().map(|(name, _)| name).collect::<Vec<_>>();
        names.sort();
        match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => {}
            ["from", "mount"] => {
                let (digest, from) = (request.query("mount").unwrap(), request.query("from").unwrap());
                let found = content.repository(&from).blobs.get(&digest).cloned();
                if let Some(bytes) = found.filter(|_| self.habits.mounts) {
                    content.add_blob(name, &bytes);
                    return Response::new(201)
                        .header("Location", format!("/v2/{name}/blobs/{digest}"))
                        .header("Docker-Content-Digest", digest);
                }
            }
            _ => return broken(400, "UNSUPPORTED", "a query that is not known"),
        }
        let id = content.begin(name);
        let place = content.next_place(&id);
        let response = Response::new(202)
            .header("Location", self.place(&place))
            .header("Docker-Upload-UUID", id);
        match self.habits.piece {
            Some(least) => response.header("OCI-Chunk-Min-Length", least.to_string()),
            None => response,
        }
    }

    /// Where an upload goes on, as this registry says it.
    fn place(&self, place: &str) -> String {
        match self.habits.location {
            Location::Relative => place.to_owned(),
            Location::Absolute => format!("http://{}{place}", self.address),
            Location::Elsewhere(address) => format!("http://{address}{place}"),
        }
    }

    fn session(&self, request: &Request, name: &str, id: &str) -> Response {
        let mut content = self.content();
        let state = request.raw_parameter("_state").unwrap_or_default();
        let known = content.sessions.get(id);
        let Some(session) = known.filter(|session| session.repository == name) else {
            return error(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload");
        };
        let mut bare = request.raw_query.clone().unwrap_or_default();
        if let Some((rest, digest)) = bare.rsplit_once("&digest=")
            && !digest.contains('&')
        {
            bare = rest.to_owned();
        }
        if bare != format!("z=1&_state={state}&a=") {
            return broken(
                400,
                "BLOB_UPLOAD_INVALID",
                "the query is not that of the Location",
            );
        }
        if request.method != "GET" && state != session.state {
            return error(404, "BLOB_UPLOAD_UNKNOWN", "the upload has gone on meanwhile");
        }
        match request.method.as_str() {
            "GET" => self.taken(&mut content, id, 204),
            "PATCH" => self.piece(request, &mut content, id),
            _ => Self::finish(request, &mut content, name, id),
        }
    }

    /// > Range: 0-<end-of-range>
    fn taken(&self, content: &mut Content, id: &str, status: u16) -> Response {
        let place = content.next_place(id);
        let end = content.sessions[id].received.len().saturating_sub(1);
        Response::new(status)
            .header("Location", self.place(&place))
            .header("Range", format!("0-{end}"))
            .header("Docker-Upload-UUID", id)
    }

    fn piece(&self, request: &Request, content: &mut Content, id: &str) -> Response {
        let session = content.sessions.get_mut(id).unwrap();
        if request.header("content-type") != Some("application/octet-stream") {
            return broken(400, "BLOB_UPLOAD_INVALID", "Content-Type");
        }
        // > It MUST match the following regular expression: ^[0-9]+-[0-9]+$
        let range = request
            .header("content-range")
            .and_then(|range| range.split_once('-'));
        let (Some(start), Some(end)) = (number(range.map(|r| r.0)), number(range.map(|r| r.1))) else {
            return broken(400, "BLOB_UPLOAD_INVALID", "Content-Range");
        };
        if end + 1 != start + request.body.len() {
            return broken(400, "SIZE_INVALID", "Content-Range does not fit the body");
        }
        if start != session.received.len() {
            return self.taken(content, id, 416);
        }
        if session.ended {
            return broken(400, "SIZE_INVALID", "the piece before was too small");
        }
        session.received.extend(&request.body);
        session.ended = self
            .habits
            .piece
            .is_some_and(|least| (request.body.len() as u64) < least);
        self.taken(content, id, 202)
    }

    fn finish(request: &Request, content: &mut Content, name: &str, id: &str) -> Response {
        let wrong_type = request.header("content-type") != Some("application/octet-stream");
        if !request.body.is_empty() && wrong_type {
            return broken(400, "BLOB_UPLOAD_INVALID", "Content-Type");
        }
        let Some(digest) = request.query("digest") else {
            return broken(400, "DIGEST_INVALID", "no digest");
        };
        let mut session = content.sessions.remove(id).unwrap();
        session.received.extend(&request.body);
        let parsed = digest.parse::<Digest>();
        if !parsed.is_ok_and(|d| d.algorithm() == Algorithm::Sha256 && d == Digest::of(&session.received)) {
            return broken(400, "DIGEST_INVALID", "the digest is another");
        }
        content.add_blob(name, &session.received);
        Response::new(201)
            .header("Location", format!("/v2/{name}/blobs/{digest}"))
            .header("Docker-Content-Digest", digest)
    }
}

fn number(text: Option<&str>) -> Option<usize> {
    text.filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?
        .parse()
        .ok()
}
