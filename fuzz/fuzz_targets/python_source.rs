#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pyoci_fuzz::projects::python_source(data));
