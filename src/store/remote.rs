//! Stores of others: what another machine remembered is taken where this one remembers nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use super::Store;
use crate::blob::{Blob, Descriptor};
use crate::digest::Digest;

/// Something that remembers what stores remember, elsewhere. Answers `None` where it cannot be asked: a cache that is
/// away costs time, not the build.
pub trait Remote: Send + Sync + fmt::Debug {
    /// What is remembered under a key.
    fn memo(&self, key: &Digest) -> Option<Vec<u8>>;

    /// A layer's blob that a note under a key tells of, if it is there.
    fn blob(&self, key: &Digest, descriptor: &Descriptor) -> Option<Blob>;
}

/// What the clones of a store share: whom they ask, and what they were asked.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    remote: Option<Arc<dyn Remote>>,
    used: Mutex<BTreeSet<Digest>>,
}

impl Sharing {
    pub(super) fn memo(&self, key: &Digest) -> Option<Vec<u8>> {
        self.remote.as_ref()?.memo(key)
    }

    pub(super) fn blob(&self, key: &Digest, descriptor: &Descriptor) -> Option<Blob> {
        self.remote.as_ref()?.blob(key, descriptor)
    }

    pub(super) fn mark(&self, key: &Digest) {
        if let Ok(mut used) = self.used.lock() {
            used.insert(key.clone());
        }
    }
}

impl Store {
    /// The same store, which asks another where it knows nothing itself.
    #[must_use]
    pub fn with_remote(&self, remote: Arc<dyn Remote>) -> Self {
        let sharing = Sharing {
            remote: Some(remote),
            used: Mutex::default(),
        };
        Self {
            sharing: Arc::new(sharing),
            ..self.clone()
        }
    }

    /// The same store for what concerns this machine alone: nobody else is asked, and nothing is marked as used.
    #[must_use]
    pub fn alone(&self) -> Self {
        Self {
            sharing: Arc::default(),
            ..self.clone()
        }
    }

    /// The keys of all that was remembered or recalled so far: what a later build of the same needs.
    pub fn used(&self) -> Vec<Digest> {
        let used = self.sharing.used.lock();
        used.map(|used| used.iter().cloned().collect())
            .unwrap_or_default()
    }
}
