//! Every shape of DEFLATE stream that a zip member may have.

use std::io::Write;
use std::sync::Arc;

use flate2::{Compress, FlushCompress};
use pyoci::blob::RandomFile;
use pyoci::digest::Digest;
use pyoci::tree::{Member, Method};

/// Bytes that look like nothing, the same ones each time.
pub(super) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

pub(super) fn text(length: usize, seed: u64) -> Vec<u8> {
    let words = [
        "import ", "self", ".", "return ", "None", "\n    ", "def ", "(", ")", ": ",
    ];
    let mut text = Vec::new();
    for byte in noise(length, seed) {
        text.extend_from_slice(words[usize::from(byte) % words.len()].as_bytes());
        text.push(byte % 26 + b'a');
    }
    text.truncate(length);
    text
}

/// A raw DEFLATE stream of the content, flushed after each so many bytes.
pub(super) fn deflate(content: &[u8], level: u32, flush: Option<(usize, FlushCompress)>) -> Vec<u8> {
    let mut compress = Compress::new(flate2::Compression::new(level), false);
    let mut stream = Vec::with_capacity(content.len() * 2 + 4096);
    let (step, mode) = flush.unwrap_or((usize::MAX, FlushCompress::None));
    for part in content.chunks(step.min(content.len().max(1))) {
        compress.compress_vec(part, &mut stream, mode).unwrap();
    }
    compress
        .compress_vec(&[], &mut stream, FlushCompress::Finish)
        .unwrap();
    assert_eq!(compress.total_in(), content.len() as u64);
    stream
}

/// A DEFLATE stream in the making, bit by bit (RFC 1951, 3.1.1 and 3.2.6).
#[derive(Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    pub fn put(&mut self, bit: u32) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        *self.bytes.last_mut().unwrap() |= u8::try_from(bit).unwrap() << self.used;
        self.used = (self.used + 1) % 8;
    }

    pub fn code(&mut self, code: u32, length: u32) {
        (0..length).rev().for_each(|bit| self.put(code >> bit & 1));
    }

    /// A block of literals in fixed Huffman codes.
    pub fn fixed_block(&mut self, content: &[u8], last: bool) {
        for bit in [u32::from(last), 1, 0] {
            self.put(bit);
        }
        for byte in content {
            let byte = u32::from(*byte);
            let (code, length) = if byte < 144 {
                (0x30 + byte, 8)
            } else {
                (0x190 + byte - 144, 9)
            };
            self.code(code, length);
        }
        self.code(0, 7);
    }

    /// The stream; the bits after its end are ones instead of zeros.
    pub fn end_with_ones(mut self) -> (Vec<u8>, usize) {
        let end = self.used;
        while self.used != 0 {
            self.put(1);
        }
        (self.bytes, end)
    }
}

/// An archive that holds streams as they are, with other bytes around them.
pub(super) fn members(streams: &[(Vec<u8>, Method, Vec<u8>)]) -> Vec<Member> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut offsets = Vec::new();
    let mut offset = 0;
    for (stream, _, _) in streams {
        file.write_all(&[0xff; 7]).unwrap();
        file.write_all(stream).unwrap();
        offsets.push(offset + 7);
        offset += 7 + stream.len() as u64;
    }
    file.write_all(&[0xff; 7]).unwrap();
    // The file stays open behind its name; on Linux it lives as long.
    let archive = Arc::new(RandomFile::open(file.path()).unwrap());
    let member = |((stream, method, content), offset): (&(Vec<u8>, Method, Vec<u8>), u64)| Member {
        archive: Arc::clone(&archive),
        offset,
        compressed_size: stream.len() as u64,
        size: content.len() as u64,
        crc32: crc32fast::hash(content),
        digest: Some(Digest::of(content)),
        method: *method,
    };
    streams.iter().zip(offsets).map(member).collect()
}

/// Every shape of stream that a zip member may have, by name.
pub(super) fn shapes() -> Vec<(String, Vec<u8>, Method, Vec<u8>)> {
    let mut shapes = Vec::new();
    let mut shape = |name: &str, stream: Vec<u8>, method, content: &[u8]| {
        shapes.push((name.to_owned(), stream, method, content.to_vec()));
    };
    shape("empty-stored", Vec::new(), Method::Stored, b"");
    shape("empty-deflated", deflate(b"", 6, None), Method::Deflated, b"");
    let big = text(700_000, 1);
    let random = noise(300_000, 2);
    shape("one-big", deflate(&big, 6, None), Method::Deflated, &big);
    shape("stored-small", b"stored".to_vec(), Method::Stored, b"stored");
    let large = noise(3_000_000, 3);
    shape("stored-large", large.clone(), Method::Stored, &large);
    shape(
        "stored-blocks",
        deflate(&random, 0, None),
        Method::Deflated,
        &random,
    );
    shape(
        "incompressible",
        deflate(&random, 9, None),
        Method::Deflated,
        &random,
    );
    let zeros = vec![0; 3_000_000];
    shape(
        "zeros-short-but-large",
        deflate(&zeros, 9, None),
        Method::Deflated,
        &zeros,
    );
    for (name, mode) in [
        ("sync", FlushCompress::Sync),
        ("full", FlushCompress::Full),
        ("partial", FlushCompress::Partial),
    ] {
        for step in [100, 5_000, 65_536] {
            let content = text(200_000, step as u64);
            shape(
                &format!("many-blocks-{name}-{step}"),
                deflate(&content, 6, Some((step, mode))),
                Method::Deflated,
                &content,
            );
        }
    }
    // Streams of fixed codes that end at each of the eight bit positions, with ones after the end.
    let mut ends = [false; 8];
    for nines in 0..8 {
        for length in [300, 6_000, 140_000] {
            let mut content = vec![b'a'; length];
            content[..nines].fill(200);
            let mut bits = Bits::default();
            bits.fixed_block(&content[..length / 2], false);
            bits.fixed_block(&[], false);
            bits.fixed_block(&content[length / 2..], true);
            let (stream, end) = bits.end_with_ones();
            ends[end] = true;
            shape(
                &format!("fixed-{nines}-{length}"),
                stream,
                Method::Deflated,
                &content,
            );
        }
    }
    assert_eq!(ends, [true; 8]);
    // Compressed sizes at and around the threshold between compressing anew and carrying over.
    for size in 1_008..1_040 {
        let content = noise(size, size as u64);
        let stream = deflate(&content[..size - 5], 0, None);
        assert_eq!(stream.len(), size);
        shape(
            &format!("threshold-{size}"),
            stream,
            Method::Deflated,
            &content[..size - 5],
        );
    }
    shapes
}
