//! Compressed blobs of others: which compression it is, and bytes that do not grow without bound.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Compression;
use super::inflate::invalid;

/// What a small archive may unpack to, in bytes, however well it is compressed.
pub const ALWAYS_ALLOWED: u64 = 4 << 30;
/// How many times its own size a larger one may have. DEFLATE makes 1032 of zeros.
pub const MOST_EXPANSION: u64 = 200;

/// Whether so many bytes unpacked from so many are what only an archive made to fill disks and memory has.
pub fn is_bomb(packed: u64, unpacked: u64) -> bool {
    unpacked > ALWAYS_ALLOWED && unpacked / MOST_EXPANSION > packed
}

/// How bytes are compressed, by the first four of them; `None` if they are not.
pub fn compression(first: &[u8]) -> Option<Compression> {
    match first {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        // A zstd frame, or a skippable one in front (RFC 8878, 3.1).
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstd),
        _ => None,
    }
}

/// The uncompressed bytes of a blob, which may be gzip of any number of members, zstd of any number of frames, or neither.
/// Which it is stands in its first bytes; media types of old images cannot be trusted to say it.
pub fn decompress(mut blob: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = Vec::new();
    blob.by_ref().take(4).read_to_end(&mut magic)?;
    let blob = BufReader::with_capacity(128 * 1024, io::Cursor::new(magic.clone()).chain(blob));
    Ok(match compression(&magic) {
        Some(Compression::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(blob)),
        Some(Compression::Zstd) => Box::new(zstd::stream::read::Decoder::with_buffer(blob)?),
        None => Box::new(blob),
    })
}

/// The same for a blob that someone else made: fails once it has unpacked to more than an honest one can.
pub fn decompress_foreign(blob: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let packed = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        blob,
        count: Arc::clone(&packed),
    };
    Ok(Box::new(Bounded {
        stream: decompress(Box::new(counted))?,
        packed,
        unpacked: 0,
    }))
}

/// Counts the bytes that are read.
struct Counted<R> {
    blob: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.blob.read(buffer)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Holds what came out against what went in.
struct Bounded {
    stream: Box<dyn Read + Send>,
    packed: Arc<AtomicU64>,
    unpacked: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buffer)?;
        self.unpacked += n as u64;
        if is_bomb(self.packed.load(Ordering::Relaxed), self.unpacked) {
            return Err(invalid(format!(
                "it unpacks to more than {} GiB and more than {MOST_EXPANSION} times its own size: it is made to fill memory and disks",
                ALWAYS_ALLOWED >> 30
            )));
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_both_large_and_mostly_air_is_a_bomb() {
        assert!(!is_bomb(1, ALWAYS_ALLOWED));
        assert!(is_bomb(1 << 20, ALWAYS_ALLOWED + 1));
        // As large wheels are.
        assert!(!is_bomb(2_500 << 20, 6 << 30));
        assert!(is_bomb(10 << 20, 10 << 30));
    }

    #[test]
    fn a_stream_of_zeros_fails_where_it_becomes_a_bomb() {
        // One frame of 128 KiB zeros, many times: quick to unpack.
        let frame = zstd::encode_all(&vec![0; 1 << 20][..], 1).unwrap();
        let frames = frame.repeat(5 << 10);
        let mut stream = decompress_foreign(Box::new(io::Cursor::new(frames))).unwrap();
        let error = io::copy(&mut stream, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("times its own size"), "{error}");
    }
}
