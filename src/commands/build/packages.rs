//! Debian packages that the project asks for: a layer between the base and the dependencies.

use std::collections::BTreeMap;

use super::Build;
use crate::base;
use crate::debian::ListedPackage;
use crate::image::Base;
use crate::layer::Layer;
use crate::platform::Platform;
use crate::reference::ImageReference;

/// The layer of added packages.
pub(super) struct AddedPackages {
    /// The layer.
    pub layer: Layer,
    /// Name and version of each package in it.
    pub packages: Vec<(String, String)>,
}

impl Build<'_> {
    /// The packages that were asked for, as a layer; none if none were, or the base has them all.
    pub(super) fn packages(
        &self,
        reference: &ImageReference,
        base: &Base,
    ) -> anyhow::Result<Option<AddedPackages>> {
        let asked = &self.project.settings.packages;
        if asked.is_empty() {
            return Ok(None);
        }
        let add =
            || crate::commands::base::add_packages(reference, base, asked, &self.asked_base(), &self.tools());
        let added = self.timings.step("packages", &base.platform.to_string(), add)?;
        let named = |package: &ListedPackage| (package.name.clone(), package.version.clone());
        Ok(added.map(|added| AddedPackages {
            layer: added.layer,
            packages: added.list.packages().iter().map(named).collect(),
        }))
    }

    /// The Debian packages that have libraries.
    pub(super) fn packages_of(
        &self,
        codename: &str,
        sonames: &[&str],
        platform: Platform,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let options = crate::commands::base::options(platform, &self.asked_base())?;
        Ok(base::packages_of(
            codename,
            sonames,
            platform,
            &self.tools(),
            &options,
        )?)
    }
}
