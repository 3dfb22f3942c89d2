//! Control data: stanzas of `Field: value` lines (`deb822(5)`), read as a stream.

use std::io::{self, BufRead};

/// One stanza: fields in order, names as written, values without the space after the colon.
///
/// Continuation lines keep their newline and lose their first character.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stanza(Vec<(String, String)>);

impl Stanza {
    /// A field's value; names are compared without case, as the format wants.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// Appends the stanza as text, without an empty line after it.
    pub fn write(&self, text: &mut String) {
        for (name, value) in &self.0 {
            text.extend([name, ": "]);
            for (at, line) in value.split('\n').enumerate() {
                text.extend([if at == 0 { "" } else { " " }, line, "\n"]);
            }
        }
    }
}

/// Why text is not control data.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read, or is not UTF-8.
    #[error("cannot be read")]
    Read(#[from] io::Error),
    /// A line is neither a field, a continuation nor empty.
    #[error("line {0} is not `Field: value`")]
    Line(u64),
    /// A field is there twice in one stanza.
    #[error("line {0}: field {1} is there twice")]
    Twice(u64, String),
    /// A line or a stanza is longer than any real one.
    #[error("line {0} is longer than {limit} bytes", limit = LINE_LIMIT)]
    Long(u64),
    /// A stanza has more fields than any real one.
    #[error("line {0}: more than {limit} fields in one stanza", limit = FIELDS_LIMIT)]
    Fields(u64),
}

/// No line of Debian's own indexes is near it; memory stays bounded whatever comes.
const LINE_LIMIT: u64 = 4 << 20;
/// Debian's have some thirty. Each name is compared with those before it.
const FIELDS_LIMIT: usize = 1000;

/// Reads stanzas one by one.
pub struct Stanzas<'a, R> {
    reader: R,
    wanted: Option<&'a [&'a str]>,
    line: u64,
    buffer: Vec<u8>,
}

impl<'a, R: BufRead> Stanzas<'a, R> {
    /// All fields of all stanzas.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            wanted: None,
            line: 0,
            buffer: Vec::new(),
        }
    }

    /// Only these fields; the others cost no memory.
    pub fn only(reader: R, wanted: &'a [&'a str]) -> Self {
        Self {
            reader,
            wanted: Some(wanted),
            line: 0,
            buffer: Vec::new(),
        }
    }

    /// The next line without its end, empty lines included; false at the end.
    fn next_line(&mut self) -> Result<bool, Error> {
        use io::Read as _;
        self.buffer.clear();
        self.line += 1;
        let read = (&mut self.reader)
            .take(LINE_LIMIT)
            .read_until(b'\n', &mut self.buffer)?;
        if read as u64 == LINE_LIMIT {
            return Err(Error::Long(self.line));
        }
        while self.buffer.last().is_some_and(u8::is_ascii_whitespace) {
            self.buffer.pop();
        }
        Ok(read > 0)
    }

    fn next_stanza(&mut self) -> Result<Option<Stanza>, Error> {
        let mut stanza = Stanza::default();
        let mut inside = false;
        // Whether continuation lines belong to a field that is kept.
        let mut keeping = false;
        while self.next_line()? {
            let line = std::str::from_utf8(&self.buffer).map_err(|e| Error::Read(io::Error::other(e)))?;
            if line.is_empty() {
                if inside {
                    return Ok(Some(stanza));
                }
                continue;
            }
            if line.starts_with([' ', '\t']) {
                if !inside {
                    return Err(Error::Line(self.line));
                }
                if let (true, Some((_, value))) = (keeping, stanza.0.last_mut()) {
                    value.push('\n');
                    value.push_str(&line[1..]);
                }
                continue;
            }
            let (name, value) = line.split_once(':').ok_or(Error::Line(self.line))?;
            if name.is_empty() || name.bytes().any(|b| !b.is_ascii_graphic()) {
                return Err(Error::Line(self.line));
            }
            inside = true;
            keeping = self
                .wanted
                .is_none_or(|w| w.iter().any(|n| n.eq_ignore_ascii_case(name)));
            if keeping {
                if stanza.get(name).is_some() {
                    return Err(Error::Twice(self.line, name.to_owned()));
                }
                if stanza.0.len() == FIELDS_LIMIT {
                    return Err(Error::Fields(self.line));
                }
                stanza.0.push((name.to_owned(), value.trim_start().to_owned()));
            }
        }
        Ok(inside.then_some(stanza))
    }
}

impl<R: BufRead> Iterator for Stanzas<'_, R> {
    type Item = Result<Stanza, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_stanza().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanzas(text: &str) -> Result<Vec<Stanza>, Error> {
        Stanzas::new(text.as_bytes()).collect()
    }

    #[test]
    fn stanzas_are_divided_by_empty_lines() {
        let read = stanzas("\nPackage: a\nDescription: one\n two\n .\n\n\nPackage: b\nversion:1\n").unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].get("description"), Some("one\ntwo\n."));
        assert_eq!(
            (read[1].get("Package"), read[1].get("Version")),
            (Some("b"), Some("1"))
        );
        assert_eq!(read[1].get("Other"), None);
    }

    #[test]
    fn fields_that_are_not_wanted_are_left_out_with_their_continuations() {
        let text = "A: 1\n more\nB: 2\n more\nC: 3\n";
        let read: Vec<_> = Stanzas::only(text.as_bytes(), &["b"])
            .map(Result::unwrap)
            .collect();
        assert_eq!(read, [Stanza(vec![("B".to_owned(), "2\nmore".to_owned())])]);
    }

    #[test]
    fn malformed_lines_are_named() {
        assert!(matches!(stanzas("Package: a\nnonsense\n"), Err(Error::Line(2))));
        assert!(matches!(stanzas(" continuation\n"), Err(Error::Line(1))));
        assert!(matches!(stanzas("A: 1\na: 2\n"), Err(Error::Twice(2, _))));
        let lines: Vec<String> = (0..=FIELDS_LIMIT)
            .map(|number| format!("F{number}: 1\n"))
            .collect();
        let many = lines.concat();
        assert!(matches!(stanzas(&many), Err(Error::Fields(1001))));
        assert!(matches!(stanzas("A: \u{1}\n: 2\n"), Err(Error::Line(2))));
        assert!(matches!(
            Stanzas::new(&b"A: \xff\n"[..]).next(),
            Some(Err(Error::Read(_)))
        ));
    }
}
