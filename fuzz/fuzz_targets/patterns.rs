//! Any text as pattern, value and sides of a condition: nothing panics.
#![no_main]

#[allow(dead_code, reason = "no target uses all of it")]
#[path = "../../tests/support/language.rs"]
mod language;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| language::patterns(text));
