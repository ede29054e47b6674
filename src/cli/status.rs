//! `moin status`: what the daemon reports.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::Value;

use super::args::{ClusterArgs, SettingsArgs};
use super::reconciliation::{self, NOBODY};
use super::{BoxError, Outcome, approve, output};
use crate::cluster::Lease;
use crate::model::{LiveObject, SYSTEM_NAMESPACE};
use crate::status::{SUSPENDED, Suspension};
use crate::yaml;

const EXAMPLES: &str = "\
Examples:
  moin status --kubeconfig ~/.kube/config
  moin status -o json | jq '.[].status.findings'";

/// Show what the daemon reports of a cluster.
///
/// Ends with 0 when all is well, with 1 when anything is not as it should be (suspended, or no daemon has reported yet), with 2
/// when it could not run (moin is not installed in the cluster, or the cluster cannot be reached).
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
    let (found, leases) = tokio::runtime::Runtime::new()?.block_on(async {
        let cluster = args.cluster.connect(&settings).await?;
        let (_, found) = reconciliation::all(&cluster).await?;
        let mut leases = Vec::new();
        for live in &found {
            let name = format!("moin-{}", live.body["metadata"]["name"].as_str().unwrap_or_default());
            // Who may not read it is told the rest.
            leases.push(cluster.lease(SYSTEM_NAMESPACE, &name).await.ok());
        }
        Ok::<_, BoxError>((found, leases))
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
        Format::Text => {
            let now = Timestamp::now();
            let parts = found.iter().zip(&leases).map(|(live, lease)| {
                let daemon = lease.as_ref().map(|lease| daemon(lease.as_ref(), now));
                text(live, daemon.as_deref())
            });
            output::words(&parts.collect::<String>())?;
        }
    }
    Ok(u8::from(!ready))
}

fn condition<'a>(live: &'a LiveObject, kind: &str) -> &'a Value {
    let conditions = live.body["status"]["conditions"].as_array();
    conditions.and_then(|all| all.iter().find(|c| c["type"] == kind)).unwrap_or(&Value::Null)
}

/// Whether anybody keeps it as it is told: what a daemon that is gone has told may be long past.
fn daemon(lease: Option<&Lease>, now: Timestamp) -> String {
    let Some((lease, holder)) = lease.and_then(|lease| Some((lease, lease.holder.as_deref()?))) else {
        return "none at work; this is what the last one told".to_owned();
    };
    let renewed = lease.renewed.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
    let silent = renewed.map(|at| now.as_second() - at.as_second());
    match silent {
        // Clocks differ a little.
        Some(seconds) if seconds > i64::from(lease.duration_seconds) + 5 => {
            format!("{holder}, not heard of for {seconds} s; this is what it told last")
        }
        _ => holder.to_owned(),
    }
}

fn text(live: &LiveObject, daemon: Option<&str>) -> String {
    let status = &live.body["status"];
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let ready = condition(live, "Ready");
    let mut out = format!(
        "{}: {}, {}\n  source   {} {}\n  revision {} (applied: {})\n",
        word(&live.body["metadata"]["name"]),
        match (ready["status"].as_str(), ready["reason"].as_str()) {
            (Some("True"), _) => "ready",
            (_, Some(SUSPENDED)) => "suspended",
            _ => "not ready",
        },
        word(&ready["message"]),
        word(&status["source"]["url"]),
        word(&status["source"]["path"]),
        short(&word(&status["revision"])),
        short(&word(&status["appliedRevision"])),
    );
    if let Some(daemon) = daemon {
        out += &format!("  daemon   {daemon}\n");
    }
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
    for suspension in Suspension::all_of(&live.body) {
        let told = status["findings"].as_array().into_iter().flatten();
        let is_told =
            |finding: &Value| finding["message"].as_str().is_some_and(|it| it.contains(&suspension.words()));
        if !told.clone().any(is_told) {
            out += &format!(
                "  {} is {}; no daemon has taken that up yet\n",
                suspension.unit,
                suspension.words()
            );
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_daemon_that_is_silent_is_no_daemon() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let lease = |holder: Option<&str>, renewed: &str| Lease {
            holder: holder.map(str::to_owned),
            renewed: Some(renewed.to_owned()),
            duration_seconds: 15,
            ..Lease::default()
        };
        assert_eq!(daemon(Some(&lease(Some("me"), "2026-01-01T00:00:58.000001Z")), now), "me");
        let silent = daemon(Some(&lease(Some("me"), "2026-01-01T00:00:00.000001Z")), now);
        assert_eq!(silent, "me, not heard of for 60 s; this is what it told last");
        let nobody = "none at work; this is what the last one told";
        assert_eq!(daemon(None, now), nobody);
        assert_eq!(daemon(Some(&lease(None, "2026-01-01T00:00:58Z")), now), nobody);
    }

    #[test]
    fn a_suspension_that_nobody_took_up_yet_is_told() {
        let spec = json!({"suspensions": [{"unit": "root", "by": "jane"}]});
        let mut body = json!({"metadata": {"name": "x"}, "spec": spec, "status": {}});
        let told = |body: &Value| text(&LiveObject::new(body.clone()), None);
        assert!(told(&body).contains("root is suspended by jane; no daemon has taken that up yet"));
        body["status"]["findings"] =
            json!([{"code": "MOIN-0723", "message": "unit root is suspended by jane"}]);
        assert!(!told(&body).contains("taken that up"));
    }
}
