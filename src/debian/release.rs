//! `InRelease`: which index files a suite has, with size and SHA-256 of each; only what was signed is read.

use std::collections::BTreeMap;

use super::deb822::{self, Stanzas};
use super::signature::{self, Keyring};
use crate::digest::{Algorithm, Digest};

/// A suite's release file, its signature verified.
#[derive(Clone, Debug)]
pub struct Release {
    /// Whether index files can be asked for by their hash, which a mirror update cannot break.
    pub by_hash: bool,
    files: BTreeMap<String, (Digest, u64)>,
}

/// Why a release file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The signature.
    #[error("the release file is not trusted")]
    Signature(#[from] signature::Error),
    /// It is not UTF-8 or not control data.
    #[error("the release file is malformed")]
    Form(#[from] deb822::Error),
    /// A field is missing or malformed.
    #[error("the release file's field {0} is missing or malformed")]
    Field(&'static str),
    /// It is a true release file, of something else: a mirror could otherwise pass one suite off as another.
    #[error("the release file is of {found}, not of {asked}")]
    Other {
        /// What was asked for.
        asked: String,
        /// What it says it is.
        found: String,
    },
    /// It is too old: a mirror could otherwise hide security updates for ever.
    #[error("the release file was valid until {0}")]
    Expired(String),
}

impl Release {
    /// Reads an `InRelease` file of the suite `asked`; `now` is in seconds since 1970.
    pub fn read(message: &[u8], asked: &str, keyring: &Keyring, now: u64) -> Result<Self, Error> {
        let message = std::str::from_utf8(message).map_err(|_| signature::Error::Form("it is not UTF-8"))?;
        let text = keyring.verify(message, now)?;
        Self::parse(&text, asked, now)
    }

    /// Reads the text that was signed; whoever calls it has verified it.
    pub fn parse(text: &str, asked: &str, now: u64) -> Result<Self, Error> {
        let mut stanzas = Stanzas::new(text.as_bytes());
        let stanza = stanzas.next().transpose()?.ok_or(Error::Field("Suite"))?;
        let field = |name: &'static str| stanza.get(name).ok_or(Error::Field(name));
        let (suite, codename) = (field("Suite")?, field("Codename")?);
        if asked != suite && asked != codename {
            return Err(Error::Other {
                asked: asked.to_owned(),
                found: codename.to_owned(),
            });
        }
        if let Some(until) = stanza.get("Valid-Until") {
            let end = parse_date(until).ok_or(Error::Field("Valid-Until"))?;
            if end < now {
                return Err(Error::Expired(until.to_owned()));
            }
        }
        let files = field("SHA256")?
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| parse_file(line).ok_or(Error::Field("SHA256")))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            by_hash: stanza.get("Acquire-By-Hash") == Some("yes"),
            files,
        })
    }

    /// Digest and size in bytes of an index file, by its path below the release file.
    pub fn file(&self, path: &str) -> Option<&(Digest, u64)> {
        self.files.get(path)
    }
}

/// ` <sha256> <size> <path>`
fn parse_file(line: &str) -> Option<(String, (Digest, u64))> {
    let mut words = line.split_ascii_whitespace();
    let digest = Digest::new(Algorithm::Sha256, words.next()?).ok()?;
    let size = words.next()?.parse().ok()?;
    let path = words.next()?;
    words.next().is_none().then(|| (path.to_owned(), (digest, size)))
}

/// Seconds since 1970 of `Sat, 12 Sep 2026 07:55:41 UTC`; release files know no other time zone.
fn parse_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_weekday, rest) = text.split_once(", ")?;
    let mut words = rest.split_ascii_whitespace();
    let day: u64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|m| *m == month)? as u64 + 1;
    let year: u64 = words.next().filter(|y| y.len() == 4)?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let zone = words.next()?;
    if !matches!(zone, "UTC" | "GMT" | "+0000")
        || day == 0
        || day > 31
        || hour > 23
        || minute > 59
        || second > 60
        || year < 1970
    {
        return None;
    }
    // Days since 1970-01-01 in the Gregorian calendar, counting years from March so that leap days come last.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    // 1970-01-01 is day 719468 of that count.
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_seconds_since_1970() {
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(parse_date("Thu, 29 Feb 2024 12:34:56 UTC"), Some(1_709_210_096));
        assert_eq!(parse_date("Sat, 12 Sep 2026 07:55:41 UTC"), Some(1_789_199_741));
        for bad in [
            "",
            "Sat, 12 Sep 2026",
            "Sat, 12 Foo 2026 07:55:41 UTC",
            "Sat, 12 Sep 2026 07:55:41 CEST",
            "Sat, 12 Sep 26 07:55:41 UTC",
        ] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }
}
