//! The plan of a layer: which bytes of the tar are spliced and which are compressed, in fragments that depend on the
//! tree alone.

use std::collections::VecDeque;
use std::ops::Range;

use super::header;
use crate::paths::TreePath;
use crate::tree::{Content, Entry, Member, Method, Tree};

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
pub(super) type Job<'a> = Vec<Part<'a>>;

/// The jobs of a layer in its order.
pub(super) trait Jobs<'a>: Iterator<Item = Job<'a>> + Send {}

impl<'a, I: Iterator<Item = Job<'a>> + Send> Jobs<'a> for I {}

/// A stretch of the layer that is compressed with no regard to what comes before it.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// Bytes that are compressed together.
    Fragment(Vec<Piece<'a>>),
    /// A member whose DEFLATE stream is carried over.
    Splice(&'a TreePath, &'a Member),
}

/// A stretch of the tar.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// The header of an entry.
    Header(&'a TreePath, &'a Entry),
    /// The content of an entry, or a range of it.
    Content(&'a TreePath, &'a Content, Range<u64>),
    /// Zero bytes.
    Zeros(usize),
}

impl Piece<'_> {
    /// Whether there are bytes of a file in it.
    pub fn has_content(&self) -> bool {
        matches!(self, Self::Content(_, _, range) if !range.is_empty())
    }
}

/// The jobs that make the layer of a tree, in its order, each planned when it is asked for.
pub(super) fn jobs(tree: &Tree, rules: Rules) -> impl Jobs<'_> {
    Plan {
        rules,
        entries: Some(tree.iter()),
        jobs: VecDeque::new(),
        job: Vec::new(),
        weight: 0,
        fragment: Vec::new(),
        fill: 0,
    }
}

/// About how many jobs that will be, at least 1.
pub(super) fn count(tree: &Tree) -> usize {
    let headers = (tree.len() * header::BLOCK) as u64;
    usize::try_from((tree.size() + headers).div_ceil(JOB)).unwrap_or(usize::MAX)
}

struct Plan<'a, I> {
    rules: Rules,
    /// The entries that are not planned yet; none when the end of the tar is planned too.
    entries: Option<I>,
    /// What is planned and nobody has asked for yet.
    jobs: VecDeque<Job<'a>>,
    job: Job<'a>,
    weight: u64,
    fragment: Vec<Piece<'a>>,
    fill: u64,
}

impl<'a, I: Iterator<Item = (&'a TreePath, &'a Entry)>> Iterator for Plan<'a, I> {
    type Item = Job<'a>;

    fn next(&mut self) -> Option<Job<'a>> {
        while self.jobs.is_empty() {
            match self.entries.as_mut()?.next() {
                Some((path, entry)) => self.add_entry(path, entry),
                None => self.end(),
            }
        }
        self.jobs.pop_front()
    }
}

impl<'a, I> Plan<'a, I> {
    fn add_entry(&mut self, path: &'a TreePath, entry: &'a Entry) {
        self.add(Piece::Header(path, entry), header::BLOCK as u64);
        let Some(content) = entry.content() else { return };
        match content {
            Content::Member(member) if self.is_spliced(member) => self.splice(path, member),
            _ => self.add_content(path, content),
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

    fn add_content(&mut self, path: &'a TreePath, content: &'a Content) {
        let size = content.size();
        if matches!(content, Content::Member(m) if m.method == Method::Deflated) {
            return self.add(Piece::Content(path, content, 0..size), size);
        }
        // An empty file is a piece too: that it is empty is checked when it is read.
        let mut at = 0;
        loop {
            let end = size.min(at + self.rules.fragment - self.fill);
            self.add(Piece::Content(path, content, at..end), end - at);
            at = end;
            if at == size {
                return;
            }
        }
    }

    fn add(&mut self, piece: Piece<'a>, size: u64) {
        self.fragment.push(piece);
        self.fill += size;
        if self.fill >= self.rules.fragment {
            self.end_fragment();
        }
    }

    fn splice(&mut self, path: &'a TreePath, member: &'a Member) {
        self.end_fragment();
        self.push(Part::Splice(path, member), member.size);
    }

    fn end_fragment(&mut self) {
        if !self.fragment.is_empty() {
            let pieces = std::mem::take(&mut self.fragment);
            let size = std::mem::take(&mut self.fill);
            self.push(Part::Fragment(pieces), size);
        }
    }

    fn push(&mut self, part: Part<'a>, size: u64) {
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
