//! Entries in the order of a layer, whatever keeps them.

use std::io;

use super::{Entry, Tree};
use crate::paths::TreePath;

/// Entries from the first to the last. What keeps them may fail to be read.
pub type Each<'a> = Box<dyn Iterator<Item = io::Result<(TreePath, Entry)>> + Send + 'a>;

/// Entries sorted by path, no two at one, every parent of each among them and a directory: a tree, or what takes less memory
/// than one.
pub trait Entries: Sync {
    /// All of them, the same each time.
    fn each(&self) -> Each<'_>;
}

impl Entries for Tree {
    fn each(&self) -> Each<'_> {
        Box::new(self.iter().map(|(path, entry)| Ok((path.clone(), entry.clone()))))
    }
}
