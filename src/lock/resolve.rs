//! Requirements to a lock: uv is asked, for the Target; its answer is remembered for a day.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::guarded;
use super::indexes::Indexes;
use super::inputs;
use super::messages;
use super::process::{pick, without_users};
use super::pylock::{self, Hashes};
use super::script::Script;
use super::settings::Settings;
use super::uv::Uv;
use super::{Content, Error, Lock, Request, Tools};
use crate::digest::Digest;
use crate::python::requirements::Requirements;
use crate::python::{Libc, Target};
use crate::timings;

/// How long a resolution is good for, in seconds.
const DAY: u64 = 24 * 60 * 60;
/// The manylinux steps that uv knows, as glibc 2.x, lowest first.
const STEPS: [u32; 12] = [17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40];

/// A remembered resolution.
#[derive(serde::Serialize, serde::Deserialize)]
struct Note {
    /// Seconds since 1970.
    time: u64,
    /// The lock as TOML.
    lock: String,
}

/// Resolves the requirements for a target with uv, or gives what is remembered of an earlier time.
pub(super) fn with_uv(request: &Request, target: &Target, tools: &Tools<'_>) -> Result<Lock, Error> {
    let timings = tools.progress.timings();
    timings.measure("resolve", "", |note| resolve(request, target, tools, note))
}

fn resolve(
    request: &Request,
    target: &Target,
    tools: &Tools<'_>,
    note: &mut timings::Note,
) -> Result<Lock, Error> {
    let requirements = inputs::requirements(request, tools.environment)?;
    inputs::check_project(request)?;
    let texts = inputs::texts(request)?;
    for (package, source) in super::sources::unasked_of_poetry(request) {
        tools.progress.warn(format!(
            "{package} has `source = \"{source}\"`, which only a poetry.lock makes count: without one it is looked for where all \
             others are"
        ));
    }
    let variables = Indexes::of(request, tools.environment)?.for_uv;
    let own = key(request, target, tools, &texts, Some(&variables));
    let place = request.directory.join("pylock.toml");
    note.cached(false);
    let age = |note: &Note| tools.environment.now_seconds().saturating_sub(note.time);
    // What is on this machine can change at any time.
    let is_good =
        |(note, lock): &(Note, Lock)| age(note) < DAY && !request.upgrade && !has_local_sources(lock);
    if let Some(remembered) = recall(&own, &place, tools)
        && (is_good(&remembered) || request.offline)
    {
        let (kept, lock) = remembered;
        let age = age(&kept);
        let detail = format!("{} as {} ago", count(&lock), ago(age));
        tools.progress.done("Resolved", detail);
        note.cached(true);
        return finish(lock, request, &requirements);
    }
    if request.offline {
        return Err(Error::OfflineUnresolved {
            target: target.to_string(),
        });
    }
    // The same question whichever index answers it: better the answer of today from another than none.
    let elsewhere = key(request, target, tools, &texts, None);
    let answered = Uv::find(request, tools).and_then(|uv| {
        let text = ask(&uv, request, target, tools, variables)?;
        Ok((text, uv.version))
    });
    let (text, version) = match answered {
        Ok(answered) => answered,
        Err(error) => {
            let Some((_, lock)) = recall(&elsewhere, &place, tools).filter(is_good) else {
                return Err(error);
            };
            let first = error.to_string();
            tools
                .progress
                .warn(format!("{first}: taken as another index answered it today"));
            return finish(lock, request, &requirements);
        }
    };
    let text = without_passwords_of_files(&text);
    let lock = pylock::parse(&text, &place, Hashes::WhereKnown)?;
    remember(&[own, elsewhere], text, tools)?;
    let detail = format!("{} with uv {version}", count(&lock));
    tools.progress.done("Resolved", detail);
    finish(lock, request, &requirements)
}

