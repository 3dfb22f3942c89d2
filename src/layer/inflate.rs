//! DEFLATE, block by block: inflation that stops between blocks and says at which bit.
//!
//! zlib calls it `Z_BLOCK`; no safe interface has it, so this is the one module with unsafe code.
#![allow(
    unsafe_code,
    reason = "inflate with Z_BLOCK exists only behind zlib's C interface"
)]

use std::ffi::c_int;
use std::io;

use libz_rs_sys as zlib;

/// An inflater of raw DEFLATE streams, one after another.
pub(super) struct Inflate {
    // Boxed: zlib's rules let the state point back at the stream, so it must not move.
    stream: Box<zlib::z_stream>,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Bytes taken from the input.
    pub consumed: usize,
    /// Bytes put into the output.
    pub produced: usize,
    /// Set when the step ended between two blocks or after the last.
    pub boundary: Option<Boundary>,
}

/// The end of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Boundary {
    /// How many bits of the last consumed byte, the high ones, come after the block: 0 to 7.
    pub unused_bits: u32,
    /// Whether it was the last block of the stream.
    pub last: bool,
}

impl Inflate {
    /// An inflater at the start of a stream.
    pub fn new() -> io::Result<Self> {
        let mut stream = Box::new(zlib::z_stream::default());
        let size = c_int::try_from(size_of::<zlib::z_stream>()).map_err(io::Error::other)?;
        // SAFETY: the stream is a valid z_stream with zlib-rs's own allocator (its `Default`), the version string
        // is the library's own, and -15 asks for a raw stream with the largest window.
        let code = unsafe { zlib::inflateInit2_(&raw mut *stream, -15, zlib::zlibVersion(), size) };
        if code != zlib::Z_OK {
            return Err(io::Error::other("not enough memory to inflate"));
        }
        Ok(Self { stream })
    }

    /// Goes back to the start of a stream, a new one.
    pub fn reset(&mut self) {
        // SAFETY: `new` initialised the stream and only `drop` ends it.
        unsafe { zlib::inflateReset(&raw mut *self.stream) };
    }

    /// Inflates until the input is used up, the output is full, or a block ends. Fails on what is not DEFLATE.
    ///
    /// > The Z_BLOCK option assists in appending to or combining deflate streams. [...] inflate() always sets
    /// > strm->data_type to the number of unused bits in the last byte taken from strm->next_in, plus 64 if inflate()
    /// > is currently decoding the last block in the deflate stream, plus 128 if inflate() returned immediately after
    /// > decoding an end-of-block code (zlib.h)
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
        let (given, room) = (length(input.len()), length(output.len()));
        self.stream.next_in = input.as_ptr();
        self.stream.avail_in = given;
        self.stream.next_out = output.as_mut_ptr();
        self.stream.avail_out = room;
        // SAFETY: `new` initialised the stream; next_in and next_out point at the caller's slices, which outlive the
        // call, and the lengths are not more than theirs. zlib keeps neither pointer: both are set in each step.
        let code = unsafe { zlib::inflate(&raw mut *self.stream, zlib::Z_BLOCK) };
        if !matches!(code, zlib::Z_OK | zlib::Z_STREAM_END | zlib::Z_BUF_ERROR) {
            return Err(invalid("not a DEFLATE stream"));
        }
        let state = self.stream.data_type;
        let unused_bits = state.unsigned_abs() & 63;
        let boundary = (state & 128 != 0).then_some(Boundary {
            unused_bits,
            last: state & 64 != 0,
        });
        if boundary.is_some() && unused_bits > 7 {
            return Err(io::Error::other(
                "zlib holds back a whole byte at the end of a block",
            ));
        }
        Ok(Step {
            consumed: (given - self.stream.avail_in) as usize,
            produced: (room - self.stream.avail_out) as usize,
            boundary,
        })
    }
}

impl Drop for Inflate {
    fn drop(&mut self) {
        // SAFETY: `new` initialised the stream, and it is ended only here.
        unsafe { zlib::inflateEnd(&raw mut *self.stream) };
    }
}

/// A length as zlib counts it; of a longer slice zlib sees a part.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// An error about input that is not what it must be.
pub(super) fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The boundaries of a stream, as bit positions, fed `input_step` bytes at a time into `output_step`.
    fn boundaries(stream: &[u8], input_step: usize, output_step: usize) -> (Vec<(u64, bool)>, Vec<u8>) {
        let mut inflate = Inflate::new().unwrap();
        let (mut at, mut out, mut found) = (0, Vec::new(), Vec::new());
        loop {
            let end = stream.len().min(at + input_step);
            let mut buffer = vec![0; output_step];
            let step = inflate.step(&stream[at..end], &mut buffer).unwrap();
            at += step.consumed;
            out.extend_from_slice(&buffer[..step.produced]);
            if let Some(b) = step.boundary {
                found.push((at as u64 * 8 - u64::from(b.unused_bits), b.last));
                if b.last {
                    return (found, out);
                }
            }
        }
    }

    #[test]
    fn boundaries_are_the_same_however_the_stream_is_fed() {
        let mut compress = flate2::Compress::new(flate2::Compression::default(), false);
        let mut stream = Vec::with_capacity(1 << 20);
        let text: Vec<u8> = (0..60_000_u32)
            .flat_map(|i| (i * i % 1009).to_string().into_bytes())
            .collect();
        for part in text.chunks(50_000) {
            compress
                .compress_vec(part, &mut stream, flate2::FlushCompress::Partial)
                .unwrap();
        }
        compress
            .compress_vec(&[], &mut stream, flate2::FlushCompress::Finish)
            .unwrap();
        let whole = boundaries(&stream, usize::MAX / 2, 1 << 20);
        assert_eq!(whole.1, text);
        assert!(whole.0.len() > 5 && whole.0.last().unwrap().1);
        assert!(whole.0.iter().any(|(bit, _)| bit % 8 != 0));
        for (input, output) in [(1, 1), (1, 4096), (4096, 1), (7, 300), (65536, 131_072)] {
            assert_eq!(boundaries(&stream, input, output), whole, "{input} {output}");
        }
    }

    #[test]
    fn what_is_not_deflate_is_an_error() {
        // BTYPE 11 is reserved (RFC 1951, 3.2.3).
        assert!(Inflate::new().unwrap().step(&[7, 0, 0], &mut [0; 100]).is_err());
    }
}
