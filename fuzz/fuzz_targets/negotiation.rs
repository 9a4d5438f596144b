//! `Accept` and `Accept-Encoding`, queries of listings, rules for caches.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp::fuzzing::negotiation(bytes));
