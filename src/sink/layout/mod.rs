//! OCI image layouts (image-spec image-layout.md): the old layout or the new one, at every instant.
//!
//! Blobs are written under temporary names, synced, renamed by digest; `index.json` is renamed last; then blobs that
//! nothing refers to are deleted. A lock on the directory keeps two writers apart.

mod blobs;
mod clean;
mod hold;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, ImageIndex, MediaType, SCHEMA_VERSION};
use tempfile::NamedTempFile;

use super::Error;
use super::file::{TEMPORARY, prepare, put};
use crate::blob::Blob;
use crate::digest::Digest;
use crate::files::sync_directory;
use crate::image::{Closure, DOCUMENT_LIMIT, canonical_json};
use crate::progress::Progress;
use crate::reference::Repository;
use crate::source::BASE_REPOSITORY;
use blobs::{replace, write_blobs};
use clean::{remove_leftovers, remove_unreferenced, remove_unwritten};
use hold::Held;

/// Room for an index of some images, in bytes: it is read at once.
const USUAL_INDEX: usize = 4096;

pub(super) const LAYOUT_FILE: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// What becomes of images that the layout already has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The layout has only the new image afterwards.
    Replace,
    /// Other tags stay; tags of the same name are replaced.
    Add,
}

/// How an image is written into a layout.
#[derive(Clone, Debug)]
pub struct Options {
    /// What becomes of other images.
    pub mode: Mode,
    /// Blobs that stay where they are.
    pub left_out: Option<LeftOut>,
    /// Who is told if another pyoci must be waited for.
    pub progress: Progress,
}

impl From<Mode> for Options {
    /// With all blobs.
    fn from(mode: Mode) -> Self {
        Self {
            mode,
            left_out: None,
            progress: Progress::silent(),
        }
    }
}

/// Blobs that a layout lacks (image-spec image-layout.md allows it) because a registry has them: those of the base.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// The blobs.
    pub blobs: BTreeSet<Digest>,
    /// Where they are; [`BASE_REPOSITORY`] tells it.
    pub repository: Repository,
}

impl LeftOut {
    fn annotations(&self) -> BTreeMap<String, String> {
        [(BASE_REPOSITORY.to_owned(), self.repository.to_string())].into()
    }
}

/// Fails if a directory cannot become or is not an image layout: a cheap look before the work begins.
pub fn check(directory: &Path) -> Result<(), Error> {
    match fs_err::metadata(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Write {
            path: directory.to_owned(),
            source,
        }),
        Ok(metadata) if !metadata.is_dir() => Err(Error::NotDirectory(directory.to_owned())),
        Ok(_) => {
            let fault = |source| Error::Write {
                path: directory.to_owned(),
                source,
            };
            let mut is_empty = true;
            for entry in crate::files::read_dir(directory).map_err(fault)? {
                let name = entry.map_err(fault)?.file_name();
                // A mount point of its own has lost+found.
                let ours = name == "lost+found" || name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes());
                is_empty &= ours;
            }
            // Looked for last: another pyoci, which begins with it, may be at work.
            if is_empty || directory.join("oci-layout").is_file() {
                return Ok(());
            }
            Err(Error::NotLayout(directory.to_owned()))
        }
    }
}

/// Writes an image under its tags, and gives the bytes of the blobs that were not there yet. With no tags the entry has
/// no name. A failure leaves what was there before.
pub fn write(image: &Closure, directory: &Path, tags: &[String], options: &Options) -> Result<u64, Error> {
    check(directory)?;
    let held = Held::take(directory, &options.progress).map_err(|source| Error::Write {
        path: directory.to_owned(),
        source,
    })?;
    let result = write_held(image, &held, tags, options);
    if result.is_err() {
        // The first error is the one to report; what cannot be cleaned now is cleaned by the next build.
        let _ = remove_leftovers(directory);
        let _ = remove_unreferenced(directory);
        let _ = remove_unwritten(&held);
    }
    result
}

fn write_held(image: &Closure, held: &Held, tags: &[String], options: &Options) -> Result<u64, Error> {
    let directory = held.directory;
    let fault = |source| Error::Write {
        path: directory.to_owned(),
        source,
    };
    remove_leftovers(directory).map_err(fault)?;
    // First, so that a directory in which a first build was killed is known as ours.
    let layout = directory.join("oci-layout");
    if fs_err::read(&layout).ok().as_deref() != Some(LAYOUT_FILE) {
        replace(&layout, LAYOUT_FILE)?;
    }
    let old = read_index(directory)?;
    let new = canonical_json(&merged(old.as_ref(), image, tags, options))?;
    let left_out = |blob: &&Blob| {
        let left_out = options.left_out.as_ref();
        left_out.is_some_and(|left_out| left_out.blobs.contains(&blob.descriptor.digest))
    };
    let blobs: Vec<&Blob> = image.all().filter(|blob| !left_out(blob)).collect();
    let index = directory.join("index.json");
    let is_new = fs_err::read(&index).ok().as_deref() != Some(&new[..]);
    let prepared = is_new.then(|| prepare(&index, &new)).transpose().map_err(fault)?;
    let written = write_blobs(&blobs, directory, prepared.as_ref().map(NamedTempFile::as_file))?;
    if let Some(prepared) = prepared {
        held.sync_above().map_err(fault)?;
        put(prepared, &index).map_err(fault)?;
        sync_directory(directory).map_err(fault)?;
    }
    remove_unreferenced(directory)?;
    Ok(written)
}

