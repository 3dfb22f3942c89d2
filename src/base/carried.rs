//! Bases that are images: from a layout, an archive or a registry.

use super::{Error, Tools, target};
use crate::image::{Base, BaseOrigin};
use crate::platform::Platform;
use crate::reference::ImageReference;
use crate::source::{self, Source};

/// Takes the image for a platform as a base. Its layers stay where they are, and are verified whenever they are read.
pub fn load(
    reference: &ImageReference,
    source: &dyn Source,
    platform: Platform,
    tools: &Tools,
) -> Result<Base, Error> {
    let image = source::image(source, platform)?;
    let findings = target::findings(&image.layers, &image.config, platform, tools.store)?;
    Ok(Base {
        layers: image.layers,
        config: image.config,
        platform,
        origin: origin(reference, image.root),
        target: findings.target,
        directory_links: findings.directory_links,
        users: findings.users,
    })
}

fn origin(reference: &ImageReference, digest: crate::digest::Digest) -> BaseOrigin {
    match reference {
        ImageReference::Registry(name) => BaseOrigin::Registry {
            name: name.qualified(),
            digest,
        },
        _ => BaseOrigin::Local {
            reference: reference.to_string(),
            digest,
        },
    }
}
