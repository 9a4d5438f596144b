//! Files beside unfinished downloads, and plans that go on with them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp::fuzzing::download_states(bytes));
