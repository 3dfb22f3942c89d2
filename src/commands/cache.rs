//! `pyoci cache`: where the cache is, and how it gets smaller.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Error;
use crate::environment::Environment;
use crate::progress::Progress;
use crate::store::{Store, Verified};

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
pub fn prune(root: &Path, cutoff: SystemTime, progress: &Progress) -> anyhow::Result<String> {
    let (files, bytes) = Store::prune(root, cutoff, progress)?;
    Ok(format!(
        "removed {files} files, {}\n",
        indicatif::DecimalBytes(bytes)
    ))
}

/// Reads every entry; damaged ones are removed, unless they are to be kept. What is printed, and an error if any was
/// damaged.
pub fn verify(
    root: &Path,
    threads: usize,
    keep: bool,
    progress: &Progress,
) -> anyhow::Result<(String, Result<(), Error>)> {
    // A cache that is not there has nothing that could be damaged, and is not made for this.
    let verified = if root.exists() {
        Store::open_telling(root, progress)?.verify(threads, !keep)?
    } else {
        Verified::default()
    };
    let mut text = String::new();
    for damaged in &verified.damaged {
        let _ = writeln!(text, "{}: {}", damaged.path.display(), damaged.problem);
    }
    let (entries, count) = (verified.entries, verified.damaged.len());
    let _ = writeln!(
        text,
        "read {entries} entries, {}: {count} damaged",
        indicatif::DecimalBytes(verified.bytes)
    );
    let result = match count {
        0 => Ok(()),
        count => Err(Error::DamagedCache { count, kept: keep }),
    };
    Ok((text, result))
}

/// Does something, and once more if it fails and what it took from the cache turns out to be damaged: that is removed then,
/// and made or fetched anew.
pub(super) fn mending<T>(
    store: &Store,
    progress: &Progress,
    work: impl Fn() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let result = work();
    if result.is_ok() {
        return result;
    }
    let damaged = store.mend();
    if damaged.is_empty() {
        return result;
    }
    for damaged in damaged {
        progress.warn(format!(
            "the cache had a damaged entry, which was removed: {}: {}",
            damaged.path.display(),
            damaged.problem
        ));
    }
    work()
}
