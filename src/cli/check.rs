//! `moin check`: judges a repository offline.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::args::{SourceArgs, TriggerArgs};
use super::offline::{Offline, Reviewed};
use super::{Outcome, output};
use crate::finding::{Code, Finding, Severity};
use crate::review;

const EXAMPLES: &str = "\
Examples:
  moin check                             the working tree here
  moin check main --repo ~/config        a branch of another folder
  moin check main..HEAD                  a branch, and whether one can get there from main
  moin check --explain                   for each object that a policy refuses, how it came to that, step by step
  moin check --cluster mgmt1 -o github   in a workflow: findings at the lines of the pull request";

/// What is said of a folder that nobody would call a repository.
const NOTHING: &str = "there is no moin.yaml and no object here, so nothing was checked\n\
    help: run it in the folder of moin.yaml or of the manifests, or name that with --repo and --path; docs/repository.md \
    tells what moin.yaml holds";

/// Judge a repository offline: YAML, ownership, policies, Cluster API rules.
///
/// Ends with 0 when there is nothing to say, with 1 when there are errors or warnings, with 2 when it could not run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// The revision, or BASE..HEAD to judge HEAD as a change of BASE as well (versions only go up, what is immutable
    /// stays); without one, the working tree or the branch as it is.
    revision: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    triggers: TriggerArgs,
    /// How to print.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
    /// Show how each rule that an object breaks came to its verdict: every part of its expressions and patterns with its
    /// value. What is in a Secret stays masked. For people only.
    #[arg(long)]
    explain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// An array of findings.
    Json,
    /// Workflow commands that GitHub shows at the lines of a pull request.
    Github,
    /// For code scanning.
    Sarif,
}

/// Run the command.
pub fn run(args: CheckArgs) -> Outcome {
    if args.explain && args.output != Format::Text {
        return Err("--explain is for people: it goes with -o text".into());
    }
    let reviewed = Offline::reviewed(&args.source, &args.triggers, args.revision.as_deref())?;
    if let Some(code) = reviewed.could_not_render() {
        return Ok(code);
    }
    let findings = reviewed.findings();
    let rendered = &reviewed.manifests;
    if findings.is_empty() && rendered.manifests.is_empty() && rendered.repository.source.is_none() {
        return Err(NOTHING.into());
    }
    match args.output {
        Format::Text => {
            let explained = if args.explain { explained(&reviewed, &findings) } else { String::new() };
            text(&findings, &explained, reviewed.manifests.manifests.len())?;
        }
        Format::Json => output::result(&(serde_json::to_string_pretty(&findings)? + "\n"))?,
        Format::Github => output::result(&findings.iter().map(workflow_command).collect::<String>())?,
        Format::Sarif => output::result(&(serde_json::to_string_pretty(&sarif(&findings))? + "\n"))?,
    }
    Ok(u8::from(findings.iter().any(|finding| finding.severity > Severity::Note)))
}

/// How policies came to what they say, object by object.
fn explained(reviewed: &Reviewed, findings: &[Finding]) -> String {
    let by_policy = [Code::PolicyViolation, Code::PolicyAudit, Code::PolicyError];
    let about: BTreeSet<_> = findings
        .iter()
        .filter(|finding| by_policy.contains(&finding.code))
        .filter_map(|finding| finding.object.as_ref())
        .collect();
    let mut out = String::new();
    for manifest in reviewed.manifests.manifests.iter().filter(|manifest| about.contains(&manifest.id)) {
        for (place, explanation) in review::explain(&reviewed.manifests, reviewed.live(), manifest) {
            let rule =
                if explanation.rule.is_empty() { String::new() } else { format!("/{}", explanation.rule) };
            out += &format!(
                "how {}{rule} judges {} ({}:{}):\n",
                explanation.policy, manifest.id, place.file, place.line
            );
            for line in explanation.steps.to_text().lines() {
                out += &format!("  {line}\n");
            }
            out.push('\n');
        }
    }
    out
}

fn text(findings: &[Finding], explained: &str, objects: usize) -> std::io::Result<()> {
    let color = output::colors(&std::io::stdout());
    let mut out = String::new();
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| finding.severity);
    for finding in sorted {
        out += &format!("{}\n\n", output::shown(finding, color));
    }
    let said = output::count(findings).unwrap_or_else(|| "nothing to say".to_owned());
    let worst =
        findings.iter().filter(|finding| finding.severity > Severity::Note).max_by_key(|f| f.severity);
    let more = worst.map_or(String::new(), |finding| format!("; `moin explain {}` says more", finding.code));
    output::result(&format!("{out}{explained}{objects} objects: {said}{more}\n"))
}

/// A log of one run, with a rule for each code that occurs. A finding without a place is about the whole repository.
fn sarif(findings: &[Finding]) -> Value {
    let codes: BTreeSet<_> = findings.iter().map(|finding| finding.code).collect();
    let rules = codes.iter().map(|code| {
        let page = code.page();
        json!({"id": code.to_string(), "name": format!("{code:?}"), "shortDescription": {"text": page.title},
            "fullDescription": {"text": page.meaning}, "help": {"text": page.remedy}})
    });
    let results = findings.iter().map(|finding| {
        let level = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let (file, line, column) = match &finding.location {
            Some(at) => (at.file.as_str(), at.line.max(1), at.column.max(1)),
            None => (".", 1, 1),
        };
        let object = finding.object.as_ref().map_or(String::new(), |id| format!("{id}: "));
        json!({"ruleId": finding.code.to_string(), "level": level,
            "message": {"text": format!("{object}{}", finding.message)},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": file},
                "region": {"startLine": line, "startColumn": column}}}]})
    });
    let driver =
        json!({"name": "moin", "version": env!("CARGO_PKG_VERSION"), "rules": rules.collect::<Vec<_>>()});
    json!({"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [{"tool": {"driver": driver}, "results": results.collect::<Vec<_>>()}]})
}

/// `::error file=a.yaml,line=3,col=5,title=MOIN-0502::message`, escaped as GitHub wants it.
fn workflow_command(finding: &Finding) -> String {
    let command = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let place = finding.location.as_ref().map_or(String::new(), |at| {
        format!("file={},line={},col={},", property(at.file.as_str()), at.line, at.column)
    });
    let object = finding.object.as_ref().map_or(String::new(), |id| format!("{id}: "));
    let help = format!("\n{}", finding.help.as_deref().unwrap_or(finding.code.page().remedy));
    format!(
        "::{command} {place}title={}::{}\n",
        finding.code,
        data(&format!("{object}{}{help}", finding.message))
    )
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Location;

    #[test]
    fn a_workflow_command_stays_on_its_line() {
        let at = Location::line(&"a,b.yaml".parse().unwrap(), 3);
        let finding = Finding::error(Code::BrokenYaml, "100%\nwrong").at(at);
        assert_eq!(
            workflow_command(&finding),
            "::error file=a%2Cb.yaml,line=3,col=1,title=MOIN-0201::100%25%0Awrong%0ACorrect the line that the message shows.\n"
        );
    }
}
