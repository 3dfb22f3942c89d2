//! `oci-archive:FILE`: an OCI image layout in a tar file (image-spec image-layout.md).

use std::collections::BTreeMap;
use std::path::Path;

use super::layout::{LAYOUT_FILE, index_of};
use super::{ArchiveKind, Error, archive};
use crate::image::{Closure, canonical_json};

/// Fails if something is there that is no archive of a layout: a cheap look before the work begins.
pub fn check(file: &Path) -> Result<(), Error> {
    archive::check(file, ArchiveKind::Oci)
}

/// Writes an image under its tags; without tags it has no name. Replaces the archive that was there, whole.
pub fn write(image: &Closure, file: &Path, tags: &[String]) -> Result<(), Error> {
    check(file)?;
    let index = index_of(Vec::new(), image, tags, &BTreeMap::new());
    let documents = [
        ("oci-layout", LAYOUT_FILE.to_vec()),
        ("index.json", canonical_json(&index)?),
    ];
    archive::write(file, &documents, image.all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::image::testing::tiny_image;
    use crate::reference::LayoutReference;
    use crate::source::{OciArchiveSource, closure};
    use crate::store::Store;

    fn tiny(text: &str) -> Closure {
        Closure::try_from(&tiny_image(text)).unwrap()
    }

    #[test]
    fn what_was_written_is_read_byte_by_byte_and_always_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("cache")).unwrap();
        let file = directory.path().join("new/image.tar");
        let tags = ["1".to_owned(), "latest".to_owned()];
        write(&tiny("x"), &file, &tags).unwrap();
        let first = fs_err::read(&file).unwrap();
        let reference = LayoutReference {
            path: file.clone(),
            tag: Some("latest".to_owned()),
        };
        let read = closure(&OciArchiveSource::open(&reference, &store).unwrap()).unwrap();
        assert_eq!(read.digest(), tiny("x").digest());
        write(&read, &file, &tags).unwrap();
        assert_eq!(fs_err::read(&file).unwrap(), first);
    }

    #[test]
    fn what_is_no_archive_of_a_layout_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let text = directory.path().join("thesis.txt");
        fs_err::write(&text, "mine").unwrap();
        let docker = directory.path().join("docker.tar");
        super::super::docker_archive::write(&tiny("x"), &docker, &[]).unwrap();
        for file in [text.as_path(), &docker, directory.path()] {
            assert!(matches!(
                write(&tiny("x"), file, &[]),
                Err(Error::NotArchive { .. })
            ));
        }
        assert_eq!(fs_err::read(text).unwrap(), b"mine");
    }

    #[test]
    fn a_blob_that_cannot_be_verified_leaves_the_earlier_archive_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("image.tar");
        write(&tiny("good"), &file, &[]).unwrap();
        let before = fs_err::read(&file).unwrap();
        let mut bad = tiny("bad");
        bad.blobs[0].descriptor.digest = Digest::of(b"something else");
        assert!(matches!(write(&bad, &file, &[]), Err(Error::Blob { .. })));
        assert_eq!(fs_err::read(&file).unwrap(), before);
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
    }
}
