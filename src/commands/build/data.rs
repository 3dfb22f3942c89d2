//! Large data files of the app in a layer of their own: a change in the code does not move them.

use super::Build;
use super::dependencies::size_of;
use crate::layer::Layer;
use crate::paths::TreePath;
use crate::tree::{Entry, Tree, TreeError};

/// Files of the app above this size, in bytes, are data.
pub(in crate::commands) const LARGE: u64 = 32 << 20;

impl Build<'_> {
    /// Takes the large files out of the app's tree. Their layer, below that of the app; none if there are none.
    pub(super) fn data(&self, app: Tree) -> anyhow::Result<(Tree, Option<Layer>)> {
        let (app, data) = split(app, LARGE)?;
        if data.is_empty() {
            return Ok((app, None));
        }
        let count = data.iter().filter(|(_, entry)| entry.content().is_some()).count();
        let key = self.layer_key("app data", &data.digest()?.to_string());
        let layer = self.layer(
            (&key, "pyoci: data files of the app"),
            &self.store.alone(),
            || Ok(data),
        )?;
        let detail = format!(
            "{count} files over 32 MiB, {}, a layer of their own",
            size_of(&layer)
        );
        self.progress.done("Data", detail);
        Ok((app, Some(layer)))
    }
}

/// The tree without files larger than `limit`, and these with the directories that they are in.
fn split(tree: Tree, limit: u64) -> Result<(Tree, Tree), TreeError> {
    let is_large = |entry: &Entry| entry.content().is_some_and(|content| content.size() > limit);
    let above: std::collections::BTreeSet<TreePath> = tree
        .iter()
        .filter(|(_, entry)| is_large(entry))
        .flat_map(|(path, _)| path.parents())
        .collect();
    let (mut rest, mut large) = (Tree::new(), Tree::new());
    for (path, entry) in tree {
        if is_large(&entry) {
            large.insert(path, entry)?;
            continue;
        }
        // In both layers the same, or the upper one would change what the lower one says.
        if above.contains(&path) {
            large.insert(path.clone(), entry.clone())?;
        }
        rest.insert(path, entry)?;
    }
    Ok((rest, large))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Owner};

    #[test]
    fn large_files_go_with_their_directories_and_the_rest_stays() {
        let mut tree = Tree::new();
        let owner = Owner { uid: 7, gid: 7 };
        let mut put = |path: &str, entry: Entry| tree.insert(TreePath::new(path).unwrap(), entry).unwrap();
        put("app/data", Entry::directory().owned_by(owner));
        put("app/data/big", Entry::file(Content::bytes(*b"12345"), false));
        put("app/data/small", Entry::file(Content::bytes(*b"1234"), false));
        put("app/code/x.py", Entry::file(Content::bytes(*b""), false));
        let (rest, large) = split(tree, 4).unwrap();
        let names = |tree: &Tree| tree.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&large), ["app", "app/data", "app/data/big"]);
        assert_eq!(large.get("app/data").unwrap().owner, owner);
        assert_eq!(
            names(&rest),
            ["app", "app/code", "app/code/x.py", "app/data", "app/data/small"]
        );
    }
}
