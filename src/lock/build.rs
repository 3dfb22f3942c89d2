//! Wheels built from sources on this machine, as pip would (PEP 517, isolated), where a package has no wheel that fits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::fetch::Fetched;
use super::gateway::Gateway;
use super::indexes::Indexes;
use super::process::Run;
use super::uv::Uv;
use super::{Error, Location, Request, Said, Selected, Source, Tools, Vcs, messages};
use crate::digest::Digest;
use crate::platform::Platform;
use crate::python::{Libc, Tags, Target, WheelFilename};
use crate::store::Kind;

/// A wheel that was built, in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct BuiltWheel {
    /// The file.
    pub path: PathBuf,
    /// The digest of its bytes; they hold times, so another build has other bytes.
    pub digest: Digest,
    /// The name of the wheel.
    pub file_name: WheelFilename,
}

/// What is remembered of a build.
#[derive(serde::Serialize, serde::Deserialize)]
struct Note {
    digest: Digest,
    name: String,
}

/// Builds the wheel of a selected source. `file` is the source archive, if it is one.
pub(super) fn build(
    selected: &Selected,
    file: Option<&Fetched>,
    target: &Target,
    request: &Request,
    tools: &Tools<'_>,
) -> Result<BuiltWheel, Error> {
    let title = selected.title();
    // What built it is left out: what was built once for a target stays, so that layers stay.
    let key = selected
        .identity()
        .or(file.map(|f| f.digest.clone()))
        .map(|identity| {
            let parts = serde_json::json!(["built wheel 1", identity, target]);
            Digest::of(parts.to_string().as_bytes())
        });
    if let Some(built) = key.as_ref().map(|key| recall(key, tools)).transpose()?.flatten() {
        return Ok(built);
    }
    let scratch = tools.store.scratch()?;
    let source = match &selected.source {
        Source::Directory(path) => path.clone(),
        Source::Vcs(vcs) => checkout(vcs, scratch.path(), &title, tools)?,
        Source::Wheel(artifact) | Source::Sdist(artifact, None) => {
            let named = scratch.path().join(&artifact.name);
            let from = file.map_or(Path::new(""), |f| &f.path);
            copy(from, &named)?;
            named
        }
        Source::Sdist(artifact, Some(subdirectory)) => {
            let said = format!(
                "the project is in the subdirectory {subdirectory} of {}",
                artifact.name
            );
            return Err(Error::Build {
                package: title,
                said: Said(format!(
                    "{said}, which cannot be built; require its repository or a wheel"
                )),
            });
        }
    };
    let built = build_wheel(&source, &title, target, request, tools)?;
    if let Some(key) = key {
        let note = Note {
            digest: built.digest.clone(),
            name: built.file_name.to_string(),
        };
        if let Ok(note) = serde_json::to_vec(&note) {
            // The wheel itself stays on this machine, so that nobody else has use for the note.
            tools.store.alone().remember(&key, &note)?;
        }
    }
    Ok(built)
}

fn recall(key: &Digest, tools: &Tools<'_>) -> Result<Option<BuiltWheel>, Error> {
    let note = tools.store.alone().memo(key);
    let note = note.and_then(|bytes| serde_json::from_slice::<Note>(&bytes).ok());
    let Some((note, Ok(file_name))) = note.map(|n| (n.digest, n.name.parse())) else {
        return Ok(None);
    };
    Ok(tools.store.find(Kind::Wheel, &note)?.map(|path| BuiltWheel {
        path,
        digest: note,
        file_name,
    }))
}

