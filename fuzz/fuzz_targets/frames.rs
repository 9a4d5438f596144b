//! Ethernet frames, as the lab's boxes see them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netlab::fuzzing::frames(bytes));
