//! A stretch of a layer in the making: tar bytes, what of them is compressed, their check sums; handed on in chunks.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::Error;
use super::buffer::Buffer;
use super::encode::Encoder;
use super::plan::Node;
use super::queue::{Item, Queue};
use crate::digest::Algorithm;

/// How much tar is compressed at once, counted from the start of a fragment so that nothing else decides what the
/// encoder sees; and about how much is handed on at once. In bytes.
pub(super) const CHUNK: usize = 128 * 1024;

/// Bytes of the tar, and of the blob; the two need not be about the same files.
#[derive(Default)]
pub(super) struct Chunk {
    pub tar: Buffer,
    pub blob: Vec<u8>,
    /// Where in the tar members begin and end whose digest is stated, in order.
    pub marks: Vec<(usize, Mark)>,
}

/// What is at a place of the tar.
pub(super) enum Mark {
    /// The first byte of a member whose digest is stated.
    Begin(Algorithm),
    /// The first byte after it.
    End(Arc<Node>),
}

/// What a job gives.
pub(super) enum Output {
    /// Bytes.
    Chunk(Chunk),
    /// All bytes were given.
    Done(Sums),
    /// It cannot be done.
    Failed(Error),
}

impl Item for Output {
    fn size(&self) -> usize {
        match self {
            Self::Chunk(chunk) => chunk.tar.memory() + chunk.blob.capacity(),
            Self::Done(_) | Self::Failed(_) => 0,
        }
    }

    fn is_last(&self) -> bool {
        !matches!(self, Self::Chunk(_))
    }
}

/// The check sums of a finished job.
#[derive(Default)]
pub(super) struct Sums {
    /// Of its stretch of the tar.
    pub tar: crc32fast::Hasher,
    /// Of the ranges of stored members in it, in order.
    pub stored: Vec<StoredRange>,
}

/// The check sum of a range of a stored member; its other ranges may be in other jobs.
pub(super) struct StoredRange {
    /// Of whose content.
    pub node: Arc<Node>,
    /// The check sum.
    pub crc: crc32fast::Hasher,
    /// Whether it is the first of the member.
    pub begins: bool,
    /// If it is the last, the CRC-32 that the member states.
    pub expected: Option<u32>,
}

/// Why a job ends early: a failure to report, or nobody who wants its result.
pub(super) enum Stop {
    Failed(io::Error),
    Unwanted,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Chunks to be filled again.
pub(super) type Spare = Mutex<Vec<Chunk>>;

/// A stretch of the layer: what a job makes.
pub(super) struct Stretch<'q, J> {
    pub job: usize,
    pub sums: Sums,
    queue: &'q Queue<Output, J>,
    spare: &'q Spare,
    encoder: Encoder,
    packed: Vec<u8>,
    chunk: Chunk,
    /// Where in the chunk's tar the bytes begin that are still to be compressed.
    raw: usize,
    /// Whether the encoder has taken in some of the fragment.
    begun: bool,
}

impl<'q, J: Iterator> Stretch<'q, J> {
    pub fn new(queue: &'q Queue<Output, J>, spare: &'q Spare, encoder: Encoder) -> Self {
        let (sums, chunk) = (Sums::default(), Chunk::default());
        Self {
            job: 0,
            sums,
            queue,
            spare,
            encoder,
            packed: Vec::new(),
            chunk,
            raw: 0,
            begun: false,
        }
    }

    /// Notes what is at the place where the next byte comes.
    pub fn mark(&mut self, mark: Mark) {
        self.chunk.marks.push((self.chunk.tar.len(), mark));
    }

