//! The little of ELF that is needed: machine, interpreter, names and versions of libraries (`elf(5)`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// What an ELF file says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elf {
    /// `e_machine`, e.g. 62 for x86-64.
    pub machine: u16,
    /// `PT_INTERP`: the dynamic loader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// `DT_SONAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soname: Option<String>,
    /// `DT_NEEDED`: sonames of the libraries that the loader must find.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed: Vec<String>,
    /// `DT_RUNPATH`, else `DT_RPATH`: where they are looked for first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Versions of symbols that it needs, by library (`.gnu.version_r`); weak ones are not listed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requires: BTreeMap<String, BTreeSet<String>>,
    /// Versions of symbols that it defines (`.gnu.version_d`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub defines: BTreeSet<String>,
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PF_X: u32 = 1;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const DT_VERDEF: u64 = 0x6fff_fffc;
const DT_VERDEFNUM: u64 = 0x6fff_fffd;
const DT_VERNEED: u64 = 0x6fff_fffe;
const DT_VERNEEDNUM: u64 = 0x6fff_ffff;
/// > VER_FLG_WEAK: Weak version identifier.
const VER_FLG_WEAK: u16 = 2;

/// No dynamic section is larger.
const DYNAMIC_LIMIT: u64 = 64 * 1024;
/// No name of a library is longer, and no search path.
const NAME_LIMIT: u64 = 512;
const PATH_LIMIT: u64 = 4096;
/// What is asked for at a time of tables whose size is not known.
const TABLE: u64 = 8 * 1024;
/// More versions than any library has.
const VERSIONS_LIMIT: u64 = 4096;

/// Pieces of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    pub size: u64,
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Pieces {
    pub fn of(size: u64) -> Self {
        Self {
            size,
            pieces: Vec::new(),
        }
    }

    /// Adds bytes of the file.
    pub fn add(&mut self, at: u64, bytes: &[u8]) {
        let end_of = |(start, piece): &(u64, Vec<u8>)| start + piece.len() as u64;
        match self.pieces.iter_mut().find(|piece| end_of(piece) == at) {
            Some((_, piece)) => piece.extend_from_slice(bytes),
            None => self.pieces.push((at, bytes.to_vec())),
        }
    }

    /// Keeps no more than the first `limit` bytes of each piece: the file's header is in the first.
    pub fn shorten(&mut self, limit: usize) {
        for (_, piece) in &mut self.pieces {
            piece.truncate(limit);
            piece.shrink_to_fit();
        }
    }

    pub fn get(&self, range: &Range<u64>) -> Option<&[u8]> {
        self.pieces.iter().find_map(|(start, piece)| {
            let from = usize::try_from(range.start.checked_sub(*start)?).ok()?;
            let to = usize::try_from(range.end.checked_sub(*start)?).ok()?;
            piece.get(from..to)
        })
    }
}

impl Elf {
    /// Reads a 64-bit little-endian ELF file; `None` if it is something else. Of a file's head alone it gives what lies there.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut pieces = Pieces::of(bytes.len() as u64);
        pieces.add(0, bytes);
        parse(&pieces).map(|(elf, _)| elf)
    }
}

/// What pieces of a file tell, and the ranges that are wanted to know the rest; `None` if it is no 64-bit little-endian ELF file.
pub(super) fn parse(pieces: &Pieces) -> Option<(Elf, Vec<Range<u64>>)> {
    let header = pieces.get(&(0..64.min(pieces.size)))?;
    // EI_CLASS 2: 64 bit; EI_DATA 1: little endian.
    if header.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let machine = u16_at(header, 18)?;
    let mut reader = Reader {
        pieces,
        wanted: Vec::new(),
        segments: Vec::new(),
        strings: 0..0,
    };
    reader.segments = reader.segments(header).unwrap_or_default();
    let mut elf = reader.elf();
    elf.machine = machine;
    Some((elf, reader.wanted))
}

/// How much of a file's beginning holds the tables that the dynamic section leads to, at most: what comes before the code.
pub(super) fn head(pieces: &Pieces) -> u64 {
    const CODE: u64 = 256 * 1024;
    const MOST: u64 = 2 * 1024 * 1024;
    let mut reader = Reader {
        pieces,
        wanted: Vec::new(),
        segments: Vec::new(),
        strings: 0..0,
    };
    let header = pieces.get(&(0..64.min(pieces.size))).unwrap_or_default();
    let segments = reader.segments(header).unwrap_or_default();
    let first = segments.iter().find(|s| s.kind == PT_LOAD && s.offset == 0);
    first.map_or(0, |s| {
        if s.flags & PF_X == 0 {
            s.size.min(MOST)
        } else {
            s.size.min(CODE)
        }
    })
}

struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    size: u64,
}

