//! Bases in commands: `pyoci base list`, and how every command loads the base that was asked for.

use std::fmt::Write as _;

use anyhow::Context as _;

use super::Error;
use crate::base::{self, LockedBase, LockedContent, LockedPackages, Recipe, recipe_names};
use crate::debian::{DEFAULT_MIRROR, Mirrors, PackageList, Reuse};
use crate::environment::Environment;
use crate::image::Base;
use crate::platform::Platform;
use crate::reference::ImageReference;
use crate::source::Keep;
use crate::tools::Tools;

/// zip knows no time before it, and wheels are zip files: 1980-01-01, in seconds since 1970.
const DEFAULT_MTIME: u64 = 315_532_800;

/// One line for each recipe: its reference, and what it has.
pub fn list() -> anyhow::Result<String> {
    let mut text = String::new();
    for name in recipe_names() {
        let recipe = Recipe::load(name)?;
        let _ = writeln!(text, "{:<24} {}", format!("recipe:{name}"), recipe.description);
    }
    Ok(text)
}

/// How a base is to be loaded.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The Debian mirror of recipes; Debian's own if `None`.
    pub mirror: Option<&'a str>,
    /// The service that keeps what mirrors no longer have; Debian's own if `None`.
    pub snapshot: Option<&'a str>,
    /// What the base was locked as.
    pub locked: Option<&'a LockedContent>,
    /// What the packages that are added to it were locked as.
    pub added: Option<&'a LockedPackages>,
    /// Whether everything comes from the cache.
    pub offline: bool,
    /// Whether what was resolved before is resolved again.
    pub upgrade: bool,
    /// The mtime of all files of a recipe's base, in seconds since 1970.
    pub mtime: u64,
    /// How many threads may work.
    pub threads: usize,
    /// What becomes of what is downloaded of a registry's image.
    pub keep: Keep,
}

/// Loads the base that a reference names.
pub fn load(
    reference: &ImageReference,
    platform: Platform,
    asked: &Asked,
    tools: &Tools,
) -> anyhow::Result<Base> {
    let options = options(platform, asked)?;
    if let Some(LockedContent::Recipe { recipe, .. }) = asked.locked
        && let ImageReference::Recipe(name) = reference
        && LockedBase::recipe_digest(name)? != *recipe
    {
        tools.progress.warn(format!(
            "{reference} is written otherwise than when it was locked: the base has other bytes than then"
        ));
    }
    Ok(base::load(reference, platform, tools, &options)?)
}

/// The Debian packages of a recipe for a platform, as they are now.
pub fn recipe_packages(
    recipe: &str,
    platform: Platform,
    asked: &Asked,
    tools: &Tools,
) -> anyhow::Result<PackageList> {
    let options = options(platform, asked)?;
    Ok(base::recipe_packages(recipe, platform, tools, &options)?)
}

/// How Debian packages are come by, and what becomes of downloads.
pub fn options(platform: Platform, asked: &Asked) -> anyhow::Result<base::Options> {
    let url = |text: &str, what: &str| {
        text.parse::<url::Url>()
            .with_context(|| format!("`{text}` is not the URL of {what}"))
    };
    let mirror = asked.mirror.unwrap_or(DEFAULT_MIRROR);
    let mut mirrors = Mirrors::new(&url(mirror, "a Debian mirror")?);
    if let Some(snapshot) = asked.snapshot {
        mirrors = mirrors.with_snapshot(&url(snapshot, "a Debian snapshot service")?);
    }
    let (mut packages, mut digest) = (None, None);
    match asked.locked {
        Some(LockedContent::Recipe { packages: locked, .. }) => {
            let list = locked.get(&platform).cloned();
            packages = Some(list.ok_or(Error::BaseNotLocked(platform))?);
        }
        Some(LockedContent::Image(locked)) => digest = Some(locked.clone()),
        None => {}
    }
    Ok(base::Options {
        mirrors,
        keyring: None,
        reuse: match (asked.offline, asked.upgrade) {
            (true, _) => Reuse::Always,
            (_, true) => Reuse::Never,
            _ => Reuse::Day,
        },
        packages,
        digest,
        mtime: asked.mtime,
        threads: asked.threads,
        keep: asked.keep,
    })
}

/// `SOURCE_DATE_EPOCH` (reproducible-builds.org), else 1980-01-01; in seconds since 1970.
pub fn source_date_epoch(environment: &Environment) -> Result<u64, Error> {
    const NAME: &str = "SOURCE_DATE_EPOCH";
    let Some(value) = environment.get(NAME) else {
        return Ok(DEFAULT_MTIME);
    };
    value.parse().map_err(|_| Error::SourceDateEpoch {
        name: NAME,
        value: value.to_owned(),
    })
}

/// The Debian packages that would be added to a base now.
pub fn added_packages(
    reference: &ImageReference,
    base: &Base,
    packages: &[String],
    asked: &Asked,
    tools: &Tools,
) -> anyhow::Result<PackageList> {
    let options = options_over(base.platform, asked)?;
    base::added_packages(reference, base, packages, tools, &options)
        .with_context(|| format!("cannot add {} to the base", packages.join(", ")))
}

/// The options for what is added to a base: its own list of packages is not one of what comes over it.
fn options_over(platform: Platform, asked: &Asked) -> anyhow::Result<base::Options> {
    let mut options = options(platform, asked)?;
    let locked = |added: &LockedPackages| added.packages.get(&platform).cloned();
    options.packages = asked
        .added
        .map(|added| locked(added).ok_or(Error::BaseNotLocked(platform)))
        .transpose()?;
    Ok(options)
}

/// Adds Debian packages to a base; `None` if it has them all.
pub fn add_packages(
    reference: &ImageReference,
    base: &Base,
    packages: &[String],
    asked: &Asked,
    tools: &Tools,
) -> anyhow::Result<Option<base::Added>> {
    let options = options_over(base.platform, asked)?;
    let added = base::add_packages(reference, base, packages, tools, &options)
        .with_context(|| format!("cannot add {} to the base", packages.join(", ")))?;
    let detail = match &added {
        Some(added) => {
            let size = added.layer.blob.descriptor.size;
            let names: Vec<_> = added
                .list
                .packages()
                .iter()
                .map(|package| package.name.as_str())
                .collect();
            format!("{}, {}", names.join(", "), indicatif::DecimalBytes(size))
        }
        None => format!("{}: the base has them", packages.join(", ")),
    };
    tools.progress.done("Packages", detail);
    Ok(added)
}
