//! The tree of the app layer: the project's files in `/app`, and `/app/.pyoci` with what makes them run.

use globset::{Glob, GlobSetBuilder};

use super::distribution::Distribution;
use super::error::Error;
use super::files::Files;
use super::packaging::src_root;
use super::runtime::{self, APP};
use super::{Project, Start, bundle};
use crate::paths::TreePath;
use crate::python::Target;
use crate::tree::{Entry, Owner, Tree};

/// What the app layer is made of, beside the project itself.
#[derive(Clone, Copy, Debug)]
pub struct AppOptions<'a> {
    /// What the image runs.
    pub target: &'a Target,
    /// The user of the image: owns what `[tool.pyoci] writable` names.
    pub owner: Owner,
    /// The user's home directory, absolute, if the base lacks it.
    pub home: Option<&'a str>,
    /// What it is put into.
    pub runtime: Runtime<'a>,
}

/// What the app is put into: that decides how it finds its packages.
#[derive(Clone, Copy, Debug)]
pub enum Runtime<'a> {
    /// An image.
    Image,
    /// A bundle.
    Bundle {
        /// What its packages need.
        needs: &'a bundle::Needs,
        /// Whether they are installed at the first start.
        thin: bool,
    },
}

impl Project {
    /// The tree of the app layer. It is the same wherever the project lies, whoever owns it and whatever the umask is.
    pub fn tree(
        &self,
        files: Files,
        distribution: Option<&Distribution>,
        start: &Start,
        options: AppOptions<'_>,
    ) -> Result<Tree, Error> {
        let mut app = files.tree;
        self.make_writable(&mut app, options.owner)?;
        let mut roots = match distribution {
            Some(distribution) => distribution.install(&mut app, options.target)?,
            None => src_root(&self.root).into_iter().collect(),
        };
        for root in &start.import_roots {
            if !roots.contains(root) {
                roots.push(root.clone());
            }
        }
        let mut tree = Tree::new();
        let top = TreePath::new(APP.trim_start_matches('/')).map_err(|_| Error::Reserved(APP.into()))?;
        let open = self.settings.writable.iter().any(|text| is_whole(text));
        let directory = |entry: Entry| {
            if open && entry.is_directory() && entry.owner == Owner::default() {
                open_directory(entry, options.owner)
            } else {
                entry
            }
        };
        for (path, entry) in app {
            let entry = directory(entry);
            let at = top.join(path.as_str()).map_err(|error| Error::FileName {
                path: path.to_string().into(),
                message: error.to_string(),
            })?;
            tree.insert(at, entry)?;
        }
        let files = match options.runtime {
            Runtime::Image => {
                let absolute = |root: &String| format!("{APP}/{root}").trim_end_matches('/').to_owned();
                let roots: Vec<String> = roots.iter().map(absolute).collect();
                runtime::tree(options.target, &roots)
            }
            Runtime::Bundle { needs, thin } => bundle::tree(needs, thin, &roots),
        };
        tree.merge(files.map_err(|error| Error::Runtime(Box::new(error)))?)?;
        tree.insert(top, directory(Entry::directory()))?;
        if let Some(home) = options
            .home
            .and_then(|home| TreePath::from_tar_name(home).ok().flatten())
        {
            tree.insert(home, Entry::directory().with_mode(0o700).owned_by(options.owner))?;
        }
        Ok(tree)
    }

    /// Gives the user what `[tool.pyoci] writable` names: paths are made if they are missing, patterns take what they
    /// match; both with all that is below.
    fn make_writable(&self, app: &mut Tree, owner: Owner) -> Result<(), Error> {
        let mut patterns = GlobSetBuilder::new();
        for text in &self.settings.writable {
            let clean = text.trim_start_matches("./").trim_end_matches('/');
            let wrong = |message: String| Error::Pattern {
                place: "[tool.pyoci] writable".into(),
                message: format!("`{text}`: {message}"),
            };
            // New files anywhere in the project; its own stay as they are (see below).
            if is_whole(text) {
                continue;
            }
            let is_pattern = clean.contains(['*', '?', '[', '{']);
            if is_pattern {
                for glob in [clean.to_owned(), format!("{clean}/**")] {
                    patterns.add(Glob::new(&glob).map_err(|error| wrong(error.kind().to_string()))?);
                }
                continue;
            }
            let path = TreePath::new(clean).map_err(|error| wrong(error.to_string()))?;
            if app.get(clean).is_none() {
                app.insert(path, Entry::directory())?;
            }
            for glob in [globset::escape(clean), format!("{}/**", globset::escape(clean))] {
                patterns.add(Glob::new(&glob).map_err(|error| wrong(error.kind().to_string()))?);
            }
        }
        let patterns = patterns.build().map_err(|error| Error::Pattern {
            place: "[tool.pyoci] writable".into(),
            message: error.kind().to_string(),
        })?;
        if patterns.is_empty() {
            return Ok(());
        }
        let all = std::mem::take(app);
        for (path, entry) in all {
            let given = patterns.is_match(path.as_str());
            app.insert(path, if given { entry.owned_by(owner) } else { entry })?;
        }
        Ok(())
    }
}

/// Whether an item of `writable` is the project's own directory.
fn is_whole(text: &str) -> bool {
    matches!(text.trim_end_matches('/'), "" | ".")
}

/// A directory in which the user's group may make files, and may neither change nor remove those of root's: the sticky
/// bit, as in /tmp.
fn open_directory(entry: Entry, user: Owner) -> Entry {
    entry.with_mode(0o1775).owned_by(Owner {
        uid: 0,
        gid: user.gid,
    })
}