/// Builds the wheel of a source archive or source directory; `title` names it in messages. A directory is copied first,
/// so that nothing is written into it. Fails under `--no-build`, and if the wheel does not run on the target.
pub fn build_wheel(
    source: &Path,
    title: &str,
    target: &Target,
    request: &Request,
    tools: &Tools<'_>,
) -> Result<BuiltWheel, Error> {
    if request.no_build {
        return Err(Error::NoBuild {
            package: title.to_owned(),
            source_name: source.display().to_string(),
        });
    }
    let uv = Uv::find(request, tools)?;
    let indexes = Indexes::of(request, tools.environment)?;
    let python = uv.find_python(&target.python_minor(), tools)?;
    let scratch = tools.store.scratch()?;
    let (home, out) = (scratch.path().join("home"), scratch.path().join("out"));
    for directory in [&home, &out] {
        fs_err::create_dir(directory).map_err(|source| read_fault(directory, source))?;
    }
    let copied;
    let source = if source.is_dir() {
        copied = scratch.path().join("source");
        copy_directory(source, &copied, true).map_err(|e| read_fault(source, e))?;
        &copied
    } else {
        source
    };
    let gateway = Gateway::open(&indexes, tools.http)?;
    let mut run = uv
        .run(scratch.path(), tools, BTreeMap::new())
        .arguments(["build", "--wheel", "--no-config"])
        .arguments(request.offline.then_some("--offline"))
        .arguments(["--out-dir".into(), out.clone(), "--python".into(), python.clone()])
        .arguments([source]);
    run.variables
        .retain(|name, value| is_for_builds(name, value, tools));
    run.variables.extend(variables(&home, &indexes, &gateway));
    for name in ["NO_PROXY", "no_proxy"] {
        // The gateway is here, whatever the proxy.
        let value = run.variables.entry(name.to_owned()).or_default();
        let comma = if value.is_empty() { "" } else { "," };
        value.push_str(comma);
        value.push_str("127.0.0.1");
    }
    let output = run.output()?;
    drop(gateway);
    if !output.success {
        return Err(Error::Build {
            package: title.to_owned(),
            said: Said(messages::tail(&output.stderr)),
        });
    }
    let (path, file_name) = only_wheel(&out).ok_or_else(|| Error::Build {
        package: title.to_owned(),
        said: Said("the build left no wheel".to_owned()),
    })?;
    check_runs(&file_name, title, target, &python, tools)?;
    let mut file = fs_err::File::open(&path).map_err(|e| read_fault(&path, e))?;
    let added = tools.store.add(Kind::Wheel, None, &mut file)?;
    let from = if source.is_dir() {
        "its source directory"
    } else {
        "sdist"
    };
    tools.progress.done("Built", format!("{title} from {from}"));
    Ok(BuiltWheel {
        path: added.path,
        digest: added.digest,
        file_name,
    })
}

fn read_fault(path: &Path, source: std::io::Error) -> Error {
    Error::read(path, source)
}

/// The environment of a build: search path, network, indexes and one time; no secret of the user's.
fn variables(home: &Path, indexes: &Indexes, gateway: &Gateway) -> BTreeMap<String, String> {
    let mut variables = indexes.for_uv.clone();
    variables.retain(|name, _| !name.contains("INDEX") && name != "SSL_CLIENT_CERT");
    let first: Vec<String> = indexes.first.iter().map(|url| gateway.index(url)).collect();
    let links: Vec<String> = indexes
        .find_links
        .iter()
        .map(|link| gateway.links(link))
        .collect();
    let home = home.display().to_string();
    for (name, value) in [
        ("HOME", home.as_str()),
        ("TMPDIR", home.as_str()),
        ("UV_DEFAULT_INDEX", &gateway.index(&indexes.default)),
        ("UV_INDEX", &first.join(" ")),
        ("UV_FIND_LINKS", &links.join(",")),
        ("UV_NO_INDEX", if indexes.no_index { "1" } else { "" }),
        // 1980-01-01, the first time that a zip file can hold.
        ("SOURCE_DATE_EPOCH", "315532800"),
        ("PYTHONHASHSEED", "0"),
        // Debug information would name the temporary directory.
        ("CFLAGS", "-g0"),
        ("CXXFLAGS", "-g0"),
    ] {
        if !value.is_empty() {
            variables.insert(name.to_owned(), value.to_owned());
        }
    }
    variables
}

/// Whether a variable is one for builds. The package's own code runs with it: it holds no credential, and changes nothing
/// of what is built. Only a proxy keeps its password, as nothing would reach the network without.
fn is_for_builds(name: &str, value: &str, tools: &Tools<'_>) -> bool {
    let is_index = name.starts_with("UV_") && (name.contains("INDEX") || name == "UV_FIND_LINKS");
    let ends = ["_PASSWORD", "_USERNAME", "_TOKEN"];
    let is_secret = ends.iter().any(|end| name.ends_with(end)) || name.starts_with("UV_PUBLISH_");
    let other = [
        "UV_CONFIG_FILE",
        "UV_NO_BUILD",
        "UV_OFFLINE",
        "NETRC",
        "SSL_CLIENT_CERT",
    ];
    let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
    !is_index
        && !is_secret
        && !other.contains(&name)
        && (is_proxy || tools.environment.secrets.check(name, value.as_bytes()).is_ok())
}

