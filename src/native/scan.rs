//! Objects found while the bytes of a layer pass by: nothing is read twice, and of each file only its tables are kept.

use std::io::{self, Read};
use std::ops::Range;

use super::elf::{self, Elf, Pieces};
use crate::interrupted::uninterrupted;
use crate::paths::TreePath;
use crate::tree::{Content, Each, Entries, Entry, Kind};

/// The block of tar.
const BLOCK: u64 = 512;
/// What is read of every file at first: the header of an ELF file and its segments.
const FIRST: u64 = 4096;
/// No more of a piece of a file that must be read again is kept until then.
const KEPT: usize = 64 * 1024;
/// Tables lead to tables: dynamic section, version needs, names.
const ROUNDS: usize = 8;

/// Watches the tar of a tree, and notes what its ELF files say.
pub struct Scan<'t> {
    entries: Each<'t>,
    /// Why they could not be read to the end.
    fault: Option<io::Error>,
    /// The header that is being read.
    header: Vec<u8>,
    /// Bytes of content and of padding that still belong to the current member.
    content: u64,
    padding: u64,
    current: Option<Capture>,
    found: Vec<(TreePath, Elf)>,
    /// Files some of whose tables had passed by before it was known where they are.
    late: Vec<Capture>,
}

struct Capture {
    path: TreePath,
    file: Content,
    at: u64,
    pieces: Pieces,
    wanted: Vec<Range<u64>>,
    begun: bool,
    rounds: usize,
}

impl<'t> Scan<'t> {
    /// A scan of the tar that is made of a tree.
    pub fn new(tree: &'t dyn Entries) -> Self {
        Self {
            entries: tree.each(),
            fault: None,
            header: Vec::new(),
            content: 0,
            padding: 0,
            current: None,
            found: Vec::new(),
            late: Vec::new(),
        }
    }

    /// Takes the next bytes of the tar.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.content > 0 {
                let (now, rest) = split(bytes, self.content);
                self.content -= now.len() as u64;
                if let Some(capture) = &mut self.current
                    && !capture.take(now)
                {
                    self.current = None;
                }
                if self.content == 0 {
                    self.end();
                }
                bytes = rest;
            } else if self.padding > 0 {
                let (now, rest) = split(bytes, self.padding);
                self.padding -= now.len() as u64;
                bytes = rest;
            } else {
                let (now, rest) = split(bytes, BLOCK - self.header.len() as u64);
                self.header.extend_from_slice(now);
                if self.header.len() as u64 == BLOCK {
                    self.member();
                }
                bytes = rest;
            }
        }
    }

    /// A header is complete.
    fn member(&mut self) {
        let header = std::mem::take(&mut self.header);
        // > Size: octal; typeflag `x`: an extended header for the next file (pax)
        self.content = match header[156] {
            0 => 0,
            b'x' => octal(&header[124..136]),
            _ => {
                self.current = match self.entries.next() {
                    Some(Ok((path, entry))) => Capture::of(path, entry),
                    Some(Err(fault)) => {
                        self.fault = Some(fault);
                        None
                    }
                    None => None,
                };
                self.current.as_ref().map_or(0, |capture| capture.file.size())
            }
        };
        self.padding = self.content.next_multiple_of(BLOCK) - self.content;
    }

    fn end(&mut self) {
        let Some(capture) = self.current.take() else {
            return;
        };
        match capture.ended() {
            Ok(found) => self.found.extend(found),
            Err(mut capture) => {
                capture.pieces.shorten(KEPT);
                self.late.push(*capture);
            }
        }
    }

    /// All ELF files, in the order of the tree. Files of which something is still wanted are read again, as far as needed.
    pub fn finish(mut self) -> io::Result<Vec<(TreePath, Elf)>> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        for capture in std::mem::take(&mut self.late) {
            self.found.extend(capture.read_again()?);
        }
        self.found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(self.found)
    }
}

/// The ELF files of a tree of which no layer is being written.
pub fn scan(tree: &dyn Entries) -> io::Result<Vec<(TreePath, Elf)>> {
    let mut found = Vec::new();
    for entry in tree.each() {
        let (path, entry) = entry?;
        let Some(mut capture) = Capture::of(path, entry) else {
            continue;
        };
        let mut magic = Vec::new();
        capture.file.open()?.take(4).read_to_end(&mut magic)?;
        if magic == b"\x7fELF" {
            capture.read_pass()?;
            match capture.ended() {
                Ok(elf) => found.extend(elf),
                Err(capture) => found.extend(capture.read_again()?),
            }
        }
    }
    Ok(found)
}

