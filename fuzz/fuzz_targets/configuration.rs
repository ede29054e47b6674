//! Any bytes as a configuration of webhooks.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::body_of("webhooks", bytes));
