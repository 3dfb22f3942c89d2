//! A worker: jobs become stretches of the layer.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use super::encode::Encoder;
use super::fixed::align;
use super::header;
use super::inflate::{Boundary, invalid};
use super::member::Inflater;
use super::plan::{Job, Jobs, Node, Part, Piece};
use super::queue::{Queue, StopOnPanic};
use super::stretch::{Mark, Output, Spare, Stop, StoredRange, Stretch};
use super::{Error, Options};
use crate::paths::TreePath;
use crate::tree::{Content, Member, Method};

/// Does jobs until there are no more, one has failed or nobody wants the results.
pub(super) fn run(queue: &Queue<Output, impl Jobs>, spare: &Spare, options: Options) {
    let _guard = StopOnPanic(queue);
    let tools = Inflater::new().and_then(|inflater| Ok((inflater, Encoder::new(options.compression)?)));
    let mut worker = tools.map(|(inflater, encoder)| Worker {
        inflater,
        stretch: Stretch::new(queue, spare, encoder),
        mtime: options.mtime,
    });
    while let Some((number, job)) = queue.next_job() {
        let result = match (&mut worker, job) {
            (_, Err(error)) => Some(Output::Failed(Error::Entries(error))),
            (Ok(worker), Ok(job)) => worker.work(number, &job),
            (Err(error), _) => Some(Output::Failed(Error::Encode(io::Error::other(error.to_string())))),
        };
        let Some(last) = result else { return };
        let failed = matches!(last, Output::Failed(_));
        if !queue.put(number, last) || failed {
            return;
        }
    }
}

/// One thread's tools.
struct Worker<'q, J> {
    inflater: Inflater,
    stretch: Stretch<'q, J>,
    mtime: u64,
}

