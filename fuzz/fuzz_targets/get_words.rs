//! Header fields, addresses for hosts and URLs, as `get` reads them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp_cli::fuzzing::get_words(bytes));
