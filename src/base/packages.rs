//! Debian packages that a project adds to its base: what they need beside what the base has, as one layer over it.

use serde_json::json;

use super::assemble::archives;
use super::inventory::{Inventory, inventory};
use super::ld_so_cache::extended_cache;
use super::recipe::{self, Recipe};
use super::{Error, Options, Tools};
use crate::debian::{Archives, Package, PackageList, Reuse, Unpacked, Wanted};
use crate::digest::Digest;
use crate::image::Base;
use crate::layer::{self, Layer};
use crate::paths::TreePath;
use crate::platform::Platform;
use crate::python::Libc;
use crate::reference::ImageReference;
use crate::tree::{Content, Entry, Tree};

/// Changes whenever the same packages would give another layer.
const FORMAT: u32 = 1;

/// Packages over a base.
#[derive(Clone, Debug)]
pub struct Added {
    /// The layer that holds them.
    pub layer: Layer,
    /// The packages, with version and hash of each.
    pub list: PackageList,
}

/// Adds packages to a base: those that are asked for and what they need, but for what the base has. `None` if it has all.
pub fn add_packages(
    reference: &ImageReference,
    base: &Base,
    asked: &[String],
    tools: &Tools,
    options: &Options,
) -> Result<Option<Added>, Error> {
    let inventory = inventory(&base.layers, &base.config, base.platform, tools.store)?;
    let recipe = recipe_for(reference, &inventory)?;
    let archives = archives(tools, options);
    let list = match &options.packages {
        Some(list) => list.clone(),
        None => resolve(
            &archives,
            &recipe,
            &inventory,
            asked,
            (base.platform, options.reuse),
        )?,
    };
    if list.packages().is_empty() {
        return Ok(None);
    }
    let below: Vec<_> = base.layers.iter().map(|layer| &layer.diff_id).collect();
    let inputs = json!({
        "what": "debian packages over a base", "format": [FORMAT, layer::FORMAT], "recipe": recipe.canonical(),
        "packages": list.digest(), "below": below, "platform": base.platform.to_string(), "mtime": options.mtime,
    });
    let key = Digest::of(inputs.to_string().as_bytes());
    let created_by = format!("pyoci packages {}", asked.join(" "));
    let timings = tools.progress.timings();
    let kept = tools.store.layer(&key, &created_by);
    let there = kept.is_some();
    let make = || {
        let leave = recipe.leave()?;
        let unpacked = archives.unpack(&list, &|path| leave.leaves(path))?;
        let tree = finished(unpacked, base, &inventory).map_err(Error::Packages)?;
        // Always gzip, as the base itself.
        let write = layer::Options {
            mtime: options.mtime,
            compression: layer::Compression::Gzip,
            threads: options.threads,
        };
        tools.store.make_layer(&key, &created_by, |out| {
            layer::write(&tree, &write, out).map_err(Error::from)
        })
    };
    let layer = timings.measure("layer", &asked.join(" "), |note| {
        let layer = kept.map_or_else(make, Ok)?;
        note.bytes(layer.blob.descriptor.size);
        note.cached(there);
        Ok::<_, Error>(layer)
    })?;
    Ok(Some(Added { layer, list }))
}

/// The packages that would be added to a base now: what a lock keeps.
pub fn added_packages(
    reference: &ImageReference,
    base: &Base,
    asked: &[String],
    tools: &Tools,
    options: &Options,
) -> Result<PackageList, Error> {
    let inventory = inventory(&base.layers, &base.config, base.platform, tools.store)?;
    let recipe = recipe_for(reference, &inventory)?;
    let archives = archives(tools, options);
    resolve(
        &archives,
        &recipe,
        &inventory,
        asked,
        (base.platform, options.reuse),
    )
}

/// The packages that are asked for with what they need, but for what the base has.
fn resolve(
    archives: &Archives,
    recipe: &Recipe,
    inventory: &Inventory,
    asked: &[String],
    (platform, reuse): (Platform, Reuse),
) -> Result<PackageList, Error> {
    let installed: Vec<Package> = inventory
        .packages
        .iter()
        .filter_map(|p| Package::installed(&p.name, &p.version, &p.provides))
        .collect();
    let wanted = Wanted {
        packages: asked.to_vec(),
        ..recipe.wanted.clone()
    };
    Ok(archives.resolve_over(&wanted, &installed, platform.architecture, reuse)?)
}

/// The Debian package that has each of these libraries, where one has.
pub fn packages_of(
    codename: &str,
    sonames: &[&str],
    platform: Platform,
    tools: &Tools,
    options: &Options,
) -> Result<std::collections::BTreeMap<String, String>, Error> {
    let recipe = recipe_of(codename)?;
    let archives = archives(tools, options);
    let mut found = std::collections::BTreeMap::new();
    if let (Some(suite), Some(component)) = (recipe.wanted.suites.first(), recipe.wanted.components.first()) {
        found = archives.packages_of(suite, component, platform.architecture, sonames)?;
    }
    Ok(found)
}

/// Where packages for a base come from: its own recipe, or the one of the same Debian release.
fn recipe_for(reference: &ImageReference, inventory: &Inventory) -> Result<Recipe, Error> {
    if let ImageReference::Recipe(name) = reference {
        return Ok(Recipe::load(name)?);
    }
    let codename = inventory
        .debian
        .as_deref()
        .filter(|_| !inventory.packages.is_empty())
        .ok_or_else(|| Error::NotDebian(reference.to_string()))?;
    recipe_of(codename)
}

fn recipe_of(codename: &str) -> Result<Recipe, Error> {
    let recipes = recipe::names().into_iter().map(Recipe::load);
    for recipe in recipes {
        let recipe = recipe?;
        if recipe
            .wanted
            .suites
            .first()
            .is_some_and(|suite| suite.name == codename)
        {
            return Ok(recipe);
        }
    }
    Err(Error::UnknownDebian(codename.to_owned()))
}

/// The files of packages, and what a plain unpack lacks: what scanners read, and the loader's cache.
fn finished(
    unpacked: Unpacked,
    base: &Base,
    inventory: &Inventory,
) -> Result<Tree, Box<dyn std::error::Error + Send + Sync>> {
    let mut tree = unpacked.tree;
    for (package, stanza) in &unpacked.control {
        let path = TreePath::new(&format!("var/lib/dpkg/status.d/{package}"))?;
        tree.insert(path, Entry::file(Content::bytes(stanza.as_bytes()), false))?;
    }
    if matches!(base.target.libc, Libc::Glibc { .. }) {
        let cache = extended_cache(&tree, &inventory.provided, base.platform.architecture)?;
        let path = TreePath::new("etc/ld.so.cache")?;
        tree.remove(&path);
        tree.insert(path, Entry::file(Content::bytes(cache), false))?;
    }
    Ok(tree)
}
