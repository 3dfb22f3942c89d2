//! pyoci turns a Python project into an OCI container image: no Docker, no daemon, no root, no Dockerfile.
//!
//! The modules form floors; a module uses lower floors only (`tests/floors.rs` checks it):
//!
//! | floor | modules |
//! |---|---|
//! | 0 | [`digest`] [`platform`] [`reference`](mod@reference) [`paths`]: values that parse once and cannot be wrong after; [`environment`] [`progress`] [`timings`] [`parallel`] [`secrets`] |
//! | 1 | [`blob`]: bytes that can be opened again, and descriptors of them |
//! | 2 | [`tree`]: sorted paths to entries |
//! | 3 | [`python`]: packaging metadata; then [`layer`]: tree to blob, [`native`]: what its shared objects need; [`wheel`]: wheel file to tree |
//! | 4 | [`image`]: base and layers to image, pure |
//! | 5 | [`http`] [`files`](mod@files), [`store`], [`registry`], then [`tools`], then [`source`], [`debian`], [`lock`], [`bytecode`] |
//! | 6 | [`base`], [`sink`], [`project`] |
//! | 7 | [`commands`] |
//! | 8 | [`cli`] |

pub mod base;
pub mod blob;
pub mod bytecode;
pub mod cli;
pub mod commands;
pub mod debian;
pub mod digest;
pub mod environment;
pub mod files;
pub mod http;
pub mod image;
pub mod interrupted;
pub mod layer;
pub mod lock;
pub mod native;
pub mod parallel;
pub mod paths;
pub mod platform;
pub mod progress;
pub mod project;
pub mod python;
pub mod reference;
pub mod registry;
pub mod secrets;
pub mod sink;
pub mod source;
pub mod store;
pub mod timings;
pub mod tools;
pub mod tree;
pub mod wheel;
