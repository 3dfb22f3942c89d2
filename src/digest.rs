//! Digests of content: `algorithm:hex`, as the OCI image spec and the Python packaging specs write them.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use sha2::Digest as _;

/// A hash algorithm that pyoci accepts as proof of content. Ordered by strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256: what pyoci itself writes everywhere.
    Sha256,
    /// SHA-384: accepted in locks (PEP 751, pip's `--hash`).
    Sha384,
    /// SHA-512: accepted in locks and as a registered OCI algorithm.
    Sha512,
}

impl Algorithm {
    /// The name used in digests, e.g. `sha256`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The length of the hash in bytes.
    pub fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(name: &str) -> Result<Self, DigestError> {
        match name {
            "sha256" => Ok(Self::Sha256),
            "sha384" => Ok(Self::Sha384),
            "sha512" => Ok(Self::Sha512),
            _ => Err(DigestError::Algorithm(name.to_owned())),
        }
    }
}

/// A content digest, `algorithm:hex` (OCI image-spec, descriptor.md, "Digests").
///
/// Parsing refuses unknown algorithms, wrong lengths and upper-case hex, so a value can be used as a file name.
///
/// There is one for every file of every wheel: the usual SHA-256 takes 40 bytes and nothing beside them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Hash);

/// The bytes of a hash, ordered by the strength of its algorithm, then as its hexadecimal is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Hash {
    Sha256([u8; 32]),
    Sha384(Box<[u8; 48]>),
    Sha512(Box<[u8; 64]>),
}

/// Why a text is not a digest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DigestError {
    /// No `algorithm:` in front.
    #[error("`{0}` is not a digest: expected `algorithm:hex`")]
    Form(String),
    /// An algorithm that proves nothing (MD5, SHA-1) or that is not known.
    #[error("hash algorithm `{0}` is not supported (sha256, sha384 or sha512 is needed)")]
    Algorithm(String),
    /// Not the right number of lower-case hexadecimal digits.
    #[error("`{0}` is not a {algorithm} in lower-case hexadecimal", algorithm = .1.name())]
    Hex(String, Algorithm),
}

impl Digest {
    /// A digest from its parts; refuses hex of the wrong length or case.
    pub fn new(algorithm: Algorithm, hex: &str) -> Result<Self, DigestError> {
        let wrong = || DigestError::Hex(hex.to_owned(), algorithm);
        let bytes = unhex(hex).ok_or_else(wrong)?;
        Self::from_bytes(algorithm, &bytes).map_err(|_| wrong())
    }

    /// A digest from the bytes of the hash; refuses another number of them.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, DigestError> {
        let hash = match algorithm {
            Algorithm::Sha256 => bytes.try_into().map(Hash::Sha256),
            Algorithm::Sha384 => bytes.try_into().map(Box::new).map(Hash::Sha384),
            Algorithm::Sha512 => bytes.try_into().map(Box::new).map(Hash::Sha512),
        };
        hash.map(Self)
            .map_err(|_| DigestError::Hex(hex(bytes), algorithm))
    }

    /// A SHA-256 from its eight words.
    pub fn sha256(words: [u32; 8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(words.map(u32::to_be_bytes).as_flattened());
        Self(Hash::Sha256(bytes))
    }

    /// The SHA-256 of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::sha256();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The SHA-256 of everything that a reader gives, and its length in bytes.
    pub fn of_reader(mut reader: impl Read) -> io::Result<(Self, u64)> {
        let mut hasher = Hasher::sha256();
        let mut buffer = vec![0; 128 * 1024];
        let mut size = 0;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok((hasher.finish(), size)),
                Ok(n) => {
                    hasher.update(&buffer[..n]);
                    size += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Hash::Sha256(_) => Algorithm::Sha256,
            Hash::Sha384(_) => Algorithm::Sha384,
            Hash::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The bytes of the hash.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Hash::Sha256(bytes) => bytes,
            Hash::Sha384(bytes) => &bytes[..],
            Hash::Sha512(bytes) => &bytes[..],
        }
    }

    /// The hash in lower-case hexadecimal.
    pub fn hex(&self) -> String {
        hex(self.as_bytes())
    }

    /// Where an image layout has the blob of that digest.
    ///
    /// > a directory for each hash algorithm, the children of which will contain the actual content (image-layout.md)
    pub fn layout_name(&self) -> String {
        format!("blobs/{}/{}", self.algorithm().name(), self.hex())
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text
            .split_once(':')
            .ok_or_else(|| DigestError::Form(text.to_owned()))?;
        Self::new(algorithm.parse()?, hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm().name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Computes a [`Digest`] piece by piece.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// A hasher for an algorithm.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha384 => State::Sha384(sha2::Sha384::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        })
    }

    /// A SHA-256 hasher.
    pub fn sha256() -> Self {
        Self::new(Algorithm::Sha256)
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(h) => h.update(bytes),
            State::Sha384(h) => h.update(bytes),
            State::Sha512(h) => h.update(bytes),
        }
    }

    /// The digest of all bytes added.
    pub fn finish(self) -> Digest {
        Digest(match self.0 {
            State::Sha256(h) => Hash::Sha256(h.finalize().into()),
            State::Sha384(h) => Hash::Sha384(Box::new(h.finalize().into())),
            State::Sha512(h) => Hash::Sha512(Box::new(h.finalize().into())),
        })
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

/// The bytes of lower-case hexadecimal.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks() else {
        return None;
    };
    let byte = |[high, low]: &[u8; 2]| Some(value(*high)? << 4 | value(*low)?);
    pairs.iter().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(empty.parse::<Digest>().unwrap(), Digest::of(b""));
        assert_eq!(Digest::of_reader(&b"abc"[..]).unwrap(), (Digest::of(b"abc"), 3));
    }

    #[test]
    fn text_that_could_be_a_path_or_another_case_is_refused() {
        for bad in [
            "",
            "sha256",
            "sha256:",
            "sha256:../../etc",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        let upper = Digest::of(b"").to_string().replace('e', "E");
        assert!(upper.parse::<Digest>().is_err());
    }

    #[test]
    fn longer_algorithms_have_longer_hashes() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512] {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(b"x");
            let digest = hasher.finish();
            assert_eq!(digest.hex().len(), 2 * algorithm.length());
            assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        }
    }
}
