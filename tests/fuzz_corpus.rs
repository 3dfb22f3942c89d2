//! The corpora of the fuzz targets as plain tests: every body over every committed input, without a fuzzer.
//!
//! `fuzz/README.md` says how the targets are fuzzed. Inputs that were found there are in the corpora.

use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

/// No input of a corpus takes a tenth of it.
const LONGEST: Duration = Duration::from_secs(10);

#[test]
fn every_body_takes_its_corpus() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, body) in fuzz::TARGETS {
        let target = directory.join(format!("fuzz_targets/{name}.rs"));
        assert!(target.is_file(), "{name} is no target of cargo-fuzz");
        let mut count = 0;
        for entry in fs_err::read_dir(directory.join("corpus").join(name)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs_err::read(&path).unwrap();
            let begun = Instant::now();
            let done = std::panic::catch_unwind(|| body(&bytes));
            assert!(done.is_ok(), "{}", path.display());
            assert!(
                begun.elapsed() < LONGEST,
                "{}: {:?}",
                path.display(),
                begun.elapsed()
            );
            count += 1;
        }
        assert!(count > 1, "{name} has no corpus");
    }
}
