//! The sources of a tree that get byte-code, wheel by wheel, and the key under which a wheel's is kept.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Error;
use crate::digest::{Algorithm, Digest};
use crate::paths::{PathError, TreePath};
use crate::tree::{Content, Kind, Tree};
use crate::wheel::Owners;

/// Sources larger than this, in bytes, are left to the interpreter in the container.
pub(super) const SOURCE_LIMIT: u64 = 16 * 1024 * 1024;

/// A source and where its byte-code belongs.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub path: TreePath,
    pub code: TreePath,
    pub content: Content,
}

impl Source {
    /// What stands for its bytes. A digest that a wheel states is believed here: whoever reads the source, to compile it
    /// or to write it, finds out if it is wrong.
    fn digest(&self) -> Result<Digest, Error> {
        let stated = match &self.content {
            Content::Member(member) => member.digest.clone(),
            Content::Bytes(_) | Content::Path { .. } => None,
        };
        if let Some(digest) = stated.filter(|digest| digest.algorithm() == Algorithm::Sha256) {
            return Ok(digest);
        }
        let read = || Ok(Digest::of_reader(self.content.open()?)?.0);
        read().map_err(|e| Error::Source(self.path.clone(), e))
    }
}

/// The sources of one wheel, by path.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The wheel's file name.
    pub owner: String,
    pub sources: Vec<Source>,
}

impl Group {
    /// The sources in a tree by the wheel that they are of. Files in directories called `tests` or `test` are left out, and
    /// those that have brought byte-code along.
    pub fn all(tree: &Tree, owners: &Owners, cache_tag: &str) -> Result<Vec<Self>, Error> {
        let mut groups: BTreeMap<&str, Vec<Source>> = BTreeMap::new();
        for (path, entry) in tree.iter() {
            let Kind::File(content) = &entry.kind else {
                continue;
            };
            if !is_wanted(path, content) {
                continue;
            }
            let code = code_path(path, cache_tag)?;
            if tree.get(code.as_str()).is_none() {
                let owner = owners.get(path).map_or("", |owner| owner);
                groups.entry(owner).or_default().push(Source {
                    path: path.clone(),
                    code,
                    content: content.clone(),
                });
            }
        }
        let groups = groups.into_iter();
        Ok(groups
            .map(|(owner, sources)| Self {
                owner: owner.to_owned(),
                sources,
            })
            .collect())
    }

    /// Stands for everything that decides the byte-code: the compiler, the sources, and the paths that are in the code.
    pub fn key(&self, compiler: &str) -> Result<Digest, Error> {
        let mut inputs = format!("byte-code by {compiler}");
        for source in &self.sources {
            let _ = write!(inputs, "\n{} {}", source.digest()?, source.path);
        }
        Ok(Digest::of(inputs.as_bytes()))
    }
}

fn is_wanted(path: &TreePath, content: &Content) -> bool {
    path.as_str().strip_suffix(".py").is_some()
        && content.size() <= SOURCE_LIMIT
        && !path.components().any(|c| matches!(c, "tests" | "test"))
}

/// Where the interpreter looks for a source's byte-code (PEP 3147): `__pycache__/NAME.cpython-313.pyc`.
fn code_path(source: &TreePath, cache_tag: &str) -> Result<TreePath, PathError> {
    let name = source
        .file_name()
        .strip_suffix(".py")
        .unwrap_or(source.file_name());
    let file = format!("__pycache__/{name}.{cache_tag}.pyc");
    match source.parent() {
        Some(parent) => parent.join(&file),
        None => TreePath::new(&file),
    }
}
