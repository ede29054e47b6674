//! Any bytes as the options of a deletion.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::body_of("delete options", bytes));
