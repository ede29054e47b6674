//! Any bytes as an object, a status or a scale that is put, in JSON, YAML or protobuf.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::body_of("update", bytes));
