//! Registries: the client side of the OCI distribution specification 1.1.
//!
//! A [`Client`] reads manifests and blobs, and writes them; how it finds credentials, tokens, certificates and the right
//! number of tries is its own business.

mod auth_file;
mod certificates;
pub mod challenge;
mod client;
mod content;
mod credentials;
mod download;
mod endpoint;
mod error;
mod helper;
mod location;
mod login;
mod manifest;
mod registries_conf;
mod request;
mod scope;
#[cfg(test)]
mod tests;
mod token;
mod upload;

pub use client::{Client, Settings};
pub use credentials::Credential;
pub use download::RegistryBlob;
pub use error::Error;
pub use login::{login, logout};
pub use upload::Upload;
