//! How the image runs: user, environment, entrypoint, labels.

use std::collections::BTreeMap;

use super::Build;
use crate::image::{Base, Run, UserChoice};
use crate::project::{Distribution, Start, runtime};
use crate::tree::Owner;

/// The home of the user that pyoci adds where the base has no user of its own.
pub(super) const HOME: &str = "/home/nonroot";

impl Build<'_> {
    /// Who runs the app: what was asked for; else the base's own user, unless that is root; else nobody special.
    pub(super) fn user(&self, base: &Base) -> anyhow::Result<Owner> {
        match self.project.settings.user {
            Some(owner) => Ok(owner),
            None => match UserChoice::of_base(base)? {
                Some(choice) => Ok(choice.resolve(base)?),
                None => Ok(UserChoice::NONROOT),
            },
        }
    }

    /// What goes into the image's config.
    pub(super) fn run(
        &self,
        base: &Base,
        distribution: Option<&Distribution>,
        start: &Start,
        user: Owner,
    ) -> Run {
        let settings = &self.project.settings;
        let described = self.project.labels(distribution);
        let over = |given: &BTreeMap<String, String>| {
            let mut all = described.clone();
            all.extend(given.clone());
            all
        };
        Run {
            entrypoint: runtime::entrypoint_argv(&start.command),
            env: self.variables(base, user),
            path: vec![runtime::BIN.to_owned(), format!("{}/bin", runtime::DEPENDENCIES)],
            user: format!("{}:{}", user.uid, user.gid),
            working_directory: settings
                .workdir
                .clone()
                .unwrap_or_else(|| runtime::APP.to_owned()),
            ports: settings.ports.iter().map(ToString::to_string).collect(),
            labels: over(&settings.labels),
            annotations: over(&settings.annotations),
        }
    }

    fn variables(&self, base: &Base, user: Owner) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::from([
            ("PYTHONPATH".to_owned(), runtime::PYTHONPATH.to_owned()),
            ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
        ]);
        let known = base.users.iter().find(|(_, known)| known.uid == user.uid);
        let (name, home) = match known {
            Some((name, known)) => (name.clone(), known.home.clone()),
            None if user == UserChoice::NONROOT => ("nonroot".to_owned(), HOME.to_owned()),
            // A user that nobody knows has no home; /tmp is the one place that any user may write.
            None => (user.uid.to_string(), "/tmp".to_owned()),
        };
        variables.extend([("HOME".to_owned(), home), ("USER".to_owned(), name)]);
        variables.extend(self.project.settings.env.clone());
        variables
    }
}
