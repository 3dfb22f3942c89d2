//! What of a project's directory does not belong into an image.
//!
//! Three kinds of rules, the first that speaks decides: what never goes in (version control, secrets), what the
//! settings `include` and `ignore` and the ignore file say, and what is left out unless one of these takes it (caches,
//! virtual environments, build output).

use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::docker_ignore::{DockerIgnore, Said};
use super::error::{Error, Place};
use super::settings::Settings;

/// Version control: never in an image.
const VERSION_CONTROL: [&str; 6] = [".git", ".hg", ".svn", ".bzr", ".jj", "_darcs"];

/// Files that hold credentials: never in an image.
const SECRETS: [&str; 7] = [
    ".netrc",
    "_netrc",
    ".pypirc",
    ".envrc",
    "pip.conf",
    "pip.ini",
    ".git-credentials",
];

/// Suffixes of `.env.*` files that show the form and hold nothing.
const ENV_EXAMPLES: [&str; 7] = [
    "example", "sample", "template", "dist", "defaults", "tmpl", "skel",
];

/// Directories and files in which people and tools keep their credentials: left out unless a rule of the project takes
/// them, and the user is told.
const PRIVATE: [&str; 12] = [
    ".ssh",
    ".aws",
    ".azure",
    ".gcloud",
    ".gnupg",
    ".kube",
    ".docker",
    ".dockercfg",
    ".npmrc",
    ".yarnrc.yml",
    ".pgpass",
    ".vault-token",
];
/// Endings of files that are nothing but private keys.
const KEY_STORES: [&str; 5] = ["p12", "pfx", "jks", "ppk", "kdbx"];

/// Directories (and files) of tools: left out unless a rule of the project takes them.
const LEFTOVERS: [&str; 29] = [
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    ".pytype",
    ".pyre",
    ".tox",
    ".nox",
    ".venv",
    ".eggs",
    ".coverage",
    "htmlcov",
    ".ipynb_checkpoints",
    ".cache",
    "node_modules",
    ".idea",
    ".vscode",
    ".DS_Store",
    "Thumbs.db",
    ".gitignore",
    ".gitattributes",
    ".gitmodules",
    ".dockerignore",
    ".containerignore",
    ".terraform",
    ".direnv",
    "__pypackages__",
    ".uv-cache",
];

/// What is to be done with a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes into the image.
    Take,
    /// It is left out; something below it may still be taken.
    Leave,
    /// It is left out with all that is below it.
    Never(Reason),
}

/// Why something is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It holds credentials: the user is told.
    Secret,
    /// It looks like build output, but may be data: the user is told.
    Output,
    /// It is no part of a program: version control, caches, virtual environments, what is being built.
    Clutter,
    /// The project's own rules leave it out.
    Ignored,
}

/// The rules of one project.
#[derive(Debug)]
pub struct IgnoreRules {
    root: PathBuf,
    include: Gitignore,
    ignore: Gitignore,
    docker: Option<DockerIgnore>,
    /// Directories that the build writes to, resolved.
    outputs: Vec<PathBuf>,
}

/// A file or directory of the project.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its absolute path.
    pub path: &'a Path,
    /// Its path below the project, components joined by `/`.
    pub relative: &'a str,
    /// Whether it is a directory (a link to one is not).
    pub directory: bool,
    /// Whether the directory that it is in is left out.
    pub below_left: bool,
}

impl IgnoreRules {
    /// Reads the rules of the project in `root`; `outputs` are what the build writes.
    pub fn read(root: &Path, settings: &Settings, outputs: &[PathBuf]) -> Result<Self, Error> {
        Ok(Self {
            root: root.to_owned(),
            include: patterns(root, &settings.include, "include")?,
            ignore: patterns(root, &settings.ignore, "ignore")?,
            docker: read_docker_ignore(root)?,
            outputs: outputs
                .iter()
                .map(|path| fs_err::canonicalize(path).unwrap_or_else(|_| path.clone()))
                .collect(),
        })
    }

    /// The patterns of a directory's own `.gitignore`; empty where a `.containerignore` or `.dockerignore` rules.
    ///
    /// Git's rules of the user and of the repository's `info/exclude` are not read: the image depends on the project
    /// only. As with git, a line that is no pattern matches nothing.
    pub fn git_rules(&self, directory: &Path) -> Result<Option<Gitignore>, Error> {
        if self.docker.is_some() {
            return Ok(None);
        }
        let Some(text) = read_text(&directory.join(".gitignore"))? else {
            return Ok(None);
        };
        let mut builder = GitignoreBuilder::new(directory);
        for line in text.trim_start_matches('\u{feff}').lines() {
            let _ = builder.add_line(None, line);
        }
        Ok(builder.build().ok())
    }

