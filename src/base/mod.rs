//! Bases: from a reference to the layers, the config and the Target that an image is built on.

mod assemble;
mod carried;
mod choose;
mod error;
pub mod files;
mod finish;
mod inventory;
mod laying;
mod ld_so_cache;
mod locked;
mod packages;
mod recipe;
mod target;

use crate::debian::{Keyring, Mirrors, PackageList, Reuse};
use crate::digest::Digest;
use crate::image::Base;
use crate::platform::Platform;
use crate::reference::ImageReference;
use crate::source::Keep;
use crate::tools::Tools;

pub use choose::{Candidate, Wish, candidates, default_for, python_for};
pub use error::Error;
pub use inventory::{InstalledPackage, Inventory, inventory};
pub use locked::{LockedBase, LockedBaseError, LockedContent, LockedPackages};
pub use packages::{Added, add_packages, added_packages, packages_of};
pub use recipe::{Recipe, names as recipe_names};
pub use target::TargetError;

/// How a base is made or chosen, beside its reference.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where Debian packages come from.
    pub mirrors: Mirrors,
    /// Who may sign them; Debian's own keys if `None`.
    pub keyring: Option<Keyring>,
    /// When a package list that was resolved before is taken again.
    pub reuse: Reuse,
    /// The packages to take instead of resolving: a locked base.
    pub packages: Option<PackageList>,
    /// The digest of the manifest or index to take, whatever a name stands for now: a locked base.
    pub digest: Option<Digest>,
    /// The mtime of all files and the time of creation of a recipe's base, in seconds since 1970.
    pub mtime: u64,
    /// How many threads may compress.
    pub threads: usize,
    /// What becomes of what is downloaded of a registry's image.
    pub keep: Keep,
}

/// The Debian packages that a recipe is made of now, for a platform: what a lock keeps.
pub fn recipe_packages(
    recipe: &str,
    platform: Platform,
    tools: &Tools,
    options: &Options,
) -> Result<PackageList, Error> {
    assemble::packages(&Recipe::load(recipe)?, platform, tools, options)
}

/// Loads the base that a reference names, for a platform.
pub fn load(
    reference: &ImageReference,
    platform: Platform,
    tools: &Tools,
    options: &Options,
) -> Result<Base, Error> {
    match reference {
        ImageReference::Recipe(name) => assemble::assemble(&Recipe::load(name)?, platform, tools, options),
        _ => carried::load(reference, platform, tools, options),
    }
}
