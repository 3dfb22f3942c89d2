//! Wheels built from sources on this machine, as pip would (PEP 517, isolated), where a package has no wheel that fits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::confined::{Needs, confine};
use super::fetch::Fetched;
use super::gateway::Gateway;
use super::indexes::Indexes;
use super::process::Run;
use super::repository::checkout;
use super::source_tree::SourceTree;
use super::uv::Uv;
use super::{
    Error, Request, Said, Selected, Source, Tools, build_environment, messages, sdist, subdirectory,
};
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
    if let (Source::Sdist(artifact, _), Some(file)) = (&selected.source, file) {
        sdist::check(&file.path, &artifact.name).map_err(|problem| Error::SourceArchive {
            package: title.clone(),
            file: artifact.name.clone(),
            problem,
        })?;
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
            let fault = |said: Said| Error::Build {
                package: selected.title(),
                said: Said(format!("{}: {}", artifact.name, said.0)),
            };
            if !artifact.name.ends_with(".tar.gz") {
                let said = format!("only of a .tar.gz can the subdirectory {subdirectory} be built");
                return Err(fault(Said(said)));
            }
            // A name without a version: what is in it says both.
            let named = scratch.path().join("project.tar.gz");
            let from = file.map_or(Path::new(""), |f| &f.path);
            subdirectory::repack(from, subdirectory, &named).map_err(fault)?;
            named
        }
    };
    // A directory is kept by what is in it; of other sources the digest is known without looking into them.
    let Some(key) = key else {
        return build_wheel(&source, &title, target, request, tools);
    };
    let built = run_build(Origin::Fetched(&source), &title, target, request, tools)?;
    remember(&key, &built, tools)?;
    Ok(built)
}

