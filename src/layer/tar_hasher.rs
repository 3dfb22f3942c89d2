//! The digest of a tar, and those of files in it on the way.

use super::sha256::{Block, START, State, compress, compress_both};
use crate::digest::{Algorithm, Digest, Hasher};

/// Hashes a tar, and those files in it that are asked for: their bytes are the same blocks, as contents begin at multiples
/// of 512 bytes.
pub(super) struct TarHasher {
    tar: State,
    file: Option<File>,
    /// The bytes that are no whole block yet: the first `held` of these.
    rest: Block,
    held: usize,
    /// How many bytes came, those of `rest` included.
    size: u64,
}

/// A file that is being hashed.
enum File {
    /// By the blocks of the tar; `from` is where it begins in that.
    Sha256 { state: State, from: u64 },
    /// By another algorithm.
    Other(Hasher),
}

impl TarHasher {
    pub fn new() -> Self {
        Self {
            tar: START,
            file: None,
            rest: [0; 64],
            held: 0,
            size: 0,
        }
    }

    /// How many bytes came.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        if let Some(File::Other(hasher)) = &mut self.file {
            hasher.update(bytes);
        }
        let mut bytes = bytes;
        if self.held > 0 {
            let (now, later) = bytes.split_at(bytes.len().min(self.rest.len() - self.held));
            self.rest[self.held..self.held + now.len()].copy_from_slice(now);
            self.held += now.len();
            bytes = later;
            if self.held < self.rest.len() {
                return;
            }
            self.blocks(&[self.rest]);
        }
        let (blocks, rest) = bytes.as_chunks();
        self.blocks(blocks);
        self.rest[..rest.len()].copy_from_slice(rest);
        self.held = rest.len();
    }

    fn blocks(&mut self, blocks: &[Block]) {
        let Some(File::Sha256 { state, .. }) = &mut self.file else {
            return compress(&mut self.tar, blocks);
        };
        let mut both = [self.tar, *state];
        compress_both(&mut both, blocks);
        [self.tar, *state] = both;
    }

    /// A file begins here that is to be hashed.
    pub fn begin(&mut self, algorithm: Algorithm) {
        // Elsewhere than at a block it would be hashed apart from the tar.
        let shared = algorithm == Algorithm::Sha256 && self.held == 0;
        self.file = Some(if shared {
            File::Sha256 {
                state: START,
                from: self.size,
            }
        } else {
            File::Other(Hasher::new(algorithm))
        });
    }

    /// The file that began ends here; gives its digest.
    pub fn end(&mut self) -> Option<Digest> {
        Some(match self.file.take()? {
            File::Sha256 { state, from } => self.finished(state, self.size - from),
            File::Other(hasher) => hasher.finish(),
        })
    }

    /// The digest of all that came.
    pub fn finish(self) -> Digest {
        self.finished(self.tar, self.size)
    }

    /// > Append the bit "1" to the end of the message, followed by k zero bits [...]. Then append the 64-bit block that is
    /// > equal to the number l expressed using a binary representation. (FIPS 180-4, 5.1.1)
    fn finished(&self, mut state: State, size: u64) -> Digest {
        let mut block = [0; 64];
        block[..self.held].copy_from_slice(&self.rest[..self.held]);
        block[self.held] = 0x80;
        if self.held + 9 > block.len() {
            compress(&mut state, &[block]);
            block = [0; 64];
        }
        block[56..].copy_from_slice(&(size * 8).to_be_bytes());
        compress(&mut state, &[block]);
        Digest::sha256(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_whole_and_of_each_file_however_the_bytes_come() {
        let bytes: Vec<u8> = (0..4096_u32).map(|i| (i * i % 251) as u8).collect();
        let algorithms = [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512];
        for length in (0..130).chain([511, 512, 1000]) {
            let algorithm = algorithms[length % 3];
            for step in [1, 63, 64, 65, 4096] {
                let mut hasher = TarHasher::new();
                bytes[..512].chunks(step).for_each(|part| hasher.update(part));
                hasher.begin(algorithm);
                let file = &bytes[512..512 + length];
                file.chunks(step).for_each(|part| hasher.update(part));
                let mut alone = Hasher::new(algorithm);
                alone.update(file);
                assert_eq!(hasher.end(), Some(alone.finish()), "{length} {step}");
                bytes[512 + length..]
                    .chunks(step)
                    .for_each(|part| hasher.update(part));
                assert_eq!(hasher.size(), 4096);
                assert_eq!(hasher.end(), None);
                assert_eq!(hasher.finish(), Digest::of(&bytes), "{length} {step}");
            }
        }
    }
}
