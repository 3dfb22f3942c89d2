//! Registries: blobs first and side by side, then what refers to them, the tags last.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Error;
use crate::digest::Digest;
use crate::image::Closure;
use crate::parallel;
use crate::progress::Progress;
use crate::reference::RegistryReference;
use crate::registry::{self, Client, Upload};

/// How many blobs are sent at once.
const THREADS: usize = 6;

/// What a push moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// What the tags stand for now.
    pub digest: Digest,
    /// The references that can be pulled: one for each tag, else one with the digest.
    pub references: Vec<String>,
    /// Configs and layers that were sent.
    pub sent: Amount,
    /// Configs and layers that were taken over from other repositories of the registry.
    pub mounted: Amount,
    /// Configs and layers that were there.
    pub existing: Amount,
}

/// Blobs and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub blobs: u64,
    /// Their sizes, added up.
    pub bytes: u64,
}

/// Writes an image to a registry, under the reference's tag and others. Without any the tag is `latest`, unless the
/// reference has a digest: then it must be the image's, and is its only name. A push that fails has changed no tag.
pub fn write(
    image: &Closure,
    reference: &RegistryReference,
    tags: &[String],
    client: &Client,
    progress: &Progress,
) -> Result<Pushed, Error> {
    if let Some(digest) = &reference.digest
        && digest != image.digest()
    {
        return Err(Error::OtherDigest {
            reference: reference.qualified(),
            digest: image.digest().clone(),
        });
    }
    let tags = all_tags(reference, tags);
    let repository = &reference.repository;
    let mut pushed = Pushed {
        digest: image.digest().clone(),
        references: Vec::new(),
        sent: Amount::default(),
        mounted: Amount::default(),
        existing: Amount::default(),
    };
    for (digest, (upload, size)) in blobs(image, reference, client, progress)? {
        let (amount, how) = match upload {
            Upload::Sent => (&mut pushed.sent, "sent"),
            Upload::Mounted => (&mut pushed.mounted, "mounted"),
            Upload::Existing => (&mut pushed.existing, "there already"),
        };
        amount.blobs += 1;
        amount.bytes += size;
        progress.detail(format!("{repository}@{digest}: {how}"));
    }
    // > manifests … each after those that it refers to
    let (root, others) = image.documents.split_last().unwrap_or((image.root(), &[]));
    for document in others {
        client.put_manifest(repository, document)?;
    }
    if tags.is_empty() {
        client.put_manifest(repository, root)?;
        pushed.references.push(format!("{repository}@{}", image.digest()));
    }
    for tag in tags {
        client.put_tag(repository, root, &tag)?;
        pushed.references.push(format!("{repository}:{tag}"));
    }
    Ok(pushed)
}

fn all_tags(reference: &RegistryReference, more: &[String]) -> Vec<String> {
    let mut tags: Vec<String> = reference.tag.iter().cloned().collect();
    for tag in more {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    if tags.is_empty() && reference.digest.is_none() {
        tags.push("latest".to_owned());
    }
    tags
}

type Uploads = BTreeMap<Digest, (Upload, u64)>;

/// Sends all blobs, each once, the largest first. The first error ends it.
fn blobs(
    image: &Closure,
    reference: &RegistryReference,
    client: &Client,
    progress: &Progress,
) -> Result<Uploads, registry::Error> {
    let mut blobs: BTreeMap<_, _> = image.blobs.iter().map(|b| (&b.descriptor.digest, b)).collect();
    let mut queue: Vec<_> = std::mem::take(&mut blobs).into_values().collect();
    queue.sort_by_key(|blob| std::cmp::Reverse(blob.descriptor.size));
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Ok(Uploads::new()));
    let branch = progress.timings().branch();
    let work = || {
        while let Some(blob) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
            let descriptor = &blob.descriptor;
            let result = branch.detail("upload", &descriptor.digest.to_string(), |note| {
                let result = client.upload(&reference.repository, blob, progress);
                note.bytes(descriptor.size);
                note.cached(matches!(result, Ok(Upload::Existing | Upload::Mounted)));
                result
            });
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            match (&mut *done, result) {
                (Ok(uploads), Ok(upload)) => {
                    uploads.insert(descriptor.digest.clone(), (upload, descriptor.size));
                }
                (Ok(_), Err(error)) => {
                    *done = Err(error);
                    next.store(queue.len(), Ordering::Relaxed);
                }
                (Err(_), _) => {}
            }
        }
    };
    std::thread::scope(|scope| {
        // Without any others this one does all of it.
        let _ = parallel::start(scope, THREADS.min(queue.len()).saturating_sub(1), work);
        work();
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}
