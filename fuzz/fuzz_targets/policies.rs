//! Any text as policies: none makes compiling, judging, changing, generating or explaining panic.
#![no_main]

#[allow(dead_code, reason = "no target uses all of it")]
#[path = "../../tests/support/language.rs"]
mod language;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| language::policies(text));
