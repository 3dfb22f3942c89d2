//! Native libraries: what shared objects need, what a base and the wheels provide, and what is missing.
//!
//! Nothing is loaded or run: `elf(5)` says what an object needs, `ld.so(8)` where the loader looks.

mod check;
mod elf;
mod scan;

pub use check::{Finding, Gap, Library, Object, Provided, check};
pub use elf::Elf;
pub use scan::{Scan, scan};
