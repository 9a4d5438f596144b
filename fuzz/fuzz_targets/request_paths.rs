//! Paths of URLs, as paths below the root.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp::fuzzing::request_paths(bytes));
