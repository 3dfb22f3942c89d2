//! The tools that work with the outside is done with, whether it is for a base or for a lock.

use crate::environment::Environment;
use crate::http::Client;
use crate::progress::Progress;
use crate::registry;
use crate::store::Store;

/// What things are fetched, kept and told with.
#[derive(Clone, Copy, Debug)]
pub struct Tools<'a> {
    /// The cache.
    pub store: &'a Store,
    /// The network.
    pub http: &'a Client,
    /// Registries.
    pub registries: &'a registry::Client,
    /// The user's environment, and the clock.
    pub environment: &'a Environment,
    /// The user, who is told.
    pub progress: &'a Progress,
}
