//! Where a build's image goes, and what of its base goes with it.

use std::collections::BTreeSet;

use super::{Build, Order};
use crate::commands::Error;
use crate::commands::destination::{Destination, Naming};
use crate::commands::report::PlatformReport;
use crate::environment::Environment;
use crate::image::{Base, BaseOrigin, LayerKind};
use crate::layer::Layer;
use crate::project::Project;
use crate::project::settings::{BaseBlobs, Settings};
use crate::sink::layout::LeftOut;
use crate::source::Keep;

/// Where the image goes: at least one place, each looked at before the work begins.
pub(super) fn destinations(
    order: &Order,
    project: &Project,
    environment: &Environment,
) -> anyhow::Result<Vec<Destination>> {
    let settings = &project.settings;
    let naming = Naming {
        name: project.name.clone(),
        tags: settings.tags.clone(),
    };
    let mut destinations = Vec::new();
    for text in &settings.outputs {
        destinations.push(Destination::output(text, &naming, environment)?);
    }
    for text in &settings.push {
        destinations.push(Destination::push(text, &naming)?);
    }
    if let Some(name) = &order.load {
        destinations.push(Destination::load(
            Some(&**name).filter(|name| !name.is_empty()),
            &naming,
            environment,
        )?);
    }
    if destinations.is_empty() {
        return Err(Error::NoOutput.into());
    }
    destinations.iter().try_for_each(Destination::check)?;
    Ok(destinations)
}

/// The base's layers are kept if they are written somewhere on this machine.
pub(super) fn keep(destinations: &[Destination], settings: &Settings) -> Keep {
    let shallow = settings.base_blobs == Some(BaseBlobs::Reference);
    let elsewhere = |d: &Destination| d.is_registry() || (shallow && d.is_layout());
    if destinations.iter().all(elsewhere) {
        Keep::Documents
    } else {
        Keep::InStore
    }
}

impl Build<'_> {
    /// Whether layouts leave the base's layers out: then they must be in a registry.
    pub(super) fn check_left_out(&self, base: &Base) -> Result<(), Error> {
        let in_registry = |layer: &Layer| layer.blob.content.repository().is_some();
        // Layers of recipes may be in a shared cache, which is no place to leave them.
        let recipe = matches!(base.origin, BaseOrigin::Recipe { .. });
        if self.is_shallow() && (recipe || !base.layers.iter().all(in_registry)) {
            return Err(Error::BaseNotInRegistry);
        }
        Ok(())
    }

    fn is_shallow(&self) -> bool {
        self.project.settings.base_blobs == Some(BaseBlobs::Reference)
    }

    /// The base's layers, where layouts leave them out.
    pub(super) fn left_out(&self, platforms: &[PlatformReport]) -> Option<LeftOut> {
        if !self.is_shallow() {
            return None;
        }
        let layers = platforms.iter().flat_map(|platform| &platform.layers);
        let layers: Vec<_> = layers
            .filter(|(kind, _)| *kind == LayerKind::Base)
            .map(|(_, layer)| layer)
            .collect();
        let repository = layers.iter().find_map(|layer| layer.blob.content.repository())?;
        let blobs: BTreeSet<_> = layers
            .iter()
            .map(|layer| layer.blob.descriptor.digest.clone())
            .collect();
        let count = blobs.len();
        let detail = format!("{count} layers of the base: they are in {repository}");
        self.progress.choice("Left out", detail);
        Some(LeftOut {
            blobs,
            repository: repository.clone(),
        })
    }
}
