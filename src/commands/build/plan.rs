//! The decisions of a build, before anything is made: base, packages, files, start command, user.

use anyhow::Context as _;

use super::{Build, Order, layers, platforms, project};
use crate::base;
use crate::environment::Environment;
use crate::image::{Base, Run};
use crate::lock::{self, Request, Selected, Source};
use crate::platform::Platform;
use crate::progress::Progress;
use crate::project::{Distribution, Files, Project, RequirementSource, Start};
use crate::reference::ImageReference;
use crate::tools::Tools;
use crate::tree::Owner;

/// What is decided for one platform.
pub struct Plan {
    /// What was asked of the lock.
    pub request: Request,
    /// The base as it was asked for or chosen.
    pub reference: ImageReference,
    /// Why it is this one.
    pub reason: String,
    /// The base.
    pub base: Base,
    /// The packages.
    pub selected: Vec<Selected>,
    /// The project's files.
    pub files: Files,
    /// The project as an installed distribution, if it is one.
    pub distribution: Option<Distribution>,
    /// How it starts.
    pub start: Start,
    /// Who runs it.
    pub user: Owner,
}

/// What is decided for a platform, and what follows of it.
pub struct Planned {
    /// The decisions.
    pub plan: Plan,
    /// How the image will run.
    pub run: Run,
    /// The layers of the dependencies, each with what it holds, as their history will name them.
    pub layers: Vec<String>,
}

/// A project, and what is decided for each platform of an order; nothing is made, and nothing of the project is run.
pub fn plans(
    order: &Order,
    environment: &Environment,
    progress: &Progress,
) -> anyhow::Result<(Project, Vec<Planned>)> {
    let project = project(order, environment)?;
    let environment = &project.settings.indexes.apply(environment);
    let mut build = Build::new(order, project, &[], environment, progress)?;
    build.explains = true;
    let mut plans = Vec::new();
    for platform in platforms(&build.project.settings)? {
        let plan = crate::commands::cache::mending(&build.store, progress, || build.plan(platform))?;
        let run = build.run(&plan.base, plan.distribution.as_ref(), &plan.start, plan.user);
        let layers = build.layers_of(&plan)?;
        plans.push(Planned { plan, run, layers });
    }
    Ok((build.project, plans))
}

