//! Any bytes as an object that is created, in JSON, YAML or protobuf.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::body_of("create", bytes));
