//! What a layout needs no more: leftovers of killed builds, and blobs that nothing refers to.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};

use super::super::Error;
use super::super::file::TEMPORARY;
use super::hold::Held;
use super::{blob_path, read_index};
use crate::digest::Digest;
use crate::image::DOCUMENT_LIMIT;
use crate::image::media_type::{is_index, is_manifest};

pub(super) fn remove_leftovers(layout: &Path) -> io::Result<()> {
    let mut directories = vec![layout.to_owned()];
    match crate::files::read_dir(layout.join("blobs")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        entries => {
            for entry in entries? {
                directories.push(entry?.path());
            }
        }
    }
    for directory in directories.iter().filter(|d| d.is_dir()) {
        for entry in crate::files::read_dir(directory)? {
            let entry = entry?;
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(TEMPORARY.as_bytes())
            {
                fs_err::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// Removes what was made for a layout that was not there before and did not come to be.
pub(super) fn remove_unwritten(held: &Held) -> io::Result<()> {
    let directory = held.directory;
    if !held.is_new || directory.join("index.json").exists() {
        return Ok(());
    }
    if directory.join("blobs").exists() {
        fs_err::remove_dir_all(directory.join("blobs"))?;
    }
    if directory.join("oci-layout").exists() {
        fs_err::remove_file(directory.join("oci-layout"))?;
    }
    // Those that others use by now are not empty.
    held.made.iter().try_for_each(fs_err::remove_dir)
}

/// Deletes blobs that nothing refers to. Where a document cannot be followed, nothing is deleted.
pub(super) fn remove_unreferenced(layout: &Path) -> Result<(), Error> {
    let Some(index) = read_index(layout)? else {
        return Ok(());
    };
    let mut kept = BTreeSet::new();
    if !index.manifests().iter().all(|d| follow(layout, d, &mut kept, 0)) {
        return Ok(());
    }
    let fault = |source| Error::Write {
        path: layout.to_owned(),
        source,
    };
    for algorithm in crate::files::read_dir(layout.join("blobs")).map_err(fault)? {
        let algorithm = algorithm.map_err(fault)?;
        for entry in crate::files::read_dir(algorithm.path()).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let name = format!(
                "{}:{}",
                algorithm.file_name().display(),
                entry.file_name().display()
            );
            if name.parse::<Digest>().is_ok() && !kept.contains(&name) {
                fs_err::remove_file(entry.path()).map_err(fault)?;
            }
        }
    }
    Ok(())
}

/// Collects what a descriptor leads to; false if some document cannot be read or is of an unknown type.
fn follow(layout: &Path, descriptor: &Descriptor, kept: &mut BTreeSet<String>, depth: usize) -> bool {
    let digest = descriptor.digest().to_string();
    let Ok(parsed) = digest.parse::<Digest>() else {
        return false;
    };
    if !kept.insert(digest) {
        return true;
    }
    if depth > 4 || descriptor.size() > DOCUMENT_LIMIT {
        return false;
    }
    let Ok(bytes) = fs_err::read(blob_path(layout, &parsed)) else {
        return false;
    };
    match descriptor.media_type().to_string() {
        index if is_index(&index) => ImageIndex::from_reader(&bytes[..]).is_ok_and(|index| {
            index
                .manifests()
                .iter()
                .all(|d| follow(layout, d, kept, depth + 1))
        }),
        manifest if is_manifest(&manifest) => ImageManifest::from_reader(&bytes[..]).is_ok_and(|manifest| {
            kept.insert(manifest.config().digest().to_string());
            kept.extend(manifest.layers().iter().map(|d| d.digest().to_string()));
            true
        }),
        _ => false,
    }
}
