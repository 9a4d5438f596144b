//! Configuration files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp_cli::fuzzing::config_files(bytes));