    /// What is to be done with a file or directory. `git` holds the rules of the directories above it, the outermost
    /// first.
    pub fn verdict(&self, candidate: Candidate<'_>, git: &[Gitignore]) -> Result<Verdict, Error> {
        let name = candidate.relative.rsplit('/').next().unwrap_or_default();
        if let Some(reason) = never(name, candidate.relative) {
            return Ok(Verdict::Never(reason));
        }
        if self.is_output(candidate.path) {
            return Ok(Verdict::Never(Reason::Clutter));
        }
        if self
            .include
            .matched(candidate.path, candidate.directory)
            .is_ignore()
        {
            return Ok(Verdict::Take);
        }
        let left = if candidate.below_left && self.docker.is_none() {
            // > It is not possible to re-include a file if a parent directory of that file is excluded. (gitignore(5))
            true
        } else if self
            .ignore
            .matched(candidate.path, candidate.directory)
            .is_ignore()
        {
            true
        } else {
            match self.said(candidate, git) {
                Some(Said::LeftOut) => true,
                Some(Said::TakenBack) => false,
                None if candidate.below_left => true,
                // Patterns that take a directory back do not mean the caches in it.
                Some(Said::BelowTakenBack) | None => return self.leftover(name, candidate),
            }
        };
        Ok(match left {
            false => Verdict::Take,
            true if self.may_take_below() => Verdict::Leave,
            true => Verdict::Never(Reason::Ignored),
        })
    }

    /// Who leaves files out where the project says so, in words.
    pub fn sources(&self) -> String {
        let file = self.docker.as_ref().map_or(".gitignore", |_| "the ignore file");
        if self.ignore.is_empty() {
            file.to_owned()
        } else {
            format!("{file} or [tool.pyoci] ignore")
        }
    }

    fn may_take_below(&self) -> bool {
        !self.include.is_empty() || self.docker.as_ref().is_some_and(DockerIgnore::takes_back)
    }

    /// What the ignore file says: left out, taken back, or nothing.
    fn said(&self, candidate: Candidate<'_>, git: &[Gitignore]) -> Option<Said> {
        if let Some(docker) = &self.docker {
            return docker.said(candidate.relative);
        }
        let innermost_first = git.iter().rev();
        let found = innermost_first
            .map(|rules| rules.matched(candidate.path, candidate.directory))
            .find(|found| !found.is_none())?;
        Some(if found.is_ignore() {
            Said::LeftOut
        } else {
            Said::TakenBack
        })
    }

    /// What nobody has said anything about: left out if it looks like what tools leave behind.
    fn leftover(&self, name: &str, candidate: Candidate<'_>) -> Result<Verdict, Error> {
        // Streamlit's: it is given to the container where that runs.
        if candidate.relative.ends_with(".streamlit/secrets.toml") {
            return Ok(Verdict::Never(Reason::Secret));
        }
        let reason = if candidate.directory {
            self.leftover_directory(name, candidate)
        } else {
            leftover_file(name, candidate.path)?
        };
        Ok(match reason {
            None => Verdict::Take,
            Some(Reason::Secret | Reason::Output) if self.may_take_below() && candidate.directory => {
                Verdict::Leave
            }
            Some(reason) => Verdict::Never(reason),
        })
    }

    fn leftover_directory(&self, name: &str, candidate: Candidate<'_>) -> Option<Reason> {
        let has = |file: &str| candidate.path.join(file).exists();
        let is_package = has("__init__.py");
        let top = candidate.path.parent() == Some(&self.root);
        if PRIVATE.contains(&name) {
            return Some(Reason::Secret);
        }
        if LEFTOVERS.contains(&name)
            || has("pyvenv.cfg")
            || has("conda-meta")
            || (has("oci-layout") && has("index.json"))
            || (name == "venv" && !is_package)
            || (top && name.ends_with(".egg-info"))
        {
            return Some(Reason::Clutter);
        }
        (top && ["build", "dist"].contains(&name) && !is_package).then_some(Reason::Output)
    }

    fn is_output(&self, path: &Path) -> bool {
        // The project's root is resolved and links are not followed, so that the path is resolved already.
        self.outputs.iter().any(|output| output == path)
    }
}

