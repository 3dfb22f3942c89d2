//! Where the files of a wheel go: `pip install --target` uses the `posix_home` scheme, then moves its parts together.

use super::{Error, Wheel};
use crate::paths::{PathError, TreePath};

/// Where a file goes, relative to the prefix.
pub struct Place {
    pub path: TreePath,
    /// Whether it comes from `.data/scripts`.
    pub is_script: bool,
}

/// The place of a file of the archive.
///
/// > Each subdirectory of distribution-1.0.data/ is a key into a dict of destination directories [...] `purelib`,
/// > `platlib`, `headers`, `scripts`, `data`.
pub fn place(wheel: &Wheel, path: &TreePath) -> Result<Place, Error> {
    let mut parts = path.as_str().splitn(3, '/');
    let top = parts.next().unwrap_or_default();
    if top.strip_suffix(".data").is_none() || !path.as_str().contains('/') {
        return Ok(Place {
            path: path.clone(),
            is_script: false,
        });
    }
    let (Some(key), Some(rest)) = (parts.next(), parts.next()) else {
        return Err(nowhere(wheel, path));
    };
    let placed = match key {
        "purelib" | "platlib" | "data" => TreePath::new(rest),
        "scripts" => TreePath::new(&format!("bin/{rest}")),
        "headers" => headers(wheel, rest),
        _ => return Err(nowhere(wheel, path)),
    };
    let path = placed.map_err(|source| Error::Path {
        wheel: wheel.filename().to_string(),
        source,
    })?;
    Ok(Place {
        path,
        is_script: key == "scripts",
    })
}

/// `include/python/{name}`, with the name as pip takes it from a wheel's file name.
fn headers(wheel: &Wheel, rest: &str) -> Result<TreePath, PathError> {
    let name = wheel.filename().distribution().replace('_', "-");
    TreePath::new(&format!("include/python/{name}/{rest}"))
}

fn nowhere(wheel: &Wheel, path: &TreePath) -> Error {
    Error::Scheme {
        wheel: wheel.filename().to_string(),
        path: path.clone(),
    }
}
