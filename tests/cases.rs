//! Expressions and documents answer as the reference does: the recorded answers, compared as `moin eval --cases` does.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code; what is printed says what was skipped"
)]

use std::path::Path;

use moin::cli::cases::{Language, compare};

fn hold(language: Language, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(file);
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: ../shared/{file} is not here");
        return;
    };
    let report = compare(language, &text).unwrap();
    assert!(report.failed.is_empty(), "{} differ:\n{}", report.failed.len(), report.failed.join("\n"));
    assert!(report.passed > 100);
}

#[test]
fn yaml_is_read_as_the_api_server_reads_it() {
    hold(Language::Yaml, "yaml-cases.jsonl");
}

#[test]
fn jmespath_answers_as_the_reference_engine_does() {
    hold(Language::Jmespath, "jmespath-cases.jsonl");
}

#[test]
fn cel_answers_as_the_api_server_does() {
    hold(Language::Cel, "cel-cases.jsonl");
}
