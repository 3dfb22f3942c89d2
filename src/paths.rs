//! Paths inside images and archives: relative, normalised, unable to leave their root.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A path below the root of a tree: one or more components separated by `/`, none of them empty, `.` or `..`,
/// no NUL, no leading or trailing slash. It cannot leave the root and has exactly one spelling. Copies share the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Arc<str>);

/// Why a text is not a [`TreePath`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PathError {
    /// Empty, or only the root.
    #[error("path is empty")]
    Empty,
    /// Starts at the root of the file system.
    #[error("path {0:?} is absolute")]
    Absolute(String),
    /// Has a `..` component.
    #[error("path {0:?} leaves its directory")]
    Leaves(String),
    /// Has an empty or `.` component, a trailing slash or a NUL byte.
    #[error("path {0:?} is not in normal form")]
    NotNormal(String),
    /// Longer than Linux takes (4096 bytes a path, 255 bytes a component).
    #[error("path is too long ({0} bytes)")]
    TooLong(usize),
    /// More components than any path has.
    #[error("path is too deep ({0} components)")]
    TooDeep(usize),
}

/// The most components of a path. Each is a directory that must be kept, so that long paths of short names would take
/// memory by the square of their length.
const DEPTH: usize = 256;
/// The most bytes of a path, and of a component.
const LENGTH: usize = 4095;
const COMPONENT: usize = 255;

/// Whether a text is a path in normal form; of most it is found out here, in one go.
fn is_normal(text: &str) -> bool {
    let mut depth = 0;
    let normal = text.split('/').all(|component| {
        depth += 1;
        (1..=COMPONENT).contains(&component.len()) && !matches!(component, "." | "..")
    });
    normal && depth <= DEPTH && text.len() <= LENGTH && !text.as_bytes().contains(&0)
}

impl TreePath {
    /// Parses a path that must already be in normal form.
    pub fn new(text: &str) -> Result<Self, PathError> {
        if !is_normal(text) {
            Self::check(text)?;
        }
        Ok(Self(text.into()))
    }

    /// What is wrong with a path.
    fn check(text: &str) -> Result<(), PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.starts_with('/') {
            return Err(PathError::Absolute(text.to_owned()));
        }
        if text.len() > LENGTH || text.split('/').any(|c| c.len() > COMPONENT) {
            return Err(PathError::TooLong(text.len()));
        }
        let depth = text.split('/').count();
        if depth > DEPTH {
            return Err(PathError::TooDeep(depth));
        }
        for component in text.split('/') {
            match component {
                ".." => return Err(PathError::Leaves(text.to_owned())),
                "" | "." => return Err(PathError::NotNormal(text.to_owned())),
                _ if component.contains('\0') => return Err(PathError::NotNormal(text.to_owned())),
                _ => {}
            }
        }
        Ok(())
    }

    /// Parses a tar member's name: a leading `/` or `./` and a trailing `/` are what archivers write and mean
    /// nothing; `..` is still refused. `None` is the root itself (`./`).
    pub fn from_tar_name(name: &str) -> Result<Option<Self>, PathError> {
        let mut parts = Vec::new();
        for component in name.split('/') {
            match component {
                "" | "." => {}
                ".." => return Err(PathError::Leaves(name.to_owned())),
                _ => parts.push(component),
            }
        }
        if parts.is_empty() {
            Ok(None)
        } else {
            Self::new(&parts.join("/")).map(Some)
        }
    }

    /// The path as text, without a leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The path without its last component; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.into()))
    }

    /// All parents, the topmost first, this path left out.
    pub fn parents(&self) -> impl Iterator<Item = Self> + '_ {
        self.0.match_indices('/').map(|(at, _)| Self(self.0[..at].into()))
    }

    /// The components, in order.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// This path with another below it. Fails if `rest` is not a normal path.
    pub fn join(&self, rest: &str) -> Result<Self, PathError> {
        let rest = Self::new(rest)?;
        Self::new(&format!("{}/{}", self.0, rest.0))
    }

    /// As [`TreePath::join`], of a path that is normal already: only lengths are checked.
    pub fn join_path(&self, rest: &Self) -> Result<Self, PathError> {
        let (length, depth) = (
            self.0.len() + 1 + rest.0.len(),
            self.components().count() + rest.components().count(),
        );
        if length > LENGTH {
            return Err(PathError::TooLong(length));
        }
        if depth > DEPTH {
            return Err(PathError::TooDeep(depth));
        }
        Ok(Self([&*self.0, "/", &*rest.0].concat().into()))
    }

    /// What follows `directory/` in this path, if it is below it.
    pub fn strip_prefix<'a>(&'a self, directory: &str) -> Option<&'a str> {
        self.0.strip_prefix(directory)?.strip_prefix('/')
    }

    /// Where a symbolic link at this path leads, resolved by text alone: `None` if it leaves the root of the tree.
    /// An absolute target counts from the root of the tree, as it does inside a container.
    pub fn resolve_link(&self, target: &str) -> Option<Self> {
        let mut parts: Vec<&str> = match target.strip_prefix('/') {
            Some(_) => Vec::new(),
            None => self.parent_str().split('/').filter(|c| !c.is_empty()).collect(),
        };
        for component in target.split('/') {
            match component {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                name => parts.push(name),
            }
        }
        Self::new(&parts.join("/")).ok()
    }

    /// The path of its parent directory; empty for what is at the top.
    pub fn parent_str(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(parent, _)| parent)
    }
}

