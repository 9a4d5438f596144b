//! Fields of messages that pass a proxy: `Connection`, `Via`, `Forwarded`, `Host`, `Upgrade`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mphttp::fuzzing::forwarding(bytes));
