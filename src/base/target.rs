//! The Target of a base, read from its own files: a name or a label may lie, files do not.

use std::collections::BTreeMap;

use super::files::{Files, Found, Noted, parts};
use super::{Error, Tools};
use crate::digest::Digest;
use crate::image::base::User;
use crate::layer::Layer;
use crate::paths::TreePath;
use crate::platform::Platform;
use crate::python::{Libc, Target};
use crate::store::Store;
use crate::timings;

/// Changes whenever the same layers would give other findings.
const FORMAT: u32 = 3;
/// What the OCI runtimes take where the config has no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the files of a base tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// Python, libc and CPU.
    pub target: Target,
    /// Symbolic links that lead to directories, path to the absolute path of the directory.
    pub directory_links: BTreeMap<TreePath, String>,
    /// `/etc/passwd`.
    pub users: BTreeMap<String, User>,
    /// Whether there is a `/bin/sh`.
    pub has_shell: bool,
}

/// Why a base cannot carry a Python project.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// No interpreter on PATH.
    #[error("the base has no python3 on its PATH ({0})")]
    NoPython(String),
    /// Something on PATH that is called python3 but is no CPython program.
    #[error("{0} of the base is not a CPython program")]
    NotPython(String),
    /// No known C library.
    #[error("the base has no glibc and no musl whose version can be told")]
    NoLibc,
    /// The base is for another CPU than was asked for.
    #[error("{interpreter} of the base is for another CPU (ELF machine {machine}) than {platform}")]
    Cpu {
        /// The interpreter.
        interpreter: String,
        /// Its `e_machine`.
        machine: u16,
        /// What was asked for.
        platform: Platform,
    },
}

impl TargetError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoPython(_) | Self::NotPython(_) => {
                Some("take a base that brings python3, such as recipe:trixie or python:3.13-slim".to_owned())
            }
            Self::NoLibc => None,
            Self::Cpu { platform, .. } => Some(format!("take a base for {platform}, or another --platform")),
        }
    }
}

/// Findings as they are remembered.
#[derive(serde::Serialize, serde::Deserialize)]
struct Remembered {
    target: Target,
    directory_links: BTreeMap<String, String>,
    users: BTreeMap<String, User>,
    has_shell: bool,
}

/// Reads the layers of a base, or remembers what was read before.
pub fn findings(
    layers: &[Layer],
    config: &serde_json::Value,
    platform: Platform,
    tools: &Tools,
) -> Result<Findings, Error> {
    let timings = tools.progress.timings();
    timings.measure("target", "", |note| {
        findings_noted(layers, config, platform, tools.store, note)
    })
}

fn findings_noted(
    layers: &[Layer],
    config: &serde_json::Value,
    platform: Platform,
    store: &Store,
    note: &mut timings::Note,
) -> Result<Findings, Error> {
    let path = search_path(config);
    let digests: Vec<_> = layers
        .iter()
        .map(|l| l.blob.descriptor.digest.to_string())
        .collect();
    let question = serde_json::json!({
        "what": "findings of a base", "format": FORMAT, "layers": digests, "path": path, "platform": platform.to_string(),
    });
    let key = Digest::of(question.to_string().as_bytes());
    let recalled = store.memo(&key).and_then(|note| recall(&note));
    note.cached(recalled.is_some());
    if let Some(findings) = recalled {
        return Ok(findings);
    }
    note.bytes(layers.iter().map(|layer| layer.blob.descriptor.size).sum());
    let files = Files::read(layers).map_err(Error::Layer)?;
    // What the native libraries are compared with is in the same bytes: they are read once.
    super::inventory::remember(&files, layers, config, platform, store)?;
    let findings = Findings {
        target: target(&files, &path, platform)?,
        directory_links: directory_links(&files),
        users: users(&files),
        has_shell: has_shell(&files),
    };
    let note = Remembered {
        target: findings.target.clone(),
        directory_links: findings
            .directory_links
            .iter()
            .map(|(p, t)| (p.to_string(), t.clone()))
            .collect(),
        users: findings.users.clone(),
        has_shell: findings.has_shell,
    };
    store.remember(&key, &serde_json::to_vec(&note).unwrap_or_default())?;
    Ok(findings)
}

