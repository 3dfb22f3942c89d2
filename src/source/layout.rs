//! `oci:DIR[:TAG]`: an OCI image layout on disk (image-spec image-layout.md).

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::document::{descriptor, malformed, parse, read};
use super::select::is_for;
use super::{Error, Remote, Root, Source};
use crate::blob::{Blob, Descriptor, Open, PathBlob};
use crate::digest::Digest;
use crate::image::DOCUMENT_LIMIT;
use crate::platform::Platform;
use crate::reference::{LayoutReference, RegistryReference, Repository};

const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation of an entry of `index.json` that says in which repository the blobs are that the layout lacks.
///
/// > The blobs directory MAY be missing referenced blobs, in which case the missing blobs SHOULD be fulfilled by an
/// > external blob store. (image-spec image-layout.md)
pub const BASE_REPOSITORY: &str = "io.pyoci.base.repository";

/// A layout, and the tag that was asked for. Its blobs are read there, and verified whenever they are.
#[derive(Debug)]
pub struct LayoutSource {
    path: PathBuf,
    tag: Option<String>,
    index: Value,
    remote: Option<Arc<dyn Remote>>,
}

impl LayoutSource {
    /// Opens a layout and reads its `index.json`.
    pub fn open(reference: &LayoutReference) -> Result<Self, Error> {
        Ok(Self {
            path: reference.path.clone(),
            tag: reference.tag.clone(),
            index: index(&reference.path)?,
            remote: None,
        })
    }

    /// The same; blobs that the layout left in a registry are fetched there when they are opened.
    #[must_use]
    pub fn with_remote(mut self, remote: Arc<dyn Remote>) -> Self {
        self.remote = Some(remote);
        self
    }

    /// Where the blobs are that the layout lacks, if an entry of that tag says it.
    fn repository(&self) -> Result<Option<Repository>, Error> {
        let entries = self.index.get("manifests").and_then(Value::as_array);
        let annotation = |entry: &'_ Value, name: &str| {
            let text = entry.get("annotations")?.get(name)?.as_str()?;
            Some(text.to_owned())
        };
        let text = entries
            .into_iter()
            .flatten()
            .filter(|entry| self.tag.is_none() || annotation(entry, REF_NAME) == self.tag)
            .find_map(|entry| annotation(entry, BASE_REPOSITORY));
        let Some(text) = text else {
            return Ok(None);
        };
        let reference: Result<RegistryReference, _> = text.parse();
        match reference {
            Ok(reference) if reference.tag.is_none() && reference.digest.is_none() => {
                Ok(Some(reference.repository))
            }
            _ => Err(malformed(
                &self.place(),
                format!("{BASE_REPOSITORY} is `{text}`, which is no repository"),
            )),
        }
    }
}

/// A blob that its layout left in a registry which nobody can ask.
#[derive(Debug)]
struct LeftOut {
    place: String,
    digest: Digest,
    repository: Repository,
}

impl Open for LeftOut {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let Self {
            place,
            digest,
            repository,
        } = self;
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("blob {digest} is not in {place}; it is in {repository}"),
        ))
    }

    fn repository(&self) -> Option<&Repository> {
        Some(&self.repository)
    }
}

fn index(path: &Path) -> Result<Value, Error> {
    let place = place(path);
    let no_layout = |source| Error::NoLayout {
        place: place.clone(),
        source,
    };
    // > The oci-layout file MUST exist
    size_of(&path.join("oci-layout")).map_err(no_layout)?;
    let index = path.join("index.json");
    if size_of(&index).map_err(no_layout)? > DOCUMENT_LIMIT {
        return Err(malformed(&place, "index.json is too large"));
    }
    let bytes = fs_err::read(&index).map_err(no_layout)?;
    parse(&place, &bytes, "index.json")
}

/// The size of a file; what is none (a pipe, `/dev/zero`) might never end.
fn size_of(path: &Path) -> io::Result<u64> {
    let metadata = fs_err::metadata(path)?;
    if metadata.is_file() {
        Ok(metadata.len())
    } else {
        let message = format!("{} is not a regular file", path.display());
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }
}

fn place(path: &Path) -> String {
    format!("oci:{}", path.display())
}

impl Source for LayoutSource {
    fn place(&self) -> String {
        place(&self.path)
    }

    fn tag(&self) -> Option<String> {
        self.tag.clone().or_else(|| only_tag(&self.index))
    }

    fn root(&self, platform: Option<Platform>) -> Result<Root, Error> {
        let entry = choose(&self.place(), &self.index, self.tag.as_deref(), platform)?;
        Ok(Root {
            document: self.document(&descriptor(&self.place(), entry)?)?,
            platform: entry.get("platform").cloned(),
        })
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        read(&self.place(), &self.blob(descriptor)?)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        let digest = &descriptor.digest;
        let file = self
            .path
            .join("blobs")
            .join(digest.algorithm().name())
            .join(digest.hex());
        let elsewhere = if file.exists() { None } else { self.repository()? };
        let content: Arc<dyn Open> = match (elsewhere, &self.remote) {
            (None, _) => Arc::new(PathBlob(file)),
            (Some(repository), Some(remote)) => remote.content(&repository, descriptor),
            (Some(repository), None) => Arc::new(LeftOut {
                place: self.place(),
                digest: digest.clone(),
                repository,
            }),
        };
        Ok(Blob {
            descriptor: descriptor.clone(),
            content,
        })
    }
}

/// The tag of an `index.json` that has one entry.
pub(super) fn only_tag(index: &Value) -> Option<String> {
    match &index.get("manifests")?.as_array()?[..] {
        [only] => Some(only.get("annotations")?.get(REF_NAME)?.as_str()?.to_owned()),
        _ => None,
    }
}

/// The entry of an `index.json` with that tag; without a tag the only one.
pub(super) fn choose<'v>(
    place: &str,
    index: &'v Value,
    tag: Option<&str>,
    platform: Option<Platform>,
) -> Result<&'v Value, Error> {
    let entries = index
        .get("manifests")
        .and_then(Value::as_array)
        .ok_or_else(|| malformed(place, "index.json has no manifests"))?;
    let name = |entry: &'v Value| entry.get("annotations")?.get(REF_NAME)?.as_str();
    let found = match (tag, &entries[..], platform) {
        (None, [], _) => return Err(malformed(place, "it holds no image")),
        (Some(tag), ..) => entries.iter().find(|e| name(e) == Some(tag)),
        (None, [only], _) => Some(only),
        // No names at all: entries that only platforms tell apart.
        (None, _, Some(platform)) if entries.iter().all(|e| name(e).is_none()) => {
            entries.iter().find(|e| is_for(e, platform))
        }
        _ => None,
    };
    let tags = || entries.iter().filter_map(name).map(str::to_owned).collect();
    found.ok_or_else(|| Error::Tag {
        place: place.to_owned(),
        asked: tag.map(str::to_owned),
        tags: tags(),
    })
}
