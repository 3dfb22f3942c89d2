//! What the end-to-end tests share: a sandbox that runs the built `pyoci`, the tools that read its images, and a
//! registry on loopback. Each test takes what it needs.
#![allow(dead_code, unused_imports, reason = "no test binary uses all of it")]
#![allow(
    clippy::unwrap_used,
    reason = "a failure of the harness is a failure of the test"
)]

mod foreign;
mod http;
pub mod layout;
mod package_index;
mod podman;
mod process;
mod registry;
mod sandbox;
mod schemas;
mod strict_registry;
pub mod tarball;
mod workshop;

pub use foreign::{change, python_to_usr_local};
pub use http::{free_port, get, request, wait_for};
pub use package_index::{Asked, IndexHabits, PackageIndex};
pub use podman::{Container, Podman};
pub use process::{Run, run};
pub use registry::{Guard, Registry};
pub use sandbox::{Built, Sandbox, is_root};
pub use schemas::assert_layout_is_valid;
pub use strict_registry::{
    Access, Content, Fault, Habits, IDENTITY, Location, PASSWORD, Recorded, Repository, Request, Response,
    StrictRegistry, TokenAccess, USER, When,
};
pub use workshop::{contents, lock, small_base, wheel};
