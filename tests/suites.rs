//! Recorded suites: what each rule really says of each object, row by row; and what their authors expect.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code; what is printed says what to look at"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use moin::suite::{self, Moment, Report};
use serde_json::Value;

/// Folders of suites, and at how many of them at least all rows are right (messages too), and all expectations met.
/// The numbers only grow.
const RATCHET: &[(&str, usize, usize)] = &[("policy-tests", 294, 306), ("policy-tests-engine", 76, 120)];

fn moment() -> Moment {
    Moment { now: std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as i128, seed: 7 }
}

/// The reports of all suites below a folder of `../shared`, by their place in it.
fn reports(set: &str) -> Option<BTreeMap<PathBuf, Report>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(set);
    if !folder.is_dir() {
        println!("skipped: ../shared/{set} is not here");
        return None;
    }
    let only = std::env::var("SUITE").unwrap_or_default();
    let found = suite::find(&folder).unwrap();
    let found = found.into_iter().filter(|suite| suite.to_string_lossy().contains(&only));
    Some(found.map(|at| (at.strip_prefix(&folder).unwrap().to_owned(), suite::run(&at, moment()))).collect())
}

#[test]
fn recorded_rows_and_expectations_are_met() {
    for (set, rows_floor, expectations_floor) in RATCHET {
        let Some(reports) = reports(set) else { continue };
        let expected =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(set).join("expected.jsonl");
        let mut right = 0;
        for line in fs::read_to_string(expected).unwrap().lines() {
            let recorded: Value = serde_json::from_str(line).unwrap();
            let name = recorded["test"].as_str().unwrap();
            let Some(report) = reports.get(Path::new(name)) else { continue };
            let rows = serde_json::to_value(&report.rows).unwrap();
            if rows == recorded["rows"] {
                right += 1;
            } else if std::env::var("SHOW").is_ok_and(|wanted| name.contains(&wanted)) {
                show(name, recorded["rows"].as_array().unwrap(), rows.as_array().unwrap());
            }
        }
        let well = reports.values().filter(|report| report.is_well()).count();
        println!(
            "{set}: all rows right in {right} suites, all expectations met in {well} of {}",
            reports.len()
        );
        if std::env::var("SUITE").is_err() {
            assert!(right >= *rows_floor, "{set}: rows of {right} suites are right, {rows_floor} were");
            assert!(well >= *expectations_floor, "{set}: {well} suites are well, {expectations_floor} were");
        }
    }
}

fn show(name: &str, recorded: &[Value], found: &[Value]) {
    println!("== {name}");
    for row in recorded.iter().filter(|row| !found.contains(row)) {
        println!("  - {row}");
    }
    for row in found.iter().filter(|row| !recorded.contains(row)) {
        println!("  + {row}");
    }
}

#[test]
fn the_policies_of_the_library_do_what_their_cases_say() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let suites = suite::find(&library).unwrap();
    assert!(suites.len() >= 4, "{suites:?}");
    let mut results = 0;
    for folder in suites {
        assert!(folder.join("README.md").exists(), "{} says what it is for", folder.display());
        let report = suite::run(&folder, moment());
        assert!(report.is_well() && report.problems.is_empty(), "{report:#?}");
        let kinds = |word: &str| report.results.iter().any(|result| result.expected == word);
        assert!(kinds("admit") && kinds("reject"), "{} has cases of both sorts", folder.display());
        assert!(report.rows.iter().all(|row| !row.message.contains("{{")), "{:#?}", report.rows);
        results += report.results.len();
    }
    assert!(results >= 22, "only {results} cases were found");
}