fn recall(note: &[u8]) -> Option<Findings> {
    let note: Remembered = serde_json::from_slice(note).ok()?;
    let links = note
        .directory_links
        .into_iter()
        .map(|(p, t)| Some((TreePath::new(&p).ok()?, t)));
    Some(Findings {
        target: note.target,
        directory_links: links.collect::<Option<_>>()?,
        users: note.users,
        has_shell: note.has_shell,
    })
}

/// The PATH in an image config's `Env`.
fn search_path(config: &serde_json::Value) -> String {
    let env = config
        .pointer("/config/Env")
        .and_then(serde_json::Value::as_array);
    let path = env
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str()?.strip_prefix("PATH="))
        .next_back();
    path.filter(|p| !p.is_empty()).unwrap_or(DEFAULT_PATH).to_owned()
}

fn target(files: &Files, path: &str, platform: Platform) -> Result<Target, TargetError> {
    let named = find_python(files, path).ok_or_else(|| TargetError::NoPython(path.to_owned()))?;
    let no_python = || TargetError::NotPython(format!("/{named}"));
    let real = files.resolve(named.as_str()).ok_or_else(no_python)?;
    let program = noted(files, &real)
        .and_then(|n| n.program.as_ref())
        .ok_or_else(no_python)?;
    if program.elf.machine != platform.architecture.elf_machine() {
        return Err(TargetError::Cpu {
            interpreter: format!("/{named}"),
            machine: program.elf.machine,
            platform,
        });
    }
    let (python, python_full) = version(files, &named, &real).ok_or_else(no_python)?;
    Ok(Target {
        platform,
        libc: libc(files, program.elf.interpreter.as_deref(), platform).ok_or(TargetError::NoLibc)?,
        python,
        python_full,
        interpreter: format!("/{named}"),
    })
}

/// The first python3 (else python) on PATH. A link to a more exact name in the same directory is followed, so that
/// scripts name `python3.13`; one that leads elsewhere is not: the interpreter of a virtual environment must be called there.
fn find_python(files: &Files, path: &str) -> Option<TreePath> {
    for name in ["python3", "python"] {
        for directory in path.split(':').filter(|d| d.starts_with('/')) {
            let Some(directory) = files.resolve(directory) else {
                continue;
            };
            let Ok(mut at) = directory.join(name) else {
                continue;
            };
            if files
                .resolve(at.as_str())
                .and_then(|p| noted(files, &p))
                .is_none_or(|n| !n.executable)
            {
                continue;
            }
            while let Some(Found::Link(target)) = files.get(&at) {
                match at.resolve_link(target) {
                    Some(next) if next.parent().as_ref() == Some(&directory) => at = next,
                    _ => break,
                }
            }
            return Some(at);
        }
    }
    None
}

fn has_shell(files: &Files) -> bool {
    let shell = files.resolve("bin/sh").and_then(|path| noted(files, &path));
    shell.is_some_and(|noted| noted.executable)
}

fn noted<'a>(files: &'a Files, path: &TreePath) -> Option<&'a Noted> {
    match files.get(path) {
        Some(Found::File(noted)) => Some(noted),
        _ => None,
    }
}

