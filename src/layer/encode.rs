//! The two formats of a layer's blob: how a fragment is compressed, and what frames them all.

use std::io;

use flate2::{Compress, FlushCompress};
use zstd::stream::raw::{Encoder as ZstdEncoder, InBuffer, Operation as _, OutBuffer};

use super::Compression;
use super::fixed;
use super::plan::Rules;

/// What zlib may hold back from earlier calls: its window and its pending output, with some to spare.
const HELD_BACK: usize = 256 * 1024;

/// Room for a whole block of zstd's, so that it need not copy.
const ZSTD_ROOM: usize = 160 * 1024;

/// Up to so many bytes, headers alone have an encoder of their own. Of many the general one finds more that is repeated: it
/// looks further back.
const MOST_HEADERS: usize = 4096;

/// Level 6 of zlib-rs: what an ordinary gzip would take.
const GZIP_LEVEL: u32 = 6;
/// The default level of the zstd tool.
const ZSTD_LEVEL: i32 = 3;

/// > ID1 (31, 139), CM = 8 deflate, FLG = 0, MTIME = 0 means no time stamp is available, XFL = 0, OS = 255 unknown
/// > (RFC 1952, 2.3.1)
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An empty last block with fixed Huffman codes: BFINAL 1, BTYPE 01, end-of-block 0000000 (RFC 1951, 3.2.3).
const LAST_BLOCK: [u8; 2] = [3, 0];

impl Compression {
    /// The media type of a layer (OCI image-spec, layer.md).
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    pub(super) fn rules(self) -> Rules {
        match self {
            Self::Gzip => Rules {
                splice_from: Some(1024),
                fragment: 512 * 1024,
            },
            Self::Zstd => Rules {
                splice_from: None,
                fragment: 4 * 1024 * 1024,
            },
        }
    }

    /// The bytes before the first fragment.
    pub(super) fn header(self) -> &'static [u8] {
        match self {
            Self::Gzip => &GZIP_HEADER,
            Self::Zstd => &[],
        }
    }

    /// The bytes after the last fragment, for a tar of that CRC-32 and size.
    pub(super) fn trailer(self, crc32: u32, size: u64) -> Vec<u8> {
        match self {
            Self::Gzip => {
                // > ISIZE: the size of the original (uncompressed) input data modulo 2^32 (RFC 1952)
                let size = size.to_le_bytes();
                [&LAST_BLOCK[..], &crc32.to_le_bytes(), &size[..4]].concat()
            }
            Self::Zstd => Vec::new(),
        }
    }
}

/// Compresses one fragment after another, each with no regard to those before.
pub(super) enum Encoder {
    /// Into DEFLATE blocks, none of them the last, that end at a byte.
    Deflate(Compress),
    /// Into one zstd frame.
    Zstd(ZstdEncoder<'static>),
}

impl Encoder {
    /// An encoder at the start of a fragment.
    pub fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::Gzip => Self::Deflate(Compress::new(flate2::Compression::new(GZIP_LEVEL), false)),
            Compression::Zstd => Self::Zstd(ZstdEncoder::new(ZSTD_LEVEL)?),
        })
    }

    /// Appends a whole fragment of nothing but headers and padding to the blob, if that is done apart from others.
    pub fn headers(&mut self, raw: &[u8], blob: &mut Vec<u8>) -> bool {
        let apart = matches!(self, Self::Deflate(_)) && raw.len() <= MOST_HEADERS;
        if apart {
            fixed::deflate(raw, blob);
        }
        apart
    }

    /// Appends the next bytes of a fragment to the blob, compressed; with `end` all of it is there.
    pub fn push(&mut self, raw: &[u8], end: bool, blob: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Deflate(compress) => deflate(compress, raw, end, blob),
            Self::Zstd(encoder) => zstd(encoder, raw, end, blob),
        }
    }
}

fn deflate(compress: &mut Compress, raw: &[u8], end: bool, blob: &mut Vec<u8>) -> io::Result<()> {
    blob.reserve(raw.len() + raw.len() / 8 + HELD_BACK);
    // > If flush is Z_SYNC_FLUSH, all pending output is flushed [...] an empty stored block [...] is aligned on a byte
    // > boundary (zlib.h)
    let flush = if end {
        FlushCompress::Sync
    } else {
        FlushCompress::None
    };
    let before = compress.total_in();
    compress.compress_vec(raw, blob, flush)?;
    // With this much room one call is enough; a second one could depend on the room there is.
    if compress.total_in() - before != raw.len() as u64 || blob.len() == blob.capacity() {
        return Err(io::Error::other("DEFLATE output is longer than it can be"));
    }
    if end {
        compress.reset();
    }
    Ok(())
}

fn zstd(encoder: &mut ZstdEncoder<'static>, raw: &[u8], end: bool, blob: &mut Vec<u8>) -> io::Result<()> {
    let mut input = InBuffer::around(raw);
    while input.pos() < raw.len() {
        blob.reserve(ZSTD_ROOM);
        let start = blob.len();
        encoder.run(&mut input, &mut OutBuffer::around_pos(blob, start))?;
    }
    if end {
        loop {
            blob.reserve(ZSTD_ROOM);
            let start = blob.len();
            if encoder.finish(&mut OutBuffer::around_pos(blob, start), true)? == 0 {
                break;
            }
        }
        encoder.reinit()?;
    }
    Ok(())
}
