//! Any text as CEL: neither compiling nor evaluating, estimating or explaining panics, and all end.
#![no_main]

#[allow(dead_code, reason = "no target uses all of it")]
#[path = "../../tests/support/language.rs"]
mod language;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| language::cel(text));
