//! One file that arrives: its ranges are fetched in any order, and what is there is hashed from its start on.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

use crate::blob::{Arrival, RandomFile};
use crate::http::Response;
use crate::lock::fetch::{Download, Fetched, TRIES};
use crate::lock::{Artifact, Error};
use crate::store::NewEntry;
use crate::wheel;

/// How much of a file's end is fetched first: the end record of a zip with the longest comment, and of most wheels the
/// whole directory. In bytes.
const TAIL: u64 = 128 * 1024;
/// The size of a part, in bytes: large enough that asking for it costs little, small enough that several connections
/// work on one file.
const PART: Range<u64> = 1 << 20..8 << 20;

/// A file of which some bytes are there.
pub(super) struct ArrivingFile {
    /// Where it comes from, with credentials.
    url: Url,
    /// What is known of it.
    artifact: Artifact,
    arrival: Arc<Arrival>,
    /// To be read while it arrives.
    pub archive: Arc<RandomFile>,
    /// Of one thread at a time, so that no byte is written twice.
    writer: Mutex<File>,
    /// What is to become of it; taken when all is there.
    entry: Mutex<Option<NewEntry>>,
    done: AtomicU64,
}

/// What the first request for a file gives.
pub(super) enum First {
    /// Its end is there; the rest can be asked for.
    Tail(Arc<ArrivingFile>),
    /// All of it comes with this response.
    All(Arc<ArrivingFile>, Box<Response>),
    /// The server does not say what is needed to read a file that arrives.
    Unknown,
}

impl ArrivingFile {
    /// Asks for the end of a file.
    pub fn ask(download: &Download<'_>, url: Url) -> Result<First, Error> {
        let range = format!("bytes=-{TAIL}");
        let headers = [("range", range.as_str()), ("accept-encoding", "identity")];
        let fetch_error = |source| Error::Fetch {
            package: download.package.to_owned(),
            source,
        };
        let response = match download.tools.http.get_with(&url, &headers) {
            // Nobody must be able to give ranges.
            Err(crate::http::Error::Status {
                status: 400 | 405 | 416 | 501,
                ..
            }) => return Ok(First::Unknown),
            response => response.map_err(fetch_error)?,
        };
        let (tail, size) = match (response.content_range(), response.content_length()) {
            (Some((range, size)), _) if range.end == size => (Some(range), size),
            (None, Some(size)) => (None, size),
            _ => return Ok(First::Unknown),
        };
        download.verify_size(size)?;
        let file = Self::new(download, url, size)?;
        let Some(tail) = tail else {
            return Ok(First::All(Arc::new(file), Box::new(response)));
        };
        let range = tail.clone();
        match file.copy(download, response, tail) {
            Ok(_) => {}
            Err((_, error)) if !is_passing(&error) => return Err(error),
            Err((to, _)) => file.fetch(download, to..range.end)?,
        }
        Ok(First::Tail(Arc::new(file)))
    }

    fn new(download: &Download<'_>, url: Url, size: u64) -> Result<Self, Error> {
        let entry = download.tools.store.new_entry(download.kind)?;
        let entry = entry.hashed_by(download.algorithm()).sized(size)?;
        let arrival = Arc::new(Arrival::of(size));
        let read = |e| Error::read(entry.path(), e);
        let archive = RandomFile::arriving(entry.path(), Arc::clone(&arrival)).map_err(read)?;
        let writer = entry.writer().map_err(|e| download.tools.store.unwritten(e))?;
        Ok(Self {
            url,
            artifact: download.artifact.clone(),
            arrival,
            archive: Arc::new(archive),
            writer: Mutex::new(writer),
            entry: Mutex::new(Some(entry)),
            done: AtomicU64::new(0),
        })
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.arrival.size()
    }

    /// How many bytes one request should ask for.
    pub fn part(&self) -> u64 {
        (self.size() / 64).clamp(PART.start, PART.end)
    }

    /// Fetches what opening the wheel reads. Whether it is a wheel at all is found out when it is opened.
    pub fn fetch_for_opening(&self, download: &Download<'_>) -> Result<(), Error> {
        let mut fault = None;
        let _ = wheel::arrive_to_open(&self.archive, &mut |range| {
            self.fetch(download, range).map_err(|error| {
                fault = Some(error);
                std::io::Error::other("not fetched")
            })
        });
        fault.map_or(Ok(()), Err)
    }

