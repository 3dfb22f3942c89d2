//! Python versions (PEP 440) as Debian versions (Debian Policy 5.6.12), in the same order.

use std::fmt::Write as _;

use pep440_rs::{PrereleaseKind, Version};

use super::Error;
use crate::python::specifiers::parse_version;

/// How many parts a release has at least: 1.0 and 1.0.0 are one version in Python and two in Debian.
const PARTS: usize = 3;
/// The largest epoch that dpkg takes (an `int`).
const LARGEST_EPOCH: u64 = 0x7fff_ffff;

/// The Debian version of a Python version, with the Debian revision 1.
///
/// Two versions are ordered by dpkg as they are by PEP 440, and equal where they are equal there; only between two local
/// versions of one public version the order is dpkg's own.
///
/// | PEP 440 | Debian | because |
/// |---|---|---|
/// | `1.2`, `1.2.0.0` | `1.2.0` | they are equal |
/// | `1!1.2` | `1:1.2.0` | |
/// | `1.2.dev3` | `1.2.0~~dev3` | before `1.2a1` |
/// | `1.2rc1` | `1.2.0~rc1` | before `1.2` |
/// | `1.2+ubuntu1` | `1.2.0+local.ubuntu1` | after `1.2`, before `1.2.post1` |
/// | `1.2.post1` | `1.2.0+post1` | before `1.2.0.1` |
pub fn package_version(text: &str) -> Result<String, Error> {
    let version = parse_version(text).ok_or_else(|| Error::Version(text.to_owned()))?;
    if version.epoch() > LARGEST_EPOCH {
        return Err(Error::Epoch(text.to_owned()));
    }
    Ok(format!("{}-1", upstream(&version)))
}

fn upstream(version: &Version) -> String {
    let mut out = String::new();
    if version.epoch() > 0 {
        let _ = write!(out, "{}:", version.epoch());
    }
    let mut release: Vec<u64> = version.release().to_vec();
    while release.len() > PARTS && release.last() == Some(&0) {
        release.pop();
    }
    release.resize(release.len().max(PARTS), 0);
    let parts: Vec<String> = release.iter().map(ToString::to_string).collect();
    out.push_str(&parts.join("."));
    if let Some(pre) = version.pre() {
        let kind = match pre.kind {
            PrereleaseKind::Alpha => "a",
            PrereleaseKind::Beta => "b",
            PrereleaseKind::Rc => "rc",
        };
        let _ = write!(out, "~{kind}{}", pre.number);
    }
    if let Some(post) = version.post() {
        let _ = write!(out, "+post{post}");
    }
    if let Some(dev) = version.dev() {
        let _ = write!(out, "~~dev{dev}");
    }
    if version.is_local() {
        out.push_str("+local");
        for segment in version.local() {
            let _ = write!(out, ".{segment}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::debian;

    fn debian(text: &str) -> debian::Version {
        debian::Version::parse(&package_version(text).unwrap()).unwrap()
    }

    #[test]
    fn versions_are_written_as_the_table_says() {
        for (python, debian) in [
            ("1.2", "1.2.0-1"),
            ("v1.2.0.0", "1.2.0-1"),
            ("2024.5.1.7", "2024.5.1.7-1"),
            ("1!1.2", "1:1.2.0-1"),
            ("1.2.dev3", "1.2.0~~dev3-1"),
            ("1.2-alpha.1.dev2", "1.2.0~a1~~dev2-1"),
            ("1.2RC1", "1.2.0~rc1-1"),
            ("1.2+ubuntu-1", "1.2.0+local.ubuntu.1-1"),
            ("1.2-3", "1.2.0+post3-1"),
            ("1.2.post1.dev4+g12ab", "1.2.0+post1~~dev4+local.g12ab-1"),
        ] {
            assert_eq!(package_version(python).unwrap(), debian);
        }
        for bad in ["", "one", "1.2 3", "99999999999!1"] {
            assert!(package_version(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_order_of_the_specification_is_kept() {
        // From PEP 440, "Summary of permitted suffixes and relative ordering".
        let ascending = [
            "1.dev0",
            "1.0.dev456",
            "1.0a1",
            "1.0a2.dev456",
            "1.0a12.dev456",
            "1.0a12",
            "1.0b1.dev456",
            "1.0b2",
            "1.0b2.post345.dev456",
            "1.0b2.post345",
            "1.0rc1.dev456",
            "1.0rc1",
            "1.0",
            "1.0+abc.5",
            "1.0.post456.dev34",
            "1.0.post456",
            "1.0.15",
            "1.1.dev1",
        ];
        for pair in ascending.windows(2) {
            assert!(debian(pair[0]) < debian(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn any_two_versions_keep_their_order(
            left in "([12]!)?[0-2](\\.[0-2]){0,4}((a|b|rc)[0-2])?(\\.post[0-2])?(\\.dev[0-2])?(\\+[a-z])?",
            right in "([12]!)?[0-2](\\.[0-2]){0,4}((a|b|rc)[0-2])?(\\.post[0-2])?(\\.dev[0-2])?(\\+[a-z])?",
        ) {
            let (l, r) = (parse_version(&left).unwrap(), parse_version(&right).unwrap());
            prop_assert_eq!(l.cmp(&r), debian(&left).cmp(&debian(&right)), "{} {}", left, right);
        }
    }
}
