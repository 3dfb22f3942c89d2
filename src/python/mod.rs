//! Python packaging metadata: versions, tags, requirements, entry points (packaging.python.org/specifications).

pub mod entry_points;
pub mod marker_environment;
pub mod markers;
pub mod metadata;
pub mod name;
pub mod requirement;
pub mod requirements;
mod scanner;
pub mod specifiers;
pub mod tags;
pub mod target;
pub mod wheel_filename;

pub use entry_points::{EntryPoint, EntryPoints};
pub use marker_environment::{MarkerEnvironment, Selection};
pub use markers::Marker;
pub use metadata::Metadata;
pub use name::{ExtraName, GroupName, PackageName};
pub use requirement::Requirement;
pub use requirements::Requirements;
pub use specifiers::{Specifier, Specifiers};
pub use tags::{Priority, Tags};
pub use target::{Libc, Target};
pub use wheel_filename::{BuildTag, SdistFilename, WheelFilename};
