//! The server's files about uploads.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp::fuzzing::upload_records(bytes));
