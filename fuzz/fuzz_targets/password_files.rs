//! Files of passwords, and `Authorization`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp_cli::fuzzing::password_files(bytes));
