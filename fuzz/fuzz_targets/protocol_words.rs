//! The words that choose a protocol.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mptcp_socket::fuzzing::protocol_words(bytes));
