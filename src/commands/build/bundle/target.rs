//! What a bundle is for: a Python, a platform, and the oldest C library that there are wheels for.

use std::path::Path;
use std::process::{Command, Stdio};

use super::super::{Build, platforms};
use crate::base;
use crate::commands::Error;
use crate::lock::{Lock, Request, Selected, Source};
use crate::project::bundle::INTERPRETER;
use crate::python::{Libc, Target};

/// The versions of glibc that wheels are made for, the oldest first; other ones are rare, and no gain.
const GLIBC: [u32; 16] = [5, 12, 17, 24, 26, 27, 28, 31, 34, 35, 36, 38, 39, 40, 41, 42];

/// Asked of an interpreter: version, CPU, and the C library as far as Python tells it.
const QUESTION: &str = "
import os, sys
assert sys.implementation.name == 'cpython', 'it is ' + sys.implementation.name
try:
    libc = os.confstr('CS_GNU_LIBC_VERSION')
except (AttributeError, OSError, ValueError):
    libc = None
print('%d.%d.%d' % sys.version_info[:3], os.uname().machine, (libc or 'musl 1.2').replace(' ', '-'))
";

impl Build<'_> {
    /// The target as far as it is known before packages are chosen: with the newest C library, unless an interpreter was
    /// asked.
    pub(super) fn bundle_target(&self, python: Option<&Path>) -> anyhow::Result<Target> {
        if let Some(program) = python {
            let target = asked(&self.environment.working_directory.join(program))?;
            let detail = format!("as {} says: {target}", program.display());
            self.progress.choice("Target", detail);
            return Ok(target);
        }
        let asked = platforms(&self.project.settings)?;
        let [platform] = asked[..] else {
            return Err(Error::OnePlatform.into());
        };
        let (python, reason) = self.bundle_python()?;
        let target = Target {
            platform,
            libc: Libc::Glibc {
                major: 2,
                minor: GLIBC[GLIBC.len() - 1],
            },
            python,
            python_full: None,
            interpreter: INTERPRETER.to_owned(),
        };
        let detail = format!("CPython {} on {platform} ({reason})", target.python_minor());
        self.progress.choice("Target", detail);
        Ok(target)
    }

    /// The Python that an image would have.
    fn bundle_python(&self) -> anyhow::Result<((u32, u32), String)> {
        let (wish, reason) = self.wish()?;
        let reference = match (&self.own_lock, &self.locked_base) {
            (Some(_), Some(locked)) => Some(locked.reference.clone()),
            _ => self
                .base_with_wheels(&base::candidates(&wish))?
                .map(|(reference, _)| reference.to_string()),
        };
        let known = base::candidates(&base::Wish::Any)
            .into_iter()
            .find(|candidate| Some(candidate.reference.to_string()) == reference);
        let python = match known {
            Some(candidate) => candidate.target(crate::platform::Platform::host()).python,
            None => base::python_for(&wish)?,
        };
        Ok((python, reason))
    }

    /// The target with the oldest C library for which there are the same kinds of wheels as for the newest, and what is
    /// chosen for it.
    pub(super) fn oldest_libc(
        &self,
        lock: &Lock,
        request: &Request,
        newest: Target,
    ) -> anyhow::Result<(Target, Vec<Selected>)> {
        let best = self.choose(lock, request, &newest)?;
        // A wheel of compiled code is not given up for a slower one that fits an older machine.
        let kinds = |selected: &[Selected]| selected.iter().map(kind).collect::<Vec<_>>();
        let Libc::Glibc { major, minor } = newest.libc else {
            return Ok((newest, best));
        };
        for older in GLIBC.into_iter().filter(|older| *older < minor) {
            let target = Target {
                libc: Libc::Glibc { major, minor: older },
                ..newest.clone()
            };
            if let Ok(selected) = self.choose(lock, request, &target)
                && kinds(&selected) == kinds(&best)
            {
                return Ok((target, selected));
            }
        }
        Ok((newest, best))
    }
}

/// What a package comes as.
#[derive(PartialEq, Eq)]
enum Kind {
    /// A wheel of Python alone.
    Pure,
    /// A wheel with compiled code.
    Compiled,
    /// Something that a wheel is built from.
    Source,
}

fn kind(selected: &Selected) -> Kind {
    match &selected.source {
        Source::Wheel(artifact) if artifact.name.ends_with("-any.whl") => Kind::Pure,
        Source::Wheel(_) => Kind::Compiled,
        _ => Kind::Source,
    }
}

/// What an interpreter of this machine says of itself.
fn asked(program: &Path) -> Result<Target, Error> {
    let fault = |reason: String| Error::TargetPython {
        program: program.display().to_string(),
        reason,
    };
    let output = Command::new(program)
        .args(["-IS", "-c", QUESTION])
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(|error| fault(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    let [version, machine, libc] = words[..] else {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = said.lines().last().unwrap_or("it says nothing");
        return Err(fault(last.to_owned()));
    };
    let numbers = |text: &str| -> Option<(u32, u32)> {
        let mut parts = text.split('.').map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    let unknown = || fault(format!("it says `{}`", text.trim()));
    let python = numbers(version).ok_or_else(unknown)?;
    let platform = format!("linux/{machine}").parse();
    let platform = platform.map_err(|_| fault(format!("it runs on {machine}")))?;
    let (name, libc_version) = libc.split_once('-').ok_or_else(unknown)?;
    let (major, minor) = numbers(libc_version).ok_or_else(unknown)?;
    let libc = match name {
        "glibc" => Libc::Glibc { major, minor },
        "musl" => Libc::Musl { major, minor },
        _ => return Err(unknown()),
    };
    Ok(Target {
        platform,
        libc,
        python,
        python_full: Some(version.to_owned()),
        interpreter: INTERPRETER.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_python_is_refused_by_name() {
        let error = asked(Path::new("/bin/sh")).unwrap_err().to_string();
        assert!(error.starts_with("cannot ask /bin/sh: "), "{error}");
        let error = asked(Path::new("/nowhere/python3")).unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
    }
}