struct Reader<'a> {
    pieces: &'a Pieces,
    wanted: Vec<Range<u64>>,
    segments: Vec<Segment>,
    /// Where the string table is in the file.
    strings: Range<u64>,
}

impl Reader<'_> {
    /// Bytes of the file, fewer where it ends; wanted, if they are not there.
    fn get(&mut self, offset: u64, most: u64) -> Option<Vec<u8>> {
        let range = offset..offset.checked_add(most)?.min(self.pieces.size);
        if range.is_empty() {
            return None;
        }
        let found = self.pieces.get(&range).map(<[u8]>::to_vec);
        if found.is_none() {
            self.wanted.push(range);
        }
        found
    }

    fn segments(&mut self, header: &[u8]) -> Option<Vec<Segment>> {
        let (offset, size, count) = (u64_at(header, 32)?, u16_at(header, 54)?, u16_at(header, 56)?);
        if size < 56 {
            return None;
        }
        let table = self.get(offset, u64::from(size) * u64::from(count))?;
        let segment = |text: &[u8]| {
            Some(Segment {
                kind: u32_at(text, 0)?,
                flags: u32_at(text, 4)?,
                offset: u64_at(text, 8)?,
                address: u64_at(text, 16)?,
                size: u64_at(text, 32)?,
            })
        };
        table.chunks_exact(usize::from(size)).map(segment).collect()
    }

    fn elf(&mut self) -> Elf {
        let mut elf = Elf::default();
        let place = |reader: &Self, kind| {
            let segment = reader.segments.iter().find(|s| s.kind == kind);
            segment.map(|s| (s.offset, s.size))
        };
        if let Some((offset, size)) = place(self, PT_INTERP) {
            let text = self.get(offset, size.min(PATH_LIMIT));
            elf.interpreter = text.and_then(|text| string(&text));
        }
        let Some((offset, size)) = place(self, PT_DYNAMIC) else {
            return elf;
        };
        let Some(dynamic) = self.get(offset, size.min(DYNAMIC_LIMIT)) else {
            return elf;
        };
        let entries: Vec<(u64, u64)> = dynamic
            .chunks_exact(16)
            .filter_map(|e| Some((u64_at(e, 0)?, u64_at(e, 8)?)))
            // > DT_NULL: An entry with this tag marks the end of the _DYNAMIC array.
            .take_while(|(tag, _)| *tag != 0)
            .collect();
        self.dynamic(&entries, &mut elf);
        elf
    }

    fn dynamic(&mut self, entries: &[(u64, u64)], elf: &mut Elf) {
        let value = |tag| entries.iter().find(|(t, _)| *t == tag).map(|(_, value)| *value);
        let Some(table) = value(DT_STRTAB).and_then(|address| self.offset(address)) else {
            return;
        };
        self.strings = table..table.saturating_add(value(DT_STRSZ).unwrap_or(u64::MAX));
        elf.soname = value(DT_SONAME).and_then(|name| self.name(name, NAME_LIMIT));
        for (_, name) in entries.iter().filter(|(tag, _)| *tag == DT_NEEDED) {
            elf.needed.extend(self.name(*name, NAME_LIMIT));
        }
        // > DT_RPATH [...] is ignored if DT_RUNPATH is there (ld.so(8))
        let search = value(DT_RUNPATH).or_else(|| value(DT_RPATH));
        let search = search
            .and_then(|path| self.name(path, PATH_LIMIT))
            .unwrap_or_default();
        elf.search = search
            .split(':')
            .filter(|d| !d.is_empty())
            .map(str::to_owned)
            .collect();
        if let (Some(address), Some(count)) = (value(DT_VERNEED), value(DT_VERNEEDNUM)) {
            self.requires(address, count, elf);
        }
        if let (Some(address), Some(count)) = (value(DT_VERDEF), value(DT_VERDEFNUM)) {
            self.defines(address, count, elf);
        }
    }

    /// `Elf64_Verneed`: version, count, file, aux, next; `Elf64_Vernaux`: hash, flags, other, name, next.
    fn requires(&mut self, address: u64, count: u64, elf: &mut Elf) {
        let Some(mut at) = self.offset(address) else {
            return;
        };
        // Of all libraries together: a table that is a circle would else be gone through millions of times.
        let mut left = VERSIONS_LIMIT;
        for _ in 0..count.min(VERSIONS_LIMIT) {
            let Some(need) = self.table(at, 16) else { return };
            let (versions, file) = (number16(&need, 2), number32(&need, 4));
            let library = self.name(file, NAME_LIMIT);
            let mut version_at = at + number32(&need, 8);
            for _ in 0..versions {
                if left == 0 {
                    return;
                }
                left -= 1;
                let Some(version) = self.table(version_at, 16) else {
                    return;
                };
                let name = self.name(number32(&version, 8), NAME_LIMIT);
                let weak = number16(&version, 4) & VER_FLG_WEAK != 0;
                if let (Some(library), Some(name), false) = (&library, name, weak) {
                    elf.requires.entry(library.clone()).or_default().insert(name);
                }
                // > vna_next: offset to the next entry; 0 at the last.
                match number32(&version, 12) {
                    0 => break,
                    next => version_at += next,
                }
            }
            match number32(&need, 12) {
                0 => return,
                next => at += next,
            }
        }
    }

    /// `Elf64_Verdef`: version, flags, index, count, hash, aux, next; `Elf64_Verdaux`: name, next.
    fn defines(&mut self, address: u64, count: u64, elf: &mut Elf) {
        let Some(mut at) = self.offset(address) else {
            return;
        };
        for _ in 0..count.min(VERSIONS_LIMIT) {
            let Some(definition) = self.table(at, 20) else {
                return;
            };
            let Some(first) = self.table(at + number32(&definition, 12), 8) else {
                return;
            };
            elf.defines.extend(self.name(number32(&first, 0), NAME_LIMIT));
            match number32(&definition, 16) {
                0 => return,
                next => at += next,
            }
        }
    }

    /// An entry of a table; with it, more of the table is wanted.
    fn table(&mut self, at: u64, size: u64) -> Option<Vec<u8>> {
        let range = at..at.checked_add(size)?;
        if let Some(found) = self.pieces.get(&range) {
            return Some(found.to_vec());
        }
        self.get(at, TABLE);
        None
    }

    /// A text of the string table.
    fn name(&mut self, at: u64, most: u64) -> Option<String> {
        let start = self.strings.start.checked_add(at)?;
        let most = most.min(self.strings.end.checked_sub(start)?);
        self.get(start, most).and_then(|text| string(&text))
    }

    /// Where in the file an address of memory is: the loaded segment around it says.
    fn offset(&self, address: u64) -> Option<u64> {
        let segment = self.segments.iter().filter(|s| s.kind == PT_LOAD).find(|s| {
            address
                .checked_sub(s.address)
                .is_some_and(|inside| inside < s.size)
        })?;
        (address - segment.address).checked_add(segment.offset)
    }
}

