//! `pyoci lock`: what a build would install on each platform, and its base, in one `pylock.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context as _;

use super::own_lock::OwnLock;
use super::{Build, Order, platforms, project};
use crate::base::{LockedBase, LockedContent, LockedPackages};
use crate::commands::{self, Error};
use crate::debian::PackageList;
use crate::environment::Environment;
use crate::image::{Base, BaseOrigin};
use crate::lock::{self, Lock, MadeFrom, Request, pylock};
use crate::platform::Platform;
use crate::progress::Progress;
use crate::project::{Project, RequirementSource};
use crate::python::Target;
use crate::reference::ImageReference;
use crate::sink::file::replace_file;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct LockOrder {
    /// Project, settings, and whether everything is resolved anew.
    pub build: Order,
    /// The lock file, absolute; `pylock.toml` in the project if `None`.
    pub output: Option<PathBuf>,
    /// Whether it is only said if the lock still fits.
    pub check: bool,
}

/// Writes the lock, or only checks it; gives its path.
pub fn run(order: &LockOrder, environment: &Environment, progress: &Progress) -> anyhow::Result<PathBuf> {
    let mut project = project(&order.build, environment)?;
    let file = match &order.output {
        Some(file) => file.clone(),
        None => match &project.script {
            Some(script) => script.lock(),
            None => project.root.join("pylock.toml"),
        },
    };
    let name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    if !pylock::is_lock_name(&name) {
        return Err(Error::LockName(name).into());
    }
    let previous = previous(&file, &name)?;
    look_past_own_locks(&mut project)?;
    let build = Build::new(&order.build, project, &[], environment, progress)?;
    let mut locking = Locking {
        request: build.lock_request(),
        platforms: Vec::new(),
        build,
        previous,
    };
    locking.platforms = locking.asked_platforms()?;
    let made = MadeFrom::of(&locking.request, environment)?;
    let (reference, reason) = locking.build.base_reference()?;
    let reference_text = locking.build.project.settings.base.clone();
    let reference_text = reference_text.unwrap_or_else(|| reference.to_string());
    let differences = locking.differences(&made, &reference_text);
    match (&locking.previous, differences) {
        (None, _) if order.check => return Err(Error::NoLock(name).into()),
        (Some(_), Some(differences)) if order.check && !differences.is_empty() => {
            return Err(made.stale(name.as_ref(), differences).into());
        }
        (Some(_), Some(differences)) if differences.is_empty() && !order.build.upgrade => {
            progress.done("Fits", format!("{name}: nothing has changed since it was made"));
            return Ok(file);
        }
        _ if order.check => return Ok(file),
        _ => {}
    }
    let read_base = || locking.locked_base(&reference, &reference_text);
    let base = crate::commands::cache::mending(&locking.build.store, progress, read_base)?;
    progress.choice("Base", format!("{reference} ({reason})"));
    let locked = locking.lock(&reference, base)?;
    let directory = file.parent().unwrap_or("/".as_ref());
    let text = written(locked, &made, &locking.platforms).to_toml(directory);
    environment.secrets.check(&name, text.as_bytes())?;
    replace_file(&file, text.as_bytes()).with_context(|| format!("cannot write {}", file.display()))?;
    progress.done("Locked", format!("{name}: {}", locking.summary(&text)));
    Ok(file)
}

/// The file that will be replaced, if `pyoci lock` made it; other locks are not replaced.
fn previous(file: &std::path::Path, name: &str) -> anyhow::Result<Option<OwnLock>> {
    if !file.exists() {
        return Ok(None);
    }
    let own = OwnLock::read(file)?;
    if own.is_none() {
        return Err(Error::ForeignLock {
            file: name.to_owned(),
            maker: pylock::read(file)?.created_by,
        }
        .into());
    }
    Ok(own)
}

/// The requirements that locks are made from: not those of an earlier lock of ours.
fn look_past_own_locks(project: &mut Project) -> anyhow::Result<()> {
    if let RequirementSource::Lock(file) = &project.requirements.source
        && file
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(pylock::is_lock_name)
        && OwnLock::read(file)?.is_some()
    {
        project.requirements = project.requirements_beside_pylock()?;
    }
    Ok(())
}

