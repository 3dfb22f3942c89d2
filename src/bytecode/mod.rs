//! Byte-code: unchecked-hash `.pyc` files (PEP 552) with the paths that the sources have in the image.
//!
//! The compiler is the base's own interpreter or one of its version on the host. Sources go to it through a pipe, so no
//! name of an archive's member reaches the host's file system. What it made of a wheel is kept in the store.

mod base_files;
mod compiler;
mod interpreter;
mod maker;
mod source;
mod work;

use std::io;

pub use interpreter::Interpreter;
pub use maker::Maker;

use crate::paths::TreePath;
use crate::store::{Packed, Store};
use crate::tree::{Content, Entry, Tree};
use crate::wheel::Owners;
use crate::{layer, parallel, store};
use source::{Group, Source};

/// The version of what is made of the same sources by the same interpreter. It goes into the keys of layers and of what is
/// kept: whatever changes a byte of it, or which sources are compiled, changes it.
pub const FORMAT: u32 = 2;

/// Why byte-code could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No interpreter of the target's version can run here.
    #[error("no interpreter of Python {python} was found on this machine to make byte-code with")]
    NoInterpreter {
        /// Major and minor version.
        python: String,
    },
    /// The base's interpreter could not be taken from its layers.
    #[error("cannot read the base's interpreter")]
    Base(#[source] io::Error),
    /// The interpreter failed.
    #[error("the interpreter that makes byte-code failed")]
    Compiler(#[source] io::Error),
    /// A source could not be read.
    #[error("cannot read {0}")]
    Source(TreePath, #[source] io::Error),
    /// A `.pyc` is in the way.
    #[error("cannot add byte-code")]
    Tree(#[from] crate::tree::TreeError),
    /// A path is too long with its suffix.
    #[error("cannot name byte-code")]
    Path(#[from] crate::paths::PathError),
    /// The store does not take it.
    #[error("cannot keep byte-code")]
    Store(#[from] store::Error),
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoInterpreter { python } => {
                Some(format!("install python{python}, or build without --compile"))
            }
            Self::Store(error) => error.hint(),
            _ => None,
        }
    }
}

/// What makes byte-code.
#[derive(Clone, Copy, Debug)]
pub struct Workshop<'a> {
    /// Who compiles.
    pub maker: &'a Maker<'a>,
    /// Where it is kept, each wheel's by itself.
    pub store: &'a Store,
    /// How many interpreters may run at once. No byte depends on it.
    pub threads: usize,
}

/// What was done for one wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The wheel's file name; empty for what is of no wheel.
    pub wheel: String,
    /// How many of its sources have byte-code.
    pub files: usize,
    /// Whether it was kept from an earlier time; else it was compiled now.
    pub kept: bool,
}

impl Workshop<'_> {
    /// Adds byte-code for every `.py` file of a tree to it, where the interpreter looks for it, and says what was done for
    /// each wheel. `owners` names the wheel of each file: byte-code of the same sources at the same paths by an interpreter
    /// of the same version is not made twice. Files in directories called `tests` or `test` are left out: they are not what
    /// makes an app start slowly.
    pub fn compile(&self, mut tree: Tree, owners: &Owners) -> Result<(Tree, Vec<Made>), Error> {
        let (code, made) = self.code(&tree, owners)?;
        for (path, content) in code {
            tree.insert(path, Entry::file(content, false))?;
        }
        Ok((tree, made))
    }

    /// The byte-code of the standard library of a recipe's base; `None` for other bases.
    pub fn standard_library(&self) -> Result<Option<Tree>, Error> {
        let Some(sources) = self.maker.standard_library(self.store)? else {
            return Ok(None);
        };
        let (code, _) = self.code(&sources, &Owners::default())?;
        let mut tree = Tree::new();
        for (path, content) in code {
            tree.insert(path, Entry::file(content, false))?;
        }
        Ok(Some(tree))
    }

    /// The byte-code for a tree: what is kept of it, and the rest made now.
    fn code(&self, tree: &Tree, owners: &Owners) -> Result<(Code, Vec<Made>), Error> {
        let groups = Group::all(tree, owners, &self.maker.cache_tag())?;
        let by = format!("{} {FORMAT} {}", self.maker.version(), layer::FORMAT);
        let look = |group: &Group| -> Result<_, Error> {
            let key = group.key(&by)?;
            let kept = self.store.pack(&key);
            Ok((key, kept))
        };
        let found = parallel::map(&groups, self.threads, look)?;
        let lacking = groups.iter().zip(&found).filter(|(_, (_, kept))| kept.is_none());
        let lacking: Vec<&Source> = lacking.flat_map(|(group, _)| &group.sources).collect();
        let mut compiled = match &lacking[..] {
            [] => Vec::new(),
            lacking => work::make(lacking, self.maker.ready(self.store)?, self.threads)?,
        }
        .into_iter();
        let (mut code, mut made) = (Vec::new(), Vec::new());
        for (group, (key, kept)) in groups.into_iter().zip(found) {
            let is_kept = kept.is_some();
            let files = if let Some(files) = kept {
                files
            } else {
                let packed: Vec<Packed> = compiled.by_ref().take(group.sources.len()).flatten().collect();
                self.store.keep_pack(&key, &packed)?
            };
            made.push(Made {
                wheel: group.owner,
                files: files.len(),
                kept: is_kept,
            });
            code.extend(files);
        }
        Ok((code, made))
    }
}

/// Byte-code and where it belongs.
type Code = Vec<(TreePath, Content)>;

#[cfg(test)]
mod tests;
