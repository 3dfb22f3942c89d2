#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pyoci_fuzz::python::markers(data));
