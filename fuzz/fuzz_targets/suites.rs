//! Any text as kyverno-test.yaml: running the suite does not panic.
#![no_main]

#[allow(dead_code, reason = "no target uses all of it")]
#[path = "../../tests/support/language.rs"]
mod language;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| language::suites(text));