    /// Adds bytes to be compressed.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.sums.tar.update(bytes);
        let mut left = bytes;
        while !left.is_empty() {
            let now = left.len().min(self.room());
            self.chunk.tar.extend(&left[..now]);
            left = &left[now..];
            self.compress_if_full()?;
        }
        Ok(())
    }

    /// Adds up to `most` bytes to be compressed that `fill` writes; it returns how many it wrote and something for the
    /// caller. Their check sum is the caller's.
    pub fn fill<R>(
        &mut self,
        most: u64,
        fill: impl FnOnce(&mut [u8]) -> io::Result<(usize, R)>,
    ) -> Result<R, Stop> {
        let most = usize::try_from(most).unwrap_or(CHUNK).min(self.room());
        let result = append_with(&mut self.chunk.tar, most, fill)?;
        self.compress_if_full()?;
        Ok(result)
    }

    /// Ends a fragment: compresses what is left of it. Whether all of it is headers and padding decides how.
    pub fn end_fragment(&mut self, headers_only: bool) -> Result<(), Stop> {
        let Chunk { tar, blob, .. } = &mut self.chunk;
        if headers_only && !self.begun && self.encoder.headers(&tar.bytes()[self.raw..], blob) {
            self.raw = tar.len();
        } else {
            self.encode(true)?;
        }
        self.hand_on_if_full()
    }

    /// Adds up to `most` tar bytes that `fill` writes together with their own compressed form, which it appends to the blob;
    /// to be called between fragments only.
    pub fn fill_both<R>(
        &mut self,
        most: u64,
        fill: impl FnOnce(&mut [u8], &mut Vec<u8>) -> io::Result<(usize, R)>,
    ) -> Result<R, Stop> {
        let Chunk { tar, blob, .. } = &mut self.chunk;
        // Not much more than a chunk, and not so little that it takes many steps.
        let room = (CHUNK - tar.len().min(CHUNK)).max(CHUNK / 4);
        let most = usize::try_from(most).unwrap_or(room).min(room);
        let result = append_with(tar, most, |room| fill(room, blob))?;
        self.raw = tar.len();
        Ok(result)
    }

    /// Hands on what there is, if it is a chunk's worth, but for the blob's last byte.
    pub fn hand_on_but_last_byte(&mut self) -> Result<(), Stop> {
        if self.is_full()
            && let Some(byte) = self.chunk.blob.pop()
        {
            self.hand_on()?;
            self.chunk.blob.push(byte);
        }
        Ok(())
    }

    /// Hands on what there is, if it is a chunk's worth.
    pub fn hand_on_if_full(&mut self) -> Result<(), Stop> {
        if self.is_full() { self.hand_on() } else { Ok(()) }
    }

    /// Hands on what there is.
    pub fn hand_on(&mut self) -> Result<(), Stop> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let next = spare.pop().unwrap_or_default();
        drop(spare);
        self.raw = 0;
        let full = std::mem::replace(&mut self.chunk, next);
        if self.queue.put(self.job, Output::Chunk(full)) {
            Ok(())
        } else {
            Err(Stop::Unwanted)
        }
    }

    fn is_full(&self) -> bool {
        self.chunk.tar.len().max(self.chunk.blob.len()) >= CHUNK
    }

    /// How many bytes may come before they are compressed.
    fn room(&self) -> usize {
        CHUNK - (self.chunk.tar.len() - self.raw)
    }

    fn compress_if_full(&mut self) -> Result<(), Stop> {
        if self.room() > 0 {
            return Ok(());
        }
        self.encode(false)?;
        self.hand_on()
    }

    /// Compresses what is still to be; with `end` the fragment ends with it. By way of `packed`: the encoder wants much more
    /// room than it fills, and chunks are many.
    fn encode(&mut self, end: bool) -> io::Result<()> {
        let Chunk { tar, blob, .. } = &mut self.chunk;
        self.packed.clear();
        self.encoder
            .push(&tar.bytes()[self.raw..], end, &mut self.packed)?;
        blob.extend_from_slice(&self.packed);
        self.raw = tar.len();
        self.begun = !end;
        Ok(())
    }
}

/// Lets `fill` write up to `most` bytes behind those there are, and keeps as many as it says.
fn append_with<R>(
    tar: &mut Buffer,
    most: usize,
    fill: impl FnOnce(&mut [u8]) -> io::Result<(usize, R)>,
) -> io::Result<R> {
    let (filled, result) = fill(tar.room(most))?;
    tar.add(filled);
    Ok(result)
}