fn only_wheel(directory: &Path) -> Option<(PathBuf, WheelFilename)> {
    let entries = fs_err::read_dir(directory).ok()?;
    let mut wheels = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name().to_str()?.parse().ok()?;
        Some((entry.path(), name))
    });
    let first = wheels.next();
    first.filter(|_| wheels.next().is_none())
}

/// A pure wheel runs wherever its tags say; another only on a machine like this one.
fn check_runs(
    wheel: &WheelFilename,
    title: &str,
    target: &Target,
    python: &Path,
    tools: &Tools<'_>,
) -> Result<(), Error> {
    let refuse = |reason: String| Error::BuiltForHost {
        package: title.to_owned(),
        target: target.to_string(),
        wheel: wheel.to_string(),
        reason,
    };
    if Tags::of(target).compatibility(wheel).is_none() {
        return Err(refuse("its tags do not fit".to_owned()));
    }
    if wheel.is_any_platform() {
        return Ok(());
    }
    let host = Host::of(python, tools)?;
    match host.difference(target) {
        Some(difference) => Err(refuse(difference)),
        None => Ok(()),
    }
}

/// A Python of this machine and what it runs on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Host {
    pub python: (u32, u32),
    pub machine: String,
    /// glibc's version; `None` for another C library.
    pub glibc: Option<(u32, u32)>,
}

impl Host {
    /// Asks a Python.
    pub fn of(python: &Path, tools: &Tools<'_>) -> Result<Self, Error> {
        const SCRIPT: &str = "import platform, sys; l = platform.libc_ver(); \
            print(*sys.version_info[:2], platform.machine(), l[0] or '-', l[1] or '-')";
        let run = Run::new(python, Path::new("/"))
            .arguments(["-I", "-S", "-c", SCRIPT])
            .variables(super::process::network_variables(tools.environment));
        let output = run.output()?;
        Self::parse(&output.stdout).ok_or(Error::NoPython)
    }

    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [major, minor, machine, libc, version] = words[..] else {
            return None;
        };
        let glibc = version
            .split_once('.')
            .and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        Some(Self {
            python: (major.parse().ok()?, minor.parse().ok()?),
            machine: machine.to_owned(),
            glibc: glibc.filter(|_| libc == "glibc"),
        })
    }

    /// Why what is built here may not run on the target.
    pub fn difference(&self, target: &Target) -> Option<String> {
        let machine = target.platform.architecture.machine();
        let (major, minor) = self.python;
        if self.machine != machine {
            return Some(format!("this machine is {}", self.machine));
        }
        if self.python != target.python {
            return Some(format!("this machine's Python is {major}.{minor}"));
        }
        match (target.libc, self.glibc) {
            (Libc::Glibc { major, minor }, Some(own)) if own <= (major, minor) => None,
            (_, Some((major, minor))) => Some(format!("this machine has glibc {major}.{minor}")),
            (Libc::Musl { .. }, None) if Platform::host() == target.platform => None,
            (_, None) => Some("this machine has another C library".to_owned()),
        }
    }
}

