//! The verdict on native libraries: what the wheels need and nobody provides; found once, remembered with the layers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::Build;
use super::making::Facts;
use crate::base;
use crate::commands::Error;
use crate::digest::Digest;
use crate::image::Base;
use crate::layer::Layer;
use crate::native::{self, Finding, Gap, Object};
use crate::store::Store;

/// Changes whenever the same layers would get another verdict.
const FORMAT: u32 = 2;

/// A verdict that is to be reached or remembered.
pub(super) struct Verdict<'b> {
    key: Digest,
    base: &'b Base,
    /// The base's layers and those of added Debian packages.
    layers: Vec<Layer>,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Reached {
    /// How many files were left out because of `exclude`, and their bytes.
    excluded: (usize, u64),
    findings: Vec<Finding>,
    /// The Debian package that has a library, by soname.
    packages: BTreeMap<String, String>,
    /// Whether a Debian package could be named: the base is Debian.
    debian: bool,
}

impl<'b> Verdict<'b> {
    /// The verdict on dependencies with these keys, over a base and what was added to it.
    pub fn on(keys: &[Digest], base: &'b Base, added: Option<&Layer>) -> Self {
        let layers: Vec<Layer> = base.layers.iter().chain(added).cloned().collect();
        let mut inputs = format!("native libraries {FORMAT} {}", base.target);
        for key in keys {
            let _ = write!(inputs, "\n{key}");
        }
        for layer in &layers {
            let _ = write!(inputs, "\nbase {}", layer.diff_id);
        }
        Self {
            key: Digest::of(inputs.as_bytes()),
            base,
            layers,
        }
    }
}

impl Verdict<'_> {
    /// What was found before.
    pub fn remembered(&self, store: &Store) -> Option<Reached> {
        serde_json::from_slice(&store.memo(&self.key)?).ok()
    }

    /// Compares what all layers need with what there is.
    pub fn reach(&self, facts: &[Facts], build: &Build<'_>) -> anyhow::Result<Reached> {
        let base = self.base;
        let objects: Vec<Object> = facts
            .iter()
            .flat_map(|facts| facts.objects.iter().cloned())
            .collect();
        let mut reached = Reached::default();
        for facts in facts {
            reached.excluded.0 += facts.excluded.0;
            reached.excluded.1 += facts.excluded.1;
        }
        let mut complete = true;
        if !objects.is_empty() {
            let inventory = base::inventory(&self.layers, &base.config, base.platform, &build.store)?;
            reached.findings = native::check(&objects, &inventory.provided, &base.target);
            let missing = reached
                .findings
                .iter()
                .filter(|finding| finding.gap == Gap::Library);
            let sonames: Vec<&str> = missing.map(|finding| finding.soname.as_str()).collect();
            reached.debian = inventory.debian.is_some();
            if let (Some(suite), false) = (&inventory.debian, sonames.is_empty()) {
                match build.packages_of(suite, &sonames, base.platform) {
                    Ok(packages) => reached.packages = packages,
                    // The warning is worth having without the name: the next build asks again.
                    Err(error) => {
                        complete = false;
                        reached.debian = false;
                        build
                            .progress
                            .detail(format!("the Debian packages are not known: {error:#}"));
                    }
                }
            }
        }
        if complete {
            let note = serde_json::to_vec(&reached).unwrap_or_default();
            build.store.remember(&self.key, &note)?;
        }
        Ok(reached)
    }
}

impl Reached {
    /// Tells the user; fails if something is missing and that is not wanted.
    pub fn tell(&self, build: &Build<'_>) -> anyhow::Result<()> {
        if self.excluded.0 > 0 {
            let (count, bytes) = self.excluded;
            let size = indicatif::DecimalBytes(bytes);
            let plural = if count == 1 { "" } else { "s" };
            build.progress.choice(
                "Excluded",
                format!("{count} file{plural} of the dependencies, {size}"),
            );
        }
        for finding in &self.findings {
            build.progress.warn(self.line(finding));
        }
        let packages: BTreeSet<_> = self
            .packages
            .values()
            .map(|package| format!("{package:?}"))
            .collect();
        if !packages.is_empty() {
            let packages: Vec<_> = packages.into_iter().collect();
            let detail = format!(
                "packages = [{}] in [tool.pyoci] adds what is missing",
                packages.join(", ")
            );
            build.progress.choice("Libraries", detail);
        }
        if build.project.settings.strict == Some(true) && !self.findings.is_empty() {
            return Err(Error::Native(self.findings.len()).into());
        }
        Ok(())
    }

    fn line(&self, finding: &Finding) -> String {
        let Finding {
            soname, first, wheel, ..
        } = finding;
        let (others, need) = match finding.objects {
            1 => (String::new(), "needs"),
            2 => (" and 1 other".to_owned(), "need"),
            count => (format!(" and {} others", count - 1), "need"),
        };
        let by = format!("{wheel}: /{first}{others} {need}");
        match (&finding.gap, self.packages.get(soname)) {
            (Gap::Version(version), _) => {
                format!("{by} {version} of {soname}: that of the base is older; take a newer base")
            }
            (Gap::Library, Some(package)) => {
                format!("{by} {soname}: no wheel has it, nor the base; Debian's {package} does")
            }
            (Gap::Library, None) if self.debian => {
                format!("{by} {soname}: no wheel has it, nor the base, nor any package of its Debian release")
            }
            (Gap::Library, None) => format!("{by} {soname}: no wheel has it, nor the base"),
        }
    }
}
