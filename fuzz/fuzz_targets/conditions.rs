//! Conditional requests: entity tags and dates.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp::fuzzing::conditions(bytes));