/// Where a blob is in a layout.
pub fn blob_path(directory: &Path, digest: &Digest) -> PathBuf {
    directory
        .join("blobs")
        .join(digest.algorithm().name())
        .join(digest.hex())
}

/// The layout's `index.json`; `None` where there is none.
pub fn read_index(directory: &Path) -> Result<Option<ImageIndex>, Error> {
    let path = directory.join("index.json");
    let file = match fs_err::File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Write { path, source }),
    };
    // At once: the parser reads byte by byte.
    let mut bytes = Vec::with_capacity(USUAL_INDEX);
    if let Err(source) = file.take(DOCUMENT_LIMIT).read_to_end(&mut bytes) {
        return Err(Error::Write { path, source });
    }
    ImageIndex::from_reader(&bytes[..])
        .map(Some)
        .map_err(|e| Error::Damaged {
            path,
            source: Box::new(e),
        })
}

fn merged(old: Option<&ImageIndex>, image: &Closure, tags: &[String], options: &Options) -> ImageIndex {
    let mut manifests: Vec<Descriptor> = Vec::new();
    if let (Mode::Add, Some(old)) = (options.mode, old) {
        let name = |d: &Descriptor| {
            d.annotations()
                .as_ref()
                .and_then(|a| a.get(ANNOTATION_REF_NAME).cloned())
        };
        let replaced = |d: &&Descriptor| match name(d) {
            Some(name) => tags.contains(&name),
            None => tags.is_empty(),
        };
        manifests.extend(old.manifests().iter().filter(|d| !replaced(d)).cloned());
    }
    let left_out = options.left_out.as_ref();
    index_of(
        manifests,
        image,
        tags,
        &left_out.map(LeftOut::annotations).unwrap_or_default(),
    )
}

