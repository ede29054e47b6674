//! Any text as expression and as template: neither compiling nor evaluating panics, and both end.
#![no_main]

#[allow(dead_code, reason = "no target uses all of it")]
#[path = "../../tests/support/language.rs"]
mod language;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| language::jmespath(text));