impl FromStr for TreePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl AsRef<str> for TreePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for TreePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_normal_paths_parse() {
        assert!(TreePath::new("a/b.c/ü").is_ok());
        assert_eq!(TreePath::new(""), Err(PathError::Empty));
        assert!(matches!(TreePath::new("/a"), Err(PathError::Absolute(_))));
        assert!(matches!(TreePath::new("a/../b"), Err(PathError::Leaves(_))));
        for bad in ["a//b", "./a", "a/.", "a/", "a\0b"] {
            assert!(
                matches!(TreePath::new(bad), Err(PathError::NotNormal(_))),
                "{bad:?}"
            );
        }
        assert!(matches!(
            TreePath::new(&"x".repeat(256)),
            Err(PathError::TooLong(256))
        ));
        let deep = TreePath::new(&["x"; DEPTH].join("/")).unwrap();
        let x = TreePath::new("x").unwrap();
        assert_eq!(x.join_path(&deep), Err(PathError::TooDeep(DEPTH + 1)));
        assert_eq!(x.join_path(&x), TreePath::new("x/x"));
        assert_eq!(
            TreePath::new(&"x/".repeat(DEPTH + 4)[..=2 * DEPTH]),
            Err(PathError::TooDeep(DEPTH + 1))
        );
    }

    #[test]
    fn tar_names_lose_their_ornaments_but_not_their_dots() {
        assert_eq!(
            TreePath::from_tar_name("./usr/bin/").unwrap().unwrap().as_str(),
            "usr/bin"
        );
        assert_eq!(TreePath::from_tar_name("./").unwrap(), None);
        assert!(TreePath::from_tar_name("usr/../../x").is_err());
    }

    #[test]
    fn parents_come_topmost_first() {
        let path = TreePath::new("a/b/c").unwrap();
        let parents: Vec<_> = path.parents().map(|p| p.to_string()).collect();
        assert_eq!(parents, ["a", "a/b"]);
        assert_eq!(path.parent().unwrap().as_str(), "a/b");
        assert_eq!(path.file_name(), "c");
        assert_eq!(path.strip_prefix("a"), Some("b/c"));
        assert_eq!(path.strip_prefix("a/b/c"), None);
    }

    #[test]
    fn links_resolve_by_text_and_cannot_leave() {
        let link = TreePath::new("usr/lib/x").unwrap();
        assert_eq!(link.resolve_link("../bin/y").unwrap().as_str(), "usr/bin/y");
        assert_eq!(link.resolve_link("/etc/y").unwrap().as_str(), "etc/y");
        assert_eq!(link.resolve_link("../../../y"), None);
    }
}
