//! The plan of a layer: which bytes of the tar are spliced and which are compressed, in fragments that depend on the
//! tree alone.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::header;
use crate::paths::TreePath;
use crate::tree::{Content, Each, Entry, Member, Method};

/// Roughly how much tar a job makes, in bytes: enough to be worth a thread's while. Never part of the format.
const JOB: u64 = 512 * 1024;

/// What decides where a layer's compressed data is cut; a change of it is a change of the format.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Deflated members of at least so many compressed bytes are spliced; `None` splices nothing.
    pub splice_from: Option<u64>,
    /// A fragment ends where it reaches about so many bytes of tar.
    pub fragment: u64,
}

/// Work for one thread: parts of the layer that follow each other.
pub(super) type Job = Vec<Part>;

/// The jobs of a layer in its order. Where the entries cannot be read, an error is the last of them.
pub(super) trait Jobs: Iterator<Item = io::Result<Job>> + Send {}

impl<I: Iterator<Item = io::Result<Job>> + Send> Jobs for I {}

/// An entry and its path; several parts may be of it.
#[derive(Debug)]
pub(super) struct Node {
    pub path: TreePath,
    pub entry: Entry,
}

impl Node {
    /// What is read of a zip archive, if it is.
    pub fn member(&self) -> Option<&Member> {
        match self.entry.content()? {
            Content::Member(member) => Some(member),
            _ => None,
        }
    }
}

/// A stretch of the layer that is compressed with no regard to what comes before it.
#[derive(Debug)]
pub(super) enum Part {
    /// Bytes that are compressed together.
    Fragment(Vec<Piece>),
    /// A member whose DEFLATE stream is carried over.
    Splice(Arc<Node>),
}

/// A stretch of the tar.
#[derive(Debug)]
pub(super) enum Piece {
    /// The header of an entry.
    Header(Arc<Node>),
    /// The content of an entry, or a range of it.
    Content(Arc<Node>, Range<u64>),
    /// Zero bytes.
    Zeros(usize),
}

impl Piece {
    /// Whether there are bytes of a file in it.
    pub fn has_content(&self) -> bool {
        matches!(self, Self::Content(_, range) if !range.is_empty())
    }
}

/// The jobs that make the layer of entries, in its order, each planned when it is asked for.
pub(super) fn jobs(entries: Each<'_>, rules: Rules) -> impl Jobs {
    Plan {
        rules,
        entries: Some(entries),
        jobs: VecDeque::new(),
        job: Vec::new(),
        weight: 0,
        fragment: Vec::new(),
        fill: 0,
    }
}

/// About how many jobs make a tar of so many bytes, at least 1.
pub(super) fn count(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(JOB)).unwrap_or(usize::MAX).max(1)
}

struct Plan<'a> {
    rules: Rules,
    /// The entries that are not planned yet; none when the end of the tar is planned too.
    entries: Option<Each<'a>>,
    /// What is planned and nobody has asked for yet.
    jobs: VecDeque<Job>,
    job: Job,
    weight: u64,
    fragment: Vec<Piece>,
    fill: u64,
}

impl Iterator for Plan<'_> {
    type Item = io::Result<Job>;

    fn next(&mut self) -> Option<io::Result<Job>> {
        while self.jobs.is_empty() {
            match self.entries.as_mut()?.next() {
                Some(Ok((path, entry))) => self.add_entry(&Arc::new(Node { path, entry })),
                Some(Err(error)) => {
                    self.entries = None;
                    return Some(Err(error));
                }
                None => self.end(),
            }
        }
        self.jobs.pop_front().map(Ok)
    }
}

impl Plan<'_> {
    fn add_entry(&mut self, node: &Arc<Node>) {
        self.add(Piece::Header(Arc::clone(node)), header::BLOCK as u64);
        let Some(content) = node.entry.content() else {
            return;
        };
        match content {
            Content::Member(member) if self.is_spliced(member) => {
                self.end_fragment();
                self.push(Part::Splice(Arc::clone(node)), member.size);
            }
            _ => self.add_content(node, content),
        }
        let padding = header::padding(content.size());
        if padding > 0 {
            self.add(Piece::Zeros(padding), 0);
        }
    }

    /// > At the end of the archive file there shall be two 512-octet logical records filled with binary zeros (pax)
    fn end(&mut self) {
        self.entries = None;
        self.add(Piece::Zeros(2 * header::BLOCK), 0);
        self.end_fragment();
        self.end_job();
    }

    /// A stream that is short but inflates to much is spliced too: no range of it can be had by itself.
    fn is_spliced(&self, member: &Member) -> bool {
        member.method == Method::Deflated
            && self
                .rules
                .splice_from
                .is_some_and(|from| member.compressed_size >= from || member.size > self.rules.fragment)
    }

    fn add_content(&mut self, node: &Arc<Node>, content: &Content) {
        let size = content.size();
        if matches!(content, Content::Member(m) if m.method == Method::Deflated) {
            return self.add(Piece::Content(Arc::clone(node), 0..size), size);
        }
        // An empty file is a piece too: that it is empty is checked when it is read.
        let mut at = 0;
        loop {
            let end = size.min(at + self.rules.fragment - self.fill);
            self.add(Piece::Content(Arc::clone(node), at..end), end - at);
            at = end;
            if at == size {
                return;
            }
        }
    }

    fn add(&mut self, piece: Piece, size: u64) {
        self.fragment.push(piece);
        self.fill += size;
        if self.fill >= self.rules.fragment {
            self.end_fragment();
        }
    }

    fn end_fragment(&mut self) {
        if !self.fragment.is_empty() {
            let pieces = std::mem::take(&mut self.fragment);
            let size = std::mem::take(&mut self.fill);
            self.push(Part::Fragment(pieces), size);
        }
    }

    fn push(&mut self, part: Part, size: u64) {
        self.job.push(part);
        self.weight += size;
        if self.weight >= JOB {
            self.end_job();
        }
    }

    fn end_job(&mut self) {
        self.weight = 0;
        if !self.job.is_empty() {
            self.jobs.push_back(std::mem::take(&mut self.job));
        }
    }
}
