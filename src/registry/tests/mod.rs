//! The client against servers that break each rule of the distribution spec in turn.

mod auth;
mod download;
mod manifest;
mod server;
mod upload;
