//! `pyoci cache`: where the cache is, and how it gets smaller.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Error;
use crate::environment::Environment;
use crate::store::Store;

/// The cache's directory: `$PYOCI_CACHE_DIR`, else `pyoci` in `$XDG_CACHE_HOME`, else `~/.cache/pyoci`.
pub fn directory(environment: &Environment) -> Result<PathBuf, Error> {
    match environment.get("PYOCI_CACHE_DIR") {
        Some(directory) => Ok(environment.working_directory.join(directory)),
        None => environment
            .cache_home()
            .map(|home| home.join("pyoci"))
            .ok_or(Error::NoCache),
    }
}

/// Removes what was last used before `cutoff`; says how much that was.
pub fn prune(root: &Path, cutoff: SystemTime) -> anyhow::Result<String> {
    let (files, bytes) = Store::prune(root, cutoff)?;
    Ok(format!(
        "removed {files} files, {}\n",
        indicatif::DecimalBytes(bytes)
    ))
}
