//! The project's files as a tree: sorted, with fixed modes, links checked, whatever the directory order and umask.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ignore::gitignore::Gitignore;

use super::error::Error;
use super::ignore_rules::{Candidate, IgnoreRules, Reason, Verdict};
use crate::paths::TreePath;
use crate::tree::{Content, Entry, Tree};

/// The name below the project's directory in the image that is pyoci's own.
pub const RESERVED: &str = ".pyoci";

/// The files of a project, and what was left out that the user should know of.
#[derive(Debug, Default)]
pub struct Files {
    /// The files, at their paths below the project's directory.
    pub tree: Tree,
    /// Files that hold credentials, sorted.
    pub secrets: Vec<String>,
    /// Directories that look like build output, sorted.
    pub outputs: Vec<String>,
    /// What the project's own rules leave out; of directories only their own names, sorted.
    pub ignored: Vec<String>,
    /// Version control, caches, virtual environments, the build's own output, sorted.
    pub clutter: Vec<String>,
    /// Whose rules left out what is in `ignored`.
    pub rules: String,
    /// What is neither file, directory nor link (sockets, pipes, devices), sorted.
    pub special: Vec<String>,
}

/// Collects the files of the project in `root`, which must be resolved (no links in it).
pub fn collect(root: &Path, rules: &IgnoreRules) -> Result<Files, Error> {
    let mut walk = Walk {
        root,
        rules,
        git: Vec::new(),
        files: Files {
            rules: rules.sources(),
            ..Files::default()
        },
    };
    walk.directory(root, None, false)?;
    Ok(walk.files)
}

struct Walk<'a> {
    root: &'a Path,
    rules: &'a IgnoreRules,
    /// The `.gitignore` rules of the directories that the walk is in, the outermost first.
    git: Vec<Gitignore>,
    files: Files,
}

