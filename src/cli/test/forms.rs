//! The reports of suites in the forms that people and machines read.

use serde_json::{Value, json};

use super::super::output;
use crate::finding::{Code, Finding, Severity, counted};
use crate::suite::{Outcome, Report, SuiteResult};

/// How many expectations were met, and how many not.
struct Tally {
    met: usize,
    unmet: usize,
    problems: usize,
}

impl Tally {
    fn of<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Tally {
        let mut tally = Tally { met: 0, unmet: 0, problems: 0 };
        for report in reports {
            let met = report.results.iter().filter(|result| result.outcome == Outcome::Met).count();
            tally.met += met;
            tally.unmet += report.results.len() - met;
            tally.problems += errors(report).count();
        }
        tally
    }
}

fn errors(report: &Report) -> impl Iterator<Item = &Finding> {
    report.problems.iter().filter(|finding| finding.severity == Severity::Error)
}

/// A suite's folder without the `./` that a walk from here begins with.
fn name(report: &Report) -> String {
    let folder = report.folder.strip_prefix("./").unwrap_or(&report.folder);
    let text = folder.display().to_string();
    if text.is_empty() { ".".to_owned() } else { text }
}

fn why(result: &SuiteResult) -> Option<&str> {
    match &result.outcome {
        Outcome::Met => None,
        Outcome::Unmet(why) => Some(why),
    }
}

/// `policy/rule on resource`.
fn subject(result: &SuiteResult) -> String {
    let rule = if result.rule.is_empty() { String::new() } else { format!("/{}", result.rule) };
    let on = if result.resource.is_empty() { String::new() } else { format!(" on {}", result.resource) };
    format!("{}{rule}{on}", result.policy)
}

/// Where an expectation stands.
fn place_of(report: &Report, result: &SuiteResult) -> String {
    format!("{}:{}", file_of(report, &result.file), result.line)
}

fn file_of(report: &Report, file: &str) -> String {
    report.folder.strip_prefix("./").unwrap_or(&report.folder).join(file).display().to_string()
}

/// What was not met, then a summary.
pub(super) fn text(reports: &[Report], color: bool) -> String {
    let mut out = String::new();
    for report in reports {
        // What is wrong with a suite itself is said even if all that it expects came so.
        let said = |finding: &&Finding| !report.is_well() || finding.code == Code::SuiteBroken;
        for finding in report.problems.iter().filter(said) {
            out += &format!("{}\n\n", output::shown(finding, color));
        }
        for (result, why) in report.results.iter().filter_map(|result| Some((result, why(result)?))) {
            let place = place_of(report, result);
            out += &format!("{place}: {}: expected {}; {why}\n", subject(result), result.expected);
            if let Some(at) = &result.rule_at {
                // Paths of findings have no beginning of their own.
                let root = if report.folder.is_absolute() { "/" } else { "" };
                out += &format!("  the rule stands at {root}{}:{}\n", at.file, at.line);
            }
        }
    }
    let tally = Tally::of(reports);
    let suites = reports.len();
    let well = reports.iter().filter(|report| report.is_well()).count();
    let problems = match tally.problems {
        0 => String::new(),
        n => format!(", {} in suites", counted(n, "error")),
    };
    out + &format!(
        "{well} of {} well: {} passed, {} failed{problems}\n",
        counted(suites, "suite"),
        tally.met,
        tally.unmet
    )
}

/// A line a suite.
pub(super) fn rows(reports: &[Report]) -> serde_json::Result<String> {
    let mut out = String::new();
    for report in reports {
        out += &serde_json::to_string(&json!({"test": name(report), "rows": report.rows}))?;
        out.push('\n');
    }
    Ok(out)
}

/// Everything, for programs.
pub(super) fn json(reports: &[Report]) -> serde_json::Result<String> {
    let suites: Vec<Value> = reports
        .iter()
        .map(|report| {
            let results: Vec<Value> = report
                .results
                .iter()
                .map(|result| {
                    json!({"policy": result.policy, "rule": result.rule, "resource": result.resource,
                        "expected": result.expected, "file": result.file, "line": result.line,
                        "passed": why(result).is_none(), "why": why(result), "rulePlace": result.rule_at})
                })
                .collect();
            json!({"test": name(report), "passed": report.is_well(), "results": results,
                "rows": report.rows, "findings": report.problems})
        })
        .collect();
    Ok(serde_json::to_string_pretty(&suites)? + "\n")
}

