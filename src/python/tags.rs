//! The ladder of wheel tags that a Target takes, best first, and the choice between wheels.

use std::cmp::Reverse;
use std::fmt;

use super::target::{Libc, Target};
use super::wheel_filename::{BuildTag, WheelFilename};

/// All tags that a [`Target`] takes, in the order of `packaging.tags`: the first is the most specific.
///
/// Spec: PEP 425 (tags), PEP 600 (`manylinux_X_Y`), PEP 656 (`musllinux_X_Y`) and
/// <https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags {
    /// Best first.
    platforms: Vec<String>,
    /// Best first; a row stands for its tag on every platform in turn, or for its tag on `any`.
    rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    python: String,
    abi: String,
    any: bool,
}

/// How well a wheel fits; the greater value is the better wheel of one version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority {
    rank: Reverse<usize>,
    /// > Acts as a tie-breaker if two wheel file names are the same in all other respects
    build: Option<BuildTag>,
}

impl Tags {
    /// The ladder of a target.
    pub fn of(target: &Target) -> Self {
        let (major, minor) = target.python;
        let row = |python: String, abi: &str, any| Row {
            python,
            abi: abi.to_owned(),
            any,
        };
        let cpython = format!("cp{major}{minor}");
        // CPython's own ABI carried `m` (pymalloc) up to 3.7.
        let own_abi = if (major, minor) < (3, 8) {
            format!("{cpython}m")
        } else {
            cpython.clone()
        };
        let mut rows = vec![
            row(cpython.clone(), &own_abi, false),
            row(cpython.clone(), "abi3", false),
            row(cpython.clone(), "none", false),
        ];
        // abi3 is as old as Python 3.2 (PEP 384).
        rows.extend(
            (2..minor)
                .rev()
                .map(|m| row(format!("cp{major}{m}"), "abi3", false)),
        );
        let generic = pure_pythons(major, minor);
        rows.extend(generic.iter().map(|python| row(python.clone(), "none", false)));
        rows.push(row(cpython, "none", true));
        rows.extend(generic.into_iter().map(|python| row(python, "none", true)));
        Self {
            platforms: platforms(target),
            rows,
        }
    }

    /// The platform tags, best first.
    pub fn platforms(&self) -> &[String] {
        &self.platforms
    }

    /// How well a wheel fits, by the best of its tags; `None` if it does not fit at all.
    pub fn compatibility(&self, wheel: &WheelFilename) -> Option<Priority> {
        let platform = self
            .platforms
            .iter()
            .position(|p| wheel.platform_tags.contains(p));
        let any = wheel.platform_tags.iter().any(|p| p == "any");
        let fits = |row: &Row| {
            wheel.python_tags.contains(&row.python)
                && wheel.abi_tags.contains(&row.abi)
                && if row.any { any } else { platform.is_some() }
        };
        let row = self.rows.iter().position(fits)?;
        let step = if self.rows[row].any { 0 } else { platform? };
        Some(Priority {
            rank: Reverse(row * self.platforms.len() + step),
            build: wheel.build.clone(),
        })
    }
}

impl fmt::Display for Tags {
    /// Every tag on its own line, best first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = ["any".to_owned()];
        for row in &self.rows {
            let platforms = if row.any { &any[..] } else { &self.platforms[..] };
            for platform in platforms {
                writeln!(f, "{}-{}-{platform}", row.python, row.abi)?;
            }
        }
        Ok(())
    }
}

/// `py313`, `py3`, `py312`, ... `py30`.
fn pure_pythons(major: u32, minor: u32) -> Vec<String> {
    let older = (0..minor).rev().map(|m| format!("py{major}{m}"));
    let own = [format!("py{major}{minor}"), format!("py{major}")];
    own.into_iter().chain(older).collect()
}