fn remember(key: &Digest, built: &BuiltWheel, tools: &Tools<'_>) -> Result<(), Error> {
    let note = Note {
        digest: built.digest.clone(),
        name: built.file_name.to_string(),
    };
    if let Ok(note) = serde_json::to_vec(&note) {
        // The wheel itself stays on this machine, so that nobody else has use for the note.
        tools.store.alone().remember(key, &note)?;
    }
    Ok(())
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

/// The wheel of a source directory; `title` names it in messages. It is built once and kept until something changes that
/// it was built of: files, commit and tags of its repository, target, variables that name its version. Fails under
/// `--no-build`, and if the wheel does not run on the target.
pub fn build_wheel(
    directory: &Path,
    title: &str,
    target: &Target,
    request: &Request,
    tools: &Tools<'_>,
) -> Result<BuiltWheel, Error> {
    check_allowed(directory, title, request)?;
    let digest = SourceTree::of(directory)?.digest(tools)?;
    let own = build_environment::of_directory(tools.environment);
    let parts = serde_json::json!(["built wheel of a directory 1", digest, target, own]);
    let key = Digest::of(parts.to_string().as_bytes());
    if let Some(built) = recall(&key, tools)? {
        let detail = format!("{title}: its source is unchanged, so is its wheel");
        tools.progress.done("Kept", detail);
        return Ok(built);
    }
    let built = run_build(Origin::Own(directory), title, target, request, tools)?;
    remember(&key, &built, tools)?;
    Ok(built)
}

fn check_allowed(source: &Path, title: &str, request: &Request) -> Result<(), Error> {
    if !request.no_build {
        return Ok(());
    }
    Err(Error::NoBuild {
        package: title.to_owned(),
        source_name: source.display().to_string(),
    })
}

/// What a wheel is built from.
#[derive(Clone, Copy)]
enum Origin<'a> {
    /// A directory of the user's.
    Own(&'a Path),
    /// An archive or repository of others.
    Fetched(&'a Path),
}

/// Builds the wheel of a source archive or source directory. A directory is copied first, so that nothing is written
/// into it.
fn run_build(
    origin: Origin<'_>,
    title: &str,
    target: &Target,
    request: &Request,
    tools: &Tools<'_>,
) -> Result<BuiltWheel, Error> {
    let (source, is_own) = match origin {
        Origin::Own(source) => (source, true),
        Origin::Fetched(source) => (source, false),
    };
    check_allowed(source, title, request)?;
    let uv = Uv::find(request, tools)?;
    let indexes = Indexes::of(request, tools.environment)?;
    let python = uv.find_python(&target.python_minor(), tools)?;
    let scratch = tools.store.scratch()?;
    let (home, out) = (scratch.path().join("home"), scratch.path().join("out"));
    for directory in [&home, &out] {
        fs_err::create_dir(directory).map_err(|source| read_fault(directory, source))?;
    }
    let mut needs = needs_of(request, &indexes, scratch.path(), tools);
    let built_from = to_build(source, scratch.path(), &mut needs)?;
    let gateway = Gateway::open(&indexes, tools.http)?;
    let mut run = uv
        .run(scratch.path(), tools, BTreeMap::new())
        .arguments(["build", "--wheel", "--no-config"])
        .arguments(request.offline.then_some("--offline"))
        .arguments(["--out-dir".into(), out.clone(), "--python".into(), python.clone()])
        .arguments([built_from]);
    restrict(&mut run.variables, is_own, tools);
    run.variables
        .extend(build_environment::of_every_build(&home, &indexes, &gateway));
    pass_by_proxies(&mut run.variables);
    confine(&mut run, needs, is_own, &python, tools)?;
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
    let from = if source.is_dir() {
        "its source directory"
    } else {
        "sdist"
    };
    let built = kept(&path, file_name, tools)?;
    tools.progress.done("Built", format!("{title} from {from}"));
    Ok(built)
}

/// What every build needs beside its source.
fn needs_of(request: &Request, indexes: &Indexes, scratch: &Path, tools: &Tools<'_>) -> Needs {
    Needs {
        hidden: vec![
            tools.store.root().to_owned(),
            tools.environment.working_directory.clone(),
            request.directory.clone(),
        ],
        readable: indexes.find_links.iter().map(PathBuf::from).collect(),
        writable: vec![(scratch.to_owned(), scratch.to_owned())],
        network: !request.offline,
        ..Needs::default()
    }
}

/// Takes the wheel that a build left into the store.
fn kept(path: &Path, file_name: WheelFilename, tools: &Tools<'_>) -> Result<BuiltWheel, Error> {
    let mut file = fs_err::File::open(path).map_err(|e| read_fault(path, e))?;
    let added = tools.store.add(Kind::Wheel, None, &mut file)?;
    Ok(BuiltWheel {
        path: added.path,
        digest: added.digest,
        file_name,
    })
}

/// What the builder is given: an archive as it is, of a directory a copy. What the build must reach, and must not, goes into
/// its needs.
fn to_build(source: &Path, scratch: &Path, needs: &mut Needs) -> Result<PathBuf, Error> {
    if !source.is_dir() {
        needs.readable.push(source.to_owned());
        return Ok(source.to_owned());
    }
    let tree = SourceTree::of(source)?;
    let copied = tree.copy(&scratch.join("source"))?;
    needs.hidden.push(tree.top().to_owned());
    needs.readable.extend(tree.objects());
    if let Some((config, text)) = tree.settings() {
        let bare = scratch.join("git-config");
        fs_err::write(&bare, text).map_err(|source| read_fault(&bare, source))?;
        needs.replaced.push((bare, config));
    }
    Ok(copied)
}

/// Leaves the variables that a build may see.
fn restrict(variables: &mut BTreeMap<String, String>, is_own: bool, tools: &Tools<'_>) {
    variables.extend(if is_own {
        build_environment::of_directory(tools.environment)
    } else {
        build_environment::of_others(tools.environment)
    });
    variables.retain(|name, value| build_environment::is_for_builds(name, value, tools));
}

/// The gateway is on this machine, whatever the proxy.
fn pass_by_proxies(variables: &mut BTreeMap<String, String>) {
    for name in ["NO_PROXY", "no_proxy"] {
        let value = variables.entry(name.to_owned()).or_default();
        let comma = if value.is_empty() { "" } else { "," };
        value.push_str(comma);
        value.push_str("127.0.0.1");
    }
}

fn read_fault(path: &Path, source: std::io::Error) -> Error {
    Error::read(path, source)
}

fn only_wheel(directory: &Path) -> Option<(PathBuf, WheelFilename)> {
    let entries = crate::files::read_dir(directory).ok()?;
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

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let fault = |source| read_fault(from, source);
    let mut source = fs_err::File::open(from).map_err(fault)?;
    let mut out = fs_err::File::create(to).map_err(fault)?;
    std::io::copy(&mut source, &mut out).map_err(fault)?;
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
}
