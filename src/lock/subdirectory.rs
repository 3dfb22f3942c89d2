//! A project in a subdirectory of a source archive: that subdirectory alone, as an archive of its own.

use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use super::Said;

/// No archive of sources unpacks to more.
const LARGEST: u64 = 4 << 30;

/// Writes an archive of what a `.tar.gz` has in a subdirectory of its one top directory. No name of it reaches the file
/// system here: whoever unpacks the new archive checks them.
///
/// > `packages.archive.subdirectory`: The subdirectory within the source tree where the project root is.
pub fn repack(archive: &Path, subdirectory: &str, to: &Path) -> Result<(), Said> {
    let said = |error: io::Error| Said(error.to_string());
    let file = fs_err::File::open(archive).map_err(said)?;
    let unpacked = flate2::read::MultiGzDecoder::new(io::BufReader::new(file)).take(LARGEST);
    let mut from = tar::Archive::new(unpacked);
    let out = fs_err::File::create(to).map_err(said)?;
    let gzip = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
    let mut builder = tar::Builder::new(gzip);
    let mut found = false;
    for entry in from.entries().map_err(said)? {
        let mut entry = entry.map_err(said)?;
        let path = entry.path().map_err(said)?.into_owned();
        let Some(inside) = below(&path, subdirectory) else {
            continue;
        };
        let mut header = entry.header().clone();
        let kind = header.entry_type();
        let name = Path::new("project").join(inside);
        match entry.link_name().map_err(said)?.map(std::borrow::Cow::into_owned) {
            Some(target) if kind.is_symlink() => builder.append_link(&mut header, &name, target),
            // The other name of the file is in the part that is left behind, or its bytes are gone by.
            Some(_) => return Err(Said(format!("{} is a hard link", path.display()))),
            None if kind.is_file() || kind.is_dir() => {
                found |= kind.is_file();
                builder.append_data(&mut header, &name, &mut entry)
            }
            None => continue,
        }
        .map_err(said)?;
    }
    if !found {
        return Err(Said(format!("it has no directory {subdirectory}")));
    }
    let gzip = builder.into_inner().map_err(said)?;
    gzip.finish().map_err(said)?;
    Ok(())
}

/// The path below a subdirectory of the top directory; `None` for what is elsewhere.
fn below(path: &Path, subdirectory: &str) -> Option<PathBuf> {
    let normal = |path: &Path| -> Vec<_> {
        let named = path.components().filter(|c| !matches!(c, Component::CurDir));
        named.map(|c| c.as_os_str().to_owned()).collect()
    };
    let path = normal(path);
    let inside = path
        .get(1..)?
        .strip_prefix(&normal(Path::new(subdirectory))[..])?;
    Some(inside.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_subdirectory_is_in_the_new_archive() {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (
            directory.path().join("old.tar.gz"),
            directory.path().join("new.tar.gz"),
        );
        let gzip =
            flate2::write::GzEncoder::new(fs_err::File::create(&old).unwrap(), flate2::Compression::fast());
        let mut builder = tar::Builder::new(gzip);
        for name in [
            "top-1/a.txt",
            "./top-1/libs/one/pyproject.toml",
            "top-1/libs/one/src/x.py",
            "top-1/libs/one2/y",
        ] {
            let mut header = tar::Header::new_ustar();
            header.set_size(1);
            header.set_mode(0o755);
            builder.append_data(&mut header, name, &b"x"[..]).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
        repack(&old, "libs/./one/", &new).unwrap();
        let file = fs_err::File::open(&new).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            (name, entry.header().mode().unwrap())
        });
        let expected = ["project/pyproject.toml", "project/src/x.py"].map(|name| (name.to_owned(), 0o755));
        assert_eq!(entries.collect::<Vec<_>>(), expected);
        let missing = repack(&old, "libs/none", &new).unwrap_err();
        assert_eq!(missing.0, "it has no directory libs/none");
        fs_err::write(&old, "PK").unwrap();
        assert!(repack(&old, "libs", &new).is_err());
    }
}