impl Walk<'_> {
    fn directory(&mut self, path: &Path, at: Option<&TreePath>, left: bool) -> Result<(), Error> {
        let own_rules = self.rules.git_rules(path)?;
        let has_rules = own_rules.is_some();
        self.git.extend(own_rules);
        let mut children = Vec::new();
        for entry in crate::files::read_dir(path).map_err(Error::Io)? {
            children.push(entry.map_err(Error::Io)?.path());
        }
        children.sort();
        for child in children {
            self.child(&child, at, left)?;
        }
        if has_rules {
            self.git.pop();
        }
        Ok(())
    }

    fn child(&mut self, path: &Path, parent: Option<&TreePath>, left: bool) -> Result<(), Error> {
        let kind = fs_err::symlink_metadata(path).map_err(Error::Io)?.file_type();
        let name = path.file_name().unwrap_or_default();
        let Some(at) = tree_path(name, parent) else {
            return self.unnameable(path, kind.is_dir(), left);
        };
        let candidate = Candidate {
            path,
            relative: at.as_str(),
            directory: kind.is_dir(),
            below_left: left,
        };
        let left = match self.rules.verdict(candidate, &self.git)? {
            Verdict::Take => false,
            Verdict::Leave => {
                if !left {
                    self.note(Reason::Ignored, &at, kind.is_dir());
                }
                true
            }
            Verdict::Never(reason) => {
                self.note(reason, &at, kind.is_dir());
                return Ok(());
            }
        };
        if at.as_str() == RESERVED {
            return Err(Error::Reserved(path.to_owned()));
        }
        if kind.is_dir() {
            if !left {
                self.files.tree.insert(at.clone(), Entry::directory())?;
            }
            return self.descend(path, &at, left);
        }
        if left {
            return Ok(());
        }
        let entry = if kind.is_symlink() {
            self.link(path, &at)?
        } else if kind.is_file() {
            file(path)?
        } else {
            self.files.special.push(at.to_string());
            return Ok(());
        };
        self.files.tree.insert(at, entry)?;
        Ok(())
    }

    /// Walks a directory. One that holds nothing but what is left out goes too: git would not have it either.
    fn descend(&mut self, path: &Path, at: &TreePath, left: bool) -> Result<(), Error> {
        let before = self.files.tree.len();
        let empty = crate::files::read_dir(path).map_err(Error::Io)?.next().is_none();
        self.directory(path, Some(at), left)?;
        if !empty && self.files.tree.len() == before {
            self.files.tree.remove(at);
        }
        Ok(())
    }

    fn note(&mut self, reason: Reason, at: &TreePath, directory: bool) {
        let name = if directory {
            format!("{at}/")
        } else {
            at.to_string()
        };
        match reason {
            Reason::Secret => self.files.secrets.push(name),
            Reason::Output => self.files.outputs.push(name),
            Reason::Ignored => self.files.ignored.push(name),
            Reason::Clutter => self.files.clutter.push(name),
        }
    }

    /// A name that no path of an image can have: an error, unless it is left out anyway.
    fn unnameable(&self, path: &Path, directory: bool, left: bool) -> Result<(), Error> {
        let relative = path
            .strip_prefix(self.root)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned();
        let candidate = Candidate {
            path,
            relative: &relative,
            directory,
            below_left: left,
        };
        match self.rules.verdict(candidate, &self.git)? {
            Verdict::Take => Err(Error::FileName {
                path: path.to_owned(),
                message: "the name is not UTF-8, or the path is too long".into(),
            }),
            Verdict::Leave | Verdict::Never(_) => Ok(()),
        }
    }

    /// A link that stays in the project, as a relative link.
    fn link(&self, path: &Path, at: &TreePath) -> Result<Entry, Error> {
        let target = fs_err::read_link(path).map_err(Error::Io)?;
        let leaves = || Error::LinkLeaves {
            link: path.to_owned(),
            target: target.clone(),
        };
        // Links are followed as the kernel does, as far as there is something; what dangles is judged by its text.
        if let Ok(resolved) = fs_err::canonicalize(path)
            && !resolved.starts_with(self.root)
        {
            return Err(leaves());
        }
        let Some(text) = target.to_str() else {
            return Err(Error::FileName {
                path: path.to_owned(),
                message: "the link's target is not UTF-8".into(),
            });
        };
        if target.is_absolute() {
            let inside = target.strip_prefix(self.root).map_err(|_| leaves())?;
            return Ok(Entry::symlink(&relative_target(at, inside)));
        }
        match at.resolve_link(text) {
            Some(_) => Ok(Entry::symlink(text)),
            // `..` to the project's own directory is inside, but has no path below it.
            None if fs_err::canonicalize(path).is_ok_and(|resolved| resolved == self.root) => {
                Ok(Entry::symlink(text))
            }
            None => Err(leaves()),
        }
    }
}

fn tree_path(name: &std::ffi::OsStr, parent: Option<&TreePath>) -> Option<TreePath> {
    let name = name.to_str()?;
    match parent {
        Some(parent) => parent.join(name).ok(),
        None => TreePath::new(name).ok(),
    }
}

/// How `inside`, a path below the project, is reached from the link `at`.
fn relative_target(at: &TreePath, inside: &Path) -> String {
    let mut target: PathBuf = std::iter::repeat_n("..", at.components().count() - 1).collect();
    target.push(inside);
    if target.as_os_str().is_empty() {
        target.push(".");
    }
    target.to_string_lossy().into_owned()
}

