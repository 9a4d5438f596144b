//! Datagrams of rtnetlink, of the controller of generic netlink, of `mptcp_pm` and its events.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mptcp_paths::fuzzing::netlink(bytes));
