//! The tables of `/proc/net` that the doctor reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mptcp_paths::fuzzing::proc_tables(bytes));
