//! A source directory that a wheel is built from: which of its files count, their digest, and a copy that a build may
//! write in.
//!
//! What a project reads above its own directory counts too: files that its build files name by `../`, and the whole
//! repository where its version is asked of git.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

use super::Error;
use super::process::{Run, network_variables, pick, without_users};
use crate::digest::{Digest, Hasher};
use crate::tools::Tools;

/// What tools leave in a directory, at any depth: no build reads it.
const NEVER: [&str; 9] = [
    "__pycache__",
    ".venv",
    "venv",
    "node_modules",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
];
/// The files that say how a project is built.
const BUILD_FILES: [&str; 4] = ["pyproject.toml", "setup.cfg", "setup.py", "MANIFEST.in"];
/// Words in them that tell that git is asked for the version or for the files.
const ASKS_GIT: [&str; 11] = [
    "setuptools_scm",
    "setuptools-scm",
    "setuptools-git",
    "vcs",
    "\"scm\"",
    "'scm'",
    "versioningit",
    "versioneer",
    "pbr",
    "dynamic-versioning",
    "dunamai",
];

/// A project's directory, and what it reads beside itself.
#[derive(Debug)]
pub(super) struct SourceTree {
    /// The directory above all that counts.
    top: PathBuf,
    /// The project's directory below it.
    below: PathBuf,
    /// What counts: the project, or the repository, and what is named by `../`. None is inside another.
    parts: Vec<PathBuf>,
}

/// What is at a path.
enum Found {
    File,
    /// A link that stays inside: its target as written.
    Link(PathBuf),
    Directory,
}

impl SourceTree {
    /// Looks at a project's directory.
    pub fn of(directory: &Path) -> Result<Self, Error> {
        let directory = &fs_err::canonicalize(directory).map_err(|e| Error::read(directory, e))?;
        let mut texts = String::new();
        for name in BUILD_FILES {
            texts.push_str(&fs_err::read_to_string(directory.join(name)).unwrap_or_default());
            texts.push('\n');
        }
        let asks_git = ASKS_GIT.iter().any(|word| texts.contains(word));
        let repository = directory.ancestors().find(|above| above.join(".git").exists());
        let own = match repository {
            Some(repository) if asks_git => repository,
            _ => directory,
        };
        let mut parts = vec![own.to_owned()];
        for named in names_above(&texts) {
            // What is not there is for the build to complain of; what holds the project is no file of its.
            let Ok(path) = fs_err::canonicalize(directory.join(named)) else {
                continue;
            };
            if !parts
                .iter()
                .any(|part| path.starts_with(part) || part.starts_with(&path))
            {
                parts.push(path);
            }
        }
        parts[1..].sort();
        let top = parts.iter().fold(own.to_owned(), |top, part| {
            let holds = |above: &&Path| part.starts_with(above);
            top.ancestors().find(holds).unwrap_or(Path::new("/")).to_owned()
        });
        Ok(Self {
            below: directory.strip_prefix(&top).unwrap_or(Path::new("")).to_owned(),
            parts,
            top,
        })
    }

    /// The digest of all that counts: names, executable bits, links, contents, and what git would say.
    pub fn digest(&self, tools: &Tools<'_>) -> Result<Digest, Error> {
        let mut hasher = Hasher::sha256();
        let fault = |source| Error::read(&self.top, source);
        write!(hasher, "source 1\0{}\0", self.below.display()).map_err(fault)?;
        for (name, found) in self.files()? {
            let path = self.top.join(&name);
            let fault = |source| Error::read(&path, source);
            let text = match found {
                Found::Directory => "directory".to_owned(),
                Found::Link(target) => format!("link {}", target.display()),
                Found::File => {
                    let file = fs_err::File::open(&path).map_err(fault)?;
                    let executable = is_executable(&path).map_err(fault)?;
                    let (digest, _) = Digest::of_reader(file).map_err(fault)?;
                    format!("file {executable} {digest}")
                }
            };
            write!(hasher, "{}\0{text}\0", name.display()).map_err(fault)?;
        }
        let state = git_state(&self.parts[0], tools)?;
        hasher.update(state.as_bytes());
        Ok(hasher.finish())
    }

