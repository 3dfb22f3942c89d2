//! Python packaging metadata: versions, tags, requirements, entry points (packaging.python.org/specifications).

pub mod entry_points;
pub mod metadata;
pub mod name;
pub mod tags;
pub mod target;
pub mod wheel_filename;

pub use entry_points::{EntryPoint, EntryPoints};
pub use metadata::Metadata;
pub use name::{ExtraName, GroupName, PackageName};
pub use tags::{Priority, Tags};
pub use target::{Libc, Target};
pub use wheel_filename::{BuildTag, SdistFilename, WheelFilename};
