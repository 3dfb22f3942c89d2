//! All targets in one program, for whoever runs them all: `FUZZ_TARGET` names the body.
#![no_main]

use std::sync::OnceLock;

use pyoci_fuzz::{Body, TARGETS};

fn body() -> Body {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    let found = TARGETS.iter().find(|(target, _)| *target == name);
    found.expect("a target of that name").1
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static BODY: OnceLock<Body> = OnceLock::new();
    BODY.get_or_init(body)(data);
});