/// Clones a repository and checks the commit out, submodules too, as pip does.
fn checkout(vcs: &Vcs, scratch: &Path, title: &str, tools: &Tools<'_>) -> Result<PathBuf, Error> {
    let fail = |said: String| Error::Build {
        package: title.to_owned(),
        said: Said(said),
    };
    if vcs.kind != "git" {
        return Err(fail(format!(
            "only git repositories can be built, not {}",
            vcs.kind
        )));
    }
    let git = tools.environment.find_program("git");
    let git = git.ok_or_else(|| fail("git is not installed".to_owned()))?;
    let from = match &vcs.location {
        Location::Url(url) => url.to_string(),
        Location::Path(path) => path.display().to_string(),
        Location::Index(_) => return Err(fail("a repository has a URL or a path".to_owned())),
    };
    let to = scratch.join("repository");
    let steps: [Vec<&std::ffi::OsStr>; 3] = [
        vec![
            "clone".as_ref(),
            "--quiet".as_ref(),
            "--".as_ref(),
            from.as_ref(),
            to.as_ref(),
        ],
        vec![
            "-C".as_ref(),
            to.as_ref(),
            "checkout".as_ref(),
            "--quiet".as_ref(),
            vcs.commit.as_ref(),
        ],
        ["-C".as_ref(), to.as_ref()]
            .into_iter()
            .chain(["submodule", "update", "--init", "--recursive", "--quiet"].map(AsRef::as_ref))
            .collect(),
    ];
    let mut variables = super::process::network_variables(tools.environment);
    // Git asks for its own credentials; it may use what the user gave it, but never a terminal.
    variables.extend(super::process::pick(tools.environment, |name| {
        matches!(name, "HOME" | "USER" | "SSH_AUTH_SOCK")
            || name.starts_with("GIT_")
            || name.starts_with("XDG_")
    }));
    variables.insert("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned());
    for arguments in steps {
        let run = Run::new(&git, scratch)
            .arguments(arguments)
            .variables(variables.clone());
        let output = run.output()?;
        if !output.success {
            return Err(fail(messages::tail(&output.stderr)));
        }
    }
    Ok(match &vcs.subdirectory {
        Some(subdirectory) => to.join(subdirectory),
        None => to,
    })
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let fault = |source| read_fault(from, source);
    let mut source = fs_err::File::open(from).map_err(fault)?;
    let mut out = fs_err::File::create(to).map_err(fault)?;
    std::io::copy(&mut source, &mut out).map_err(fault)?;
    Ok(())
}

/// Copies a source directory without what builds and tools left in it: an old `build/` would end up in the wheel.
fn copy_directory(from: &Path, to: &Path, is_top: bool) -> std::io::Result<()> {
    const NEVER: [&str; 8] = [
        "__pycache__",
        ".venv",
        "venv",
        "node_modules",
        ".tox",
        ".nox",
        ".mypy_cache",
        ".pytest_cache",
    ];
    fs_err::create_dir(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let target = to.join(&name);
        let name = name.to_string_lossy();
        let is_left = is_top && matches!(&*name, "build" | "dist") || name.ends_with(".egg-info");
        if kind.is_symlink() {
            fs_err::os::unix::fs::symlink(fs_err::read_link(entry.path())?, target)?;
        } else if kind.is_dir() {
            if !NEVER.contains(&&*name) && !is_left {
                copy_directory(&entry.path(), &target, false)?;
            }
        } else if kind.is_file() {
            fs_err::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Architecture;

    #[test]
    fn what_is_built_here_runs_only_on_a_target_like_this_machine() {
        let target = |architecture, python, minor| Target {
            platform: Platform::linux(architecture),
            libc: Libc::Glibc { major: 2, minor },
            python,
            python_full: None,
            interpreter: "/usr/bin/python3".to_owned(),
        };
        let host = Host::parse("3 11 x86_64 glibc 2.36\n").unwrap();
        let amd64 = Architecture::Amd64;
        assert_eq!(host.difference(&target(amd64, (3, 11), 36)), None);
        assert_eq!(host.difference(&target(amd64, (3, 11), 41)), None);
        assert!(
            host.difference(&target(amd64, (3, 11), 28))
                .unwrap()
                .contains("glibc 2.36")
        );
        assert!(
            host.difference(&target(amd64, (3, 13), 36))
                .unwrap()
                .contains("3.11")
        );
        assert!(
            host.difference(&target(Architecture::Arm64, (3, 11), 36))
                .is_some()
        );
        assert_eq!(Host::parse("3 11 x86_64 - -").unwrap().glibc, None);
    }

    #[test]
    fn a_copied_directory_lacks_what_builds_left() {
        let directory = tempfile::tempdir().unwrap();
        let from = directory.path().join("from");
        for name in ["build/lib", "x.egg-info", "src/build", ".venv/bin"] {
            fs_err::create_dir_all(from.join(name)).unwrap();
        }
        fs_err::write(from.join("src/build/a.py"), "").unwrap();
        let to = directory.path().join("to");
        copy_directory(&from, &to, true).unwrap();
        assert!(to.join("src/build/a.py").exists());
        for name in ["build", "x.egg-info", ".venv"] {
            assert!(!to.join(name).exists(), "{name}");
        }
    }
}
