//! The bodies of the fuzz targets: each takes any bytes and must neither panic nor hang, and what it says of them must hold.
//!
//! `tests/fuzz_corpus.rs` of the main crate includes this file and runs every body over its corpus.

pub mod archives;
pub mod debian;
pub mod images;
pub mod indexes;
pub mod layers;
pub mod locks;
pub mod names;
pub mod projects;
pub mod python;
mod scene;

/// A body of a fuzz target.
pub type Body = fn(&[u8]);

/// All targets by name: that of the file in `fuzz_targets/` and of the directory in `corpus/`.
pub const TARGETS: [(&str, Body); 27] = [
    ("base_layer", layers::base_layer),
    ("challenge", indexes::challenge),
    ("config", images::config),
    ("deb", debian::deb),
    ("deb822", debian::deb822),
    ("docker_archive", images::docker_archive),
    ("elf", layers::elf),
    ("in_release", debian::in_release),
    ("layout", images::layout),
    ("markers", python::markers),
    ("metadata", python::metadata),
    ("names", names::names),
    ("pdm_lock", locks::pdm_lock),
    ("pipfile_lock", locks::pipfile_lock),
    ("poetry_lock", locks::poetry_lock),
    ("project", projects::project),
    ("pylock", locks::pylock),
    ("pyproject", python::pyproject),
    ("python_source", projects::python_source),
    ("recipe", images::recipe),
    ("requirements_file", python::requirements_file),
    ("sdist", archives::sdist),
    ("simple_index", indexes::simple_index),
    ("splice", layers::splice),
    ("uv_lock", locks::uv_lock),
    ("versions", python::versions),
    ("wheel", archives::wheel),
];
