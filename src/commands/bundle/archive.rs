//! A bundle as a tar archive: written like a layer, so that the same bundle has the same bytes.

use std::io::{self, Write};
use std::path::Path;

use super::Error;
use crate::digest::Digest;
use crate::layer::{self, Options};
use crate::secrets::Secrets;
use crate::tree::Tree;

/// Writes the archive beside its place and renames it: the old one or the new one, at every instant. Gives its digest and
/// its size.
pub(super) fn write(
    tree: &Tree,
    output: &Path,
    options: &Options,
    secrets: &Secrets,
) -> Result<(Digest, u64), Error> {
    let fault = |source: io::Error| Error::Write {
        path: output.to_owned(),
        source,
    };
    if output.is_dir() {
        return Err(Error::NotBundle {
            path: output.to_owned(),
            reason: "it is a directory".to_owned(),
        });
    }
    let parent = super::directory::parent(output);
    fs_err::create_dir_all(parent).map_err(fault)?;
    let mut written = None;
    crate::sink::file::write_file(output, |out| {
        let mut out = io::BufWriter::with_capacity(1 << 20, out);
        written = Some(layer::write_watched(tree, options, secrets.watch(), &mut out));
        match &written {
            Some(Ok(_)) => out.flush(),
            _ => Err(io::Error::other("the archive is not complete")),
        }
    })
    .or_else(|source| match written {
        // The archive's own fault says more.
        Some(Err(_)) => Ok(()),
        _ => Err(fault(source)),
    })?;
    match written {
        Some(Ok(written)) => Ok((written.digest, written.size)),
        Some(Err(source)) => Err(Error::Layer {
            path: output.to_owned(),
            source,
        }),
        None => Err(fault(io::Error::other("nothing was written"))),
    }
}
