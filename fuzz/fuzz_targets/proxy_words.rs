//! Ranges of addresses, tokens and upstreams.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp::fuzzing::proxy_words(bytes));
