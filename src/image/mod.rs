//! Images: a base, layers over it and how to run them become manifest and config. Pure: no file, network or clock.

pub mod base;

pub use base::{Base, BaseOrigin};