    /// Copies all that counts; gives the project's directory in the copy.
    pub fn copy(&self, to: &Path) -> Result<PathBuf, Error> {
        for (name, found) in self.files()? {
            let (from, target) = (self.top.join(&name), to.join(&name));
            let copied = || -> std::io::Result<()> {
                if let Some(parent) = target.parent() {
                    fs_err::create_dir_all(parent)?;
                }
                match &found {
                    Found::Directory => fs_err::create_dir_all(&target),
                    Found::Link(link) => fs_err::os::unix::fs::symlink(link, &target),
                    Found::File => fs_err::copy(&from, &target).map(|_| ()),
                }
            };
            copied().map_err(|source| Error::read(&from, source))?;
        }
        let git = self.parts[0].join(".git");
        if git.exists() {
            let below = git.strip_prefix(&self.top).unwrap_or(Path::new(".git"));
            copy_git(&git, &to.join(below)).map_err(|source| Error::read(&git, source))?;
        }
        Ok(to.join(&self.below))
    }

    /// The directory above all that counts.
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// What a copy leads to instead of having it: the objects of its repository, and the repository of a work tree.
    pub fn objects(&self) -> Vec<PathBuf> {
        let git = self.parts[0].join(".git");
        match fs_err::read_to_string(&git) {
            Ok(text) => work_tree_of(&git, &text)
                .ancestors()
                .take(3)
                .map(Path::to_owned)
                .collect(),
            Err(_) => vec![git.join("objects")],
        }
    }

    /// The settings of the repository of a work tree, which are read where they are, and what is to be read instead.
    pub fn settings(&self) -> Option<(PathBuf, String)> {
        let git = self.parts[0].join(".git");
        let text = fs_err::read_to_string(&git).ok()?;
        let path = work_tree_of(&git, &text).ancestors().nth(2)?.join("config");
        let config = fs_err::read(&path).ok()?;
        Some((path, without_credentials(&String::from_utf8_lossy(&config))))
    }

    /// All that counts, by its path below the top.
    fn files(&self) -> Result<BTreeMap<PathBuf, Found>, Error> {
        let project = self.top.join(&self.below);
        let mut walk = Walk {
            top: &self.top,
            project: &project,
            inside: Path::new(""),
            files: BTreeMap::new(),
        };
        for part in &self.parts {
            walk.inside = part;
            walk.add(part, part).map_err(|source| Error::read(part, source))?;
        }
        Ok(walk.files)
    }
}

struct Walk<'a> {
    top: &'a Path,
    project: &'a Path,
    /// The part that is walked: links that leave it are followed.
    inside: &'a Path,
    files: BTreeMap<PathBuf, Found>,
}

impl Walk<'_> {
    /// Adds what is at `path` as if it were at `at`, a path below the top.
    fn add(&mut self, path: &Path, at: &Path) -> std::io::Result<()> {
        let name = at.strip_prefix(self.top).unwrap_or(at).to_owned();
        let kind = fs_err::symlink_metadata(path)?.file_type();
        if kind.is_dir() {
            return self.directory(path, at, name);
        }
        if kind.is_file() {
            self.files.insert(name, Found::File);
            return Ok(());
        }
        if !kind.is_symlink() {
            return Ok(());
        }
        let target = fs_err::read_link(path)?;
        // A link that leaves what is copied would dangle in the copy: what it leads to is taken.
        let leaves = fs_err::canonicalize(path)
            .ok()
            .filter(|to| !to.starts_with(self.inside));
        let found = match leaves {
            Some(to) if to.is_dir() => {
                return if at.starts_with(&to) {
                    Ok(())
                } else {
                    self.directory(&to, at, name)
                };
            }
            Some(to) if to.is_file() => Found::File,
            Some(_) => return Ok(()),
            None if target.is_absolute() => {
                let here = at.parent().unwrap_or(at);
                match target.strip_prefix(self.inside) {
                    Ok(rest) => Found::Link(relative(here, &self.inside.join(rest))),
                    Err(_) => Found::Link(target),
                }
            }
            None => Found::Link(target),
        };
        self.files.insert(name, found);
        Ok(())
    }

    fn directory(&mut self, path: &Path, at: &Path, name: PathBuf) -> std::io::Result<()> {
        self.files.insert(name, Found::Directory);
        for entry in crate::files::read_dir(path)? {
            let entry = entry?;
            let (file_name, is_directory) = (entry.file_name(), entry.file_type()?.is_dir());
            let text = file_name.to_string_lossy();
            // An old `build/` would end up in the wheel.
            let is_left = at == self.project && is_directory && matches!(&*text, "build" | "dist");
            let never = NEVER.contains(&&*text) || is_left || text == ".git" || text.ends_with(".pyc");
            let skipped = never || is_directory && (text.ends_with(".egg-info") || is_made(&entry.path()));
            if !skipped {
                self.add(&entry.path(), &at.join(&file_name))?;
            }
        }
        Ok(())
    }
}