impl Capture {
    /// Of a file; there is nothing to see in anything else.
    fn of(path: TreePath, entry: Entry) -> Option<Self> {
        let Kind::File(file) = entry.kind else { return None };
        let size = file.size();
        let first = 0..FIRST.min(size);
        Some(Self {
            path,
            file,
            at: 0,
            pieces: Pieces::of(size),
            wanted: vec![first],
            begun: false,
            rounds: 0,
        })
    }

    /// Takes the next bytes of the file; false if it is no ELF file.
    fn take(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            // To the end of the first range that is wanted, or to what has passed for good.
            let ends = self.wanted.iter().map(|r| r.end).filter(|end| *end > self.at);
            let Some(until) = ends.min() else {
                self.at += bytes.len() as u64;
                return true;
            };
            let (now, rest) = split(bytes, until - self.at);
            let end = self.at + now.len() as u64;
            let covering = self.wanted.iter().filter(|r| r.start < end && r.end > self.at);
            if let Some(start) = covering.map(|r| r.start.max(self.at)).min() {
                let skip = usize::try_from(start - self.at).unwrap_or(now.len());
                self.pieces.add(start, &now[skip..]);
            }
            self.at = end;
            if end == until && !self.look() {
                return false;
            }
            bytes = rest;
        }
        true
    }

    /// Looks at what there is; false if it is no ELF file.
    fn look(&mut self) -> bool {
        let Some((_, wanted)) = elf::parse(&self.pieces) else {
            return false;
        };
        self.wanted = wanted;
        if !self.begun {
            self.begun = true;
            let head = elf::head(&self.pieces);
            if head > self.at {
                self.wanted.push(self.at..head.min(self.pieces.size));
            }
        }
        true
    }

    /// The file has been seen: what it says, or itself, if something had passed by.
    fn ended(self) -> Result<Option<(TreePath, Elf)>, Box<Self>> {
        match elf::parse(&self.pieces) {
            None => Ok(None),
            Some((elf, wanted)) if wanted.is_empty() || self.rounds == ROUNDS => Ok(Some((self.path, elf))),
            Some(_) => Err(Box::new(self)),
        }
    }

    fn read_again(mut self) -> io::Result<Option<(TreePath, Elf)>> {
        loop {
            self.rounds += 1;
            self.wanted = elf::parse(&self.pieces)
                .map(|(_, wanted)| wanted)
                .unwrap_or_default();
            self.read_pass()?;
            match self.ended() {
                Ok(found) => return Ok(found),
                Err(capture) => self = *capture,
            }
        }
    }

    /// Reads the file from its beginning, as far as something is wanted.
    fn read_pass(&mut self) -> io::Result<()> {
        self.at = 0;
        let mut reader = self.file.open()?;
        let mut buffer = vec![0; 64 * 1024];
        while self.wanted.iter().any(|range| range.end > self.at) {
            let n = uninterrupted(|| reader.read(&mut buffer))?;
            if n == 0 || !self.take(&buffer[..n]) {
                break;
            }
        }
        Ok(())
    }
}

/// The first `count` bytes, or all, and the rest.
fn split(bytes: &[u8], count: u64) -> (&[u8], &[u8]) {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len());
    bytes.split_at(count)
}