/// The lock as it is written.
fn written(locked: Locked, made: &MadeFrom, platforms: &[Platform]) -> Lock {
    let Locked { lock, base, packages } = locked;
    let mut own = made.to_table();
    let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
    own.insert("platforms".to_owned(), platforms.into());
    own.insert("base".to_owned(), base.to_table().into());
    if let Some(packages) = packages {
        own.insert("packages".to_owned(), packages.to_table().into());
    }
    let mut tool = lock.tool.clone();
    tool.insert("pyoci".to_owned(), own.into());
    Lock {
        created_by: "pyoci".to_owned(),
        tool,
        ..lock
    }
}

/// What is locked, for all platforms.
struct Locked {
    lock: Lock,
    base: LockedBase,
    /// Debian packages over the base, if any are asked for.
    packages: Option<LockedPackages>,
}

/// One making of a lock.
struct Locking<'a> {
    build: Build<'a>,
    request: Request,
    platforms: Vec<Platform>,
    previous: Option<OwnLock>,
}

impl Locking<'_> {
    /// What is different since the earlier lock; `None` if there is none.
    fn differences(&self, made: &MadeFrom, reference: &str) -> Option<Vec<String>> {
        let previous = self.previous.as_ref()?;
        let mut differences = previous.made.differences(made);
        differences.extend(previous.package_differences(&self.build.project.settings.packages));
        if previous.base.reference != reference {
            differences.push(format!(
                "the base is {reference} now, and was {}",
                previous.base.reference
            ));
        }
        let locked: BTreeSet<String> = self.previous_platforms();
        let asked: BTreeSet<String> = self.platforms.iter().map(ToString::to_string).collect();
        for platform in asked.difference(&locked) {
            differences.push(format!("{platform} is asked for now"));
        }
        for platform in locked.difference(&asked) {
            differences.push(format!("{platform} is no longer asked for"));
        }
        Some(differences)
    }

    /// The platforms to lock for, sorted; where none is asked for, those of the earlier lock.
    fn asked_platforms(&self) -> anyhow::Result<Vec<Platform>> {
        let mut asked = platforms(&self.build.project.settings)?;
        let earlier = self.previous_platforms();
        if self.build.project.settings.platforms.is_empty() && !earlier.is_empty() {
            asked = earlier.iter().filter_map(|text| text.parse().ok()).collect();
        }
        asked.sort();
        Ok(asked)
    }

    fn previous_platforms(&self) -> BTreeSet<String> {
        let own = self.previous.as_ref().and_then(|p| p.lock.tool.get("pyoci"));
        let platforms = own
            .and_then(|own| own.get("platforms"))
            .and_then(toml::Value::as_array);
        let texts = platforms.into_iter().flatten().filter_map(|p| p.as_str());
        texts.map(str::to_owned).collect()
    }

    /// What holds the base fast: as in the earlier lock, or as it is now. An image that was not locked before tells its
    /// digest when it is loaded.
    fn locked_base(&self, reference: &ImageReference, text: &str) -> anyhow::Result<Option<LockedBase>> {
        let kept = self.previous.as_ref().map(|previous| &previous.base);
        let kept = kept.filter(|base| base.reference == text && !self.build.upgrade);
        let ImageReference::Recipe(name) = reference else {
            return Ok(kept.cloned());
        };
        let mut packages = BTreeMap::new();
        for platform in &self.platforms {
            let list = match kept.map(|base| &base.content) {
                Some(LockedContent::Recipe { packages, .. }) => packages.get(platform).cloned(),
                _ => None,
            };
            let list = match list {
                Some(list) => list,
                None => self
                    .build
                    .recipe_packages(name, *platform)
                    .with_context(|| format!("cannot lock the base {reference} for {platform}"))?,
            };
            packages.insert(*platform, list);
        }
        Ok(Some(LockedBase {
            reference: text.to_owned(),
            content: LockedContent::Recipe {
                recipe: LockedBase::recipe_digest(name)?,
                packages,
            },
        }))
    }

    /// Locks for every platform, and makes one lock of it.
    fn lock(&mut self, reference: &ImageReference, base: Option<LockedBase>) -> anyhow::Result<Locked> {
        self.build.locked_base = base;
        self.build.locked_packages = None;
        let (mut locks, mut packages) = (Vec::new(), BTreeMap::new());
        for platform in self.platforms.clone() {
            let loaded = self
                .build
                .base(reference, platform)
                .with_context(|| format!("cannot load the base {reference} for {platform}"))?;
            self.build.project.check_python(&loaded.target)?;
            if let (None, BaseOrigin::Registry { digest, .. } | BaseOrigin::Local { digest, .. }) =
                (&self.build.locked_base, &loaded.origin)
            {
                let asked = self.build.project.settings.base.clone();
                self.build.locked_base = Some(LockedBase {
                    reference: asked.unwrap_or_else(|| reference.to_string()),
                    content: LockedContent::Image(digest.clone()),
                });
            }
            if let Some(list) = self.added_packages(reference, &loaded)? {
                packages.insert(platform, list);
            }
            let lock = self
                .of_target(&loaded.target)
                .with_context(|| format!("cannot lock for {platform}"))?;
            locks.push((loaded.target, lock));
        }
        let lock = lock::merge(&locks)?.locate(&self.request, &self.build.tools())?;
        let asked = &self.build.project.settings.packages;
        let packages = (!asked.is_empty()).then(|| LockedPackages {
            asked: asked.iter().cloned().collect(),
            packages,
        });
        let base = self.build.locked_base.take().context("the base has no origin")?;
        Ok(Locked { lock, base, packages })
    }

    /// The Debian packages over the base, if any are asked for: those of the earlier lock if the same were asked for over
    /// the same base, else as they are now.
    fn added_packages(&self, reference: &ImageReference, base: &Base) -> anyhow::Result<Option<PackageList>> {
        let asked = &self.build.project.settings.packages;
        if asked.is_empty() {
            return Ok(None);
        }
        let now = self.build.locked_base.as_ref();
        let same = |previous: &&OwnLock| {
            now.is_some_and(|now| now.is_same_for(&previous.base, base.platform))
                && previous.package_differences(asked).is_empty()
        };
        let kept = self
            .previous
            .as_ref()
            .filter(|_| !self.build.upgrade)
            .filter(same);
        let kept = kept.and_then(|previous| previous.packages.as_ref()?.packages.get(&base.platform));
        if let Some(list) = kept {
            return Ok(Some(list.clone()));
        }
        let build = &self.build;
        commands::base::added_packages(reference, base, asked, &build.asked_base(), &build.tools()).map(Some)
    }

    fn of_target(&self, target: &Target) -> anyhow::Result<Lock> {
        let none = (BTreeSet::new(), BTreeSet::new());
        let previous = self.previous.as_ref().filter(|_| !self.build.upgrade);
        // One that is of no use for this target (a new platform, another Python) says nothing.
        let preferred = previous.and_then(|own| own.lock.narrowed(target, &none.0, &none.1).ok());
        let request = Request {
            preferred,
            ..self.request.clone()
        };
        let lock = lock::of(&request, target, &self.build.tools())?;
        Ok(lock.narrowed(target, &request.extras, &request.groups)?)
    }

    /// What was locked, in words; `text` is the file.
    fn summary(&self, text: &str) -> String {
        let packages = text.matches("[[packages]]").count();
        let platforms: Vec<String> = self.platforms.iter().map(ToString::to_string).collect();
        let plural = if packages == 1 { "" } else { "s" };
        format!("{packages} package{plural} for {}", platforms.join(", "))
    }
}

impl Build<'_> {
    /// The packages of a recipe as they are now.
    fn recipe_packages(&self, name: &str, platform: Platform) -> anyhow::Result<PackageList> {
        commands::base::recipe_packages(name, platform, &self.asked_base(), &self.tools())
    }
}