/// Whether a directory is a virtual environment or an image layout, under whatever name.
fn is_made(directory: &Path) -> bool {
    directory.join("pyvenv.cfg").is_file() || directory.join("oci-layout").is_file()
}

fn is_executable(path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs_err::metadata(path)?.permissions().mode() & 0o100 != 0)
}

/// How a path is reached from a directory; both absolute.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from
        .components()
        .zip(to.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

/// The paths by `../` in the build files of a project.
fn names_above(texts: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || "\"'`,;=[](){}<>|#".contains(c);
    let words = texts.split(ends);
    words.filter(|word| word.starts_with("../") && !word.contains('*'))
}

/// What git says of a repository: its commit, tags, and which files it knows; empty without git or repository.
fn git_state(directory: &Path, tools: &Tools<'_>) -> Result<String, Error> {
    let git = tools.environment.find_program("git");
    let Some(git) = git.filter(|_| directory.join(".git").exists()) else {
        return Ok(String::new());
    };
    let mut state = String::new();
    for arguments in [
        &["rev-parse", "HEAD"][..],
        &["for-each-ref", "--format=%(objectname) %(refname)", "refs/tags"],
        &["ls-files", "--stage"],
    ] {
        let mut variables = network_variables(tools.environment);
        variables.extend(pick(tools.environment, |name| name == "HOME"));
        let run = Run::new(&git, directory)
            .arguments(arguments)
            .variables(variables);
        state.push_str(&run.output()?.stdout);
        state.push('\0');
    }
    Ok(state)
}

/// Copies git's own directory; its objects, which never change, are linked.
fn copy_git(from: &Path, to: &Path) -> std::io::Result<()> {
    if from.is_file() {
        // A work tree or submodule: `gitdir: PATH`, relative to where it is.
        let directory = work_tree_of(from, &fs_err::read_to_string(from)?);
        return fs_err::write(to, format!("gitdir: {}\n", directory.display()));
    }
    fs_err::create_dir_all(to)?;
    for entry in crate::files::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() && entry.file_name() == "objects" && path.join("info").is_dir() {
            fs_err::os::unix::fs::symlink(&path, target)?;
        } else if kind.is_dir() {
            copy_git(&path, &target)?;
        } else if kind.is_file() && entry.file_name() == "config" {
            let text = String::from_utf8_lossy(&fs_err::read(&path)?).into_owned();
            fs_err::write(target, without_credentials(&text))?;
        } else if kind.is_file() && path.extension().is_none_or(|extension| extension != "lock") {
            fs_err::copy(&path, target)?;
        }
    }
    Ok(())
}

/// The directory that a `.git` file names.
fn work_tree_of(file: &Path, text: &str) -> PathBuf {
    let path = text.strip_prefix("gitdir:").unwrap_or(text).trim();
    file.parent().unwrap_or(file).join(path)
}