fn octal(field: &[u8]) -> u64 {
    let digits = field.iter().filter(|b| (b'0'..=b'7').contains(*b));
    digits.fold(0, |number: u64, digit| {
        number.saturating_mul(8).saturating_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{self, Compression, Options};
    use crate::tree::Tree;

    /// Real objects: this test program, and libraries of the host.
    fn objects() -> Vec<std::path::PathBuf> {
        let mut objects = vec![fs_err::read_link("/proc/self/exe").unwrap()];
        for directory in ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"] {
            let entries = fs_err::read_dir(directory).into_iter().flatten();
            let paths = entries.map(|e| e.unwrap().path());
            let objects_of = paths.filter(|p| p.is_file() && p.to_string_lossy().contains(".so."));
            objects.extend(objects_of.take(40));
        }
        objects
    }

    /// An object whose names are between a long beginning and its dynamic section: they have passed by when that tells
    /// where they are.
    fn late_object() -> Vec<u8> {
        let mut bytes = vec![0; 400_000];
        let mut put = |at: usize, text: &[u8]| bytes[at..at + text.len()].copy_from_slice(text);
        put(0, b"\x7fELF\x02\x01\x01");
        put(18, &62_u16.to_le_bytes());
        put(32, &64_u64.to_le_bytes());
        put(54, &56_u16.to_le_bytes());
        put(56, &3_u16.to_le_bytes());
        // PT_LOAD of the first 200,000 bytes, PT_LOAD of the rest, PT_DYNAMIC.
        for (number, (kind, offset, size)) in [(1, 0, 200_000), (1, 200_000, 200_000), (2, 300_000, 64)]
            .iter()
            .enumerate()
        {
            let at = 64 + 56 * number;
            put(at, &u32::to_le_bytes(*kind));
            for (field, value) in [(8, *offset), (16, *offset), (32, *size)] {
                put(at + field, &u64::to_le_bytes(value));
            }
        }
        // DT_NEEDED, DT_SONAME, DT_STRTAB, DT_NULL.
        for (number, (tag, value)) in [(1, 1), (14, 20), (5, 250_000), (0, 0)].iter().enumerate() {
            put(300_000 + 16 * number, &u64::to_le_bytes(*tag));
            put(300_008 + 16 * number, &u64::to_le_bytes(*value));
        }
        put(250_001, b"libneeded.so.1\0");
        put(250_020, b"liblate.so\0");
        bytes
    }

    #[test]
    fn tables_that_had_passed_by_are_read_again() {
        let mut tree = Tree::new();
        let entry = Entry::file(Content::bytes(late_object()), false);
        tree.insert(TreePath::new("late.so").unwrap(), entry).unwrap();
        let options = Options {
            mtime: 0,
            compression: Compression::Gzip,
            threads: 1,
        };
        let mut scan = Scan::new(&tree);
        let mut see = |bytes: &[u8]| scan.feed(bytes);
        layer::write_seen(&tree, &options, None, &mut io::sink(), &mut see).unwrap();
        assert_eq!(scan.late.len(), 1);
        let found = scan.finish().unwrap();
        assert_eq!(found[0].1.soname.as_deref(), Some("liblate.so"));
        assert_eq!(found[0].1.needed, ["libneeded.so.1"]);
        assert_eq!(super::scan(&tree).unwrap(), found);
    }

    /// Entries whose list is cut off.
    struct CutOff;

    impl Entries for CutOff {
        fn each(&self) -> Each<'_> {
            Box::new(std::iter::once(Err(io::Error::other("the list is cut off"))))
        }
    }

    #[test]
    fn a_list_that_cannot_be_read_is_an_error_and_not_a_tree_without_objects() {
        let mut seen = Scan::new(&CutOff);
        seen.feed(&[b'0'; 4096]);
        assert_eq!(seen.finish().unwrap_err().to_string(), "the list is cut off");
        assert!(super::scan(&CutOff).is_err());
    }

    #[test]
    fn what_is_seen_in_passing_is_what_reading_the_whole_file_gives() {
        let mut tree = Tree::new();
        let mut expected = Vec::new();
        for (number, file) in objects().iter().enumerate() {
            let bytes = fs_err::read(file).unwrap();
            // Some names need an extended header.
            let path = format!(
                "d/{}{number:03}",
                "long/".repeat(if number % 3 == 0 { 70 } else { 0 })
            );
            let path = TreePath::new(&path).unwrap();
            expected.extend(Elf::read(&bytes).map(|elf| (path.clone(), elf)));
            tree.insert(path, Entry::file(Content::bytes(bytes), false))
                .unwrap();
        }
        for (name, text) in [
            ("d/empty", &b""[..]),
            ("d/short", b"\x7fELF"),
            ("d/text", &[b'x'; 9000]),
        ] {
            let entry = Entry::file(Content::bytes(text), false);
            tree.insert(TreePath::new(name).unwrap(), entry).unwrap();
        }
        expected.sort_by(|(one, _), (other, _)| one.cmp(other));
        assert_eq!(super::scan(&tree).unwrap(), expected);
        let options = Options {
            mtime: 0,
            compression: Compression::Gzip,
            threads: 2,
        };
        let mut seen = Scan::new(&tree);
        let mut tar = Vec::new();
        let mut watch = |bytes: &[u8]| {
            tar.extend_from_slice(bytes);
            seen.feed(bytes);
        };
        layer::write_seen(&tree, &options, None, &mut io::sink(), &mut watch).unwrap();
        assert_eq!(seen.finish().unwrap(), expected);
        for step in [1, 511, 5000, 1 << 20] {
            let mut seen = Scan::new(&tree);
            let tar = if step == 1 {
                &tar[..tar.len().min(300_000)]
            } else {
                &tar[..]
            };
            tar.chunks(step).for_each(|bytes| seen.feed(bytes));
            if step > 1 {
                assert_eq!(seen.finish().unwrap(), expected, "{step}");
            }
        }
    }
}
