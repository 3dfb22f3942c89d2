//! Files deflated one by one, each into a stream of its own, so that a layer can carry it over like a wheel's.

use std::io;

use flate2::{Compress, Compression, FlushCompress, Status};

/// The level of zlib-rs: what an ordinary gzip would take, as for all else that a layer compresses.
const LEVEL: u32 = 6;
/// More than zlib holds back of what it was given: its window and its pending output.
const HELD_BACK: usize = 256 * 1024;

/// Deflates one file after another.
#[derive(Debug)]
pub struct Deflater {
    compress: Compress,
    buffer: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Self {
        Self::new()
    }
}

impl Deflater {
    /// A deflater, to be used again and again by one thread.
    pub fn new() -> Self {
        Self {
            compress: Compress::new(Compression::new(LEVEL), false),
            buffer: Vec::new(),
        }
    }

    /// Bytes as one raw DEFLATE stream (RFC 1951): always the same for the same bytes.
    pub fn deflate(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        self.buffer.clear();
        self.buffer.reserve(bytes.len() + bytes.len() / 8 + HELD_BACK);
        self.compress.reset();
        // With this much room one call is enough; a second one could depend on the room there is.
        let status = self
            .compress
            .compress_vec(bytes, &mut self.buffer, FlushCompress::Finish)?;
        if status != Status::StreamEnd {
            return Err(io::Error::other("DEFLATE output is longer than it can be"));
        }
        Ok(self.buffer.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn every_file_is_a_stream_of_its_own_whatever_was_deflated_before() {
        let texts = [vec![], b"short".to_vec(), b"over and over ".repeat(50_000)];
        let mut used = Deflater::new();
        for text in &texts {
            let stream = used.deflate(text).unwrap();
            assert_eq!(stream, Deflater::new().deflate(text).unwrap());
            let mut inflated = Vec::new();
            let mut reader = flate2::read::DeflateDecoder::new(&stream[..]);
            reader.read_to_end(&mut inflated).unwrap();
            assert_eq!((inflated, reader.total_in()), (text.clone(), stream.len() as u64));
        }
    }
}
