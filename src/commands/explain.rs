//! `pyoci explain`: every decision of a build and why, and nothing is built.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::build::data::LARGE;
use super::build::{Order, Plan, Planned, plans};
use super::report::origin;
use crate::environment::Environment;
use crate::image::{Run, UserChoice};
use crate::lock::{Selected, Source};
use crate::progress::Progress;
use crate::project::{Files, Packaging, Project, RequirementSource, Start};

/// How many names a line of text lists; JSON has them all.
const LISTED: usize = 12;

/// What a build with the same flags would do.
pub struct Explanation {
    /// What is decided, why, in the order in which it is decided.
    lines: Vec<(&'static str, String)>,
    /// The same with all details.
    json: Value,
}

/// Explains what a build of an order would do.
pub fn run(order: &Order, environment: &Environment, progress: &Progress) -> anyhow::Result<Explanation> {
    let (project, plans) = plans(order, environment, &progress.without_steps())?;
    let mut explanation = Explanation {
        lines: Vec::new(),
        json: Value::Null,
    };
    let about = explanation.project(&project)?;
    let mut platforms = Vec::new();
    for planned in &plans {
        platforms.push(explanation.platform(&project, planned));
    }
    explanation.json = json!({ "project": about, "platforms": platforms });
    Ok(explanation)
}

impl Explanation {
    /// One line for each decision.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (what, detail) in &self.lines {
            let _ = writeln!(text, "{what:>13}  {}", detail.replace('\n', "\n               "));
        }
        text
    }

    /// What `--format json` prints.
    pub fn json(&self) -> &Value {
        &self.json
    }

    fn say(&mut self, what: &'static str, detail: impl Into<String>) {
        self.lines.push((what, detail.into()));
    }

    fn project(&mut self, project: &Project) -> anyhow::Result<Value> {
        let (kind, reason) = match project.packaging()? {
            Packaging::Files => {
                let why = project.poetry_refuses();
                let why = why.unwrap_or_else(|| "it is no distribution".to_owned());
                ("files", format!("files only: {why}"))
            }
            Packaging::Static(_) => (
                "static",
                "a distribution, imported from its files with metadata from pyproject.toml".to_owned(),
            ),
            Packaging::Build { reason } => ("wheel", format!("a distribution, built as a wheel: {reason}")),
        };
        self.say(
            "Project",
            format!("{} in {}: {reason}", project.name, project.root.display()),
        );
        let shown = |path: &std::path::PathBuf| {
            let inside = path.strip_prefix(&project.root).unwrap_or(path);
            inside.display().to_string()
        };
        let requirements = &project.requirements;
        let (source, files) = match &requirements.source {
            RequirementSource::Lock(path) => ("lock", vec![shown(path)]),
            RequirementSource::Files(paths) => ("requirements", paths.iter().map(shown).collect()),
            RequirementSource::Metadata(path) => ("metadata", vec![shown(path)]),
            RequirementSource::Script(path) => ("script", vec![shown(path)]),
            RequirementSource::None => ("none", Vec::new()),
        };
        let named = if files.is_empty() {
            "none".to_owned()
        } else {
            files.join(", ")
        };
        self.say("Requirements", format!("{named}: {}", requirements.reason));
        let ignored = requirements.ignored.as_ref().map(shown);
        if let Some(ignored) = &ignored {
            self.say("Ignored", format!("{ignored}: {named} is there"));
        }
        Ok(json!({
            "name": project.name,
            "directory": project.root.display().to_string(),
            "packaging": { "kind": kind, "reason": reason },
            "requirements": { "kind": source, "files": files, "reason": requirements.reason, "ignored": ignored },
        }))
    }

    fn platform(&mut self, project: &Project, planned: &Planned) -> Value {
        let Planned { plan, run, layers } = planned;
        let Plan {
            base,
            start,
            selected,
            files,
            ..
        } = plan;
        self.say("Platform", base.platform.to_string());
        self.say(
            "Base",
            format!("{} ({}): {}", plan.reference, plan.reason, base.target),
        );
        let packages = self.packages(selected);
        let user = match (project.settings.user, UserChoice::of_base(base)) {
            (Some(_), _) => "as asked for",
            (None, Ok(Some(_))) => "the base's own",
            (None, _) => "the base's is root, which no app needs to be",
        };
        self.start(start, run, user);
        self.left_out(files);
        let app: Vec<u64> = files
            .tree
            .iter()
            .filter_map(|(_, entry)| Some(entry.content()?.size()))
            .collect();
        let packages_over_base = &project.settings.packages;
        if !packages_over_base.is_empty() {
            self.say(
                "Debian",
                format!("{}, with what they need", packages_over_base.join(", ")),
            );
        }
        self.layers(plan, layers, &app);
        json!({
            "platform": base.platform.to_string(),
            "base": {
                "reference": plan.reference.to_string(),
                "reason": plan.reason,
                "origin": origin(&base.origin),
                "python": base.target.python_full_version(),
                "layers": base.layers.iter().map(|layer| layer.blob.descriptor.digest.to_string()).collect::<Vec<_>>(),
            },
            "packages": packages,
            "start": { "command": start.command, "reason": start.reason, "importRoots": start.import_roots },
            "user": { "id": run.user, "reason": user },
            "env": run.env,
            "ports": run.ports,
            "workingDirectory": run.working_directory,
            "dependencyLayers": layers,
            "app": { "files": app.len(), "bytes": app.iter().sum::<u64>() },
            "leftOut": {
                "secrets": files.secrets, "buildOutput": files.outputs, "ignored": files.ignored,
                "clutter": files.clutter, "special": files.special,
            },
        })
    }

    /// Says which files of the project are not in the image, and why.
    fn left_out(&mut self, files: &Files) {
        for (names, why) in [
            (&files.secrets, "secrets never go into an image"),
            (
                &files.outputs,
                "looks like build output; [tool.pyoci] include takes it",
            ),
            (&files.ignored, files.rules.as_str()),
            (&files.clutter, "no part of the program"),
            (&files.special, "no file, directory or link"),
        ] {
            if !names.is_empty() {
                self.say("Left out", format!("{}: {why}", listed(names)));
            }
        }
    }

    /// Says how the program starts, as whom, and with which environment.
    fn start(&mut self, start: &Start, run: &Run, user: &str) {
        let command = super::shown(&start.command);
        let command = Some(command)
            .filter(|command| !command.is_empty())
            .unwrap_or("?".to_owned());
        self.say("Start", format!("{command}: {}", start.reason));
        if !start.import_roots.is_empty() {
            let roots = start.import_roots.iter();
            let roots: Vec<_> = roots.map(|root| format!("/app/{root}")).collect();
            self.say("Imports from", roots.join(", "));
        }
        self.say("User", format!("{}: {user}", run.user));
        let pairs = run.env.iter();
        let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
        self.say("Environment", pairs.join(" "));
    }

    fn packages(&mut self, selected: &[Selected]) -> Vec<Value> {
        let names: Vec<String> = selected.iter().map(Selected::title).collect();
        if names.is_empty() {
            self.say("Packages", "none");
        } else {
            self.say("Packages", format!("{}: {}", names.len(), listed(&names)));
        }
        let of_kind = |wanted: fn(&Source) -> bool| -> Vec<String> {
            let chosen = selected.iter().filter(|s| wanted(&s.source));
            chosen.map(Selected::title).collect()
        };
        for (names, why) in [
            (
                of_kind(|source| matches!(source, Source::Sdist(..))),
                "there is no wheel that fits",
            ),
            (
                of_kind(|source| matches!(source, Source::Directory(_) | Source::Vcs(_))),
                "it is required as source",
            ),
        ] {
            if !names.is_empty() {
                self.say(
                    "Built here",
                    format!("{}: {why}; --no-build forbids it", listed(&names)),
                );
            }
        }
        let package = |s: &Selected| {
            let (kind, from) = match &s.source {
                Source::Wheel(file) => ("wheel", file.name.clone()),
                Source::Sdist(file, _) => ("sdist", file.name.clone()),
                Source::Directory(path) => ("directory", path.display().to_string()),
                Source::Vcs(vcs) => ("vcs", format!("{}@{}", vcs.location, vcs.commit)),
            };
            json!({
                "name": s.name.to_string(),
                "version": s.version.as_ref().map(ToString::to_string),
                "kind": kind,
                "from": from,
            })
        };
        selected.iter().map(package).collect()
    }

    fn layers(&mut self, plan: &Plan, dependencies: &[String], app: &[u64]) {
        let of_base: u64 = plan.base.layers.iter().map(|l| l.blob.descriptor.size).sum();
        let size = |bytes: u64| indicatif::DecimalBytes(bytes).to_string();
        let mut layers = vec![format!("base: {}, {}", plan.base.layers.len(), size(of_base))];
        match dependencies {
            [] => {}
            [_] => layers.push(format!(
                "dependencies: {}",
                counted(plan.selected.len(), "package")
            )),
            several => layers.extend(several.iter().cloned()),
        }
        let (data, app): (Vec<u64>, Vec<u64>) = app.iter().partition(|bytes| **bytes > LARGE);
        for (name, files) in [("app data", data), ("app", app)] {
            if name == "app" || !files.is_empty() {
                layers.push(format!(
                    "{name}: {}, {} before compression",
                    counted(files.len(), "file"),
                    size(files.iter().sum())
                ));
            }
        }
        self.say("Layers", layers.join("\n"));
    }
}

/// Names, as many as a line bears.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `1 file`, `2 files`.
fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
