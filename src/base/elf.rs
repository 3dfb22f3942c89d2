//! The little of ELF that is needed: which machine a file is for, its interpreter, its soname (`elf(5)`).

/// What an ELF file says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elf {
    /// `e_machine`, e.g. 62 for x86-64.
    pub machine: u16,
    /// `PT_INTERP`: the dynamic loader.
    pub interpreter: Option<String>,
    /// `DT_SONAME`.
    pub soname: Option<String>,
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;

impl Elf {
    /// Reads a 64-bit little-endian ELF file; `None` if it is something else. Of a file's head alone it gives what lies there.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        // EI_CLASS 2: 64 bit; EI_DATA 1: little endian.
        if bytes.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let segments = segments(bytes);
        let text = |kind| {
            let segment = segments.iter().find(|s| s.kind == kind)?;
            let end = segment.offset.checked_add(segment.size)?;
            bytes.get(segment.offset..end)
        };
        Some(Self {
            machine: u16_at(bytes, 18)?,
            interpreter: text(PT_INTERP).and_then(string),
            soname: text(PT_DYNAMIC).and_then(|dynamic| soname(bytes, &segments, dynamic)),
        })
    }
}

struct Segment {
    kind: u32,
    offset: usize,
    address: u64,
    size: usize,
}

fn segments(bytes: &[u8]) -> Vec<Segment> {
    let read = || {
        let (offset, size, count) = (usize_at(bytes, 32)?, u16_at(bytes, 54)?, u16_at(bytes, 56)?);
        let segment = |i: u16| {
            let at = offset.checked_add(usize::from(i) * usize::from(size))?;
            Some(Segment {
                kind: u32_at(bytes, at)?,
                offset: usize_at(bytes, at.checked_add(8)?)?,
                address: u64_at(bytes, at.checked_add(16)?)?,
                size: usize_at(bytes, at.checked_add(32)?)?,
            })
        };
        Some((0..count).map_while(segment).collect())
    };
    read().unwrap_or_default()
}

fn soname(bytes: &[u8], segments: &[Segment], dynamic: &[u8]) -> Option<String> {
    let entries = || {
        dynamic
            .chunks_exact(16)
            .filter_map(|e| Some((u64_at(e, 0)?, u64_at(e, 8)?)))
    };
    let value = |tag| entries().find(|(t, _)| *t == tag).map(|(_, value)| value);
    let (name, table) = (value(DT_SONAME)?, value(DT_STRTAB)?);
    // The table is given by its address in memory; the loaded segment around it says where that is in the file.
    let segment = segments.iter().filter(|s| s.kind == PT_LOAD).find(|s| {
        table
            .checked_sub(s.address)
            .is_some_and(|inside| inside < s.size as u64)
    })?;
    let offset = (table - segment.address)
        .checked_add(segment.offset as u64)?
        .checked_add(name)?;
    string(bytes.get(usize::try_from(offset).ok()?..)?)
}

/// Text up to the first NUL.
fn string(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().take(4096).position(|b| *b == 0)?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(
        bytes.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(
        bytes.get(at..at.checked_add(8)?)?.try_into().ok()?,
    ))
}

fn usize_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64_at(bytes, at)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_program_is_an_elf_file_for_this_machine() {
        let path = fs_err::read_link("/proc/self/exe").unwrap();
        let bytes = fs_err::read(path).unwrap();
        let elf = Elf::read(&bytes).unwrap();
        assert_eq!(
            elf.machine,
            crate::platform::Platform::host().architecture.elf_machine()
        );
        assert!(elf.interpreter.unwrap().contains("ld-"));
        // The head alone is enough for all but the soname.
        assert_eq!(Elf::read(&bytes[..4096]).unwrap().machine, elf.machine);
    }

    #[test]
    fn what_is_no_elf_file_or_is_torn_gives_nothing() {
        assert_eq!(Elf::read(b""), None);
        assert_eq!(Elf::read(b"#!/bin/sh\n"), None);
        let mut torn = b"\x7fELF\x02\x01".to_vec();
        assert_eq!(Elf::read(&torn), None);
        torn.resize(64, 0xff);
        assert_eq!(
            Elf::read(&torn),
            Some(Elf {
                machine: 0xffff,
                ..Elf::default()
            })
        );
    }
}
