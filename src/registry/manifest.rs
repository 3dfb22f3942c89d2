//! Manifests and indexes: read by tag or digest and always hashed; written as they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use ureq::http::Method;

use super::request::{Answer, Body};
use super::scope::Scope;
use super::{Client, Error};
use crate::blob::{Blob, Descriptor};
use crate::digest::{Digest, Hasher};
use crate::image::DOCUMENT_LIMIT;
use crate::image::media_type::{
    DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, INDEX, MANIFEST, is_index, is_manifest,
};
use crate::reference::Repository;

const ACCEPT: [&str; 4] = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST];

/// The name of a manifest in its repository.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name<'a> {
    Tag(&'a str),
    Digest(&'a Digest),
}

impl Name<'_> {
    fn path(self) -> String {
        match self {
            Self::Tag(tag) => format!("manifests/{tag}"),
            Self::Digest(digest) => format!("manifests/{digest}"),
        }
    }

    fn of(self, repository: &Repository) -> String {
        match self {
            Self::Tag(tag) => format!("{repository}:{tag}"),
            Self::Digest(digest) => format!("{repository}@{digest}"),
        }
    }
}

impl Client {
    /// The manifest or index that a tag names. In memory and verified.
    pub fn manifest_by_tag(&self, repository: &Repository, tag: &str) -> Result<Blob, Error> {
        self.manifest(repository, Name::Tag(tag))
    }

    /// As [`Client::manifest_by_tag`]; `None` if there is no such tag or repository.
    pub fn find_tag(&self, repository: &Repository, tag: &str) -> Result<Option<Blob>, Error> {
        match self.manifest_by_tag(repository, tag) {
            Err(Error::NotFound { .. }) => Ok(None),
            found => found.map(Some),
        }
    }

    /// The manifest or index with a digest. In memory and verified.
    pub fn manifest_by_digest(&self, repository: &Repository, digest: &Digest) -> Result<Blob, Error> {
        self.manifest(repository, Name::Digest(digest))
    }

    /// The digest that a tag stands for, without reading the manifest where the registry allows it; `None` if there is
    /// no such tag.
    pub fn tag_digest(&self, repository: &Repository, tag: &str) -> Result<Option<Digest>, Error> {
        let answer = self.ask(repository, Method::HEAD, Name::Tag(tag), Ok)?;
        match answer {
            Answer { status: 404, .. } => Ok(None),
            answer if answer.is_success() => match told_digest(&answer) {
                Some(digest) => Ok(Some(digest)),
                // > A Docker-Content-Digest header is only SHOULD.
                None => Ok(Some(self.manifest_by_tag(repository, tag)?.descriptor.digest)),
            },
            answer => {
                let endpoint = self.endpoint(repository)?;
                Err(self.refused(&endpoint, &Scope::pull(repository), answer))
            }
        }
    }

