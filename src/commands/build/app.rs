//! The app layer: the project's files, and what starts them.

use super::Build;
use super::dependencies::size_of;
use super::run::HOME;
use crate::commands::shown;
use crate::image::{Base, UserChoice};
use crate::layer::Layer;
use crate::lock::{self, Request, Selected};
use crate::paths::TreePath;
use crate::project::{
    self, AppOptions, Distribution, Document, Files, Packaging, Runtime, Start, Surroundings,
};
use crate::python::{PackageName, Target};
use crate::tree::Tree;
use crate::wheel::Wheel;

/// Files up to this size are read once and held; larger ones stay on disk.
pub(super) const HELD: u64 = 256 * 1024;

impl Build<'_> {
    /// The project as an installed distribution, built by its backend where its metadata is not static.
    pub(super) fn distribution(
        &self,
        request: &Request,
        target: &Target,
    ) -> anyhow::Result<Option<Distribution>> {
        match self.project.packaging()? {
            Packaging::Files => {
                if let Some(reason) = self.project.poetry_refuses() {
                    self.progress.choice("Project", format!("files only: {reason}"));
                }
                Ok(None)
            }
            Packaging::Static(metadata) => Ok(Some(Distribution::Static(metadata))),
            Packaging::Build { .. } if self.explains => Ok(None),
            Packaging::Build { reason } => {
                self.progress
                    .choice("Project", format!("built as a wheel: {reason}"));
                let name = &self.project.name;
                let built = lock::build_wheel(&self.project.root, name, target, request, &self.tools());
                let built = match built {
                    Err(error) if self.is_script_of_another_age(&error) => {
                        self.progress.warn(format!(
                            "{error}, as setup.py imports what it does not declare: the project goes in as files, without \
                             metadata and console scripts"
                        ));
                        return Ok(None);
                    }
                    built => built?,
                };
                let wheel = Wheel::open(&built.path, &built.file_name.to_string())?;
                Ok(Some(Distribution::Built(Box::new(wheel))))
            }
        }
    }

    /// Whether a setup.py without a `[build-system]` imports its own dependencies: pip cannot build such a project either,
    /// and its users run it from its directory.
    fn is_script_of_another_age(&self, error: &lock::Error) -> bool {
        let declares = |document: &Document| document.get(&["build-system"]).is_some();
        error.undeclared_module().is_some()
            && !self.project.pyproject.as_ref().is_some_and(declares)
            && self.project.settings.package.is_none()
            && self.project.settings.strict != Some(true)
    }

    /// The start command, printed with its reason.
    pub(super) fn start(
        &self,
        files: &Files,
        distribution: Option<&Distribution>,
        selected: &[Selected],
        shell: bool,
    ) -> anyhow::Result<Start> {
        let surroundings = Surroundings {
            installed: &|package: &PackageName| selected.iter().any(|s| s.name == *package),
            shell,
            unbuilt: self.explains && matches!(self.project.packaging()?, Packaging::Build { .. }),
        };
        let start = match self.project.start(files, distribution, surroundings) {
            Err(project::Error::NoStart { .. }) if surroundings.unbuilt => Start {
                reason: "not known before the project's wheel is built: a console script, if it has one"
                    .to_owned(),
                ..Start::default()
            },
            start => start?,
        };
        self.progress
            .choice("Start", format!("{}: {}", shown(&start.command), start.reason));
        Ok(start)
    }

    /// The layer of the project's large data files, if there are such, and that of the project itself.
    pub(super) fn app(
        &self,
        files: Files,
        distribution: Option<&Distribution>,
        start: &Start,
        base: &Base,
    ) -> anyhow::Result<(Option<Layer>, Layer)> {
        let owner = self.user(base)?;
        let known = base.users.values().any(|known| known.uid == owner.uid);
        let home = (owner == UserChoice::NONROOT && !known).then_some(HOME);
        let options = AppOptions {
            target: &base.target,
            owner,
            home,
            runtime: Runtime::Image,
        };
        let tree = self.project.tree(files, distribution, start, options)?;
        let tree = tree.with_small_files_read(HELD)?;
        self.check_exposed(&tree)?;
        let tree = over_base(tree, base)?;
        let (tree, data) = self.data(tree)?;
        let count = tree.iter().filter(|(_, entry)| entry.content().is_some()).count();
        let key = self.layer_key("app", &tree.digest()?.to_string());
        // Made faster than fetched, and new with every change: a cache that is shared has no use for it.
        let layer = self.layer((&key, "pyoci: app"), &self.store.alone(), || Ok(tree))?;
        self.progress
            .done("App", format!("{count} files, {}", size_of(&layer)));
        Ok((data, layer))
    }
}

/// A tree laid over a base follows the base's links to directories (`lib -> usr/lib`): a directory in their place would
/// hide all that is behind them.
pub(super) fn over_base(tree: Tree, base: &Base) -> anyhow::Result<Tree> {
    // With each path a tree has all that are above it.
    if !base
        .directory_links
        .keys()
        .any(|link| tree.get(link.as_str()).is_some())
    {
        return Ok(tree);
    }
    let mut moved = Tree::new();
    for (path, entry) in tree {
        let target = follow(&path, base);
        if entry.is_directory() && target != path && moved.get(target.as_str()).is_some() {
            continue;
        }
        moved.insert(target, entry)?;
    }
    Ok(moved)
}

fn follow(path: &TreePath, base: &Base) -> TreePath {
    // Links may lead to links; a loop ends where it has been gone round often enough for any honest base.
    let mut at = path.clone();
    for _ in 0..16 {
        let own = [at.clone()];
        let link = at
            .parents()
            .chain(own)
            .find_map(|p| Some((base.directory_links.get(&p)?.clone(), p)));
        let Some((target, link)) = link else { break };
        let Some(to) = link.resolve_link(&target) else {
            break;
        };
        let rest = at.strip_prefix(link.as_str()).map(str::to_owned);
        at = match rest {
            Some(rest) => to.join(&rest).unwrap_or(to),
            None => to,
        };
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::tiny_base;
    use crate::tree::{Content, Entry};

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    #[test]
    fn trees_follow_the_links_of_the_base_and_never_replace_them() {
        let mut base = tiny_base();
        let links = [("app", "/srv/app"), ("srv", "var/srv"), ("loop", "loop")];
        base.directory_links = links.map(|(link, to)| (path(link), to.to_owned())).into();
        let mut tree = Tree::new();
        for file in ["app/main.py", "deps/x.py", "loop/y"] {
            tree.insert(path(file), Entry::file(Content::bytes(*b""), false))
                .unwrap();
        }
        let moved = over_base(tree, &base).unwrap();
        assert!(moved.get("var/srv/app/main.py").is_some());
        assert!(moved.get("app").is_none() && moved.get("srv").is_none());
        assert!(moved.get("deps/x.py").is_some());
        assert!(moved.get("loop/y").is_some());
    }
}
