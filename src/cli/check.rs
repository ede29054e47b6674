//! `moin check`: judges a repository offline.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::args::{SourceArgs, TriggerArgs};
use super::diff::escape::visible_lines;
use super::offline::Offline;
use super::reasons::{self, ReasonArgs};
use super::{Outcome, output};
use crate::finding::{Finding, Severity, counted};
use crate::review::Explained;

const EXAMPLES: &str = "\
Examples:
  moin check                             the working tree here
  moin check main --repo ~/config        a branch of another folder
  moin check main..HEAD                  a branch, and whether one can get there from main
  moin check --explain                   for each object that a policy refuses, how it came to that, step by step
  moin check --explain --object Cluster/team-a/prod
                                         what every policy says of one object, changes in it and makes because of it
  moin check --explain --policy images/tag --object Pod/team-a/web
                                         why a rule did or did not speak of an object
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
    #[command(flatten)]
    reasons: ReasonArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// An array of findings; with --explain `findings` and `explanations`.
    Json,
    /// Workflow commands that GitHub shows at the lines of a pull request.
    Github,
    /// For code scanning.
    Sarif,
}

/// Run the command.
pub fn run(args: CheckArgs) -> Outcome {
    let reviewed = Offline::reviewed(&args.source, &args.triggers, args.revision.as_deref())?;
    if let Some(code) = reviewed.could_not_render() {
        return Ok(code);
    }
    let findings = reviewed.findings();
    let rendered = &reviewed.manifests;
    if findings.is_empty() && rendered.manifests.is_empty() && rendered.repository.source.is_none() {
        return Err(NOTHING.into());
    }
    let explained = args.reasons.explained(&reviewed, &findings)?;
    match args.output {
        Format::Text => {
            let explained = reasons::text(explained.as_deref().unwrap_or_default());
            text(&findings, &explained, reviewed.manifests.manifests.len())?;
        }
        Format::Json => {
            let said = match &explained {
                None => json!(findings),
                Some(explained) => json!({"findings": findings, "explanations": reasons::json(explained)}),
            };
            output::result(&(serde_json::to_string_pretty(&said)? + "\n"))?;
        }
        Format::Github => {
            let groups = explained.iter().flatten().map(workflow_group);
            let commands = findings.iter().map(workflow_command);
            output::result(&commands.chain(groups).collect::<String>())?;
        }
        Format::Sarif => {
            let said = sarif(&findings, explained.as_deref());
            output::result(&(serde_json::to_string_pretty(&said)? + "\n"))?;
        }
    }
    Ok(u8::from(findings.iter().any(|finding| finding.severity > Severity::Note)))
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
    output::result(&format!("{out}{explained}{}: {said}{more}\n", counted(objects, "object")))
}

/// A log of one run, with a rule for each code that occurs. A finding without a place is about the whole repository.
/// Explanations are among the properties of the run.
fn sarif(findings: &[Finding], explained: Option<&[Explained]>) -> Value {
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
        let mut location = json!({"physicalLocation": {"artifactLocation": {"uri": file},
            "region": {"startLine": line, "startColumn": column}}});
        if let Some(path) = &finding.path {
            location["logicalLocations"] =
                json!([{"fullyQualifiedName": path.to_string(), "kind": "member"}]);
        }
        json!({"ruleId": finding.code.to_string(), "level": level,
            "message": {"text": format!("{object}{}", finding.message)}, "locations": [location]})
    });
    let driver =
        json!({"name": "moin", "version": env!("CARGO_PKG_VERSION"), "rules": rules.collect::<Vec<_>>()});
    let mut run = json!({"tool": {"driver": driver}, "results": results.collect::<Vec<_>>()});
    if let Some(explained) = explained {
        run["properties"] = json!({"explanations": reasons::json(explained)});
    }
    json!({"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "runs": [run]})
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
    let field = finding.path.as_ref().map_or(String::new(), |path| format!("\nat {path}"));
    let help = format!("{field}\n{}", finding.help.as_deref().unwrap_or(finding.code.page().remedy));
    format!(
        "::{command} {place}title={}::{}\n",
        finding.code,
        data(&format!("{object}{}{help}", finding.message))
    )
}

/// An explanation that is folded away in the log of a workflow. None of its lines is taken for a command.
fn workflow_group(explained: &Explained) -> String {
    let text = reasons::text(std::slice::from_ref(explained));
    let mut lines = text.lines();
    let mut out = format!("::group::{}\n", data(lines.next().unwrap_or_default()));
    for line in lines {
        out += &format!("| {line}\n");
    }
    out + "::endgroup::\n"
}

/// What a terminal or a log would obey is only shown.
fn data(text: &str) -> String {
    visible_lines(text).replace('%', "%25").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Code, Location};

    #[test]
    fn a_workflow_command_stays_on_its_line() {
        let at = Location::line(&"a,b.yaml".parse().unwrap(), 3);
        let finding = Finding::error(Code::BrokenYaml, "100%\nwrong").at(at);
        assert_eq!(
            workflow_command(&finding),
            "::error file=a%2Cb.yaml,line=3,col=1,title=MOIN-0201::100%25%0Awrong%0ACorrect the line that the message shows.\n"
        );
        let sly = workflow_command(&Finding::error(Code::BrokenYaml, "a\u{1b}[2J\rb"));
        assert!(sly.starts_with("::error title=MOIN-0201::a\\u{1b}[2J b%0A"), "{sly}");
    }
}