fn platforms(target: &Target) -> Vec<String> {
    let machine = target.platform.architecture.machine();
    let mut tags = vec![format!("linux_{machine}")];
    match target.libc {
        Libc::Glibc { major, minor } => {
            // > manylinux1: x86_64 and i686 only, glibc 2.5; every other architecture began with manylinux2014.
            let oldest = if machine == "x86_64" { 5 } else { 17 };
            let newest = if major == 2 { Some(minor) } else { None };
            for minor in newest.into_iter().flat_map(|n| (oldest..=n).rev()) {
                tags.push(format!("manylinux_2_{minor}_{machine}"));
                // > manylinux1, manylinux2010 and manylinux2014 are aliases of these (PEP 600).
                let alias = match minor {
                    17 => "manylinux2014",
                    12 => "manylinux2010",
                    5 => "manylinux1",
                    _ => continue,
                };
                tags.push(format!("{alias}_{machine}"));
            }
        }
        Libc::Musl { major, minor } => {
            let steps = (0..=minor).rev();
            tags.extend(steps.map(|minor| format!("musllinux_{major}_{minor}_{machine}")));
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn target(platform: &str, python: (u32, u32), libc: Libc) -> Target {
        Target {
            platform: platform.parse().unwrap(),
            libc,
            python,
            python_full: None,
            interpreter: format!("/usr/bin/python{}.{}", python.0, python.1),
        }
    }

    fn glibc(minor: u32) -> Libc {
        Libc::Glibc { major: 2, minor }
    }

    /// Digests of `packaging` 26.3's own lists: for glibc G, machine M, Python V with no dots
    /// `[*cpython_tags(V, [f"cp{V}"], P), *compatible_tags(V, f"cp{V}", P)]`, each tag and a newline, where P is
    /// `_linux_platforms()` with `sysconfig.get_platform`, `_get_glibc_version` and `_get_musl_version` replaced.
    #[test]
    fn the_ladder_is_that_of_packaging() {
        let musl = Libc::Musl { major: 1, minor: 2 };
        for (platform, python, libc, expected) in [
            ("linux/amd64", (3, 11), glibc(36), (914, "042934d46eb9f04c")),
            ("linux/amd64", (3, 11), glibc(41), (1039, "8f6ca23e20e786a3")),
            ("linux/amd64", (3, 11), musl, (114, "1dfd00baf4d6153c")),
            ("linux/amd64", (3, 13), glibc(36), (1060, "6255c5160fbcb560")),
            ("linux/amd64", (3, 13), glibc(41), (1205, "2c16d92e711b3298")),
            ("linux/amd64", (3, 13), musl, (132, "82b53051005b9e90")),
            ("linux/amd64", (3, 7), glibc(36), (622, "bea5d06d41ee53a0")),
            ("linux/amd64", (3, 7), glibc(41), (707, "98c1fcf3b55e7914")),
            ("linux/amd64", (3, 7), musl, (78, "937838df451f7121")),
            ("linux/arm64", (3, 11), glibc(36), (564, "37efbbd5e48fd6e2")),
            ("linux/arm64", (3, 11), glibc(41), (689, "a7cd332942abeb61")),
            ("linux/arm64", (3, 11), musl, (114, "7e2924ec0dc6c007")),
            ("linux/arm64", (3, 13), glibc(36), (654, "a01c569eac8730a8")),
            ("linux/arm64", (3, 13), glibc(41), (799, "87e0ed05bb6cfc0d")),
            ("linux/arm64", (3, 13), musl, (132, "9653ae284f57d367")),
            ("linux/arm64", (3, 7), glibc(36), (384, "803a4c3f5e5913bc")),
            ("linux/arm64", (3, 7), glibc(41), (469, "dff9d1318dff1763")),
            ("linux/arm64", (3, 7), musl, (78, "bac2803eb232619b")),
        ] {
            let text = Tags::of(&target(platform, python, libc)).to_string();
            let digest = Digest::of(text.as_bytes());
            let found = (text.lines().count(), &digest.hex()[..16]);
            assert_eq!(found, expected, "{platform} {python:?} {libc:?}");
        }
    }

    #[test]
    fn the_better_wheel_has_the_greater_priority() {
        let tags = Tags::of(&target("linux/amd64", (3, 13), glibc(41)));
        let names = [
            "a-1-py3-none-any.whl",
            "a-1-py3-none-manylinux_2_5_x86_64.manylinux1_x86_64.whl",
            "a-1-cp32-abi3-manylinux2014_x86_64.whl",
            "a-1-cp39-abi3-manylinux2014_x86_64.whl",
            "a-1-cp313-cp313-manylinux2014_x86_64.whl",
            "a-1-1-cp313-cp313-manylinux2014_x86_64.whl",
            "a-1-10-cp313-cp313-manylinux2014_x86_64.whl",
            "a-1-cp313-cp313-manylinux_2_28_x86_64.manylinux2014_x86_64.whl",
            "a-1-cp313-cp313-manylinux_2_41_x86_64.whl",
            "a-1-cp313-cp313-linux_x86_64.whl",
        ];
        let priorities: Vec<_> = names
            .iter()
            .map(|n| tags.compatibility(&n.parse().unwrap()).unwrap())
            .collect();
        assert!(priorities.is_sorted_by(|a, b| a < b), "{priorities:?}");
    }

    #[test]
    fn wheels_for_others_do_not_fit() {
        let tags = Tags::of(&target("linux/amd64", (3, 13), glibc(36)));
        for name in [
            "a-1-cp313-cp313-manylinux_2_39_x86_64.whl",
            "a-1-cp313-cp313-manylinux2014_aarch64.whl",
            "a-1-cp313-cp313-musllinux_1_2_x86_64.whl",
            "a-1-cp313-cp313t-manylinux2014_x86_64.whl",
            "a-1-cp314-abi3-manylinux2014_x86_64.whl",
            "a-1-cp312-cp312-manylinux2014_x86_64.whl",
            "a-1-cp312-none-any.whl",
            "a-1-cp32-abi3-any.whl",
            "a-1-py2-none-any.whl",
            "a-1-pp310-pypy310_pp73-manylinux2014_x86_64.whl",
            "a-1-cp313-cp313-win_amd64.whl",
            "a-1-cp313-cp313-macosx_11_0_universal2.whl",
        ] {
            assert_eq!(tags.compatibility(&name.parse().unwrap()), None, "{name}");
        }
    }
}
