//! Extended headers of tar archives (POSIX.1-2024, pax): records taken apart, none that says a thing twice or in a charset.

use std::collections::BTreeMap;
use std::io;

use super::inflate::invalid;

/// The records of an extended header by their keyword.
#[derive(Debug, Default)]
pub(super) struct Records<'a>(BTreeMap<&'a str, &'a [u8]>);

/// Keywords that say which bytes are the next member's: in a header for all members some readers take them for each, others
/// for none.
const OF_ONE_MEMBER: [&str; 3] = ["path", "linkpath", "size"];

/// > hdrcharset: The name of the charset used to encode the value field of the gname, linkpath, path, and uname records.
const UTF8: &[u8] = b"ISO-IR 10646 2000 UTF-8";

impl<'a> Records<'a> {
    /// > `"%d %s=%s\n", <length>, <keyword>, <value>`
    ///
    /// The length counts the whole record, its own digits and the newline included.
    pub fn parse(mut bytes: &'a [u8]) -> io::Result<Self> {
        let mut records = BTreeMap::new();
        while !bytes.is_empty() {
            let (record, rest) = split(bytes).ok_or_else(|| invalid("an extended header is malformed"))?;
            let equals = record.iter().position(|b| *b == b'=');
            let (keyword, value) = equals
                .map(|at| (&record[..at], &record[at + 1..]))
                .ok_or_else(|| invalid("an extended header has a record without a value"))?;
            let keyword = std::str::from_utf8(keyword)
                .ok()
                .filter(|k| !k.is_empty() && !k.contains('\0'))
                .ok_or_else(|| invalid("an extended header has a keyword that is none"))?;
            // Maps of files with holes repeat theirs; nobody here reads them.
            let repeats = matches!(keyword, "GNU.sparse.offset" | "GNU.sparse.numbytes");
            if records.insert(keyword, value).is_some() && !repeats {
                return Err(invalid(format!("an extended header says `{keyword}` twice")));
            }
            bytes = rest;
        }
        Ok(Self(records))
    }

    /// A text: a name, without NUL and not empty.
    pub fn text(&self, keyword: &str) -> io::Result<Option<&'a [u8]>> {
        match self.0.get(keyword) {
            Some(value) if value.is_empty() || value.contains(&0) => Err(invalid(format!(
                "an extended header has a {keyword} that is no name"
            ))),
            value => Ok(value.copied()),
        }
    }

    /// A number, decimal.
    pub fn number(&self, keyword: &str) -> io::Result<Option<u64>> {
        let Some(value) = self.0.get(keyword) else {
            return Ok(None);
        };
        decimal(value)
            .map(Some)
            .ok_or_else(|| invalid(format!("an extended header has a {keyword} that is no number")))
    }

    /// Whether the member is a file with holes.
    pub fn is_sparse(&self) -> bool {
        self.0.keys().any(|keyword| keyword.starts_with("GNU.sparse."))
    }

    /// Whether there is a comment.
    pub fn has_comment(&self) -> bool {
        self.0.contains_key("comment")
    }

    /// Checks the charset of names: UTF-8, or bytes as they are where they may be.
    pub fn check_charset(&self, allow_bytes: bool) -> io::Result<()> {
        match self.0.get("hdrcharset") {
            None => Ok(()),
            Some(&value) if value == UTF8 || (allow_bytes && value == b"BINARY") => Ok(()),
            Some(value) => Err(invalid(format!(
                "an extended header's charset is {:?}, not UTF-8",
                String::from_utf8_lossy(value)
            ))),
        }
    }

    /// Checks a header that is for all members that follow.
    pub fn check_global(&self) -> io::Result<()> {
        let own = OF_ONE_MEMBER
            .iter()
            .find(|keyword| self.0.contains_key(**keyword));
        if let Some(keyword) = own {
            return Err(invalid(format!(
                "an extended header gives all members one {keyword}"
            )));
        }
        if self.is_sparse() || self.0.contains_key("hdrcharset") {
            return Err(invalid("an extended header changes how all members are read"));
        }
        Ok(())
    }
}

/// The first record without its length and newline, and what follows it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|b| *b == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
    // > a decimal number: no zeros in front
    if bytes[0] == b'0' {
        return None;
    }
    let (record, rest) = bytes.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    Some((record, rest))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| all)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_taken_apart_by_their_lengths_alone() {
        let records = Records::parse(b"12 path=a\nb\n9 size=5\n13 comment=x\n").unwrap();
        assert_eq!(records.text("path").unwrap(), Some(&b"a\nb"[..]));
        assert_eq!(records.number("size").unwrap(), Some(5));
        assert_eq!(records.number("uid").unwrap(), None);
        assert!(records.has_comment() && !records.is_sparse());
    }

    #[test]
    fn what_two_readers_could_take_differently_is_refused() {
        for bytes in [
            &b"7 path\n"[..],
            b"10 path=ab",
            b"011 path=h\n",
            b"+9 path=h\n",
            b"9 path=h\n9 path=i\n",
            b"9 pa\0h=i\n",
            b"4 =\n",
            b"99999999999999999999 path=h\n",
            b"9 path=hhh\n",
            b"3 \n",
            b"1 \n",
        ] {
            assert!(
                Records::parse(bytes).is_err(),
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
        for bytes in [&b"9 size=x\n"[..], b"11 size=-1\n", b"8 size=\n"] {
            assert!(Records::parse(bytes).unwrap().number("size").is_err());
        }
        for bytes in [&b"8 path=\n"[..], b"11 path=\0a\n"] {
            assert!(Records::parse(bytes).unwrap().text("path").is_err());
        }
        for bytes in [
            &b"9 path=h\n"[..],
            b"9 size=0\n",
            b"21 hdrcharset=BINARY\n",
            b"22 GNU.sparse.major=1\n",
        ] {
            assert!(Records::parse(bytes).unwrap().check_global().is_err());
        }
        assert!(Records::parse(b"11 mtime=1\n").unwrap().check_global().is_ok());
        let binary = Records::parse(b"21 hdrcharset=BINARY\n").unwrap();
        assert!(binary.check_charset(true).is_ok() && binary.check_charset(false).is_err());
    }
}
