//! The client's files about unfinished uploads.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp::fuzzing::upload_states(bytes));
