//! What the headers in front of a member say of it: pax records, GNU's long names.

use std::io;

use super::dialect::Dialect;
use super::inflate::invalid;
use super::pax::Records;
use super::raw::Raw;

/// The most that extended headers of one member may take, in bytes: names and a few attributes.
const MOST_EXTENDED: u64 = 1024 * 1024;
/// The largest size that a header's octal digits hold.
const MOST_OCTAL: u64 = 0o777_7777_7777;

/// What extended headers say of the member that follows.
#[derive(Default)]
pub(super) struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub is_sparse: bool,
    /// Whether a pax header was read.
    pub has_pax: bool,
    /// The bytes of all of them.
    pub taken: u64,
}

impl Extended {
    /// Whether nothing was in front of the member.
    pub fn is_empty(&self) -> bool {
        !self.has_pax && self.taken == 0
    }

    /// How many bytes more may come.
    pub fn left(&self) -> u64 {
        MOST_EXTENDED.saturating_sub(self.taken)
    }

    /// Checks a header that is for all members that follow. What may be in it is nothing that is read here.
    pub fn check_global(records: &[u8]) -> io::Result<()> {
        Records::parse(records)?.check_global()
    }

    /// Takes a header of type `x`.
    pub fn read_pax(&mut self, bytes: &[u8], dialect: Dialect) -> io::Result<()> {
        let records = Records::parse(bytes)?;
        self.has_pax = true;
        records.check_charset(dialect.has_bytes())?;
        if dialect == Dialect::Source && records.has_comment() {
            return Err(invalid(
                "an extended header has a comment: no archiver writes one there",
            ));
        }
        if self.path.is_some() || self.link.is_some() {
            return Err(invalid(
                "two kinds of extended headers are in front of one member",
            ));
        }
        self.is_sparse = records.is_sparse();
        let own_name = records.text("GNU.sparse.name")?;
        self.path = own_name.or(records.text("path")?).map(Into::into);
        self.link = records.text("linkpath")?.map(Into::into);
        self.size = records.number("size")?;
        self.uid = records.number("uid")?;
        self.gid = records.number("gid")?;
        Ok(())
    }

    /// Takes a member of type `L` or `K`: a name, or a link's target, and a NUL.
    pub fn read_gnu(&mut self, kind: u8, mut name: Vec<u8>) -> io::Result<()> {
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        if end == 0 || name[end..].iter().any(|b| *b != 0) {
            return Err(invalid("a long name that is none"));
        }
        name.truncate(end);
        let place = if kind == b'L' {
            &mut self.path
        } else {
            &mut self.link
        };
        if self.has_pax || place.replace(name).is_some() {
            return Err(invalid("a member has two long names"));
        }
        Ok(())
    }

    /// The member's name.
    pub fn name(&self, header: &Raw, dialect: Dialect) -> io::Result<String> {
        let short = header.name();
        let Some(long) = &self.path else {
            if short.is_empty() {
                return Err(invalid("a member without a name"));
            }
            return text(&short, dialect);
        };
        // A reader that knows no extended headers takes the short one.
        if short.split(|b| *b == b'/').any(|component| component == b"..") {
            return Err(invalid("a member whose short name leaves the archive"));
        }
        text(long, dialect)
    }

    /// The target of a link.
    pub fn link(&self, header: &Raw, dialect: Dialect) -> io::Result<String> {
        let short = header.link();
        let long = self.link.as_deref().unwrap_or(short);
        // The short one is cut off, and has other characters in the place of those beyond ASCII.
        let differs = short.iter().zip(long).any(|(a, b)| a != b) || short.len() > long.len();
        if dialect == Dialect::Source && differs && long.is_ascii() {
            return Err(invalid("a link with two different targets"));
        }
        let target = text(long, dialect)?;
        if target.is_empty() {
            return Err(invalid("a link that leads nowhere"));
        }
        Ok(target)
    }

    /// The size of its content; `stated` is what the header says.
    pub fn size(&self, stated: u64) -> io::Result<u64> {
        match self.size {
            // It says what the header's field is too small for.
            Some(size) if size != stated && size <= MOST_OCTAL => Err(invalid(
                "a member's extended header and its header state different sizes",
            )),
            size => Ok(size.unwrap_or(stated)),
        }
    }
}

/// A name as text. What is no UTF-8 is shown with replacement characters where names may be any bytes.
fn text(bytes: &[u8], dialect: Dialect) -> io::Result<String> {
    if dialect.has_bytes() {
        return Ok(String::from_utf8_lossy(bytes).into_owned());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("a name is not UTF-8"))?;
    if dialect == Dialect::Source && (text.contains('\\') || text.contains(char::is_control)) {
        return Err(invalid(format!(
            "{text:?}: a name with a backslash or a control character"
        )));
    }
    Ok(text.to_owned())
}
