//! Blobs of registries: downloaded when they are opened, and gone on with where a connection breaks.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ureq::http::Method;

use super::endpoint::Endpoint;
use super::error::shown;
use super::request::{Answer, Request, Tries};
use super::scope::Scope;
use super::{Client, Error};
use crate::blob::{Blob, Descriptor, Open, VerifiedReader};
use crate::http;
use crate::reference::Repository;
use crate::store::{Kind, Store};

/// A config or layer in a registry. Its bytes are not trusted: whoever opens it must verify them.
#[derive(Debug)]
pub struct RegistryBlob {
    client: Client,
    repository: Repository,
    descriptor: Descriptor,
    /// Where it is kept when it is first opened.
    keep: Option<Store>,
    kept: OnceLock<PathBuf>,
    keeping: Mutex<()>,
}

impl RegistryBlob {
    /// A blob of a repository. With a store it is downloaded once, verified and kept; else it is downloaded each time.
    pub fn new(
        client: &Client,
        repository: &Repository,
        descriptor: &Descriptor,
        keep: Option<&Store>,
    ) -> Self {
        Self {
            client: client.clone(),
            repository: repository.clone(),
            descriptor: descriptor.clone(),
            keep: keep.cloned(),
            kept: OnceLock::new(),
            keeping: Mutex::new(()),
        }
    }

    /// The blob with its descriptor.
    pub fn blob(self) -> Blob {
        Blob {
            descriptor: self.descriptor.clone(),
            content: Arc::new(self),
        }
    }

    fn download(&self) -> Box<dyn Read + Send> {
        Box::new(Download {
            client: self.client.clone(),
            repository: self.repository.clone(),
            descriptor: self.descriptor.clone(),
            offset: 0,
            whole: false,
            body: None,
            tries: Tries::new(),
        })
    }

    fn fetch(&self, store: &Store) -> io::Result<PathBuf> {
        let Descriptor { digest, size, .. } = &self.descriptor;
        let mut reader = VerifiedReader::new(self.download(), digest.clone(), *size);
        match store.add(Kind::Blob, Some(digest), &mut reader) {
            Ok(added) => Ok(added.path),
            // What it says is what the reader said.
            Err(crate::store::Error::Source(cause)) => Err(cause),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn keep(&self, store: &Store) -> io::Result<&Path> {
        let _one = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = self.kept.get() {
            return Ok(path);
        }
        let Descriptor { digest, size, .. } = &self.descriptor;
        let found = match store.find_unverified(Kind::Blob, digest, *size) {
            Some(_) => store.find(Kind::Blob, digest).map_err(io::Error::other)?,
            None => None,
        };
        let path = match found {
            Some(path) => path,
            None => self.fetch(store)?,
        };
        Ok(self.kept.get_or_init(|| path))
    }
}

impl Open for RegistryBlob {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        match &self.keep {
            Some(store) => Ok(Box::new(fs_err::File::open(self.keep(store)?)?)),
            None => Ok(self.download()),
        }
    }

    fn path(&self) -> Option<&Path> {
        self.kept.get().map(PathBuf::as_path)
    }

    fn repository(&self) -> Option<&Repository> {
        Some(&self.repository)
    }
}

/// A download that goes on where it broke off.
struct Download {
    client: Client,
    repository: Repository,
    descriptor: Descriptor,
    /// How many bytes were given.
    offset: u64,
    /// Whether the registry has shown that it does not know ranges.
    whole: bool,
    body: Option<ureq::BodyReader<'static>>,
    tries: Tries,
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.attempt(buffer) {
                Ok(n) => return Ok(n),
                Err(error) => {
                    self.body = None;
                    let url = self.url().map_err(io::Error::other)?;
                    self.tries.again(error, &url).map_err(io::Error::other)?;
                }
            }
        }
    }
}

impl Download {
    fn endpoint(&self) -> Result<Arc<Endpoint>, Error> {
        self.client.endpoint(&self.repository)
    }

    fn url(&self) -> Result<url::Url, Error> {
        let path = format!("v2/{}/blobs/{}", self.repository.name, self.descriptor.digest);
        Ok(self.endpoint()?.url(&path))
    }

