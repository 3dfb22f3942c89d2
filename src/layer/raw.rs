//! One block of a tar archive as a header: fields taken apart, and nothing that two readers could take differently.

use std::io;

use super::header::BLOCK;
use super::inflate::invalid;

/// A header whose check sum is right.
pub(super) struct Raw(Box<[u8; BLOCK]>);

/// How a header says what else is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Magic {
    /// POSIX: there is a prefix.
    Ustar,
    /// GNU: other fields are where the prefix would be.
    Gnu,
    /// Neither: Unix version 7.
    None,
}

impl Raw {
    /// Takes a block for a header; `None` if it is the end of the archive: all zeros.
    pub fn parse(block: Box<[u8; BLOCK]>) -> io::Result<Option<Self>> {
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let raw = Self(block);
        let sum: u64 = raw.0.iter().enumerate().map(|(at, b)| counted(at, *b)).sum();
        if raw.octal(148, 8).ok() != Some(sum) {
            return Err(invalid("not a tar archive: a header's check sum is wrong"));
        }
        Ok(Some(raw))
    }

    /// The type of the member: a digit of POSIX, or a letter.
    pub fn kind(&self) -> u8 {
        self.0[156]
    }

    pub fn magic(&self) -> Magic {
        match &self.0[257..265] {
            b"ustar  \0" => Magic::Gnu,
            magic if magic.starts_with(b"ustar\0") => Magic::Ustar,
            _ => Magic::None,
        }
    }

    /// Prefix and name; empty if there is none.
    ///
    /// > a new pathname shall be formed by concatenating prefix (up to the first NUL character), a slash character, and name
    pub fn name(&self) -> Vec<u8> {
        let (prefix, name) = (self.text(345, 155), self.text(0, 100));
        if self.magic() == Magic::Ustar && !prefix.is_empty() {
            // A prefix alone is no name: some readers see `prefix/`, others nothing.
            if name.is_empty() {
                return Vec::new();
            }
            return [prefix, b"/", name].concat();
        }
        name.to_owned()
    }

    pub fn link(&self) -> &[u8] {
        self.text(157, 100)
    }

    pub fn size(&self) -> io::Result<u64> {
        self.number(124, 12, "size")
    }

    /// Permission bits.
    pub fn mode(&self) -> io::Result<u32> {
        let mode = self.number(100, 8, "mode")?;
        Ok(u32::try_from(mode & 0o7777).unwrap_or_default())
    }

    pub fn uid(&self) -> io::Result<u64> {
        self.number(108, 8, "owner")
    }

    pub fn gid(&self) -> io::Result<u64> {
        self.number(116, 8, "group")
    }

    /// Whether the map of an old GNU file with holes goes on in another block.
    pub fn map_goes_on(&self) -> bool {
        self.0[482] != 0
    }

    /// A field up to its first NUL.
    fn text(&self, at: usize, length: usize) -> &[u8] {
        let field = &self.0[at..at + length];
        let end = field.iter().position(|b| *b == 0).unwrap_or(length);
        &field[..end]
    }

    /// Octal digits, or in GNU's and star's way a number in base 256 whose first bit is set.
    fn number(&self, at: usize, length: usize, what: &str) -> io::Result<u64> {
        let field = &self.0[at..at + length];
        if field[0] & 0x80 == 0 {
            return self
                .octal(at, length)
                .map_err(|()| invalid(format!("a tar header's {what} is not a number")));
        }
        let (high, low) = field.split_at(length.saturating_sub(8));
        let high = high.iter().enumerate();
        // The first byte is 0x80, or 0xff of a negative number.
        let fits = high
            .map(|(at, b)| if at == 0 { b ^ 0x80 } else { *b })
            .all(|b| b == 0);
        let mut bytes = [0; 8];
        bytes[8 - low.len()..].copy_from_slice(low);
        if length == 8 {
            // The mark is in the number's own first byte: one that is negative stays beyond any owner.
            bytes[0] ^= 0x80;
        }
        if !fits {
            return Err(invalid(format!("a tar header has an impossible {what}")));
        }
        Ok(u64::from_be_bytes(bytes))
    }

    /// Digits with spaces in front, and NULs or spaces after them; nothing at all is 0.
    fn octal(&self, at: usize, length: usize) -> Result<u64, ()> {
        let field = self.0[at..at + length].trim_ascii_start();
        let end = field
            .iter()
            .position(|b| matches!(b, 0 | b' '))
            .unwrap_or(field.len());
        let (digits, rest) = field.split_at(end);
        let clean = rest.iter().all(|b| matches!(b, 0 | b' '));
        let is_octal = digits.iter().all(|b| (b'0'..=b'7').contains(b));
        if !(clean && is_octal) {
            return Err(());
        }
        // Twelve digits at most: 36 bits.
        Ok(digits
            .iter()
            .fold(0, |number, digit| number * 8 + u64::from(digit - b'0')))
    }
}

/// A header's byte as its check sum counts it: the check sum's own field is taken as spaces.
fn counted(at: usize, byte: u8) -> u64 {
    u64::from(if (148..156).contains(&at) { b' ' } else { byte })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(at: usize, bytes: &[u8]) -> Raw {
        let mut block = Box::new([0; BLOCK]);
        block[at..at + bytes.len()].copy_from_slice(bytes);
        Raw(block)
    }

    #[test]
    fn numbers_are_octal_or_base_256_and_nothing_else() {
        for (field, size) in [
            (&b"00000000017\0"[..], 15),
            (b"         17 ", 15),
            (b"777777777777", (1 << 36) - 1),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0", 0),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", 2 << 32),
        ] {
            assert_eq!(with(124, field).size().unwrap(), size, "{field:?}");
        }
        for field in [
            &b"fghijk00005\0"[..],
            b"0000000001 7",
            b"0000000-017\0",
            b"0000000+017\0",
            b"0000000000x\0",
            b"\x80\x01\0\0\0\0\0\0\0\0\0\0",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(with(124, field).size().is_err(), "{field:?}");
        }
        assert_eq!(with(108, b"\x80\0\0\0\0\x20\0\0").uid().unwrap(), 0x20_0000);
        assert!(with(108, b"\xff\xff\xff\xff\xff\xff\xff\xfe").uid().unwrap() > u64::from(u32::MAX));
    }

    #[test]
    fn a_prefix_is_one_only_where_the_magic_says_so() {
        let mut raw = with(345, b"dir");
        raw.0[..4].copy_from_slice(b"name");
        assert_eq!(raw.name(), b"name");
        raw.0[257..265].copy_from_slice(b"ustar  \0");
        assert_eq!(raw.name(), b"name");
        raw.0[257..265].copy_from_slice(b"ustar\x0000");
        assert_eq!(raw.name(), b"dir/name");
        raw.0[..4].fill(0);
        assert_eq!(raw.name(), b"");
    }
}
