//! Blobs into registries: not at all where they are known, mounted where a neighbour has them, else sent.

use std::collections::BTreeMap;

use ureq::http::Method;
use url::Url;

use super::content::Content;
use super::endpoint::Endpoint;
use super::location::{location, with_digest};
use super::manifest::same_digest;
use super::request::{Answer, Body, Request, Tries};
use super::scope::Scope;
use super::{Client, Error};
use crate::blob::Blob;
use crate::digest::Digest;
use crate::progress::Progress;
use crate::reference::Repository;

/// Blobs larger than this many bytes are sent in pieces, so that one that breaks off is gone on with.
const LARGE: u64 = 256 * 1024 * 1024;
/// The size of such a piece in bytes.
const PIECE: u64 = 64 * 1024 * 1024;
/// Pieces are no smaller, however small a registry would take them.
const SMALLEST_PIECE: u64 = 8 * 1024 * 1024;

/// How a blob came into a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// It was there.
    Existing,
    /// It was taken over from another repository of the registry.
    Mounted,
    /// Its bytes were sent.
    Sent,
}

impl Client {
    /// Makes sure that a repository has a blob.
    pub fn upload(&self, repository: &Repository, blob: &Blob, progress: &Progress) -> Result<Upload, Error> {
        let endpoint = self.endpoint(repository)?;
        // Who writes reads too: one token for all.
        let scope = Scope::push(repository);
        if self.has(&endpoint, &scope, repository, &blob.descriptor.digest)? {
            return Ok(Upload::Existing);
        }
        Uploading {
            client: self,
            endpoint: &endpoint,
            repository,
            blob,
            scope,
        }
        .run(progress)
    }

    /// Whether a repository has a blob, for one who only reads.
    pub fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, Error> {
        let endpoint = self.endpoint(repository)?;
        self.has(&endpoint, &Scope::pull(repository), repository, digest)
    }

    fn has(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let path = format!("blobs/{digest}");
        let request = Self::request(endpoint, Method::HEAD, repository, &path, scope);
        let answer = self.send(endpoint, request)?;
        match answer.status {
            401 => Err(self.refused(endpoint, scope, answer)),
            // Whatever else it is: the upload will show it.
            _ => Ok(answer.status == 200),
        }
    }
}

struct Uploading<'a> {
    client: &'a Client,
    endpoint: &'a Endpoint,
    repository: &'a Repository,
    blob: &'a Blob,
    scope: Scope,
}

/// An upload that a registry has begun.
struct Session {
    location: Url,
    /// The size of the pieces in which it is sent; `None` for all at once.
    piece: Option<u64>,
}

/// How often each request of an upload was sent, whichever session it belonged to.
struct Sent {
    posts: Tries,
    puts: Tries,
    /// By the first byte of the piece.
    pieces: BTreeMap<u64, Tries>,
}

impl Sent {
    fn new() -> Self {
        Self {
            posts: Tries::new(),
            puts: Tries::new(),
            pieces: BTreeMap::new(),
        }
    }
}

enum Begun {
    Mounted,
    Session(Session),
}