/// A `config` of git's without the passwords in its URLs and the headers that checkouts of CI services leave there: what
/// is built reads it.
fn without_credentials(config: &str) -> String {
    let is_kept = |line: &&str| {
        let name = line
            .split('=')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        !["extraheader", "helper", "cookiefile", "sslkey"].contains(&&*name)
    };
    config
        .lines()
        .filter(is_kept)
        .fold(String::new(), |mut text, line| {
            text.push_str(&without_users(line));
            text.push('\n');
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Project(tempfile::TempDir);

    impl Project {
        fn with(files: &[(&str, &str)]) -> Self {
            let project = Self(tempfile::tempdir().unwrap());
            for (name, text) in files {
                project.write(name, text);
            }
            project
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.0.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }

        fn tree(&self, directory: &str) -> SourceTree {
            SourceTree::of(&self.0.path().join(directory)).unwrap()
        }

        fn names(&self, directory: &str) -> Vec<String> {
            let files = self.tree(directory).files().unwrap().into_iter();
            let files = files.filter(|(_, found)| !matches!(found, Found::Directory));
            files.map(|(name, _)| name.display().to_string()).collect()
        }
    }

    #[test]
    fn what_tools_left_behind_does_not_count() {
        let project = Project::with(&[
            ("p/pyproject.toml", ""),
            ("p/a/build/__init__.py", ""),
            ("p/build/lib/x.py", ""),
            ("p/a/__pycache__/x.pyc", ""),
            ("p/env/pyvenv.cfg", ""),
            ("p/image/oci-layout", ""),
            ("p/x.egg-info/PKG-INFO", ""),
            ("other/x", ""),
        ]);
        assert_eq!(project.names("p"), ["a/build/__init__.py", "pyproject.toml"]);
    }

    #[test]
    fn files_above_that_the_project_names_count_and_are_copied_to_the_same_place() {
        let project = Project::with(&[
            (
                "libs/p/pyproject.toml",
                "readme = \"../../README.md\"\nfiles = ['../LICENSE*', '../gone']",
            ),
            ("README.md", "read"),
            ("other", ""),
        ]);
        std::os::unix::fs::symlink("../../README.md", project.0.path().join("libs/p/link")).unwrap();
        std::os::unix::fs::symlink("pyproject.toml", project.0.path().join("libs/p/own")).unwrap();
        let names = ["README.md", "libs/p/link", "libs/p/own", "libs/p/pyproject.toml"];
        assert_eq!(project.names("libs/p"), names);
        let out = tempfile::tempdir().unwrap();
        let copy = project.tree("libs/p").copy(&out.path().join("source")).unwrap();
        assert_eq!(
            fs_err::read_to_string(copy.join("../../README.md")).unwrap(),
            "read"
        );
        assert_eq!(fs_err::read_to_string(copy.join("link")).unwrap(), "read");
        assert!(copy.join("own").is_symlink() && copy.join("own").exists());
    }

    #[test]
    fn a_copy_of_a_repository_has_no_credentials() {
        let config = "[remote \"origin\"]\n\turl = https://me:t0ken@host/r.git\n[http \"https://host/\"]\n\
            \textraheader = AUTHORIZATION: basic s3cret\n[core]\n\tbare = false\n";
        let files = [
            ("pyproject.toml", "requires = ['setuptools_scm']"),
            (".git/HEAD", "ref: refs/heads/main\n"),
            (".git/config", config),
            (".git/modules/m/config", config),
        ];
        let out = tempfile::tempdir().unwrap();
        let copy = Project::with(&files)
            .tree(".")
            .copy(&out.path().join("source"))
            .unwrap();
        for file in [".git/config", ".git/modules/m/config"] {
            let text = fs_err::read_to_string(copy.join(file)).unwrap();
            assert!(
                text.contains("url = https://host/r.git") && text.contains("bare = false"),
                "{text}"
            );
            assert!(!text.contains("t0ken") && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn where_git_is_asked_the_whole_repository_counts() {
        let files = [
            ("p/setup.cfg", ""),
            ("q/x", ""),
            (".git/HEAD", "ref: refs/heads/main\n"),
        ];
        let project = Project::with(&files);
        assert_eq!(project.names("p"), ["setup.cfg"]);
        project.write("p/pyproject.toml", "requires = ['setuptools_scm']\nroot = '..'");
        assert_eq!(project.names("p"), ["p/pyproject.toml", "p/setup.cfg", "q/x"]);
        let out = tempfile::tempdir().unwrap();
        let copy = project.tree("p").copy(&out.path().join("source")).unwrap();
        assert!(copy.ends_with("source/p") && copy.join("../.git/HEAD").is_file());
    }
}
