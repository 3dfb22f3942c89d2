//! Texts of a Debian package: the synopsis, the changelog.

use std::io::{self, Write as _};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// > The single line synopsis [...] should be kept brief - certainly under 80 characters. (Debian Policy 3.4.1)
const LONGEST: usize = 79;

/// A description, parted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synopsis {
    /// The one line.
    pub line: String,
    /// The whole text, where the line does not hold it.
    pub rest: Option<String>,
}

/// The synopsis of a description; what is too long is cut at a word and stands in full below.
pub fn synopsis(description: &str, package: &str) -> Synopsis {
    let whole = description.split_whitespace().collect::<Vec<_>>().join(" ");
    // > Do not include the package name in the synopsis line. (Developer's Reference 6.2.2)
    let whole = match whole.split_once(|c: char| c == ' ' || ":,-".contains(c)) {
        Some((first, rest)) if first.eq_ignore_ascii_case(package) => {
            rest.trim_start_matches(|c: char| !c.is_alphanumeric()).to_owned()
        }
        _ => whole,
    };
    // > The synopsis is a phrase, not a complete sentence, so sentential punctuation is inappropriate
    let line = whole.trim_end_matches(['.', ' ']);
    if line.chars().count() <= LONGEST {
        return Synopsis {
            line: line.to_owned(),
            rest: None,
        };
    }
    let mut short = String::new();
    for word in line.split(' ') {
        if short.chars().count() + word.chars().count() + 1 > LONGEST - 4 {
            break;
        }
        short.push_str(word);
        short.push(' ');
    }
    if short.is_empty() {
        short = line.chars().take(LONGEST - 4).collect();
    }
    let short = short.trim_end_matches([' ', ',', ';', ':', '.', '-']);
    Synopsis {
        line: format!("{short} ..."),
        rest: Some(whole),
    }
}

/// `changelog.Debian`: the one entry of this version (Debian Policy 4.4). `time` in seconds since 1970.
pub fn changelog(package: &str, version: &str, maintainer: &str, time: u64) -> String {
    let date = i64::try_from(time)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .format(&Rfc2822)
        .unwrap_or_default();
    format!(
        "{package} ({version}) unstable; urgency=medium\n\n  * Packaged from its project by pyoci, with the Python packages that it needs.\n\n \
         -- {maintainer}  {date}\n"
    )
}

/// > compressed with gzip -9 (Debian Policy 12.7). Without name and time: the same text gives the same bytes.
pub fn gzip(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_description_is_cut_at_a_word_and_kept() {
        assert_eq!(synopsis(" Shows\nthings. ", "demo").line, "Shows things");
        assert_eq!(synopsis("Demo: shows things", "demo").line, "shows things");
        assert_eq!(synopsis("Demonstrates", "demo").line, "Demonstrates");
        let long = "word ".repeat(20);
        let cut = synopsis(&long, "demo");
        assert!(
            cut.line.chars().count() < 80 && cut.line.ends_with("word ..."),
            "{}",
            cut.line
        );
        assert_eq!(cut.rest.as_deref(), Some(long.trim()));
        assert!(synopsis(&"x".repeat(200), "demo").line.chars().count() < 80);
    }

    #[test]
    fn the_changelog_has_its_date_from_outside() {
        assert_eq!(
            changelog("demo", "1.0-1", "A <a@b.c>", 315_532_800),
            "demo (1.0-1) unstable; urgency=medium\n\n  * Packaged from its project by pyoci, with the Python packages that it needs.\n\n \
             -- A <a@b.c>  Tue, 01 Jan 1980 00:00:00 +0000\n"
        );
        assert_eq!(gzip("x").unwrap()[4..8], [0; 4], "no time");
    }
}
