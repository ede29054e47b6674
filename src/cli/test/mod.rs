//! `moin test`: runs suites of policy tests.

mod forms;

use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, ValueEnum};
use rayon::prelude::*;

use super::{BoxError, Outcome, output};
use crate::suite::{self, Moment, Report};

const EXAMPLES: &str = "\
Examples:
  moin test policies                  every suite and case folder below a folder
  moin test policies -o junit         for the test report of a pull request
  moin test policies -o rows          what each rule really did with each object, a JSON object a suite";

/// Run suites of policy tests: `kyverno-test.yaml` as it is, and folders with `admit/`, `reject/` and `generate/`.
///
/// Expectations are held strictly: a rule that never ran has not passed, the kind of an object counts, and a policy
/// that does not compile is an error. Ends with 0 when all holds, with 1 when something does not, with 2 when there is
/// no suite or it could not run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TestArgs {
    /// Folders that hold suites, at any depth.
    #[arg(value_name = "DIR", default_value = ".")]
    folders: Vec<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: what was not met, and a summary.
    Text,
    /// A JSON object a suite and line: `{"test": DIR, "rows": [[policy, rule, apiVersion, kind, namespace, name, result,
    /// message], ...]}`.
    Rows,
    /// An array of suites with each expectation and its outcome.
    Json,
    /// For test reports of CI systems.
    Junit,
    /// A table for a comment.
    Markdown,
    /// For code scanning.
    Sarif,
}

/// Run the command.
pub fn run(args: &TestArgs) -> Outcome {
    let mut folders = Vec::new();
    for folder in &args.folders {
        let found = suite::find(folder)
            .map_err(|error| -> BoxError { format!("{}: {error}", folder.display()).into() })?;
        // Each folder was named because something is to be tested there.
        if found.is_empty() {
            let message = format!(
                "no suite in {}: neither a {} nor a policy.yaml with admit, reject or generate beside it",
                folder.display(),
                suite::TEST_FILE
            );
            return Err(message.into());
        }
        folders.extend(found);
    }
    folders.dedup();
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as i128);
    let moment = Moment { now, seed: now as u64 };
    let reports: Vec<Report> = folders.par_iter().map(|folder| suite::run(folder, moment)).collect();
    output::result(&match args.output {
        Format::Text => forms::text(&reports, output::colors(&std::io::stdout())),
        Format::Rows => forms::rows(&reports)?,
        Format::Json => forms::json(&reports)?,
        Format::Junit => forms::junit(&reports),
        Format::Markdown => forms::markdown(&reports),
        Format::Sarif => forms::sarif(&reports)?,
    })?;
    if reports.iter().all(|report| report.results.is_empty() && !report.has_errors()) {
        output::complain("error: none of the suites expects anything, so nothing was tested");
        return Ok(1);
    }
    Ok(u8::from(!reports.iter().all(Report::is_well)))
}
