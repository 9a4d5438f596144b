//! What a server tells its successor, and `Accept` of its check page.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp::fuzzing::handovers(bytes));
