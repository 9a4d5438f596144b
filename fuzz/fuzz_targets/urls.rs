//! URLs, and where their answers redirect to.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp::fuzzing::urls(bytes));
