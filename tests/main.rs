//! What users can do with pyoci, one file for each capability, over `examples/`. One binary: it is linked once, and slow tests
//! of one file run beside those of others. `cargo test --test capabilities bundles::` runs one file.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test that panics has failed")]

mod archives;
mod arriving;
mod bad_input;
mod bases;
mod bases_local;
mod bundles;
mod bytecode;
mod canaries;
mod commands;
mod containers;
mod deb_packages;
mod destinations;
mod examples;
mod explain;
mod floors;
mod foreign_locks;
mod fuzz_corpus;
mod hostile;
mod hostile_archives;
mod indexes;
mod layer_format;
mod layers;
mod lock_command;
mod mirror;
mod native_libraries;
mod platforms;
mod project_kinds;
mod project_sources;
mod projects;
mod rebase;
mod registries;
mod registry_commands;
mod registry_faults;
mod reproducible;
mod resolving;
mod scripts;
mod secrets;
mod shallow;
mod shared_cache;
mod starts;
mod support;
mod timings;
mod uv_locks;
mod wheels_match_pip;
