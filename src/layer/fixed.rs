//! DEFLATE for tar headers between spliced members: so short that a general compressor spends its time on getting ready.
//!
//! One block of fixed Huffman codes (RFC 1951, 3.2.6). What a header repeats is looked for where headers repeat
//! themselves, and nowhere else.

/// The distances at which a repetition is looked for, each with its code, its extra bits and their value (RFC 1951, 3.2.5): a
/// run of one byte, the field before (uid and gid are alike), the header before.
const DISTANCES: [(usize, Code); 3] = [
    (1, Code::distance(0, 0, 0)),
    (8, Code::distance(5, 1, 1)),
    (512, Code::distance(17, 7, 127)),
];
/// The shortest repetition worth a code, by distance: a literal takes 8 bits.
const SHORTEST: [usize; 3] = [3, 3, 4];
/// > 258: the longest length (RFC 1951, 3.2.5)
const LONGEST: usize = 258;
/// The first length of each code from 257 on, and the number of its extra bits (RFC 1951, 3.2.5).
const LENGTHS: [(usize, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// Appends bytes to a blob as one DEFLATE block that is not the last, and ends at a byte.
pub(super) fn deflate(bytes: &[u8], blob: &mut Vec<u8>) {
    let mut bits = Bits {
        blob,
        held: 0,
        count: 0,
    };
    // BFINAL 0, BTYPE 01.
    bits.push(0b010, 3);
    let mut at = 0;
    while at < bytes.len() {
        if let Some((length, distance)) = longest(bytes, at) {
            bits.length(length);
            bits.code(distance);
            at += length;
        } else {
            bits.symbol(u32::from(bytes[at]));
            at += 1;
        }
    }
    // The end of the block.
    bits.symbol(256);
    let unused = bits.end();
    align(blob, unused);
}

/// Appends an empty stored block to a blob whose last byte has so many unused bits, all zero, so that it ends at a byte.
///
/// > each block of compressed data begins with 3 header bits [...] 00 - no compression [...] Any bits of input up to the
/// > next byte boundary are ignored. LEN is the number of data bytes in the block. NLEN is the one's complement of LEN.
/// > (RFC 1951, 3.2.3 and 3.2.4)
pub(super) fn align(blob: &mut Vec<u8>, unused_bits: u32) {
    match unused_bits {
        0 => return,
        1 | 2 => blob.push(0),
        _ => {}
    }
    blob.extend_from_slice(&[0, 0, 0xff, 0xff]);
}

/// The longest repetition of earlier bytes at a place, the nearest of equals.
fn longest(bytes: &[u8], at: usize) -> Option<(usize, Code)> {
    let rest = &bytes[at..bytes.len().min(at + LONGEST)];
    let mut best: Option<(usize, Code)> = None;
    for ((distance, code), shortest) in DISTANCES.into_iter().zip(SHORTEST) {
        let Some(from) = at.checked_sub(distance) else {
            break;
        };
        let alike = rest.iter().zip(&bytes[from..]).take_while(|(a, b)| a == b);
        let length = alike.count();
        if length >= shortest && best.is_none_or(|(longest, _)| length > longest) {
            best = Some((length, code));
        }
    }
    best
}

/// Bits as they stand in a stream: the first is the lowest.
#[derive(Clone, Copy, Debug)]
struct Code {
    bits: u64,
    count: u32,
}

impl Code {
    /// > Distance codes 0-31 are represented by (fixed-length) 5-bit codes, with possible additional bits (RFC 1951, 3.2.6)
    const fn distance(code: u32, extra_bits: u32, extra: u64) -> Self {
        let code = code.reverse_bits() >> (32 - 5);
        Self {
            bits: code as u64 | extra << 5,
            count: 5 + extra_bits,
        }
    }
}

/// Bits on their way into a blob.
struct Bits<'b> {
    blob: &'b mut Vec<u8>,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    /// > Data elements are packed into bytes in order of increasing bit number within the byte (RFC 1951, 3.1.1)
    fn push(&mut self, bits: u64, count: u32) {
        self.held |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            self.blob.push(self.held.to_le_bytes()[0]);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    fn code(&mut self, code: Code) {
        self.push(code.bits, code.count);
    }

    /// A literal, the end of the block, or the code of a length.
    ///
    /// > Huffman codes are packed starting with the most-significant bit of the code (RFC 1951, 3.1.1); lengths and codes
    /// > are those of its table in 3.2.6
    fn symbol(&mut self, symbol: u32) {
        let (code, count) = match symbol {
            0..144 => (0x30 + symbol, 8),
            144..256 => (0x190 + symbol - 144, 9),
            256..280 => (symbol - 256, 7),
            _ => (0xc0 + symbol - 280, 8),
        };
        self.push(u64::from(code.reverse_bits() >> (32 - count)), count);
    }

    /// The length of a repetition, 3 to 258.
    fn length(&mut self, length: usize) {
        let codes = (257..).zip(LENGTHS);
        let up_to = codes.take_while(|(_, (first, _))| *first <= length);
        let (code, (first, extra_bits)) = up_to.last().unwrap_or((257, LENGTHS[0]));
        self.symbol(code);
        self.push((length - first) as u64, extra_bits);
    }

    /// Fills the last byte with zeros; says how many bits that were.
    fn end(self) -> u32 {
        if self.count > 0 {
            self.blob.push(self.held.to_le_bytes()[0]);
        }
        (8 - self.count) % 8
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::header;
    use super::*;
    use crate::paths::TreePath;
    use crate::tree::{Content, Entry};

    /// What a blob of such blocks inflates to, by another program's inflater.
    fn inflated(mut blob: Vec<u8>) -> Vec<u8> {
        blob.extend_from_slice(&[3, 0]);
        miniz_oxide::inflate::decompress_to_vec(&blob).unwrap()
    }

    #[test]
    fn blocks_follow_each_other_and_inflate_to_what_they_were_made_of() {
        let mut blob = Vec::new();
        let mut all = Vec::new();
        for length in (0..40).chain(250..270).chain([510, 512, 513, 1024, 4096]) {
            for shape in 0..4_usize {
                let byte =
                    |at: usize| [0, at * at % 251, at / 3 % 5, at % 512 * 7 % 256][shape].to_le_bytes()[0];
                let bytes: Vec<u8> = (0..length).map(byte).collect();
                deflate(&bytes, &mut blob);
                all.extend_from_slice(&bytes);
            }
        }
        assert_eq!(inflated(blob), all);
    }

    #[test]
    fn every_length_has_its_code() {
        for length in 1..600 {
            let bytes = vec![200; length];
            let mut blob = Vec::new();
            deflate(&bytes, &mut blob);
            assert_eq!(inflated(blob), bytes, "{length}");
        }
    }

    #[test]
    fn a_header_becomes_no_longer_than_by_the_general_compressor() {
        let mut tar = vec![0; 200];
        let path = TreePath::new("deps/pandas/core/arrays/arrow/extension_types.py").unwrap();
        let content = Content::bytes(vec![0; 5000]);
        header::append(&mut tar, &path, &Entry::file(content, false), 0);
        let mut blob = Vec::new();
        deflate(&tar, &mut blob);
        let mut general = flate2::Compress::new(flate2::Compression::new(6), false);
        let mut other = Vec::with_capacity(4096);
        general
            .compress_vec(&tar, &mut other, flate2::FlushCompress::Sync)
            .unwrap();
        assert!(
            blob.len() <= other.len() + 8,
            "{} against {}",
            blob.len(),
            other.len()
        );
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(parts in prop::collection::vec((any::<u8>(), 1..600_usize), 0..12), noise in prop::collection::vec(any::<u8>(), 0..700)) {
            let mut bytes: Vec<u8> = parts.iter().flat_map(|(byte, count)| vec![*byte; *count]).collect();
            bytes.extend_from_slice(&noise);
            bytes.extend(parts.iter().map(|(byte, _)| *byte));
            let mut blob = Vec::new();
            deflate(&bytes, &mut blob);
            prop_assert_eq!(inflated(blob), bytes);
        }
    }
}
