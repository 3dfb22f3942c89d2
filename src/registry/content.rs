//! Content that is sent: read in order, hashed on the way, and never sent whole if it is not what it should be.

use std::io::{self, Read};

use crate::blob::Blob;
use crate::digest::Hasher;
use crate::progress::Progress;

/// A blob that is being sent, maybe in pieces and maybe again from some byte on.
pub(super) struct Content {
    blob: Blob,
    progress: Progress,
    reader: Option<Reading>,
    fault: Option<io::Error>,
}

struct Reading {
    reader: Box<dyn Read + Send>,
    hasher: Hasher,
    position: u64,
}

impl Content {
    pub fn new(blob: &Blob, progress: &Progress) -> Self {
        Self {
            blob: blob.clone(),
            progress: progress.clone(),
            reader: None,
            fault: None,
        }
    }

    /// Why reading failed, if it was reading and not sending.
    pub fn take_fault(&mut self) -> Option<io::Error> {
        self.fault.take()
    }

    /// Whether it was reading that failed.
    pub fn has_fault(&self) -> bool {
        self.fault.is_some()
    }

    /// A reader over some of the bytes. What lies before them is read again if needed, so that all is hashed.
    pub fn piece(&mut self, from: u64, length: u64) -> Piece<'_> {
        Piece {
            content: self,
            from,
            left: length,
        }
    }

    fn read_at(&mut self, from: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let reading = match &mut self.reader {
            Some(reading) if reading.position <= from => reading,
            _ => self.reader.insert(Reading {
                reader: self.blob.content.open()?,
                hasher: Hasher::new(self.blob.descriptor.digest.algorithm()),
                position: 0,
            }),
        };
        let mut skipped = [0; 16 * 1024];
        while reading.position < from {
            let left = usize::try_from(from - reading.position).unwrap_or(usize::MAX);
            let some = left.min(skipped.len());
            if reading.read(&mut skipped[..some], &self.blob)? == 0 {
                break;
            }
        }
        reading.read(buffer, &self.blob)
    }
}

impl Reading {
    /// Reads on. The last bytes are given only if all of them together are what they should be.
    fn read(&mut self, buffer: &mut [u8], blob: &Blob) -> io::Result<usize> {
        let n = loop {
            match self.reader.read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.hasher.update(&buffer[..n]);
        self.position += n as u64;
        let (size, digest) = (blob.descriptor.size, &blob.descriptor.digest);
        let fault = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        if n == 0 && !buffer.is_empty() && self.position < size {
            return fault(format!("ended after {} of {size} bytes", self.position));
        }
        if self.position == size {
            let actual = self.hasher.clone().finish();
            if actual != *digest {
                return fault(format!("content has digest {actual}"));
            }
            // The end of what is read may be where it is checked, and connections are given back.
            if self.reader.read(&mut [0])? > 0 {
                return fault(format!("longer than the {size} bytes expected"));
            }
        }
        Ok(n)
    }
}

/// Some bytes of a [`Content`].
pub(super) struct Piece<'c> {
    content: &'c mut Content,
    from: u64,
    left: u64,
}

impl Read for Piece<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if limit == 0 {
            return Ok(0);
        }
        match self.content.read_at(self.from, &mut buffer[..limit]) {
            Ok(n) => {
                self.from += n as u64;
                self.left -= n as u64;
                let descriptor = &self.content.blob.descriptor;
                let what = format!("push {}", descriptor.digest);
                self.content.progress.transfer(&what, self.from, descriptor.size);
                Ok(n)
            }
            Err(e) => {
                // What the agent makes of it may be taken for a fault of the network.
                let (kind, text) = (e.kind(), e.to_string());
                self.content.reader = None;
                self.content.fault = Some(e);
                Err(io::Error::new(kind, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Descriptor;
    use std::sync::Arc;

    fn content(bytes: &[u8], described: &[u8]) -> Content {
        let held: Arc<[u8]> = bytes.into();
        let blob = Blob {
            descriptor: Descriptor::of("text/plain", described),
            content: Arc::new(held),
        };
        Content::new(&blob, &Progress::silent())
    }

    fn read(content: &mut Content, from: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        content.piece(from, length).read_to_end(&mut bytes).map(|_| bytes)
    }

    #[test]
    fn pieces_are_read_in_any_order_and_again() {
        let mut content = content(b"0123456789", b"0123456789");
        assert_eq!(read(&mut content, 0, 4).unwrap(), b"0123");
        assert_eq!(read(&mut content, 4, 6).unwrap(), b"456789");
        assert_eq!(read(&mut content, 7, 3).unwrap(), b"789");
        assert_eq!(read(&mut content, 0, 10).unwrap(), b"0123456789");
        assert!(content.take_fault().is_none());
    }

    #[test]
    fn wrong_bytes_never_leave_whole() {
        for wrong in [&b"012345678X"[..], b"01234567890", b"012345678", b""] {
            let mut content = content(wrong, b"0123456789");
            let mut got = Vec::new();
            let mut piece = content.piece(0, 10);
            let mut byte = [0; 3];
            let error = loop {
                match piece.read(&mut byte) {
                    Ok(0) => panic!("{wrong:?} was read"),
                    Ok(n) => got.extend_from_slice(&byte[..n]),
                    Err(e) => break e,
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(got.len() < 10);
            assert!(content.take_fault().is_some());
        }
    }
}
