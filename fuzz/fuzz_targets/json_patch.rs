//! Any bytes as a JSON patch.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::body_of("json patch", bytes));