/// Text up to the first NUL.
fn string(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|b| *b == 0)?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn number16(bytes: &[u8], at: usize) -> u16 {
    u16_at(bytes, at).unwrap_or_default()
}

fn number32(bytes: &[u8], at: usize) -> u64 {
    u32_at(bytes, at).unwrap_or_default().into()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
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
        assert!(elf.needed.contains(&"libc.so.6".to_owned()), "{:?}", elf.needed);
        assert!(elf.requires["libc.so.6"].iter().all(|v| v.starts_with("GLIBC_")));
        // The head alone is enough for the machine.
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

    /// An object of one segment; all its tables are at the byte 256, where the dynamic section ends.
    fn object(dynamic: &[(u64, u64)], tables: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(256, 0);
        let size = (256 + tables.len()) as u64;
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&2_u16.to_le_bytes());
        for (at, kind, offset, length) in [(64, PT_LOAD, 0, size), (120, PT_DYNAMIC, 176, 80)] {
            bytes[at..at + 4].copy_from_slice(&kind.to_le_bytes());
            bytes[at + 8..at + 16].copy_from_slice(&u64::to_le_bytes(offset));
            bytes[at + 16..at + 24].copy_from_slice(&u64::to_le_bytes(offset));
            bytes[at + 32..at + 40].copy_from_slice(&length.to_le_bytes());
        }
        for (entry, (tag, value)) in dynamic.iter().enumerate() {
            let at = 176 + 16 * entry;
            bytes[at..at + 8].copy_from_slice(&tag.to_le_bytes());
            bytes[at + 8..at + 16].copy_from_slice(&value.to_le_bytes());
        }
        bytes.extend_from_slice(tables);
        bytes
    }

    #[test]
    fn tables_that_lead_to_themselves_are_not_gone_through_for_ever() {
        // A library that needs 65,535 versions, the next one always the same; and millions of such libraries.
        let need = |version_next: u32, next: u32| {
            let mut table = vec![1, 0, 0xff, 0xff];
            for number in [1, 16, next, 0, 0, 1, version_next] {
                table.extend(u32::to_le_bytes(number));
            }
            table.extend(b"\0lib\0");
            table.resize(128 * 1024, 0);
            object(
                &[(DT_STRTAB, 288), (DT_VERNEED, 256), (DT_VERNEEDNUM, u64::MAX)],
                &table,
            )
        };
        let begun = std::time::Instant::now();
        for (version_next, next) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let elf = Elf::read(&need(version_next, next)).unwrap();
            assert_eq!(elf.requires["lib"], ["lib".to_owned()].into());
        }
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }
}
