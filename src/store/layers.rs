//! Finished layers, found by the digest of everything that went into them.

use std::io::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Error, Kind, Store};
use crate::blob::{Blob, Descriptor, Open, PathBlob, WrittenBlob};
use crate::digest::Digest;
use crate::layer::{Layer, Written};

/// What is remembered of a finished layer.
#[derive(Serialize, Deserialize)]
struct Note {
    media_type: String,
    digest: Digest,
    size: u64,
    diff_id: Digest,
}

impl Store {
    /// The layer that was made of the inputs behind `key`, if it is still here. Its bytes are verified by whoever
    /// reads them.
    pub fn layer(&self, key: &Digest, created_by: &str) -> Option<Layer> {
        let note: Note = serde_json::from_slice(&self.memo(key)?).ok()?;
        if let Some(path) = self.find_unverified(Kind::Blob, &note.digest, note.size) {
            return Some(note.layer(Arc::new(PathBlob(path)), created_by));
        }
        let blob = self.sharing.blob(key, &note.descriptor())?;
        Some(note.layer(blob.content, created_by))
    }

    /// Makes a layer and keeps it under the digest of its inputs. `write` writes the layer's bytes, and the digest that it
    /// gives is of just those.
    pub fn make_layer<E: From<Error>>(
        &self,
        key: &Digest,
        created_by: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<Written, E>,
    ) -> Result<Layer, E> {
        let mut entry = self.new_entry(Kind::Blob)?.synced_soon();
        let written = write(&mut entry)?;
        let added = entry.keep(&written.digest, written.size)?;
        let note = Note {
            media_type: written.media_type.to_owned(),
            digest: written.digest,
            size: written.size,
            diff_id: written.diff_id,
        };
        let json = serde_json::to_vec(&note).unwrap_or_default();
        self.remember(key, &json)?;
        Ok(note.layer(Arc::new(WrittenBlob(added.path)), created_by))
    }
}

impl Note {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest.clone(),
            size: self.size,
            annotations: std::collections::BTreeMap::new(),
        }
    }

    fn layer(self, content: Arc<dyn Open>, created_by: &str) -> Layer {
        let blob = Blob {
            descriptor: self.descriptor(),
            content,
        };
        Layer {
            blob,
            diff_id: self.diff_id,
            created_by: created_by.to_owned(),
        }
    }
}
