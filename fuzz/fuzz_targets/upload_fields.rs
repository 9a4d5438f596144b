//! Fields of tus and of forms, and names of files that clients send.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp::fuzzing::upload_fields(bytes));
