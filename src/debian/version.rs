//! Debian package versions and their order (Debian Policy 5.6.12, `deb-version(7)`).

use std::cmp::Ordering;
use std::fmt;

/// A Debian version: `[epoch:]upstream[-revision]`. Compared as dpkg compares; `1.0` and `0:1.0-0` are equal.
#[derive(Clone, Debug)]
pub struct Version(Box<str>);

impl Version {
    /// Parses a version. `None` where dpkg would refuse it: empty, with spaces, or with an epoch that is no number.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-' | b'~' | b':');
        let valid = !rest.is_empty() && rest.bytes().all(allowed) && epoch.parse::<u32>().is_ok();
        valid.then(|| Self(text.into()))
    }

    /// The version as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part that the packaged project gave: no epoch, no Debian revision.
    pub fn upstream(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (u32, &str, &str) {
        let (epoch, rest) = self.0.split_once(':').unwrap_or(("0", &self.0));
        // > The upstream_version may contain hyphens only where there is a debian_revision: the last one divides.
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch.parse().unwrap_or(0), upstream, revision)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let (epoch, upstream, revision) = self.parts();
        let (other_epoch, other_upstream, other_revision) = other.parts();
        epoch
            .cmp(&other_epoch)
            .then_with(|| compare_part(upstream, other_upstream))
            .then_with(|| compare_part(revision, other_revision))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

/// > First the initial part of each string consisting entirely of non-digit characters is determined. [...] Then the
/// > initial part of the remainder of each string which consists entirely of digit characters is determined.
fn compare_part(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        let (left_word, left_rest) = split(left, |b| !b.is_ascii_digit());
        let (right_word, right_rest) = split(right, |b| !b.is_ascii_digit());
        let order = compare_words(left_word, right_word);
        if order != Ordering::Equal {
            return order;
        }
        let (left_number, left_rest) = split(left_rest, |b| b.is_ascii_digit());
        let (right_number, right_rest) = split(right_rest, |b| b.is_ascii_digit());
        let order = compare_numbers(left_number, right_number);
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

fn split(bytes: &[u8], inside: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|b| !inside(*b)).unwrap_or(bytes.len());
    bytes.split_at(end)
}

/// > all the letters sort earlier than all the non-letters and [...] a tilde sorts before anything, even the end of a part
fn compare_words(left: &[u8], right: &[u8]) -> Ordering {
    let weight = |b: Option<&u8>| match b {
        Some(b'~') => -1,
        None => 0,
        Some(b) if b.is_ascii_alphabetic() => i32::from(*b),
        Some(b) => i32::from(*b) + 256,
    };
    (0..left.len().max(right.len()))
        .map(|i| weight(left.get(i)).cmp(&weight(right.get(i))))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

/// Numbers of any length, leading zeros ignored; none counts as zero.
fn compare_numbers(left: &[u8], right: &[u8]) -> Ordering {
    let (_, left) = split(left, |b| b == b'0');
    let (_, right) = split(right, |b| b == b'0');
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        // Each is lower than the next (from Debian Policy's example and dpkg's own tests).
        let ascending = [
            "0~",
            "0",
            "1.0~~",
            "1.0~~a",
            "1.0~",
            "1.0",
            "1.0-1~bpo12+1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1.1",
            "1.0-2",
            "1.0a-1",
            "1.0+dfsg-1",
            "1.0.1-1",
            "1.2.3",
            "1.10",
            "2.41-12+deb13u4",
            "20250419",
            "1:0.1",
            "1:1.37.0-6+b9",
            "2:0",
        ];
        for pair in ascending.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{} < {}", pair[0], pair[1]);
            assert!(version(pair[1]) > version(pair[0]), "{} > {}", pair[1], pair[0]);
        }
    }

    #[test]
    fn an_absent_epoch_or_revision_is_zero() {
        for (left, right) in [
            ("1.0", "0:1.0"),
            ("1.0", "1.0-0"),
            ("1.00", "1.0"),
            ("1.a.0", "1.a."),
        ] {
            assert_eq!(version(left), version(right));
        }
    }

    #[test]
    fn malformed_versions_are_refused() {
        for bad in ["", ":1", "a:1", "1 0", "1.0/2", "1:", "-1:2"] {
            assert!(Version::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_upstream_part_has_no_epoch_and_no_revision() {
        assert_eq!(version("1:3.13.5-2+deb13u5").upstream(), "3.13.5");
        assert_eq!(version("2.0-rc-1").upstream(), "2.0-rc");
    }
}
