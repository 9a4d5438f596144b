//! `Repr-Digest`, checksums on the command line, and the names of paths.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp::fuzzing::digests(bytes));