impl Uploading<'_> {
    fn run(&self, progress: &Progress) -> Result<Upload, Error> {
        let mut content = Content::new(self.blob, progress);
        let mut begun = match self.mount()? {
            Some(Begun::Mounted) => return Ok(Upload::Mounted),
            Some(Begun::Session(session)) => Some(session),
            None => None,
        };
        let mut sent = Sent::new();
        loop {
            let session = match begun.take() {
                Some(session) => session,
                None => match self.begin(&mut sent.posts) {
                    Ok(session) => session,
                    Err(error) => {
                        sent.posts.again(error, &self.uploads())?;
                        continue;
                    }
                },
            };
            let result = match session.piece {
                Some(piece) => self.send_pieces(session.location, piece, &mut content, &mut sent),
                None => self.send_whole(&session.location, &mut content, &mut sent.puts),
            };
            let Err(error) = result else {
                return Ok(Upload::Sent);
            };
            if let Some(source) = content.take_fault() {
                return Err(Error::Content {
                    digest: self.blob.descriptor.digest.clone(),
                    source,
                });
            }
            if sent.posts.spent() || sent.pieces.values().any(Tries::spent) {
                return Err(error);
            }
            sent.puts.again_from_start(error, &self.uploads())?;
            // The answer may have been lost after all bytes had arrived.
            if self.client.has(
                self.endpoint,
                &self.scope,
                self.repository,
                &self.blob.descriptor.digest,
            )? {
                return Ok(Upload::Sent);
            }
        }
    }

    fn uploads(&self) -> Url {
        self.endpoint
            .url(&format!("v2/{}/blobs/uploads/", self.repository.name))
    }

    /// Asks the registry to take the blob from another of its repositories (distribution-spec, "Mounting a blob from
    /// another repository"). `None` where there is none, or where the registry does not want to hear of it.
    fn mount(&self) -> Result<Option<Begun>, Error> {
        let from = self.blob.content.repository();
        let Some(from) =
            from.filter(|from| from.registry == self.repository.registry && *from != self.repository)
        else {
            return Ok(None);
        };
        let scope = Scope::mount(self.repository, from);
        let mut url = self.uploads();
        url.query_pairs_mut()
            .append_pair("mount", &self.blob.descriptor.digest.to_string())
            .append_pair("from", &from.name);
        let request = Request::new(Method::POST, url, &scope);
        match self.client.send(self.endpoint, request) {
            Ok(answer) if answer.status == 201 => {
                same_digest(&answer, &self.blob.descriptor.digest)?;
                Ok(Some(Begun::Mounted))
            }
            Ok(answer) if answer.status == 202 => Ok(Some(Begun::Session(self.session(&answer)?))),
            // Who may not read the one repository may still write to the other.
            Ok(_) | Err(Error::Denied { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn begin(&self, tries: &mut Tries) -> Result<Session, Error> {
        let mut request = Request::new(Method::POST, self.uploads(), &self.scope);
        let answer = self.client.exchange(self.endpoint, &mut request, tries)?;
        match answer.status {
            202 => self.session(&answer),
            _ => Err(self.client.refused(self.endpoint, &self.scope, answer)),
        }
    }

    fn session(&self, answer: &Answer) -> Result<Session, Error> {
        let size = self.blob.descriptor.size;
        // > OCI-Chunk-Min-Length: … the minimum chunk size in bytes
        let least = answer
            .header("oci-chunk-min-length")
            .and_then(|v| v.trim().parse::<u64>().ok())
            .filter(|n| *n > 0);
        let piece = match least {
            Some(least) if size > least => Some(least.max(SMALLEST_PIECE)),
            _ => (size > LARGE).then_some(PIECE),
        };
        Ok(Session {
            location: location(answer)?,
            piece,
        })
    }

    fn send_whole(&self, location: &Url, content: &mut Content, tries: &mut Tries) -> Result<(), Error> {
        let size = self.blob.descriptor.size;
        let url = with_digest(location, &self.blob.descriptor.digest);
        let body = if size == 0 {
            Body::Bytes(b"")
        } else {
            Body::Content {
                content,
                from: 0,
                length: size,
            }
        };
        let mut request = Request::new(Method::PUT, url, &self.scope)
            .header("content-type", "application/octet-stream")
            .body(body);
        let answer = self.client.exchange(self.endpoint, &mut request, tries)?;
        self.finished(answer)
    }

    fn finished(&self, answer: Answer) -> Result<(), Error> {
        if !answer.is_success() {
            return Err(self.client.refused(self.endpoint, &self.scope, answer));
        }
        same_digest(&answer, &self.blob.descriptor.digest)
    }

    /// Piece by piece (distribution-spec, "Pushing a blob in chunks").
    fn send_pieces(
        &self,
        location: Url,
        piece: u64,
        content: &mut Content,
        sent: &mut Sent,
    ) -> Result<(), Error> {
        let size = self.blob.descriptor.size;
        let (mut location, mut offset) = (location, 0);
        while offset < size {
            let length = piece.min(size - offset);
            let tries = sent.pieces.entry(offset).or_insert_with(Tries::new);
            let result = self.send_piece(&location, content, (offset, length), tries);
            let before = offset;
            let error = match result {
                Ok((next, end)) => {
                    (location, offset) = (next, end);
                    if offset > before {
                        continue;
                    }
                    Error::Answer {
                        url: super::error::shown(&location),
                        what: "it takes no bytes".to_owned(),
                    }
                }
                Err(error) => error,
            };
            if content.has_fault() {
                return Err(error);
            }
            tries.again_from_status(error, &location)?;
            (location, offset) = self.status(&location)?;
        }
        let url = with_digest(&location, &self.blob.descriptor.digest);
        let mut request = Request::new(Method::PUT, url, &self.scope);
        let answer = self
            .client
            .exchange(self.endpoint, &mut request, &mut sent.puts)?;
        self.finished(answer)
    }

    /// Sends one piece; gives where to go on and how many bytes the registry has now.
    fn send_piece(
        &self,
        at: &Url,
        content: &mut Content,
        (offset, length): (u64, u64),
        tries: &mut Tries,
    ) -> Result<(Url, u64), Error> {
        let end = offset + length;
        let mut request = Request::new(Method::PATCH, at.clone(), &self.scope)
            .header("content-type", "application/octet-stream")
            .header("content-range", format!("{offset}-{}", end - 1))
            .body(Body::Content {
                content,
                from: offset,
                length,
            });
        let answer = self.client.exchange(self.endpoint, &mut request, tries)?;
        if !answer.is_success() {
            return Err(self.client.refused(self.endpoint, &self.scope, answer));
        }
        let known = received(&answer, end)?;
        Ok((
            location(&answer)?,
            known.unwrap_or(end).min(self.blob.descriptor.size),
        ))
    }

    /// Where an upload stands (distribution-spec, "Pushing a blob in chunks": GET of the location).
    fn status(&self, at: &Url) -> Result<(Url, u64), Error> {
        let request = Request::new(Method::GET, at.clone(), &self.scope);
        let answer = self.client.send(self.endpoint, request)?;
        if !answer.is_success() {
            return Err(self.client.refused(self.endpoint, &self.scope, answer));
        }
        let known = received(&answer, 0)?.unwrap_or(0);
        let next = match answer.header("location") {
            Some(_) => location(&answer)?,
            None => at.clone(),
        };
        Ok((next, known.min(self.blob.descriptor.size)))
    }
}

/// How many bytes the registry has, as `Range: 0-END` says. `0-0` is also how registries say that they have none.
fn received(answer: &Answer, expected: u64) -> Result<Option<u64>, Error> {
    let Some(range) = answer.header("range") else {
        return Ok(None);
    };
    let bare = range.trim();
    let end = bare.strip_prefix("bytes=").unwrap_or(bare).strip_prefix("0-");
    let end = end.and_then(|end| end.parse::<u64>().ok());
    match end {
        Some(0) if expected != 1 => Ok(Some(0)),
        Some(end) => Ok(Some(end.saturating_add(1))),
        None => Err(answer.malformed(format!("`Range: {range}` is not what it has received"))),
    }
}