fn never(name: &str, relative: &str) -> Option<Reason> {
    if VERSION_CONTROL.contains(&name) {
        return Some(Reason::Clutter);
    }
    let env_file = name == ".env"
        || name.strip_prefix(".env.").is_some_and(|rest| {
            !ENV_EXAMPLES
                .iter()
                .any(|example| rest.split('.').any(|part| part == *example))
        });
    let docker_login = relative.ends_with(".docker/config.json");
    (env_file || docker_login || SECRETS.contains(&name)).then_some(Reason::Secret)
}

fn leftover_file(name: &str, path: &Path) -> Result<Option<Reason>, Error> {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if LEFTOVERS.contains(&name)
        || ["pyc", "pyo", "swp", "egg-link"].contains(&extension)
        || name.starts_with(".coverage.")
        || name.ends_with('~')
    {
        return Ok(Some(Reason::Clutter));
    }
    let key_name = [
        "id_rsa",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        "id_ecdsa_sk",
        "id_ed25519_sk",
    ]
    .contains(&name);
    if PRIVATE.contains(&name)
        || KEY_STORES.contains(&extension)
        || key_name
        || (["pem", "key"].contains(&extension) && holds_private_key(path)?)
    {
        return Ok(Some(Reason::Secret));
    }
    if holds_index_password(name, extension, path)? {
        return Ok(Some(Reason::Secret));
    }
    Ok(None)
}

/// Whether a file that tells where packages come from holds a password or token in a URL.
fn holds_index_password(name: &str, extension: &str, path: &Path) -> Result<bool, Error> {
    const NAMES: [&str; 8] = [
        "Pipfile",
        "Pipfile.lock",
        "pdm.lock",
        "poetry.lock",
        "pylock.toml",
        "pyproject.toml",
        "uv.lock",
        "uv.toml",
    ];
    let known = NAMES.contains(&name) || (name.starts_with("pylock.") && extension == "toml");
    let requirements = ["txt", "in"].contains(&extension);
    if !known && !requirements {
        return Ok(false);
    }
    let text = start_of(path)?;
    // Any text file may be a requirements file; then it is an option or a reference that has the URL.
    let counts = |line: &str| known || line.trim_start().starts_with('-') || line.contains(" @ ");
    Ok(text.lines().any(|line| {
        counts(line)
            && line
                .match_indices("://")
                .any(|(at, _)| has_password(&line[..at], &line[at + 3..]))
    }))
}

/// Whether what follows `scheme://` names a password or token, not merely a variable.
fn has_password(scheme: &str, rest: &str) -> bool {
    if !scheme.ends_with("http") && !scheme.ends_with("https") {
        return false;
    }
    let end = rest.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c));
    let Some((user, _)) = rest[..end.unwrap_or(rest.len())].rsplit_once('@') else {
        return false;
    };
    let secret = user.split_once(':').map_or(user, |(_, password)| password);
    !secret.is_empty() && !secret.starts_with('$') && user != "git"
}

/// Whether a file holds a private key in PEM (RFC 7468): certificates have the same file names.
fn holds_private_key(path: &Path) -> Result<bool, Error> {
    start_of(path).map(|text| text.contains("PRIVATE KEY-----"))
}

/// The first MiB of a file; nothing of what is none.
fn start_of(path: &Path) -> Result<String, Error> {
    use std::io::Read as _;
    let is_file = fs_err::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let mut start = Vec::new();
    if is_file {
        fs_err::File::open(path)
            .and_then(|file| file.take(1 << 20).read_to_end(&mut start))
            .map_err(Error::Io)?;
    }
    Ok(String::from_utf8_lossy(&start).into_owned())
}

/// Patterns of a setting, in gitignore's syntax, from the project's root.
pub fn patterns(root: &Path, lines: &[String], setting: &str) -> Result<Gitignore, Error> {
    let wrong = |error: ignore::Error| Error::Pattern {
        place: format!("[tool.pyoci] {setting}"),
        message: error.to_string(),
    };
    let mut builder = GitignoreBuilder::new(root);
    for line in lines {
        builder.add_line(None, line).map_err(wrong)?;
    }
    builder.build().map_err(wrong)
}

fn read_docker_ignore(root: &Path) -> Result<Option<DockerIgnore>, Error> {
    for name in [".containerignore", ".dockerignore"] {
        let path = root.join(name);
        if let Some(text) = read_text(&path)? {
            let parsed = DockerIgnore::parse(&text).map_err(|(line, message)| Error::Pattern {
                place: Place::new(&path, line).to_string(),
                message,
            })?;
            return Ok(Some(parsed));
        }
    }
    Ok(None)
}

/// A file's text, bytes that are not UTF-8 replaced; `None` if there is no such file.
fn read_text(path: &Path) -> Result<Option<String>, Error> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Io(error)),
    }
}