/// Minor and full version: from the interpreter's name and `patchlevel.h`, else from the texts in the program or libpython.
fn version(files: &Files, named: &TreePath, real: &TreePath) -> Option<((u32, u32), Option<String>)> {
    let minor_of_name = |path: &TreePath| {
        let (major, minor) = path.file_name().strip_prefix("python")?.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    if real.file_name().starts_with("pypy") {
        return None;
    }
    let prefix = real
        .parent()
        .and_then(|bin| bin.parent())
        .map_or(String::new(), |p| format!("{p}/"));
    let mut told = Vec::new();
    for (path, found) in files.iter() {
        let Found::File(noted) = found else { continue };
        let Some(rest) = path.as_str().strip_prefix(&prefix) else {
            continue;
        };
        let header = rest
            .strip_prefix("include/python")
            .and_then(|r| r.strip_suffix("/patchlevel.h"))
            .is_some_and(|r| !r.contains('/'));
        if header {
            told.extend(noted.text.as_deref().and_then(patchlevel));
        }
        let library = rest.starts_with("lib") && path.file_name().starts_with("libpython");
        if path == real || library {
            told.extend(noted.program.iter().flat_map(|p| p.versions.iter().cloned()));
        }
    }
    let told: Vec<_> = told
        .iter()
        .filter_map(|v| Some((parts(v)?, v)))
        .filter(|((major, ..), _)| *major == 3)
        .collect();
    let minor = minor_of_name(real)
        .or_else(|| minor_of_name(named))
        .or_else(|| told.first().map(|((a, b, _), _)| (*a, *b)))?;
    let full = told
        .iter()
        .find(|((a, b, _), _)| (*a, *b) == minor)
        .map(|(_, full)| full.trim_end_matches('+').to_owned());
    Some((minor, full))
}

/// > #define PY_VERSION              "3.13.5"
fn patchlevel(text: &str) -> Option<String> {
    let line = text.lines().find_map(|l| {
        l.strip_prefix("#define PY_VERSION ")
            .or_else(|| l.strip_prefix("#define PY_VERSION\t"))
    })?;
    Some(line.trim().trim_matches('"').to_owned())
}

/// The C library that the interpreter's loader belongs to.
fn libc(files: &Files, loader: Option<&str>, platform: Platform) -> Option<Libc> {
    let machine = platform.architecture.elf_machine();
    if let Some(loader) = loader.filter(|l| l.contains("ld-musl-")) {
        let noted = noted(files, &files.resolve(loader)?)?;
        // musl's loader is the library itself, and its version the only text of this form: `1.2.5`.
        let versions = &noted.program.as_ref()?.versions;
        let (major, minor, _) = versions
            .iter()
            .filter_map(|v| parts(v))
            .find(|(major, ..)| *major == 1)?;
        return Some(Libc::Musl { major, minor });
    }
    let programs = files.iter().filter_map(|(_, found)| match found {
        Found::File(Noted {
            program: Some(program),
            ..
        }) if program.elf.machine == machine => program.glibc.as_deref(),
        _ => None,
    });
    let versions = programs.filter_map(|text| {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
    });
    // Where there are several, what is promised is what the oldest can do.
    versions.min().map(|(major, minor)| Libc::Glibc { major, minor })
}

/// Links are followed here, as a kernel does it: `..` at the root leads nowhere else.
fn directory_links(files: &Files) -> BTreeMap<TreePath, String> {
    let mut links = BTreeMap::new();
    for (path, found) in files.iter() {
        if matches!(found, Found::Link(_))
            && let Some(place) = files.resolve(path.as_str())
            && files.get(&place) == Some(&Found::Directory)
        {
            links.insert(path.clone(), format!("/{place}"));
        }
    }
    links
}

/// `name:password:uid:gid:comment:home:shell` (`passwd(5)`); lines that are not of this form are nobody.
fn users(files: &Files) -> BTreeMap<String, User> {
    let passwd = files
        .resolve("etc/passwd")
        .and_then(|path| noted(files, &path)?.text.clone());
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|n| !n.is_empty())?.to_owned();
        // Kernels and runtimes disagree on larger ones.
        let id = |text: &str| text.parse().ok().filter(|id: &u32| i32::try_from(*id).is_ok());
        let uid = id(fields.nth(1)?)?;
        let gid = id(fields.next()?)?;
        let home = fields.nth(1)?.to_owned();
        Some((name, User { uid, gid, home }))
    };
    passwd.unwrap_or_default().lines().filter_map(user).collect()
}
