//! Python packaging metadata: versions, tags, requirements, entry points (packaging.python.org/specifications).

pub mod dependency_groups;
pub mod entry_points;
pub mod marker_environment;
pub mod markers;
pub mod metadata;
pub mod name;
pub mod project_table;
pub mod requirement;
pub mod requirements;
mod requires_python;
mod scanner;
pub mod script_metadata;
pub mod specifiers;
pub mod tables;
pub mod tags;
pub mod target;
mod uv_markers;
pub mod wheel_filename;

pub use dependency_groups::DependencyGroups;
pub use entry_points::{EntryPoint, EntryPoints};
pub use marker_environment::{MarkerEnvironment, Selection};
pub use markers::Marker;
pub use metadata::Metadata;
pub use name::{ExtraName, GroupName, PackageName};
pub use project_table::{BuildSystem, ProjectTable};
pub use requirement::Requirement;
pub use requirements::Requirements;
pub use script_metadata::ScriptMetadata;
pub use specifiers::{Specifier, Specifiers};
pub use tags::{Priority, Tags};
pub use target::{Libc, Target};
pub use wheel_filename::{BuildTag, SdistFilename, WheelFilename};
