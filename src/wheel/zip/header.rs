//! The two headers of a zip member (APPNOTE.TXT 4.3.7, 4.3.12) and its data descriptor (4.3.9).

use super::ZipError;

/// Length of a local header without name and extra field.
pub const LOCAL_LENGTH: usize = 30;
const CENTRAL_LENGTH: usize = 46;

// General purpose flags (4.4.4).
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
const DESCRIPTOR: u16 = 1 << 3;
const PATCH: u16 = 1 << 5;
const UTF8: u16 = 1 << 11;

// File types in the upper half of the external attributes, as `st_mode` has them.
const TYPE_MASK: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;

pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// A member as the central directory describes it.
#[derive(Debug)]
pub struct Central {
    pub name: String,
    pub flags: u16,
    pub method: u16,
    pub crc32: u32,
    pub compressed_size: u64,
    pub size: u64,
    pub offset: u64,
    pub mode: u32,
}

impl Central {
    /// Parses the header at the start of `bytes`; gives what follows it.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), ZipError> {
        if bytes.len() < CENTRAL_LENGTH || !bytes.starts_with(b"PK\x01\x02") {
            return Err(ZipError::Directory("a header is missing or cut off"));
        }
        let (header, rest) = bytes.split_at(CENTRAL_LENGTH);
        let lengths = [28, 30, 32].map(|at| usize::from(u16_at(header, at)));
        if rest.len() < lengths.iter().sum() {
            return Err(ZipError::Directory("a header is cut off"));
        }
        let (raw_name, rest) = rest.split_at(lengths[0]);
        let (extra, rest) = rest.split_at(lengths[1]);
        let flags = u16_at(header, 8);
        let name = decode_name(raw_name, flags)?;
        if u16_at(header, 34) != 0 {
            return Err(ZipError::Member(name, "is on another disk"));
        }
        let extra = Extra::parse(extra, &name)?;
        let [size, compressed_size, offset] = extra.widen(
            [u32_at(header, 24), u32_at(header, 20), u32_at(header, 42)],
            &name,
        )?;
        let central = Self {
            flags,
            method: u16_at(header, 10),
            crc32: u32_at(header, 16),
            compressed_size,
            size,
            offset,
            mode: u32_at(header, 38) >> 16,
            name,
        };
        central.check()?;
        Ok((central, &rest[lengths[2]..]))
    }

    fn check(&self) -> Result<(), ZipError> {
        let fault = |what| Err(ZipError::Member(self.name.clone(), what));
        if self.flags & ENCRYPTED != 0 {
            return fault("is encrypted");
        }
        if self.flags & PATCH != 0 {
            return fault("is a patch");
        }
        let kind = self.mode & TYPE_MASK;
        if self.is_directory() {
            return match kind {
                0 | DIRECTORY if self.size == 0 => Ok(()),
                _ => fault("is named as a directory and is none"),
            };
        }
        match kind {
            0 | REGULAR => Ok(()),
            _ => fault("is a link or a special file"),
        }
    }

    /// Whether it is a directory: its name ends with a slash.
    pub fn is_directory(&self) -> bool {
        self.name.ends_with('/')
    }

    /// Whether a data descriptor follows the data.
    pub fn has_descriptor(&self) -> bool {
        self.flags & DESCRIPTOR != 0
    }

    /// Whether it is, by its Unix mode, a regular file that someone may execute: what pip goes by.
    pub fn executable(&self) -> bool {
        self.mode & TYPE_MASK == REGULAR && self.mode & 0o111 != 0
    }

    /// Checks a data descriptor: CRC-32 and sizes, of 4 or 8 bytes each, with or without a signature in front.
    pub fn check_descriptor(&self, bytes: &[u8]) -> Result<(), ZipError> {
        let signed = bytes.len().is_multiple_of(8);
        let fields = if signed { &bytes[4..] } else { bytes };
        let sizes = if fields.len() == 12 {
            [4, 8].map(|at| u64::from(u32_at(fields, at)))
        } else {
            [4, 12].map(|at| u64_at(fields, at))
        };
        let right = (!signed || bytes.starts_with(b"PK\x07\x08"))
            && u32_at(fields, 0) == self.crc32
            && sizes == [self.compressed_size, self.size];
        right
            .then_some(())
            .ok_or_else(|| ZipError::Disagree(self.name.clone(), "its data descriptor"))
    }
}

/// A member as the header in front of its data describes it.
pub struct Local<'a> {
    header: &'a [u8],
    name: &'a [u8],
    extra: &'a [u8],
}

impl<'a> Local<'a> {
    /// The length of a whole local header, from its fixed part; `None` if it is none.
    pub fn length(fixed: &[u8]) -> Option<usize> {
        let lengths = usize::from(u16_at(fixed, 26)) + usize::from(u16_at(fixed, 28));
        fixed.starts_with(b"PK\x03\x04").then_some(LOCAL_LENGTH + lengths)
    }

