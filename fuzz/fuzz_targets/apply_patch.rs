//! Any bytes as an applied configuration.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::body_of("apply", bytes));
