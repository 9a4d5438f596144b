//! The kernel's `mptcp_info`, `tcp_info` and lists of subflows, of any length.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mptcp_socket::fuzzing::kernel_structures(bytes));