    /// Fetches what is missing of a range. Where a connection breaks, the next one goes on.
    pub fn fetch(&self, download: &Download<'_>, range: Range<u64>) -> Result<(), Error> {
        for Range { start: mut at, end } in self.arrival.missing(range) {
            let mut tries = 1;
            while at < end {
                match self.request(download, at..end) {
                    Ok(to) => at = to,
                    Err((_, error)) if tries == TRIES || !is_passing(&error) => return Err(error),
                    Err((to, _)) => {
                        tries = if to > at { 1 } else { tries + 1 };
                        at = to.max(at);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes a response that holds the whole file; where it breaks off, the rest is asked for.
    pub fn take_all(&self, download: &Download<'_>, response: Response) -> Result<(), Error> {
        match self.copy(download, response, 0..self.size()) {
            Ok(_) => Ok(()),
            Err((_, error)) if !is_passing(&error) => Err(error),
            Err((to, _)) => self.fetch(download, to..self.size()),
        }
    }

    /// Hashes what is there without a gap; keeps the file when that is all of it, once.
    pub fn settle(&self, download: &Download<'_>) -> Result<Option<Fetched>, Error> {
        let mut place = self.entry.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = place.as_mut() else {
            return Ok(None);
        };
        // Asked before: bytes that arrive in the meantime are the next caller's.
        let whole = self.arrival.is_whole();
        let taken = entry.take_in(self.arrival.prefix());
        taken?;
        if !whole {
            return Ok(None);
        }
        let Some(entry) = place.take() else {
            return Ok(None);
        };
        let (digest, size) = entry.digest();
        download.verify(&digest, size)?;
        let added = entry.keep(&digest, size)?;
        Ok(Some(Fetched {
            path: added.path,
            digest: added.digest,
            size: added.size,
            kept: false,
        }))
    }

    /// Nothing more will come.
    pub fn give_up(&self) {
        self.arrival.give_up();
    }

    /// One request for a range; says how far it came, also with an error.
    fn request(&self, download: &Download<'_>, range: Range<u64>) -> Result<u64, (u64, Error)> {
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let headers = [("range", header.as_str()), ("accept-encoding", "identity")];
        let response = download.tools.http.get_with(&self.url, &headers);
        let response = response.map_err(|source| {
            let package = download.package.to_owned();
            (range.start, Error::Fetch { package, source })
        })?;
        match response.content_range() {
            Some((given, size)) if given.start == range.start && given.end <= range.end => {
                download.verify_size(size).map_err(|e| (range.start, e))?;
                self.copy(download, response, given)
            }
            Some(_) => {
                let what = std::io::Error::other("the server gave another range than it was asked for");
                Err((range.start, download.broken(what)))
            }
            // It gives ranges no more.
            None => self.copy(download, response, 0..self.size()),
        }
    }

    fn copy(
        &self,
        download: &Download<'_>,
        mut from: Response,
        range: Range<u64>,
    ) -> Result<u64, (u64, Error)> {
        let mut buffer = vec![0; 128 * 1024];
        let mut at = range.start;
        loop {
            let n = match Read::read(&mut from, &mut buffer) {
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err((at, download.broken(e))),
            };
            if n == 0 {
                break;
            }
            let end = at + n as u64;
            if end > range.end {
                let what = std::io::Error::other("the server sends more than it said");
                return Err((at, download.broken(what)));
            }
            let written = self.write(&buffer[..n], at);
            written.map_err(|e| (at, download.tools.store.unwritten(e).into()))?;
            at = end;
            let done = self.done.fetch_add(n as u64, Ordering::Relaxed) + n as u64;
            let name = &self.artifact.name;
            download
                .tools
                .progress
                .transfer(name, done.min(self.size()), self.size());
        }
        if at < range.end {
            let what = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            return Err((at, download.broken(what)));
        }
        Ok(at)
    }

    /// Writes what came, but for what is there: that may have been read, and must be what is hashed, whatever a server
    /// sends the second time.
    fn write(&self, bytes: &[u8], at: u64) -> std::io::Result<()> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let index = |offset: u64| usize::try_from(offset - at).unwrap_or(bytes.len());
        for missing in self.arrival.missing(at..at + bytes.len() as u64) {
            let new = &bytes[index(missing.start)..index(missing.end)];
            writer.write_all_at(new, missing.start)?;
            self.arrival.add(missing);
        }
        Ok(())
    }
}

/// Whether the next try may do better: the connection broke.
fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Transfer { .. })
}
