//! The registry client against a strict registry in this process that fails in every way that registries and networks
//! know. What comes out is the right bytes or one clean error; credentials go nowhere else; nothing is tried for ever.
#![allow(
    clippy::unwrap_used,
    reason = "a failure of the harness is a failure of the test"
)]

mod credentials;
mod downloads;
mod manifests;
mod pieces;
mod redirects;
mod scene;
mod uploads;
mod waiting;