/// A file: executable if its owner may execute it; no other bit of its mode counts.
pub(super) fn file(path: &Path) -> Result<Entry, Error> {
    let metadata = fs_err::metadata(path).map_err(Error::Io)?;
    let content = Content::Path {
        path: path.to_owned(),
        size: metadata.len(),
    };
    Ok(Entry::file(content, metadata.permissions().mode() & 0o100 != 0))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::project::settings::Settings;

    struct Sandbox(tempfile::TempDir);

    impl Sandbox {
        fn with(files: &[(&str, &str)]) -> Self {
            let sandbox = Self(tempfile::tempdir().unwrap());
            for (name, text) in files {
                let path = sandbox.root().join(name);
                fs_err::create_dir_all(path.parent().unwrap()).unwrap();
                fs_err::write(path, text).unwrap();
            }
            sandbox
        }

        fn empty(names: &[&str]) -> Self {
            Self::with(&names.iter().map(|name| (*name, "")).collect::<Vec<_>>())
        }

        fn root(&self) -> PathBuf {
            fs_err::canonicalize(self.0.path()).unwrap()
        }

        fn collect(&self, settings: &Settings, outputs: &[&str]) -> Result<Files, Error> {
            let outputs: Vec<_> = outputs.iter().map(|output| self.root().join(output)).collect();
            collect(
                &self.root(),
                &IgnoreRules::read(&self.root(), settings, &outputs)?,
            )
        }

        /// The files (no directories) that are taken.
        fn taken(&self) -> Vec<String> {
            names(&self.collect(&Settings::default(), &[]).unwrap())
        }
    }

    fn names(files: &Files) -> Vec<String> {
        let entries = files.tree.iter().filter(|(_, entry)| !entry.is_directory());
        entries.map(|(path, _)| path.to_string()).collect()
    }

    #[test]
    fn what_tools_and_version_control_leave_behind_stays_out() {
        let sandbox = Sandbox::empty(&[
            "app.py",
            ".git/config",
            "pkg/__init__.py",
            "pkg/__pycache__/a.pyc",
            "pkg/old.pyc",
            ".venv/bin/python",
            "env/pyvenv.cfg",
            "env/bin/python",
            ".mypy_cache/x",
            "node_modules/x/y.js",
            "x.egg-info/PKG-INFO",
            "old/oci-layout",
            "old/index.json",
            "pkg/.DS_Store",
            ".gitignore",
            "sub/.hg/x",
            "stale/__pycache__/x.pyc",
        ]);
        assert_eq!(sandbox.taken(), ["app.py", "pkg/__init__.py"]);
        let files = sandbox.collect(&Settings::default(), &[]).unwrap();
        assert!(
            files.tree.get("stale").is_none(),
            "a directory of nothing but clutter goes too"
        );
    }

    #[test]
    fn secrets_stay_out_whatever_the_rules_say() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\n";
        let sandbox = Sandbox::with(&[
            (".env", ""),
            (".env.production", ""),
            (".env.example", ""),
            (".netrc", ""),
            ("conf/.pypirc", ""),
            ("tls/server.key", key),
            ("tls/ca.pem", "-----BEGIN CERTIFICATE-----\n"),
            ("id_rsa", ""),
            (".dockerignore", "!.env\n"),
            ("environment.py", ""),
            (".environment", ""),
        ]);
        let settings = Settings {
            include: vec![".env".into()],
            ..Settings::default()
        };
        let files = sandbox.collect(&settings, &[]).unwrap();
        assert_eq!(
            names(&files),
            [".env.example", ".environment", "environment.py", "tls/ca.pem"]
        );
        assert_eq!(
            files.secrets,
            [
                ".env",
                ".env.production",
                ".netrc",
                "conf/.pypirc",
                "id_rsa",
                "tls/server.key"
            ]
        );
    }

    #[test]
    fn build_output_at_the_top_stays_out_unless_it_is_a_package_or_asked_for() {
        let sandbox = Sandbox::empty(&["build/x", "dist/app.js", "pkg/build/x", "pkg/dist/y"]);
        let files = sandbox.collect(&Settings::default(), &["pkg/build"]).unwrap();
        assert_eq!(names(&files), ["pkg/dist/y"]);
        assert_eq!(files.outputs, ["build/", "dist/"]);
        let settings = Settings {
            include: vec!["dist".into()],
            ..Settings::default()
        };
        assert_eq!(
            names(&sandbox.collect(&settings, &["pkg"]).unwrap()),
            ["dist/app.js"]
        );
        assert_eq!(
            Sandbox::empty(&["build/__init__.py"]).taken(),
            ["build/__init__.py"]
        );
    }

    #[test]
    fn gitignore_files_hold_for_their_directories_and_nest() {
        let sandbox = Sandbox::with(&[
            (".gitignore", "*.log\n/data/\nout\n!keep.log\n!build/\n[bad\n"),
            ("a.log", ""),
            ("keep.log", ""),
            ("data/x", ""),
            ("src/data/x", ""),
            ("src/out/x", ""),
            ("build/x", ""),
            ("src/.gitignore", "!b.log\nc.*\n"),
            ("src/b.log", ""),
            ("src/c.txt", ""),
            ("c.txt", ""),
        ]);
        assert_eq!(
            sandbox.taken(),
            ["build/x", "c.txt", "keep.log", "src/b.log", "src/data/x"]
        );
    }

    #[test]
    fn a_container_ignore_file_replaces_gitignore() {
        let sandbox = Sandbox::with(&[
            (".gitignore", "a.txt\n"),
            (".dockerignore", "b.txt\n"),
            (".containerignore", "*\n!src\n**/x\n"),
            ("a.txt", ""),
            ("b.txt", ""),
            ("src/c.txt", ""),
            ("src/x", ""),
            ("src/__pycache__/c.pyc", ""),
        ]);
        // Docker's rules are asked first, so `!src` takes what is in it; caches are no part of that.
        assert_eq!(sandbox.taken(), ["src/c.txt"]);
    }

    #[test]
    fn links_stay_relative_and_inside() {
        let sandbox = Sandbox::empty(&["a/b/file", "top"]);
        let root = sandbox.root();
        symlink("../../top", root.join("a/b/up")).unwrap();
        symlink(root.join("a/b/file"), root.join("a/absolute")).unwrap();
        symlink(".", root.join("a/loop")).unwrap();
        symlink("missing", root.join("dangling")).unwrap();
        let files = sandbox.collect(&Settings::default(), &[]).unwrap();
        let target = |path: &str| match &files.tree.get(path).unwrap().kind {
            crate::tree::Kind::Symlink(target) => target.clone(),
            _ => panic!("{path} is no link"),
        };
        assert_eq!(target("a/b/up"), "../../top");
        assert_eq!(target("a/absolute"), "../a/b/file");
        assert_eq!(
            (target("a/loop").as_str(), target("dangling").as_str()),
            (".", "missing")
        );
    }

    #[test]
    fn a_link_that_leaves_is_an_error_that_names_it() {
        let outside = tempfile::tempdir().unwrap();
        for target in [
            outside.path().to_str().unwrap(),
            "../outside",
            "/nowhere/at/all",
            "a/../../x",
        ] {
            let sandbox = Sandbox::empty(&["a/file"]);
            symlink(target, sandbox.root().join("link")).unwrap();
            let error = sandbox.collect(&Settings::default(), &[]).unwrap_err();
            assert!(matches!(error, Error::LinkLeaves { .. }), "{target}");
            assert!(error.to_string().contains("link") && error.to_string().contains(target));
        }
    }

    #[test]
    fn modes_come_from_the_owners_execute_bit_only() {
        let sandbox = Sandbox::empty(&["run", "data"]);
        let mode = |name: &str, mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            fs_err::set_permissions(sandbox.root().join(name), permissions).unwrap();
        };
        mode("run", 0o700);
        mode("data", 0o666);
        let files = sandbox.collect(&Settings::default(), &[]).unwrap();
        assert_eq!(files.tree.get("run").unwrap().mode, 0o755);
        assert_eq!(files.tree.get("data").unwrap().mode, 0o644);
    }

    #[test]
    fn names_that_no_image_can_hold_are_errors_and_sockets_are_left_out() {
        use std::os::unix::ffi::OsStrExt as _;
        let sandbox = Sandbox::empty(&["a"]);
        let _socket = std::os::unix::net::UnixListener::bind(sandbox.root().join("socket")).unwrap();
        assert_eq!(
            sandbox.collect(&Settings::default(), &[]).unwrap().special,
            ["socket"]
        );
        fs_err::write(sandbox.root().join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
        let error = sandbox.collect(&Settings::default(), &[]).unwrap_err();
        assert!(matches!(error, Error::FileName { .. }));
        let sandbox = Sandbox::empty(&[".pyoci/x"]);
        let error = sandbox.collect(&Settings::default(), &[]).unwrap_err();
        assert!(matches!(error, Error::Reserved(_)));
    }
}
