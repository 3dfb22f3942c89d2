//! What breaks while pyoci works: it is killed, the disk fails or is full, others do the same at once, the cache is damaged.
//! What was there before stays, or what was asked for is there, whole; the next run succeeds.
//!
//! CI does a little of everything. More by hand: `PYOCI_KILLS=1000`, `PYOCI_FAULTS=all`, `PYOCI_ROUNDS=20`, `PYOCI_HEALS=500`
//! before `cargo test faults:: -- --include-ignored --nocapture`. `PYOCI_SEED=N` repeats a run; the seed is printed.
//! `PYOCI_ONLY=deb` tries only commands whose names have that in them; `PYOCI_BINARY=PATH` runs another `pyoci`.
#![allow(
    clippy::unwrap_used,
    reason = "a failure of the harness is a failure of the test"
)]
#![allow(clippy::print_stdout, reason = "what was drawn, and how much of it, is told")]

mod disk;
mod healing;
mod kills;
mod power;
mod random;
mod scene;
mod threads;
mod together;
mod tracing;
mod works;