impl<J: Jobs> Worker<'_, J> {
    /// Does a job; gives its last output, or `None` if nobody wants it.
    fn work(&mut self, number: usize, job: &Job) -> Option<Output> {
        self.stretch.job = number;
        for part in job {
            let (path, result) = match part {
                Part::Fragment(pieces) => self.fragment(pieces),
                Part::Splice(node) => (Some(&node.path), self.splice(node)),
            };
            match (result, path) {
                (Ok(()), _) => {}
                (Err(Stop::Unwanted), _) => return None,
                (Err(Stop::Failed(source)), Some(path)) => {
                    return Some(Output::Failed(Error::Content {
                        path: path.clone(),
                        source,
                    }));
                }
                (Err(Stop::Failed(source)), None) => return Some(Output::Failed(Error::Encode(source))),
            }
        }
        self.stretch.hand_on().ok()?;
        Some(Output::Done(std::mem::take(&mut self.stretch.sums)))
    }

    /// Compresses pieces together; if that fails, says at which path.
    fn fragment<'p>(&mut self, pieces: &'p [Piece]) -> (Option<&'p TreePath>, Result<(), Stop>) {
        for piece in pieces {
            let (path, result) = match piece {
                Piece::Header(node) => {
                    let mut header = Vec::with_capacity(header::BLOCK);
                    header::append(&mut header, &node.path, &node.entry, self.mtime);
                    (Some(&node.path), self.stretch.bytes(&header))
                }
                Piece::Content(node, range) => (Some(&node.path), self.content(node, range)),
                Piece::Zeros(count) => (None, self.stretch.bytes(&[0; 2 * header::BLOCK][..*count])),
            };
            if result.is_err() {
                return (path, result);
            }
        }
        let headers_only = !pieces.iter().any(Piece::has_content);
        (None, self.stretch.end_fragment(headers_only))
    }

    fn content(&mut self, node: &Arc<Node>, range: &Range<u64>) -> Result<(), Stop> {
        match node.entry.content() {
            None => Ok(()),
            Some(Content::Bytes(bytes)) => {
                let index = |n| usize::try_from(n).map_err(io::Error::other);
                self.stretch.bytes(&bytes[index(range.start)?..index(range.end)?])
            }
            Some(Content::Path { path, size }) => self.file(path, *size, range),
            Some(Content::Member(member)) if member.method == Method::Stored => {
                self.stored(node, member, range)
            }
            Some(Content::Member(member)) => self.inflate(node, member),
        }
    }

    fn stored(&mut self, node: &Arc<Node>, member: &Member, range: &Range<u64>) -> Result<(), Stop> {
        let (begins, ends) = (range.start == 0, range.end == member.size);
        if begins {
            self.begin(member);
        }
        let crc = self.range(range, |buffer, at| {
            member.archive.read_exact_at(buffer, member.offset + at)
        })?;
        if ends {
            self.end(node, member);
        }
        self.stretch.sums.stored.push(StoredRange {
            node: Arc::clone(node),
            crc,
            begins,
            expected: ends.then_some(member.crc32),
        });
        Ok(())
    }

    fn file(&mut self, path: &Path, size: u64, range: &Range<u64>) -> Result<(), Stop> {
        let changed = || {
            invalid(format!(
                "{} is not of the {size} bytes that it had",
                path.display()
            ))
        };
        let (file, _) = fs_err::File::open(path)?.into_parts();
        self.range(range, |buffer, at| {
            file.read_exact_at(buffer, at).map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => changed(),
                kind => io::Error::new(kind, format!("{}: {e}", path.display())),
            })
        })?;
        if range.end == size && file.read_at(&mut [0], size)? > 0 {
            return Err(changed().into());
        }
        Ok(())
    }

    /// Compresses bytes that can be read at any offset; gives their check sum.
    fn range(
        &mut self,
        range: &Range<u64>,
        mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>,
    ) -> Result<crc32fast::Hasher, Stop> {
        let mut crc = crc32fast::Hasher::new();
        let mut at = range.start;
        while at < range.end {
            at += self.stretch.fill(range.end - at, |buffer| {
                read(buffer, at)?;
                crc.update(buffer);
                Ok((buffer.len(), buffer.len() as u64))
            })?;
        }
        self.stretch.sums.tar.combine(&crc);
        Ok(crc)
    }

    /// What follows is the content of a member: whoever hashes the tar hashes it too, if its digest was stated.
    fn begin(&mut self, member: &Member) {
        if let Some(digest) = &member.digest {
            self.stretch.mark(Mark::Begin(digest.algorithm()));
        }
    }

    fn end(&mut self, node: &Arc<Node>, member: &Member) {
        if member.digest.is_some() {
            self.stretch.mark(Mark::End(Arc::clone(node)));
        }
    }

    /// Compresses a deflated member anew, together with its neighbours.
    fn inflate(&mut self, node: &Arc<Node>, member: &Member) -> Result<(), Stop> {
        self.begin(member);
        let mut deflated = self.inflater.start(member);
        let mut ended = false;
        while !ended {
            ended = self.stretch.fill(deflated.room(), |room| {
                let step = deflated.step(room)?;
                Ok((step.produced, step.boundary.is_some_and(|b| b.last)))
            })?;
        }
        self.stretch.sums.tar.combine(&deflated.crc());
        self.end(node, member);
        Ok(())
    }

    /// Carries a deflated member over: no block of it stays the last, and what follows begins at a byte.
    fn splice(&mut self, node: &Arc<Node>) -> Result<(), Stop> {
        let Some(member) = node.member() else {
            return Ok(());
        };
        self.begin(member);
        let mut deflated = self.inflater.start(member);
        // Whether the next byte of the stream begins with a block's header.
        let mut header_comes = true;
        let mut ended = false;
        while !ended {
            ended = self.stretch.fill_both(deflated.room(), |room, blob| {
                let step = deflated.step(room)?;
                let start = blob.len();
                blob.extend_from_slice(step.stream);
                if header_comes && !step.stream.is_empty() {
                    clear_bits(&mut blob[start], 0..1);
                    header_comes = false;
                }
                match (step.boundary, blob.last_mut()) {
                    (
                        Some(Boundary {
                            unused_bits,
                            last: true,
                        }),
                        Some(byte),
                    ) => {
                        clear_bits(byte, 8 - unused_bits..8);
                        align(blob, unused_bits);
                    }
                    (Some(Boundary { unused_bits: 0, .. }), _) => header_comes = true,
                    // The next block's header begins in this byte: its first bit is BFINAL.
                    (Some(Boundary { unused_bits, .. }), Some(byte)) => {
                        clear_bits(byte, 8 - unused_bits..9 - unused_bits);
                    }
                    _ => {}
                }
                Ok((step.produced, step.boundary.is_some_and(|b| b.last)))
            })?;
            if !ended {
                // The end of a block may yet be found in the bits of the last byte.
                self.stretch.hand_on_but_last_byte()?;
            }
        }
        self.stretch.sums.tar.combine(&deflated.crc());
        self.end(node, member);
        self.stretch.hand_on_if_full()
    }
}

fn clear_bits(byte: &mut u8, bits: Range<u32>) {
    for bit in bits {
        *byte &= !(1 << bit);
    }
}