    fn attempt(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let left = self.descriptor.size - self.offset;
        if left == 0 && (self.offset > 0 || self.tries.was_sent()) {
            return self.end();
        }
        if self.body.is_none() {
            self.connect()?;
        }
        let url = self.url()?.to_string();
        let Some(body) = &mut self.body else {
            return Ok(0);
        };
        let limit = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let broken = |source| Error::Http(http::Error::Body { url, source });
        match body.read(&mut buffer[..limit]) {
            Ok(0) if left > 0 => {
                let what = format!("it ended after {} of {} bytes", self.offset, self.descriptor.size);
                Err(broken(io::Error::new(io::ErrorKind::UnexpectedEof, what)))
            }
            Ok(n) => {
                self.offset += n as u64;
                Ok(n)
            }
            Err(source) => Err(broken(source)),
        }
    }

    /// All is there. Reading to the end of the body gives the connection back.
    fn end(&mut self) -> Result<usize, Error> {
        if let Some(mut body) = self.body.take()
            && matches!(body.read(&mut [0]), Ok(n) if n > 0)
        {
            return Err(Error::Answer {
                url: self.url()?.to_string(),
                what: format!("the blob has more than {} bytes", self.descriptor.size),
            });
        }
        Ok(0)
    }

    fn connect(&mut self) -> Result<(), Error> {
        let endpoint = self.endpoint()?;
        let scope = Scope::pull(&self.repository);
        let mut request = Request::new(Method::GET, self.url()?, &scope);
        let ranged = self.offset > 0 && !self.whole;
        if ranged {
            request = request.header("range", format!("bytes={}-", self.offset));
        }
        let answer = self.client.exchange(&endpoint, &mut request, &mut self.tries)?;
        let (offset, size) = (self.offset, self.descriptor.size);
        match answer.status {
            200 => {
                if let Some(length) = answer.header("content-length")
                    && length.trim().parse() != Ok(size)
                {
                    return Err(answer.malformed(format!("the blob has {length} bytes, not {size}")));
                }
                // The whole blob, whatever was asked for.
                let url = shown(&answer.url);
                let mut body = answer.into_body();
                let skipped = io::copy(&mut (&mut body).take(offset), &mut io::sink());
                match skipped {
                    Ok(n) if n == offset => self.body = Some(body),
                    Ok(_) => {
                        let source = io::ErrorKind::UnexpectedEof.into();
                        return Err(http::Error::Body { url, source }.into());
                    }
                    Err(source) => return Err(http::Error::Body { url, source }.into()),
                }
                Ok(())
            }
            206 if fits(&answer, offset, size) => {
                self.body = Some(answer.into_body());
                Ok(())
            }
            // A range that was not asked for, or none at all: the next try takes the whole.
            206 | 416 if !self.whole => {
                self.whole = true;
                let what = match answer.header("content-range") {
                    Some(range) => format!("it sent `{range}` where bytes from {offset} on were asked for"),
                    None => format!("it cannot send bytes from {offset} on"),
                };
                let error = answer.malformed(what);
                if self.tries.spent() {
                    return Err(error);
                }
                self.connect()
            }
            404 => Err(Error::NotFound {
                reference: format!("{}@{}", self.repository, self.descriptor.digest),
                words: answer.words(),
            }),
            _ => Err(self.client.refused(&endpoint, &scope, answer)),
        }
    }
}

/// `bytes START-END/TOTAL` (RFC 9110 section 14.4): exactly what is missing.
fn fits(answer: &Answer, offset: u64, size: u64) -> bool {
    let range = || {
        let (range, total) = answer
            .header("content-range")?
            .trim()
            .strip_prefix("bytes ")?
            .split_once('/')?;
        let (start, end) = range.split_once('-')?;
        let total = (total.trim() != "*").then(|| total.trim().parse::<u64>());
        Some((
            start.trim().parse::<u64>().ok()?,
            end.trim().parse::<u64>().ok()?,
            total.transpose().ok()?,
        ))
    };
    // An end before the last byte is a body that is gone on with.
    range().is_some_and(|(start, end, total)| {
        start == offset && end >= start && end < size && total.is_none_or(|total| total == size)
    })
}
