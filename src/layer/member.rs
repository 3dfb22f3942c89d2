//! The content of a deflated zip member: inflated in steps, its stream checked to be exactly what was stated.

use std::io;

use super::inflate::{Boundary, Inflate, invalid};
use crate::tree::Member;

/// How much of the archive is read at once, in bytes.
const INPUT: usize = 64 * 1024;

/// What a worker needs to inflate one member after another.
pub(super) struct Inflater {
    inflate: Inflate,
    input: Vec<u8>,
}

impl Inflater {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            inflate: Inflate::new()?,
            input: vec![0; INPUT],
        })
    }

    /// Begins with a member that is one raw DEFLATE stream.
    pub fn start<'a>(&'a mut self, member: &'a Member) -> Deflated<'a> {
        self.inflate.reset();
        Deflated {
            inflater: self,
            member,
            read: 0,
            unread: 0..0,
            size: 0,
            crc: crc32fast::Hasher::new(),
        }
    }
}

/// A deflated member on its way.
pub(super) struct Deflated<'a> {
    inflater: &'a mut Inflater,
    member: &'a Member,
    /// Bytes of the stream read from the archive so far.
    read: u64,
    /// Those of them, in the input buffer, that are not inflated yet.
    unread: std::ops::Range<usize>,
    /// Bytes inflated so far, and their CRC-32.
    size: u64,
    crc: crc32fast::Hasher,
}

/// What one step gave.
pub(super) struct Inflated<'a> {
    /// The bytes of the stream that were used.
    pub stream: &'a [u8],
    /// How many bytes of the output were filled.
    pub produced: usize,
    /// Set when a block has ended. When it is the last, the member has been checked and there are no more steps.
    pub boundary: Option<Boundary>,
}

impl Deflated<'_> {
    /// Inflates some more. Fails if the stream is broken, ends early or late, or has another size or CRC-32 than the member
    /// states. Its digest is another's to check.
    pub fn step(&mut self, output: &mut [u8]) -> io::Result<Inflated<'_>> {
        if self.unread.is_empty() {
            self.fill()?;
        }
        let from = self.unread.start;
        let step = self
            .inflater
            .inflate
            .step(&self.inflater.input[self.unread.clone()], output)?;
        self.unread.start += step.consumed;
        self.size += step.produced as u64;
        self.crc.update(&output[..step.produced]);
        if self.size > self.member.size {
            return Err(invalid(format!(
                "inflates to more than the {} bytes stated",
                self.member.size
            )));
        }
        let last = step.boundary.is_some_and(|b| b.last);
        if last {
            self.check()?;
        } else if step.consumed == 0 && step.produced == 0 && step.boundary.is_none() {
            return Err(invalid("compressed data ends before its last block does"));
        }
        Ok(Inflated {
            stream: &self.inflater.input[from..from + step.consumed],
            produced: step.produced,
            boundary: step.boundary,
        })
    }

    /// How much output the next step can use: what is left of the stated size, and a byte to notice that there is more.
    pub fn room(&self) -> u64 {
        self.member.size.saturating_sub(self.size) + 1
    }

    /// The CRC-32 of the content, to be combined with that of what came before.
    pub fn crc(self) -> crc32fast::Hasher {
        self.crc
    }

    fn fill(&mut self) -> io::Result<()> {
        let left = self.member.compressed_size - self.read;
        let n = usize::try_from(left).unwrap_or(INPUT).min(INPUT);
        self.member
            .archive
            .read_exact_at(&mut self.inflater.input[..n], self.member.offset + self.read)?;
        self.read += n as u64;
        self.unread = 0..n;
        Ok(())
    }

    fn exhausted(&self) -> bool {
        self.unread.is_empty() && self.read == self.member.compressed_size
    }

    fn check(&self) -> io::Result<()> {
        let (member, crc) = (self.member, self.crc.clone().finalize());
        if !self.exhausted() {
            return Err(invalid("compressed data goes on after its last block"));
        }
        if self.size != member.size {
            return Err(invalid(format!(
                "inflates to {} bytes, not the {} stated",
                self.size, member.size
            )));
        }
        if crc != member.crc32 {
            return Err(invalid(format!(
                "has CRC-32 {crc:08x}, not the {:08x} stated",
                member.crc32
            )));
        }
        Ok(())
    }
}