    /// A local header from all its bytes, as many as [`Local::length`] says.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ZipError> {
        let (header, rest) = bytes.split_at_checked(LOCAL_LENGTH).ok_or(ZipError::NoEnd)?;
        let (name, extra) = rest
            .split_at_checked(usize::from(u16_at(header, 26)))
            .ok_or(ZipError::NoEnd)?;
        Ok(Self { header, name, extra })
    }

    /// Whether a data descriptor follows the data.
    pub fn has_descriptor(&self) -> bool {
        u16_at(self.header, 6) & DESCRIPTOR != 0
    }

    /// Compares it with the directory's header: all that decides what is read must be said alike.
    pub fn check(&self, central: &Central) -> Result<(), ZipError> {
        let fault = |what| Err(ZipError::Disagree(central.name.clone(), what));
        if self.name != central.name.as_bytes() {
            return fault("its name");
        }
        // Some writers mark the descriptor in front of the data only; the directory's sizes say the same.
        let differ = (u16_at(self.header, 6) ^ central.flags) & !DESCRIPTOR != 0;
        if differ || (central.has_descriptor() && !self.has_descriptor()) {
            return fault("its flags");
        }
        if u16_at(self.header, 8) != central.method {
            return fault("its compression method");
        }
        let extra = Extra::parse(self.extra, &central.name)?;
        let [size, compressed_size, _] = extra.widen(
            [u32_at(self.header, 22), u32_at(self.header, 18), 0],
            &central.name,
        )?;
        let crc32 = u64::from(u32_at(self.header, 14));
        let pairs = [
            (crc32, u64::from(central.crc32), "its CRC-32"),
            (compressed_size, central.compressed_size, "its compressed size"),
            (size, central.size, "its size"),
        ];
        for (local, expected, what) in pairs {
            // 4.4.4, bit 3: "the fields crc-32, compressed size and uncompressed size are set to zero in the
            // local header"; some writers go back and fill them in.
            let unknown = self.has_descriptor() && local == 0;
            if local != expected && !unknown {
                return fault(what);
            }
        }
        Ok(())
    }
}

/// 4.4.4, bit 11: "the filename and comment fields for this file MUST be encoded using UTF-8".
fn decode_name(raw: &[u8], flags: u16) -> Result<String, ZipError> {
    let fault = |what| Err(ZipError::Name(String::from_utf8_lossy(raw).into_owned(), what));
    if flags & UTF8 == 0 && !raw.is_ascii() {
        return fault("is neither ASCII nor marked as UTF-8");
    }
    match std::str::from_utf8(raw) {
        Ok(name) if name.contains('\\') => fault("has a backslash"),
        Ok(name) => Ok(name.to_owned()),
        Err(_) => fault("is not UTF-8"),
    }
}

/// The extra fields that change what a header means (4.5).
struct Extra<'a> {
    zip64: Option<&'a [u8]>,
}

impl<'a> Extra<'a> {
    fn parse(mut bytes: &'a [u8], name: &str) -> Result<Self, ZipError> {
        let fault = |what| ZipError::Member(name.to_owned(), what);
        let mut zip64 = None;
        while bytes.len() >= 4 {
            let length = usize::from(u16_at(bytes, 2));
            let (field, rest) = bytes[4..]
                .split_at_checked(length)
                .ok_or_else(|| fault("has a broken extra field"))?;
            match u16_at(bytes, 0) {
                0x0001 if zip64.replace(field).is_some() => {
                    return Err(fault("has two zip64 fields"));
                }
                // Info-ZIP Unicode Path (4.6.9): another name, which some programs prefer.
                0x7075 if field.get(5..) != Some(name.as_bytes()) => {
                    return Err(fault("has a second, different name"));
                }
                _ => {}
            }
            bytes = rest;
        }
        // Up to three zero bytes are what aligning tools pad with.
        if bytes.iter().any(|b| *b != 0) {
            return Err(fault("has a broken extra field"));
        }
        Ok(Self { zip64 })
    }

    /// 4.5.3: a field that is all ones is in the zip64 extra field instead, in this order: size, compressed size,
    /// offset.
    fn widen(&self, short: [u32; 3], name: &str) -> Result<[u64; 3], ZipError> {
        let mut wide = short.map(u64::from);
        let mut rest = self.zip64.unwrap_or_default();
        for (value, short) in wide.iter_mut().zip(short) {
            if short != u32::MAX || self.zip64.is_none() {
                continue;
            }
            if rest.len() < 8 {
                return Err(ZipError::Member(name.to_owned(), "has a broken zip64 field"));
            }
            *value = u64_at(rest, 0);
            rest = &rest[8..];
        }
        Ok(wide)
    }
}
