//! Archives made to mislead: every case of `fastzip/malo` as sdist, wheel, layer, archive of images and package, against
//! `policy.tsv`; bombs. All runs are traced: nothing is written but output, store and temporary files.
//!
//! `PYOCI_CORPUS=all` runs every case (about 600 runs) in the place of every seventh, `PYOCI_CORPUS=print` prints what
//! `policy.tsv` should say. `PYOCI_BOMBS=1` adds the bombs that take minutes.

#![allow(
    clippy::print_stdout,
    reason = "what a run by hand is for: the policy, the memory"
)]

mod bombs;
mod breakouts;
mod cases;
mod pip;
mod policy;
mod traced;
