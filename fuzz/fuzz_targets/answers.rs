//! `Content-Range`, validators and `Retry-After` of a download's answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp::fuzzing::answers(bytes));
