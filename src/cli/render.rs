//! `moin render`: the manifests that would be applied.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::args::{SourceArgs, TriggerArgs};
use super::offline::Offline;
use super::{Outcome, output};
use crate::finding::{Finding, Severity};
use crate::model::Manifest;
use crate::{plan, yaml};

const EXAMPLES: &str = "\
Examples:
  moin render --path flux/config         everything below a folder
  moin render --cluster mgmt1 -o names   what one management cluster gets, a line an object
  moin render v1.2 --use-case prod       as of a tag";

/// Print the manifests that would be applied, each with where it came from. Values of Secrets are masked.
///
/// Ends with 0, with 1 when something could not be rendered, with 2 when it could not run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RenderArgs {
    /// The revision; without one, the working tree or the branch as it is.
    revision: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    triggers: TriggerArgs,
    /// How to print.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Yaml)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One document an object, its origin in a comment.
    Yaml,
    /// An array of `{origin, object}`.
    Json,
    /// A line an object: identity, unit, origin.
    Names,
}

/// Run the command.
pub fn run(args: RenderArgs) -> Outcome {
    let reviewed = Offline::reviewed(&args.source, &args.triggers, args.revision.as_deref())?;
    if let Some(code) = reviewed.could_not_render() {
        return Ok(code);
    }
    let findings: Vec<Finding> =
        reviewed.left_out.iter().chain(&reviewed.manifests.findings).cloned().collect();
    let manifests: Vec<&Manifest> = reviewed.manifests.manifests.iter().map(AsRef::as_ref).collect();
    output::result(&match args.output {
        Format::Yaml => as_yaml(&manifests),
        Format::Json => as_json(&manifests)?,
        Format::Names => {
            manifests.iter().map(|m| format!("{}\t{}\t{}\n", m.id.full(), m.unit, m.origin)).collect()
        }
    })?;
    output::findings(&findings);
    Ok(u8::from(findings.iter().any(|finding| finding.severity == Severity::Error)))
}

fn as_yaml(manifests: &[&Manifest]) -> String {
    let document = |manifest: &&Manifest| {
        let masked = plan::mask_secret(&manifest.body, None);
        format!("---\n# {}\n# unit {}\n{}", manifest.origin, manifest.unit, yaml::write(&masked))
    };
    manifests.iter().map(document).collect()
}

fn as_json(manifests: &[&Manifest]) -> Result<String, serde_json::Error> {
    let entries: Vec<Value> = manifests
        .iter()
        .map(|manifest| {
            json!({
                "origin": {
                    "file": manifest.origin.source.file,
                    "line": manifest.origin.line,
                    "layer": manifest.origin.layer,
                    "overlays": manifest.origin.overlays.iter().map(|o| format!("{}:{}", o.file, o.line)).collect::<Vec<_>>(),
                    "rule": manifest.origin.rule.as_ref().map(ToString::to_string),
                },
                "unit": manifest.unit,
                "object": plan::mask_secret(&manifest.body, None),
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&entries)? + "\n")
}
