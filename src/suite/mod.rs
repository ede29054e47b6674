//! Suites of policies: inputs, what their author expects, and what really came out.
//!
//! Two forms are read: a `kyverno-test.yaml` (cli.kyverno.io/v1alpha1 `Test`) with the files it names, and a case
//! folder (`policy.yaml` with `admit/`, `reject/` and `generate/` beside it). Both end in the same [`Report`]: rows, which
//! say what each rule did with each object, and results, which say whether an expectation was met.
//!
//! Expectations are held strictly. The reference tool counts a rule that never ran as passed, and looks an object up
//! by its name alone; here `pass` and `fail` need a rule that ran on an object of that kind, and a policy that does not
//! compile is a failure of the suite.

mod cases;
mod compare;
mod demands;
mod expect;
mod inputs;
mod keys;
mod known;
mod row;
mod run;
mod values;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::finding::{Finding, Severity};

pub use expect::{Expectation, Outcome, SuiteResult};
pub use keys::of_given;
pub use row::Row;

/// The file that makes a folder a suite.
pub const TEST_FILE: &str = "kyverno-test.yaml";

/// What came of a suite.
#[derive(Debug, Default)]
pub struct Report {
    /// The suite's folder, as it was reached.
    pub folder: PathBuf,
    /// What each rule did with each object, sorted, each once.
    pub rows: Vec<Row>,
    /// Each expectation and whether it was met, in the order of the file.
    pub results: Vec<SuiteResult>,
    /// What is wrong with the suite itself: files that cannot be read, policies that do not compile.
    pub problems: Vec<Finding>,
}

impl Report {
    /// Whether every expectation was met and nothing is wrong with the suite.
    pub fn is_well(&self) -> bool {
        !self.has_errors() && self.results.iter().all(|result| result.outcome == Outcome::Met)
    }

    /// Whether something is wrong with the suite itself.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// What the clock said when the run began, and a seed: what time functions and `random` read.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Nanoseconds since 1970.
    pub now: i128,
    /// Seed of random texts.
    pub seed: u64,
}

/// The suites at or below a folder, sorted. Names that begin with a dot are looked into, too: the upstream library
/// keeps its suites in `.kyverno-test`.
///
/// # Errors
/// When the folder cannot be read.
pub fn find(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        if next.join(TEST_FILE).is_file() || cases::is_case_folder(&next) {
            found.push(next.clone());
        }
        for entry in std::fs::read_dir(&next)? {
            let entry = entry?;
            // A link may lead back to where we came from.
            if entry.file_type()?.is_dir() && entry.file_name() != ".git" {
                folders.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Runs the suite in a folder.
pub fn run(folder: &Path, moment: Moment) -> Report {
    let mut report =
        if folder.join(TEST_FILE).is_file() { run::run(folder, moment) } else { cases::run(folder, moment) };
    report.folder = folder.to_owned();
    report.rows.sort();
    report.rows.dedup();
    report
}
