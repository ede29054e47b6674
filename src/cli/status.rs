//! `moin status`: what the daemon reports.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::args::{ClusterArgs, SettingsArgs};
use super::reconciliation::{self, NOBODY};
use super::{Outcome, approve, output};
use crate::model::LiveObject;
use crate::yaml;

const EXAMPLES: &str = "\
Examples:
  moin status --kubeconfig ~/.kube/config
  moin status -o json | jq '.[].status.findings'";

/// Show what the daemon reports of a cluster.
///
/// Ends with 0 when all is well, with 1 when anything is not as it should be, with 2 when it could not run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How to print.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// An array of Reconciliation objects.
    Json,
    /// Reconciliation objects, a document each.
    Yaml,
}

/// Run the command.
pub fn run(args: StatusArgs) -> Outcome {
    let settings = args.settings.resolve(args.cluster.flags())?;
    let found = tokio::runtime::Runtime::new()?.block_on(async {
        let cluster = args.cluster.connect(&settings).await?;
        reconciliation::all(&cluster).await.map(|(_, found)| found)
    })?;
    let ready = !found.is_empty() && found.iter().all(|live| condition(live, "Ready")["status"] == "True");
    let bodies: Vec<&Value> = found.iter().map(|live| &*live.body).collect();
    match args.output {
        Format::Json => output::result(&(serde_json::to_string_pretty(&bodies)? + "\n"))?,
        Format::Yaml => {
            let documents = bodies.iter().map(|body| format!("---\n{}", yaml::write(body)));
            output::result(&documents.collect::<String>())?;
        }
        Format::Text if found.is_empty() => output::result(&format!("{NOBODY}\n"))?,
        // Reasons and messages are the words of others.
        Format::Text => output::words(&found.iter().map(text).collect::<String>())?,
    }
    Ok(u8::from(!ready))
}

fn condition<'a>(live: &'a LiveObject, kind: &str) -> &'a Value {
    let conditions = live.body["status"]["conditions"].as_array();
    conditions.and_then(|all| all.iter().find(|c| c["type"] == kind)).unwrap_or(&Value::Null)
}

fn text(live: &LiveObject) -> String {
    let status = &live.body["status"];
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let ready = condition(live, "Ready");
    let mut out = format!(
        "{}: {}, {}\n  source   {} {}\n  revision {} (applied: {})\n",
        word(&live.body["metadata"]["name"]),
        if ready["status"] == "True" { "ready" } else { "not ready" },
        word(&ready["message"]),
        word(&status["source"]["url"]),
        word(&status["source"]["path"]),
        short(&word(&status["revision"])),
        short(&word(&status["appliedRevision"])),
    );
    let units: Vec<&Value> = status["units"].as_array().into_iter().flatten().collect();
    let width = units.iter().map(|unit| word(&unit["name"]).len()).max().unwrap_or(0);
    for unit in units {
        out += &format!(
            "  {:width$}  {:20}  {}\n",
            word(&unit["name"]),
            word(&unit["phase"]),
            word(&unit["message"])
        );
    }
    for finding in status["findings"].as_array().into_iter().flatten() {
        let subject = finding["object"].as_str().or(finding["location"].as_str());
        out += &format!(
            "  {} {}{}: {}\n",
            word(&finding["severity"]),
            word(&finding["code"]),
            subject.map_or(String::new(), |subject| format!(" {subject}")),
            word(&finding["message"]),
        );
        if let Some(help) = finding["help"].as_str() {
            out += &format!("    help: {help}\n");
        }
        if let Some(command) = approve::command_for(finding) {
            out += &format!("    waits for: {command}\n");
        }
    }
    if let Some(more) = status["findingsLeftOut"].as_u64() {
        out += &format!("  and {more} more findings\n");
    }
    out
}

fn short(revision: &str) -> &str {
    let end = revision.find(':').map_or(0, |colon| colon + 1) + 7;
    revision.get(..end).unwrap_or(revision)
}
