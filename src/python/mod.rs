//! Python packaging metadata: versions, tags, requirements, entry points (packaging.python.org/specifications).

pub mod target;

pub use target::{Libc, Target};