/// Files are fetched with the passwords that the settings give for their servers.
fn without_passwords_of_files(lock: &str) -> String {
    let line = |line: &str| {
        let is_repository = line.starts_with("vcs");
        if is_repository {
            line.to_owned()
        } else {
            without_users(line)
        }
    };
    lock.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Remembers a resolution for a day; one that names a repository by a URL with a password is not remembered.
fn remember(keys: &[Digest], lock: String, tools: &Tools<'_>) -> Result<(), Error> {
    if tools.environment.secrets.check("", lock.as_bytes()).is_err() {
        return Ok(());
    }
    let note = Note {
        time: tools.environment.now_seconds(),
        lock,
    };
    if let Ok(note) = serde_json::to_vec(&note) {
        for key in keys {
            tools.store.remember(key, &note)?;
        }
    }
    Ok(())
}

fn recall(key: &Digest, place: &std::path::Path, tools: &Tools<'_>) -> Option<(Note, Lock)> {
    let note: Note = serde_json::from_slice(&tools.store.memo(key)?).ok()?;
    let lock = pylock::parse(&note.lock, place, Hashes::WhereKnown).ok()?;
    Some((note, lock))
}

/// Extras and groups have been resolved; the user's hashes are held to.
pub(super) fn finish(mut lock: Lock, request: &Request, requirements: &Requirements) -> Result<Lock, Error> {
    lock.extras.clone_from(&request.extras);
    lock.groups.clone_from(&request.groups);
    let allowed = inputs::hashes(requirements);
    for package in &mut lock.packages {
        let Some(allowed) = allowed.get(&package.name) else {
            continue;
        };
        let title = package.title();
        let fits = |artifact: &super::Artifact| artifact.hashes.iter().any(|h| allowed.contains(h));
        let none = match &mut package.content {
            Content::Files { wheels, sdist } => {
                wheels.retain(fits);
                *sdist = sdist.take().filter(fits);
                wheels.is_empty() && sdist.is_none()
            }
            Content::Archive { artifact, .. } => !fits(artifact),
            Content::Directory { .. } | Content::Vcs(_) => true,
        };
        if none {
            let place = inputs::place_of(request, &package.name);
            return Err(Error::NoHash {
                package: title,
                place,
            });
        }
    }
    Ok(lock)
}

fn ask(
    uv: &Uv,
    request: &Request,
    target: &Target,
    tools: &Tools<'_>,
    settings: BTreeMap<String, String>,
) -> Result<String, Error> {
    let mut variables = pick(tools.environment, |name| {
        matches!(
            name,
            "HOME" | "USER" | "LOGNAME" | "VIRTUAL_ENV" | "CONDA_PREFIX" | "SSH_AUTH_SOCK"
        ) || name.starts_with("XDG_")
            || name.starts_with("GIT_")
    });
    for text in inputs::texts(request)? {
        let names = inputs::variables(&text);
        variables.extend(pick(tools.environment, |name| names.contains(name)));
    }
    variables.extend(settings);
    let preferred = request.preferred.as_ref().map(Preferred::write).transpose()?;
    let mut run = uv
        .run(&request.directory, tools, variables)
        .arguments(arguments(request, target, tools))
        .arguments(preferred.iter().flat_map(Preferred::arguments));
    let scratch = tools.store.scratch()?;
    if let Some(script) = Script::of(request)? {
        run = run.arguments(script.for_uv(scratch.path())?);
    }
    run.input = request.inline.join("\n");
    let output = guarded::output(run, uv, request, target, tools)?;
    for warning in messages::warnings(&output.stderr) {
        tools.progress.detail(warning);
    }
    if output.success {
        return Ok(output.stdout);
    }
    Err(messages::resolve_error(&output.stderr, &uv.version, request))
}

/// An earlier lock where uv looks for the versions that it prefers: in the file that it would write.
struct Preferred(tempfile::TempDir);

impl Preferred {
    fn write(lock: &Lock) -> Result<Self, Error> {
        let directory =
            tempfile::tempdir().map_err(|source| Error::read("a temporary directory".as_ref(), source))?;
        let file = directory.path().join("pylock.toml");
        fs_err::write(&file, lock.to_toml(directory.path())).map_err(|source| Error::read(&file, source))?;
        Ok(Self(directory))
    }

    fn arguments(&self) -> [OsString; 2] {
        ["-o".into(), self.0.path().join("pylock.toml").into()]
    }
}

fn arguments(request: &Request, target: &Target, tools: &Tools<'_>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["pip", "compile", "--format", "pylock.toml", "--no-header"]
        .map(OsString::from)
        .to_vec();
    let mut option = |name: &str, value: OsString| arguments.extend([name.into(), value]);
    let version = target
        .python_full
        .clone()
        .unwrap_or_else(|| target.python_minor());
    option("--python-version", version.into());
    option("--python-platform", platform(target).into());
    for file in &request.constraints {
        option("--constraints", file.into());
    }
    for extra in &request.extras {
        option("--extra", extra.as_str().into());
    }
    for group in &request.groups {
        let file = request.pyproject.as_deref().unwrap_or("pyproject.toml".as_ref());
        option("--group", format!("{}:{group}", file.display()).into());
    }
    let settings = Settings::load(tools.environment);
    for name in ["no-binary", "only-binary"] {
        for package in settings
            .get(name)
            .unwrap_or_default()
            .split([',', ' '])
            .filter(|p| !p.is_empty())
        {
            option(&format!("--{name}"), package.into());
        }
    }
    for file in settings.list("constraint") {
        option("--constraints", file.into());
    }
    if request.no_build {
        arguments.push("--no-build".into());
    }
    if request.upgrade {
        arguments.push("--refresh".into());
    }
    if !request.inline.is_empty() {
        arguments.push("-".into());
    }
    arguments.extend(
        request
            .pyproject
            .iter()
            .chain(&request.requirements)
            .map(OsString::from),
    );
    arguments
}

/// The platform in uv's terms: the highest step that is not above the target.
fn platform(target: &Target) -> String {
    let machine = target.platform.architecture.machine();
    match target.libc {
        Libc::Glibc { major, minor } => {
            let fits = |step: &&u32| (2, **step) <= (major, minor);
            let step = STEPS.iter().rfind(fits).unwrap_or(&STEPS[0]);
            format!("{machine}-manylinux_2_{step}")
        }
        Libc::Musl { .. } => format!("{machine}-unknown-linux-musl"),
    }
}

/// The digest of everything that a resolution depends on but the index itself. Not of uv's version: what another one
/// found today is as good, and offline there may be none.
/// What a resolution answers: requirements, target and settings. Where the project lies does not count: whatever depends
/// on it is on this machine and never remembered for long.
fn key(
    request: &Request,
    target: &Target,
    tools: &Tools<'_>,
    texts: &[String],
    indexes: Option<&BTreeMap<String, String>>,
) -> Digest {
    let uv = tools
        .environment
        .variables()
        .filter(|(name, _)| name.starts_with("UV_") && (indexes.is_some() || decides_versions(name)));
    let settings: Vec<String> = indexes
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .chain(uv)
        .filter(|(name, _)| !name.ends_with("_PASSWORD") && !name.ends_with("_USERNAME"))
        .map(|(name, value)| format!("{name}={}", super::process::without_passwords(value)))
        .collect();
    let directory = format!("{}/", request.directory.display());
    let arguments: Vec<String> = arguments(request, target, tools)
        .iter()
        .map(|a| a.display().to_string().replace(&directory, ""))
        .filter(|a| a != "--refresh")
        .collect();
    let mut parts = serde_json::json!(["resolution 2", target, arguments, settings, texts]);
    if let (Some(preferred), Some(parts)) = (&request.preferred, parts.as_array_mut()) {
        parts.push(preferred.to_toml(&request.directory).into());
    }
    Digest::of(parts.to_string().as_bytes())
}

/// Whether a variable of uv's says which versions are wanted, and not where they are looked for.
fn decides_versions(name: &str) -> bool {
    [
        "UV_CONSTRAINT",
        "UV_EXCLUDE_NEWER",
        "UV_FORK_STRATEGY",
        "UV_NO_BINARY",
        "UV_NO_BUILD",
        "UV_OVERRIDE",
        "UV_PRERELEASE",
        "UV_RESOLUTION",
    ]
    .iter()
    .any(|known| name.starts_with(known))
}

fn has_local_sources(lock: &Lock) -> bool {
    lock.packages.iter().any(|p| match &p.content {
        Content::Directory { .. } => true,
        Content::Archive { artifact, .. } => artifact.is_local(),
        Content::Files { wheels, sdist } => wheels.iter().chain(sdist).any(super::Artifact::is_local),
        Content::Vcs(_) => false,
    })
}

fn count(lock: &Lock) -> String {
    match lock.packages.len() {
        1 => "1 package".to_owned(),
        n => format!("{n} packages"),
    }
}

fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::platform::{Architecture, Platform};

    #[test]
    fn uv_is_told_the_highest_step_that_is_not_above_the_target() {
        let target = |libc| Target {
            platform: Platform::linux(Architecture::Arm64),
            libc,
            python: (3, 13),
            python_full: None,
            interpreter: "/usr/bin/python3".to_owned(),
        };
        for (minor, expected) in [(41, 40), (40, 40), (36, 36), (30, 28), (17, 17), (5, 17)] {
            let target = target(Libc::Glibc { major: 2, minor });
            assert_eq!(platform(&target), format!("aarch64-manylinux_2_{expected}"));
        }
        let musl = target(Libc::Musl { major: 1, minor: 2 });
        assert_eq!(platform(&musl), "aarch64-unknown-linux-musl");
    }
}