impl Build<'_> {
    /// The layers that the dependencies of a plan are divided into, as far as sizes are known before they are fetched.
    fn layers_of(&self, plan: &Plan) -> anyhow::Result<Vec<String>> {
        let settings = &self.project.settings;
        let modes = settings.layers.clone().unwrap_or_default();
        let below = plan.base.layers.len()
            + usize::from(!settings.packages.is_empty())
            + usize::from(settings.compile == Some(true));
        let parts = layers::divide(&plan.selected, &modes, below, &self.store)?;
        Ok(parts
            .into_iter()
            .map(|part| part.created_by.trim_start_matches("pyoci: ").to_owned())
            .collect())
    }

    /// Decides everything for a platform. What may fail for want of a file or a setting comes before what takes long.
    pub(super) fn plan(&self, platform: Platform) -> anyhow::Result<Plan> {
        let name = platform.to_string();
        let (reference, reason) = self.base_reference()?;
        let base = self
            .timings
            .step("base", &name, || self.base(&reference, platform))
            .with_context(|| {
                format!(
                    "cannot load the base {reference} ({reason}{})",
                    self.without_registry(&reference)
                )
            })?;
        self.check_left_out(&base)?;
        self.project.check_python(&base.target)?;
        self.progress
            .choice("Base", format!("{reference} ({reason}): {}", base.target));
        let request = self.lock_request();
        let selected = self
            .timings
            .step("lock", &name, || self.select(&request, &base.target))?;
        let list = || self.project.files(&self.outputs, self.progress);
        let files = self.timings.step("files", &name, list)?;
        let distribution = self
            .timings
            .step("project", &name, || self.distribution(&request, &base.target))?;
        let start = self.start(&files, distribution.as_ref(), &selected, base.has_shell)?;
        let user = self.user(&base)?;
        Ok(Plan {
            request,
            reference,
            reason,
            base,
            selected,
            files,
            distribution,
            start,
            user,
        })
    }

    /// The base that was asked for, else the one whose Python fits the project; and why.
    pub(super) fn base_reference(&self) -> anyhow::Result<(ImageReference, String)> {
        if let (Some(_), Some(base)) = (&self.own_lock, &self.locked_base) {
            let reason = format!("locked in {}", self.lock_name());
            return Ok((self.anchored(&base.reference)?, reason));
        }
        if let Some(reference) = &self.project.settings.base {
            return Ok((self.anchored(reference)?, "as asked for".to_owned()));
        }
        let (wish, reason) = self.wish()?;
        if let Some((reference, why)) = self.base_with_wheels(&base::candidates(&wish))? {
            return Ok((reference, format!("{reason}; {why}")));
        }
        Ok((base::default_for(&wish)?, reason))
    }

    /// Which Python is wanted, and who says so.
    pub(super) fn wish(&self) -> anyhow::Result<(base::Wish, String)> {
        let preference = self.project.python_preference()?;
        let wish = match (preference.version, preference.accepted) {
            (Some((major, minor)), _) => base::Wish::Minor(major, minor),
            (None, Some(accepted)) => base::Wish::Fitting(accepted),
            (None, None) => base::Wish::Any,
        };
        let reason = Some(preference.reason).filter(|reason| !reason.is_empty());
        Ok((wish, reason.unwrap_or_else(|| "the default".to_owned())))
    }

    /// What the user may do where `.python-version` leads to a registry that is not there.
    fn without_registry(&self, reference: &ImageReference) -> String {
        let settings = &self.project.settings;
        let preference = self.project.python_preference().ok();
        let preference = preference
            .filter(|_| settings.base.is_none() && settings.python.is_none())
            .filter(|_| matches!(reference, ImageReference::Registry(_)));
        let Some((Some(_), accepted)) = preference.map(|p| (p.version, p.accepted)) else {
            return String::new();
        };
        let wish = accepted.map_or(base::Wish::Any, base::Wish::Fitting);
        let Some(other) = base::candidates(&wish).into_iter().next() else {
            return String::new();
        };
        let python = other.target(Platform::host()).python_minor();
        format!(
            "; --python {python} takes {}, which needs no registry",
            other.reference
        )
    }

    /// The recipe for whose Python a lock has the most wheels, if that is not the preferred one: what was locked some
    /// years ago has none for the Python of today.
    pub(super) fn base_with_wheels(
        &self,
        candidates: &[base::Candidate],
    ) -> anyhow::Result<Option<(ImageReference, String)>> {
        let (Some((preferred, others)), RequirementSource::Lock(_)) =
            (candidates.split_first(), &self.project.requirements.source)
        else {
            return Ok(None);
        };
        let mut best = (self.without_wheels(preferred)?, None);
        for candidate in others {
            if best.0 == Some(0) {
                break;
            }
            let missing = self.without_wheels(candidate)?;
            if missing.unwrap_or(usize::MAX) < best.0.unwrap_or(usize::MAX) {
                best = (missing, Some(candidate));
            }
        }
        Ok(best.1.map(|candidate| {
            let why = format!("the lock has more wheels for it than for {}", preferred.reference);
            (candidate.reference.clone(), why)
        }))
    }

    /// How many locked packages have no wheel that fits a candidate; `None` if the lock is not for it at all.
    fn without_wheels(&self, candidate: &base::Candidate) -> anyhow::Result<Option<usize>> {
        let silent = Progress::silent();
        let tools = Tools {
            progress: &silent,
            ..self.tools()
        };
        let request = self.lock_request();
        let mut missing = 0;
        for platform in platforms(&self.project.settings)? {
            let target = candidate.target(platform);
            let selected = lock::of(&request, &target, &tools)
                .and_then(|lock| lock.select(&target, &request.extras, &request.groups));
            // What is wrong with the lock is said when it is read for the base that is chosen.
            let Ok(selected) = selected else {
                return Ok(None);
            };
            let built = |s: &&Selected| matches!(s.source, Source::Sdist(..));
            missing += selected.iter().filter(built).count();
        }
        Ok(Some(missing))
    }

    /// A reference whose path, if it has one, counts from the working directory.
    fn anchored(&self, text: &str) -> anyhow::Result<ImageReference> {
        let mut reference: ImageReference = text.parse()?;
        reference.anchor(&self.environment.working_directory);
        Ok(reference)
    }

    pub(super) fn base(&self, reference: &ImageReference, platform: Platform) -> anyhow::Result<Base> {
        crate::commands::base::load(reference, platform, &self.asked_base(), &self.tools())
    }

    /// How bases are loaded.
    pub(super) fn asked_base(&self) -> crate::commands::base::Asked<'_> {
        let settings = &self.project.settings;
        crate::commands::base::Asked {
            mirror: settings.debian_mirror.as_deref(),
            snapshot: settings.debian_snapshot.as_deref(),
            locked: self.locked_base.as_ref().map(|base| &base.content),
            added: self.locked_packages.as_ref(),
            offline: settings.offline.unwrap_or(false),
            upgrade: self.upgrade,
            mtime: self.layers.mtime,
            threads: self.layers.threads,
            keep: self.keep,
        }
    }
}
