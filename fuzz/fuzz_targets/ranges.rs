//! `Range`, for files of any size.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp::fuzzing::ranges(bytes));