    /// Asks for a manifest; `read` gets the answer.
    fn ask<T>(
        &self,
        repository: &Repository,
        method: Method,
        name: Name,
        read: impl Fn(Answer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let endpoint = self.endpoint(repository)?;
        let scope = Scope::pull(repository);
        let request = Self::request(&endpoint, method, repository, &name.path(), &scope);
        self.send_and_read(&endpoint, request.header("accept", ACCEPT.join(", ")), read)
    }

    fn manifest(&self, repository: &Repository, name: Name) -> Result<Blob, Error> {
        let reference = name.of(repository);
        let read = |answer: Answer| match answer.status {
            200 => {
                let content_type = answer.header("content-type").unwrap_or_default().to_owned();
                Ok((told_digest(&answer), content_type, answer.read(DOCUMENT_LIMIT)?))
            }
            404 => Err(Error::NotFound {
                reference: reference.clone(),
                words: answer.words(),
            }),
            _ => {
                let endpoint = self.endpoint(repository)?;
                Err(self.refused(&endpoint, &Scope::pull(repository), answer))
            }
        };
        let (told, content_type, bytes) = self.ask(repository, Method::GET, name, read)?;
        // What was asked for decides; what the registry says beside it only where nothing else does.
        let expected = match name {
            Name::Digest(digest) => Some(digest.clone()),
            Name::Tag(_) => told,
        };
        let digest = match expected {
            Some(expected) => verified(&reference, &bytes, expected)?,
            None => Digest::of(&bytes),
        };
        let media_type = media_type(&reference, &bytes, &content_type)?;
        let size = bytes.len() as u64;
        let content: Arc<[u8]> = bytes.into();
        Ok(Blob {
            descriptor: Descriptor {
                media_type,
                digest,
                size,
                annotations: BTreeMap::new(),
            },
            content: Arc::new(content),
        })
    }

    /// Writes a manifest or index under its digest.
    pub fn put_manifest(&self, repository: &Repository, manifest: &Blob) -> Result<(), Error> {
        self.put(repository, manifest, Name::Digest(&manifest.descriptor.digest))
    }

    /// Writes a manifest or index under a tag.
    pub fn put_tag(&self, repository: &Repository, manifest: &Blob, tag: &str) -> Result<(), Error> {
        self.put(repository, manifest, Name::Tag(tag))
    }

    fn put(&self, repository: &Repository, manifest: &Blob, name: Name) -> Result<(), Error> {
        let digest = &manifest.descriptor.digest;
        let bytes = manifest
            .read_verified(DOCUMENT_LIMIT)
            .map_err(|source| Error::Content {
                digest: digest.clone(),
                source,
            })?;
        let endpoint = self.endpoint(repository)?;
        let scope = Scope::push(repository);
        let request = Self::request(&endpoint, Method::PUT, repository, &name.path(), &scope)
            .header("content-type", &manifest.descriptor.media_type)
            .body(Body::Bytes(&bytes));
        let answer = self.send(&endpoint, request)?;
        if !answer.is_success() {
            return Err(self.refused(&endpoint, &scope, answer));
        }
        same_digest(&answer, digest)
    }
}

/// The digest that the registry says that an answer is about.
pub(super) fn told_digest(answer: &Answer) -> Option<Digest> {
    answer.header("docker-content-digest")?.trim().parse().ok()
}

/// Fails if the registry took something else than what it was sent.
pub(super) fn same_digest(answer: &Answer, expected: &Digest) -> Result<(), Error> {
    match told_digest(answer) {
        Some(told) if told.algorithm() == expected.algorithm() && told != *expected => {
            Err(answer.malformed(format!("it stored {told} where {expected} was sent")))
        }
        _ => Ok(()),
    }
}

fn verified(reference: &str, bytes: &[u8], expected: Digest) -> Result<Digest, Error> {
    let mut hasher = Hasher::new(expected.algorithm());
    hasher.update(bytes);
    let actual = hasher.finish();
    if actual == expected {
        return Ok(expected);
    }
    Err(Error::Digest {
        place: reference.to_owned(),
        expected,
        actual,
    })
}

/// What a document is: what it says itself, else what the registry says, else what it looks like.
fn media_type(reference: &str, bytes: &[u8], content_type: &str) -> Result<String, Error> {
    let malformed = |what: &str| Error::Manifest {
        reference: reference.to_owned(),
        what: what.to_owned(),
    };
    let document: Value =
        serde_json::from_slice(bytes).map_err(|e| malformed(&format!("it is not JSON: {e}")))?;
    if document.get("schemaVersion").and_then(Value::as_u64) == Some(1) {
        return Err(Error::Schema1 {
            reference: reference.to_owned(),
        });
    }
    let own = document.get("mediaType").and_then(Value::as_str);
    let told = content_type.split(';').next().unwrap_or_default().trim();
    let known = |t: &&str| is_manifest(t) || is_index(t);
    let media_type = match own.or(Some(told).filter(known)) {
        Some(media_type) => media_type,
        None if document.get("manifests").is_some_and(Value::is_array) => INDEX,
        None if document.get("layers").is_some_and(Value::is_array) => MANIFEST,
        None => told,
    };
    if known(&media_type) {
        return Ok(media_type.to_owned());
    }
    let what = if media_type.is_empty() {
        "nothing"
    } else {
        media_type
    };
    Err(malformed(&format!("its type is {what}")))
}
