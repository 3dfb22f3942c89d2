//! Locks that `pyoci lock` made, as a build takes them: whether they still fit, and the base that they hold fast.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Build;
use crate::base::{LockedBase, LockedPackages};
use crate::environment::Environment;
use crate::lock::{Lock, LockFormat, MadeFrom, pylock};
use crate::progress::Progress;
use crate::project::{Project, RequirementSource};

/// A lock with what `pyoci lock` notes in it.
#[derive(Clone, Debug)]
pub(super) struct OwnLock {
    /// The file.
    pub file: PathBuf,
    /// The lock.
    pub lock: Lock,
    /// What it was made from.
    pub made: MadeFrom,
    /// The base.
    pub base: LockedBase,
    /// The Debian packages over it, if any were asked for.
    pub packages: Option<LockedPackages>,
}

impl OwnLock {
    /// Reads a lock file; `None` if another tool made it.
    pub fn read(file: &Path) -> anyhow::Result<Option<Self>> {
        let lock = pylock::read(file)?;
        let Some(own) = lock.tool.get("pyoci").and_then(toml::Value::as_table) else {
            return Ok(None);
        };
        let place = || format!("{}: [tool.pyoci]", file.display());
        let made = MadeFrom::from_table(own).with_context(|| format!("{} is malformed", place()))?;
        let base = own.get("base").and_then(toml::Value::as_table);
        let base = LockedBase::from_table(&base.cloned().unwrap_or_default()).with_context(place)?;
        let packages = own.get("packages").and_then(toml::Value::as_table);
        let packages = packages.map(LockedPackages::from_table).transpose();
        Ok(Some(Self {
            file: file.to_owned(),
            made,
            base,
            packages: packages.with_context(place)?,
            lock,
        }))
    }

    /// The lock of a project, if `pyoci lock` made it and it is what the project's requirements are taken from. Fails
    /// with what differs if it no longer fits.
    pub fn of(project: &Project, environment: &Environment) -> anyhow::Result<Option<Self>> {
        let RequirementSource::Lock(file) = &project.requirements.source else {
            return Ok(None);
        };
        let is_pylock = LockFormat::of_name(file).is_none_or(|format| format == LockFormat::Pylock);
        let is_own = is_pylock && fs_err::read_to_string(file)?.contains("tool.pyoci");
        let Some(own) = is_own.then(|| Self::read(file)).transpose()?.flatten() else {
            return Ok(None);
        };
        let settings = &project.settings;
        let asked = MadeFrom::asked(
            settings.extras.iter().cloned().collect(),
            settings.groups.iter().cloned().collect(),
        );
        let now = own.made.now(&project.root, &asked, environment)?;
        let mut differences = own.made.differences(&now);
        differences.extend(own.package_differences(&settings.packages));
        if !differences.is_empty() {
            let shown = file.strip_prefix(&project.root).unwrap_or(file);
            return Err(own.made.stale(shown, differences).into());
        }
        Ok(Some(own))
    }

    /// What Debian packages are asked for now that were not, and the other way round.
    pub fn package_differences(&self, asked: &[String]) -> Vec<String> {
        let now: BTreeSet<String> = asked.iter().cloned().collect();
        let locked = self.packages.as_ref().map(|packages| packages.asked.clone());
        let locked = locked.unwrap_or_default();
        let added = now.difference(&locked).map(|name| (name, "asked for now"));
        let gone = locked.difference(&now).map(|name| (name, "no longer asked for"));
        added
            .chain(gone)
            .map(|(name, how)| format!("Debian package `{name}` is {how}"))
            .collect()
    }

    /// The locked base, unless the user wants another one.
    pub fn base_for(&self, project: &Project, progress: &Progress) -> Option<LockedBase> {
        match &project.settings.base {
            Some(asked) if *asked != self.base.reference => {
                progress.warn(format!(
                    "{asked} is taken as the base, not {}, which is locked",
                    self.base.reference
                ));
                None
            }
            _ => Some(self.base.clone()),
        }
    }
}

impl Build<'_> {
    /// The name of the lock that the base is locked in.
    pub(super) fn lock_name(&self) -> String {
        let file = self.own_lock.as_ref().and_then(|lock| lock.file.file_name());
        file.unwrap_or_default().to_string_lossy().into_owned()
    }
}
