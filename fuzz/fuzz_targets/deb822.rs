#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pyoci_fuzz::debian::deb822(data));
