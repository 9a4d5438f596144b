//! Answers of sock_diag about a socket.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mptcp_paths::fuzzing::sock_diag(bytes));
