//! Whether a Target's Python meets a `Requires-Python`.

use pep440_rs::Version;

use super::specifiers::Specifiers;
use super::target::Target;

/// A patch level above any that a minor version of CPython reaches.
const LAST_PATCH: u64 = 99;

impl Target {
    /// Whether its Python meets a `Requires-Python`. Where the base's files do not tell the patch level, it does if
    /// any patch level would.
    ///
    /// > Requires-Python: [...] installation tools must look at this when picking which version [...] to install
    pub fn meets(&self, requires_python: &Specifiers) -> bool {
        let known = self.python_full.as_deref().map(|full| full.trim_end_matches('+'));
        if let Some(version) = known.and_then(|full| full.parse::<Version>().ok()) {
            return requires_python.contains(&version);
        }
        let (major, minor) = (u64::from(self.python.0), u64::from(self.python.1));
        (0..=LAST_PATCH).any(|patch| requires_python.contains(&Version::new([major, minor, patch])))
    }
}

#[cfg(test)]
mod tests {
    use crate::python::{Libc, Target};

    #[test]
    fn an_unknown_patch_level_is_given_the_benefit_of_the_doubt() {
        let mut target = Target {
            platform: "linux/amd64".parse().unwrap(),
            libc: Libc::Glibc { major: 2, minor: 41 },
            python: (3, 13),
            python_full: None,
            interpreter: "/usr/bin/python3.13".to_owned(),
        };
        let meets = |target: &Target, text: &str| target.meets(&text.parse().unwrap());
        assert!(meets(&target, ">=3.9,!=3.13.0"));
        assert!(meets(&target, ">=3.13.5"));
        assert!(!meets(&target, "<3.13"));
        assert!(!meets(&target, "==3.12.*"));
        target.python_full = Some("3.13.3".to_owned());
        assert!(!meets(&target, ">=3.13.5"));
        assert!(meets(&target, ""));
        target.python_full = Some("3.14.0rc1".to_owned());
        assert!(meets(&target, ">=3.13"));
        assert!(!meets(&target, ">=3.14"));
    }
}