/// One test suite a folder; what is wrong with the suite itself is an error in it.
pub(super) fn junit(reports: &[Report]) -> String {
    let tally = Tally::of(reports);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{}\" failures=\"{}\" errors=\"{}\">\n",
        tally.met + tally.unmet + tally.problems,
        tally.unmet,
        tally.problems
    );
    for report in reports {
        let of_suite = Tally::of([report]);
        out += &format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\">\n",
            xml(&name(report)),
            of_suite.met + of_suite.unmet + of_suite.problems,
            of_suite.unmet,
            of_suite.problems
        );
        for finding in errors(report) {
            out += &format!(
                "    <testcase classname=\"{}\" name=\"the suite itself\"><error message=\"{}\"/></testcase>\n",
                xml(&name(report)),
                xml(&finding.message)
            );
        }
        for result in &report.results {
            let case = format!(
                "    <testcase classname=\"{}\" name=\"{}: {}\"",
                xml(&name(report)),
                xml(&subject(result)),
                xml(&result.expected)
            );
            out += &match why(result) {
                None => format!("{case}/>\n"),
                Some(why) => format!("{case}><failure message=\"{}\"/></testcase>\n", xml(why)),
            };
        }
        out += "  </testsuite>\n";
    }
    out + "</testsuites>\n"
}

fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            // XML 1.0 has no way to write the others.
            c if c.is_control() && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A table of the suites, and what was not met below it.
pub(super) fn markdown(reports: &[Report]) -> String {
    let tally = Tally::of(reports);
    let mut out = format!(
        "**{}, {} passed, {} failed**\n\n| suite | passed | failed |\n|---|---:|---:|\n",
        counted(reports.len(), "suite"),
        tally.met,
        tally.unmet + tally.problems
    );
    for report in reports {
        let of_suite = Tally::of([report]);
        let failed = of_suite.unmet + of_suite.problems;
        out += &format!("| {} | {} | {failed} |\n", cell(&name(report)), of_suite.met);
    }
    let failed: Vec<&Report> = reports.iter().filter(|report| !report.is_well()).collect();
    if !failed.is_empty() {
        out += "\n| where | what | expected | why |\n|---|---|---|---|\n";
    }
    for report in failed {
        for finding in errors(report) {
            out += &format!("| {} | | | {} |\n", cell(&name(report)), cell(&finding.message));
        }
        for (result, why) in report.results.iter().filter_map(|result| Some((result, why(result)?))) {
            let place = place_of(report, result);
            out += &format!(
                "| {} | {} | {} | {} |\n",
                cell(&place),
                cell(&subject(result)),
                result.expected,
                cell(why)
            );
        }
    }
    out
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', "<br>")
}

/// Static Analysis Results Interchange Format 2.1.0: one result for each expectation that was not met.
pub(super) fn sarif(reports: &[Report]) -> serde_json::Result<String> {
    let place = |file: &str, line: u32| json!([{"physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": line.max(1)}}}]);
    let mut results = Vec::new();
    for report in reports {
        for finding in errors(report) {
            let line = finding.location.as_ref().map_or(1, |location| location.line);
            let file = finding.location.as_ref().map_or_else(|| name(report), |at| at.file.to_string());
            results.push(json!({"ruleId": finding.code.to_string(), "level": "error",
                "message": {"text": finding.message}, "locations": place(&file, line)}));
        }
        for (result, why) in report.results.iter().filter_map(|result| Some((result, why(result)?))) {
            let text = format!("{}: expected {}; {why}", subject(result), result.expected);
            results.push(json!({"ruleId": result.policy, "level": "error", "message": {"text": text},
                "locations": place(&file_of(report, &result.file), result.line)}));
        }
    }
    let driver = json!({"name": "moin", "version": env!("CARGO_PKG_VERSION")});
    let log = json!({"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [{"tool": {"driver": driver}, "results": results}]});
    Ok(serde_json::to_string_pretty(&log)? + "\n")
}