/// An `index.json` that lists an image under its tags, after what it lists already.
pub(super) fn index_of(
    mut manifests: Vec<Descriptor>,
    image: &Closure,
    tags: &[String],
    annotations: &BTreeMap<String, String>,
) -> ImageIndex {
    let mut add = |name: Option<&String>| {
        let mut annotations = annotations.clone();
        annotations.extend(name.map(|name| (ANNOTATION_REF_NAME.to_owned(), name.clone())));
        let mut descriptor = image.descriptor.clone();
        if !annotations.is_empty() {
            descriptor.set_annotations(Some(annotations.into_iter().collect()));
        }
        manifests.push(descriptor);
    };
    if tags.is_empty() {
        add(None);
    }
    for tag in tags {
        add(Some(tag));
    }
    let mut index = ImageIndex::default();
    index.set_schema_version(SCHEMA_VERSION);
    index.set_media_type(Some(MediaType::ImageIndex));
    index.set_manifests(manifests);
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::blob::Open;
    use crate::image::testing::tiny_image;
    use crate::reference::LayoutReference;
    use crate::source::{LayoutSource, Remote, closure};

    fn tiny(text: &str) -> Closure {
        Closure::try_from(&tiny_image(text)).unwrap()
    }

    fn tags(names: &[&str]) -> Vec<String> {
        names.iter().map(|&n| n.to_owned()).collect()
    }

    fn names(directory: &Path) -> Vec<String> {
        let index = read_index(directory).unwrap().unwrap();
        let name = |d: &Descriptor| d.annotations().as_ref().unwrap()[ANNOTATION_REF_NAME].clone();
        index.manifests().iter().map(name).collect()
    }

    fn blob_count(directory: &Path) -> usize {
        fs_err::read_dir(directory.join("blobs/sha256")).unwrap().count()
    }

    #[test]
    fn replacing_leaves_only_the_new_image_and_adding_keeps_other_tags() {
        let directory = tempfile::tempdir().unwrap();
        let layout = directory.path().join("image");
        write(&tiny("one"), &layout, &tags(&["1"]), &Mode::Replace.into()).unwrap();
        let count = blob_count(&layout);
        write(&tiny("two"), &layout, &tags(&["2", "latest"]), &Mode::Add.into()).unwrap();
        assert_eq!(names(&layout), ["1", "2", "latest"]);
        write(&tiny("three"), &layout, &tags(&["latest"]), &Mode::Add.into()).unwrap();
        assert_eq!(names(&layout), ["1", "2", "latest"]);
        write(&tiny("four"), &layout, &tags(&["4"]), &Mode::Replace.into()).unwrap();
        assert_eq!(names(&layout), ["4"]);
        assert_eq!(blob_count(&layout), count);
    }

    #[test]
    fn a_directory_that_is_no_layout_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("thesis.txt"), "mine").unwrap();
        let error = write(&tiny("x"), directory.path(), &[], &Mode::Replace.into()).unwrap_err();
        assert!(matches!(error, Error::NotLayout(_)));
        let file = directory.path().join("thesis.txt");
        assert!(matches!(check(&file), Err(Error::NotDirectory(_))));
        assert_eq!(fs_err::read(file).unwrap(), b"mine");
    }

    /// What a source makes of a layout's only image.
    fn read(layout: &Path, remote: Option<Arc<dyn Remote>>) -> Closure {
        let mut source = LayoutSource::open(&LayoutReference::at(layout)).unwrap();
        if let Some(remote) = remote {
            source = source.with_remote(remote);
        }
        closure(&source).unwrap()
    }

    #[derive(Debug)]
    struct Elsewhere(Closure);

    impl Remote for Elsewhere {
        fn content(&self, repository: &Repository, descriptor: &crate::blob::Descriptor) -> Arc<dyn Open> {
            assert_eq!(repository.to_string(), "ghcr.io/me/base");
            let mut blobs = self.0.blobs.iter();
            let blob = blobs.find(|b| b.descriptor.digest == descriptor.digest);
            Arc::clone(&blob.unwrap().content)
        }
    }

    #[test]
    fn a_layout_without_the_blobs_of_the_base_keeps_its_digests_and_says_where_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let layout = directory.path().join("image");
        let image = tiny("x");
        let base = image.blobs[0].clone();
        let options = Options {
            left_out: Some(LeftOut {
                blobs: [base.descriptor.digest.clone()].into(),
                repository: Repository {
                    registry: "ghcr.io".to_owned(),
                    name: "me/base".to_owned(),
                },
            }),
            ..Mode::Add.into()
        };
        for tag in ["1", "1", "2"] {
            write(&image, &layout, &tags(&[tag]), &options).unwrap();
            assert!(!blob_path(&layout, &base.descriptor.digest).exists());
        }
        write(&image, &layout, &[], &options).unwrap();
        assert_eq!(blob_count(&layout), image.all().count() - 1);
        write(
            &image,
            &layout,
            &tags(&["1"]),
            &Options {
                mode: Mode::Replace,
                ..options
            },
        )
        .unwrap();

        let unconnected = read(&layout, None);
        assert_eq!(unconnected.digest(), image.digest());
        let missing = unconnected
            .blobs
            .iter()
            .find(|b| b.content.repository().is_some())
            .unwrap();
        assert_eq!(missing.descriptor.digest, base.descriptor.digest);
        let error = missing.content.open().err().unwrap().to_string();
        assert!(
            error.contains("is not in oci:") && error.ends_with("it is in ghcr.io/me/base"),
            "{error}"
        );
        let other = directory.path().join("other");
        assert!(matches!(
            write(&unconnected, &other, &[], &Mode::Add.into()),
            Err(Error::Blob { .. })
        ));

        let connected = read(&layout, Some(Arc::new(Elsewhere(image.clone()))));
        write(&connected, &layout, &tags(&["1"]), &Mode::Add.into()).unwrap();
        assert_eq!(blob_count(&layout), image.all().count());
        assert_eq!(read(&layout, None).blobs[0].content.repository(), None);
    }

    #[test]
    fn a_blob_that_cannot_be_verified_leaves_the_earlier_image() {
        let directory = tempfile::tempdir().unwrap();
        let layout = directory.path().join("image");
        write(&tiny("good"), &layout, &tags(&["1"]), &Mode::Replace.into()).unwrap();
        let (before, count) = (
            fs_err::read(layout.join("index.json")).unwrap(),
            blob_count(&layout),
        );
        let mut bad = tiny("bad");
        bad.blobs[0].descriptor.digest = Digest::of(b"something else");
        assert!(matches!(
            write(&bad, &layout, &tags(&["1"]), &Mode::Replace.into()),
            Err(Error::Blob { .. })
        ));
        assert_eq!(fs_err::read(layout.join("index.json")).unwrap(), before);
        assert_eq!(blob_count(&layout), count);
        let new = directory.path().join("new");
        assert!(write(&bad, &new, &[], &Mode::Replace.into()).is_err());
        assert!(!new.exists());
    }

    #[test]
    fn a_file_that_was_written_just_now_is_copied_and_its_size_still_checked() {
        let directory = tempfile::tempdir().unwrap();
        let (file, layout) = (directory.path().join("layer"), directory.path().join("image"));
        let mut image = tiny("x");
        let bytes = image.blobs[0].read_verified(1 << 20).unwrap();
        image.blobs[0].content = std::sync::Arc::new(crate::blob::WrittenBlob(file.clone()));
        fs_err::write(&file, &bytes[1..]).unwrap();
        assert!(matches!(
            write(&image, &layout, &[], &Mode::Replace.into()),
            Err(Error::Blob { .. })
        ));
        assert!(!layout.exists());
        fs_err::write(&file, &bytes).unwrap();
        write(&image, &layout, &[], &Mode::Replace.into()).unwrap();
        let copy = blob_path(&layout, &image.blobs[0].descriptor.digest);
        assert_eq!(fs_err::read(copy).unwrap(), bytes);
    }
}
