//! Any bytes as a strategic merge patch.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::body_of("strategic patch", bytes));
