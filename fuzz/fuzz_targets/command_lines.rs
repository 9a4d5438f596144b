//! Command lines, with the values of all options.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp_cli::fuzzing::command_lines(bytes));
