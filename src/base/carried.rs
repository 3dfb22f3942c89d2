//! Bases that are images: from a layout, an archive or a registry.

use serde::{Deserialize, Serialize};

use super::{Error, Options, Tools, target};
use crate::debian::Reuse;
use crate::digest::Digest;
use crate::image::{Base, BaseOrigin};
use crate::platform::Platform;
use crate::reference::{ImageReference, RegistryReference};
use crate::{registry, source};

/// How long a tag is taken to stand for the same image, in seconds.
const TAG_AGE: u64 = 24 * 60 * 60;

/// What a tag stood for, and when (seconds since 1970).
#[derive(Serialize, Deserialize)]
struct Seen {
    at: u64,
    digest: Digest,
}

/// Takes the image for a platform as a base. Its layers stay where they are, and are verified whenever they are read.
pub fn load(
    reference: &ImageReference,
    platform: Platform,
    tools: &Tools,
    options: &Options,
) -> Result<Base, Error> {
    let asked = match reference {
        ImageReference::Registry(name) => ImageReference::Registry(match &options.digest {
            Some(digest) => RegistryReference {
                digest: Some(digest.clone()),
                ..name.clone()
            },
            None => pinned(name, tools, options.reuse)?,
        }),
        _ => reference.clone(),
    };
    let image = tools
        .progress
        .timings()
        .step("manifest", &asked.to_string(), || {
            let source = source::open(&asked, tools.store, tools.registries, options.keep)?;
            source::image(source.as_ref(), platform)
        })?;
    if let Some(locked) = options.digest.as_ref().filter(|digest| **digest != image.root) {
        return Err(Error::NotLocked {
            reference: reference.to_string(),
            locked: locked.clone(),
            actual: image.root,
        });
    }
    let findings = target::findings(&image.layers, &image.config, platform, tools)?;
    Ok(Base {
        layers: image.layers,
        config: image.config,
        platform,
        origin: origin(reference, image.root),
        target: findings.target,
        directory_links: findings.directory_links,
        users: findings.users,
        has_shell: findings.has_shell,
    })
}

/// A tag as the digest that it stands for: all platforms of a build, and all builds of a day, get the same base.
fn pinned(reference: &RegistryReference, tools: &Tools, reuse: Reuse) -> Result<RegistryReference, Error> {
    if reference.digest.is_some() {
        return Ok(reference.clone());
    }
    let question = serde_json::json!({ "what": "tag", "reference": reference.qualified() });
    let key = Digest::of(question.to_string().as_bytes());
    let now = tools.environment.now_seconds();
    let seen = tools.store.memo(&key);
    let seen = seen.and_then(|note| serde_json::from_slice::<Seen>(&note).ok());
    let seen = seen.filter(|seen| match reuse {
        Reuse::Always => true,
        Reuse::Day => seen.at <= now && now - seen.at < TAG_AGE,
        // What was seen by this very command: its other platforms.
        Reuse::Never => seen.at == now,
    });
    let digest = if let Some(seen) = seen {
        seen.digest
    } else {
        let digest = asked_now(reference, tools)?;
        let note = Seen {
            at: now,
            digest: digest.clone(),
        };
        let note = serde_json::to_vec(&note).unwrap_or_default();
        tools.store.remember(&key, &note)?;
        digest
    };
    Ok(RegistryReference {
        digest: Some(digest),
        ..reference.clone()
    })
}

fn asked_now(reference: &RegistryReference, tools: &Tools) -> Result<Digest, Error> {
    let tag = reference.tag.as_deref().unwrap_or("latest");
    let found = tools.registries.tag_digest(&reference.repository, tag);
    let missing = || registry::Error::NotFound {
        reference: reference.qualified(),
        words: String::new(),
    };
    let digest = found.and_then(|digest| digest.ok_or_else(missing));
    Ok(digest.map_err(source::Error::from)?)
}

fn origin(reference: &ImageReference, digest: Digest) -> BaseOrigin {
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
