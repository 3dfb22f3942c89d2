//! The `ar` archive round a package's members, in the form that `deb(5)` allows: no symbol table, no long names.

use std::io::{self, Read, Write};

use super::{Error, Stop};
use crate::digest::Hasher;
use crate::interrupted::uninterrupted;

/// What an archive begins with.
pub(super) const MAGIC: &[u8] = b"!<arch>\n";
/// What ten digits hold.
const LARGEST: u64 = 9_999_999_999;

/// Writes members one after the other, and hashes all that it writes.
pub(super) struct Writer<W> {
    out: W,
    mtime: u64,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Writer<W> {
    pub fn new(out: W, mtime: u64) -> io::Result<Self> {
        let mut writer = Self {
            out,
            mtime,
            hasher: Hasher::sha256(),
            size: 0,
        };
        writer.put(MAGIC)?;
        Ok(writer)
    }

    /// A member from bytes.
    pub fn member(&mut self, name: &str, bytes: &[u8]) -> Result<(), Stop> {
        self.member_of(name, bytes.len() as u64, &mut &*bytes)
    }

    /// A member from a reader that gives `size` bytes.
    pub fn member_of(&mut self, name: &str, size: u64, reader: &mut dyn Read) -> Result<(), Stop> {
        if size > LARGEST {
            return Err(Stop::Other(Error::Large(size)));
        }
        // name, mtime, owner, group, mode, size
        let header = format!(
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
            self.mtime, 0, 0, "100644"
        );
        self.put(header.as_bytes())?;
        let mut buffer = vec![0; 256 * 1024];
        let mut left = size;
        while left > 0 {
            let n = uninterrupted(|| reader.read(&mut buffer))?;
            if n == 0 || n as u64 > left {
                let message = format!("{name} is not the {size} bytes that were written");
                return Err(io::Error::new(io::ErrorKind::InvalidData, message).into());
            }
            self.put(&buffer[..n])?;
            left -= n as u64;
        }
        // > data section [...] is aligned to an even byte
        if size % 2 == 1 {
            self.put(b"\n")?;
        }
        Ok(())
    }

    /// What was written to, its digest and its size.
    pub fn finish(self) -> (W, Hasher, u64) {
        (self.out, self.hasher, self.size)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}
