//! The gate: no credential that the build held is in anything that it makes.

use std::io::Read as _;

use super::Build;
use crate::commands::destination::Destination;
use crate::http::Access;
use crate::image::{DOCUMENT_LIMIT, Index};
use crate::interrupted::uninterrupted;
use crate::layer::{self, Layer};
use crate::lock;
use crate::secrets::Secrets;

impl Build<'_> {
    /// How package indexes are reached, and a warning where that is not safe.
    pub(super) fn access(&self) -> anyhow::Result<Access> {
        let access = lock::access(&self.lock_request(), self.environment)?;
        for host in &access.trusted_hosts {
            let warning = format!("{host} is trusted as it was asked for: its certificate is not looked at");
            self.progress.warn(warning);
        }
        Ok(access)
    }

    /// Holds the credentials of the registries that the image goes to: they are used when all is made, and must not be in
    /// what was made before.
    pub(super) fn hold_destinations(&self, destinations: &[Destination]) -> anyhow::Result<()> {
        let settings = &self.project.settings;
        let places = destinations.iter().filter_map(Destination::registry_reference);
        for place in places.chain(&settings.cache_to) {
            self.registries.hold_credentials(&place.repository)?;
        }
        Ok(())
    }

    /// Scans a layer of an earlier build, which may have held other credentials. One that is not on this machine was
    /// scanned by the build that published it.
    pub(super) fn check_kept(&self, layer: &Layer) -> anyhow::Result<()> {
        let content = &layer.blob.content;
        let Some(mut watch) = self
            .environment
            .secrets
            .watch()
            .filter(|_| content.path().is_some())
        else {
            return Ok(());
        };
        let mut tar = layer::decompress(content.open()?)?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let n = uninterrupted(|| tar.read(&mut buffer))?;
            if n == 0 {
                return Ok(());
            }
            if let Some(hit) = watch.push(&buffer[..n]) {
                let place = format!("the layer `{}`, made by an earlier build,", layer.created_by);
                return Err(hit.leak(&place).into());
            }
        }
    }
}

/// Scans the manifests and configs that were made, and the index.
pub(super) fn check_documents(index: &Index, secrets: &Secrets) -> anyhow::Result<()> {
    if secrets.is_empty() {
        return Ok(());
    }
    let named = index.images.iter().flat_map(|image| {
        let platform = image.platform.to_string();
        [
            ("the config", &image.config, platform.clone()),
            ("the manifest", &image.manifest, platform),
        ]
    });
    for (kind, blob, platform) in named {
        let bytes = blob.read_verified(DOCUMENT_LIMIT)?;
        secrets.check(&format!("{kind} for {platform}"), &bytes)?;
    }
    if let Some(blob) = &index.index {
        secrets.check("the index", &blob.read_verified(DOCUMENT_LIMIT)?)?;
    }
    Ok(())
}
