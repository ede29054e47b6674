//! `moin diff`: what would change.

mod danger;
mod entry;
pub(super) mod escape;
mod live;
mod markdown;
mod text;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::args::{ClusterArgs, SourceArgs, TriggerArgs, open_repository, render_options};
use super::offline::{Between, Offline, Reviewed};
use super::reasons::{self, ReasonArgs};
use super::{Outcome, output};
use crate::config::Approval;
use crate::daemon::{kept_while_suspended, rules_of};
use crate::finding::Finding;
use crate::model::{LiveState, Manifest, Revision, UnitName};
use crate::plan::{self, Accepted, Context, Plan};
use crate::review::Blocked;
use crate::status::PlanReport;
use entry::{Entry, Summary};
use text::Palette;

const EXAMPLES: &str = "\
Examples:
  moin diff                              what the uncommitted changes would do
  moin diff main..HEAD                   what this branch would do, without a cluster
  moin diff main..HEAD -o markdown       the same, as a comment for a pull request
  moin diff --live                       what applying this folder to the cluster would do
  moin diff --live HEAD                  the same for the last commit
  moin diff main..HEAD --explain         how each policy that refuses a change came to that, step by step

With --live, what the cluster's Reconciliation records as applied is what a change by hand is told from a conflict with another
owner by, its approvals count, and what is suspended shows as suspended.";

/// Show what would change, between two revisions or against a cluster.
///
/// Ends with 0 when nothing would change, with 1 when something would or is refused, with 2 when it could not run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DiffArgs {
    /// Two revisions; `BASE..` compares with the working tree, and nothing at all means `HEAD..`. With --live, one
    /// revision.
    #[arg(value_name = "BASE..HEAD")]
    range: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    triggers: TriggerArgs,
    #[command(flatten)]
    reasons: ReasonArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Compare with a cluster.
    #[arg(long, help_heading = "Cluster")]
    live: bool,
    /// How to print.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Unified)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Unified diffs, as kubectl diff.
    Unified,
    /// For machines.
    Json,
    /// A comment for a pull request.
    Markdown,
}

/// Run the command.
pub fn run(args: DiffArgs) -> Outcome {
    if let Some(range) = args.range.as_deref().filter(|range| args.live && range.contains("..")) {
        let message = format!("with --live the cluster is the one side: name one revision, not {range:?}");
        return Err(message.into());
    }
    let settings = args.source.settings()?;
    let source = open_repository(&settings)?;
    let mut namespaces = args.triggers.namespaces()?;
    if args.live {
        let live = tokio::runtime::Runtime::new()?.block_on(async {
            let cluster = args.cluster.connect(&settings).await?;
            live::read(&cluster, &[]).await
        })?;
        namespaces.extend(live.namespaces);
    }
    let mut world = args.triggers.world()?;
    if args.live {
        world = world.with_cluster();
    }
    let mut offline = Offline::new(source, render_options(&settings), namespaces).within(world);
    let comparison = if args.live {
        live::against_cluster(&args, &settings, &mut offline)?
    } else {
        between_revisions(&args, &mut offline)?
    };
    comparison.print(args.output, &args.reasons)
}

/// Two sides and what is planned to get from one to the other.
struct Comparison {
    head: Reviewed,
    live: LiveState,
    recorded: HashMap<crate::model::ObjectId, Arc<serde_json::Value>>,
    revision: Revision,
    base: Option<Revision>,
    /// What was rendered of the base.
    before: Vec<Arc<Manifest>>,
    refused_before: Vec<Blocked>,
    /// Given in the cluster, beside git.
    approvals: Vec<Approval>,
    /// What is not touched there: units, each with who suspended it and why.
    suspended: BTreeMap<UnitName, String>,
    /// What a person should know of the two sides.
    findings: Vec<Finding>,
    is_live: bool,
}

fn between_revisions(args: &DiffArgs, offline: &mut Offline) -> Result<Comparison, super::BoxError> {
    let Between { base, base_revision, head, head_revision } =
        offline.between(args.range.as_deref().unwrap_or("HEAD.."))?;
    let applied: Vec<Arc<Manifest>> = base.review.admitted.manifests().to_vec();
    let now = Timestamp::UNIX_EPOCH.to_string();
    let mut live = plan::live_state_of(&applied, &base.manifests.schemas, &now);
    live.kinds = plan::served_kinds(applied.iter().chain(&head.manifests.manifests), &head.manifests.schemas);
    let recorded = applied.iter().map(|manifest| (manifest.id.clone(), manifest.body.clone())).collect();
    let refused_before = base.review.blocked;
    let head = offline.hand_over(head);
    let base = Some(base_revision);
    Ok(Comparison {
        head,
        live,
        recorded,
        revision: head_revision,
        base,
        before: applied,
        refused_before,
        approvals: Vec::new(),
        suspended: BTreeMap::new(),
        findings: Vec::new(),
        is_live: false,
    })
}

impl Comparison {
    fn print(self, format: Format, reasons: &ReasonArgs) -> Outcome {
        if let Some(code) = self.head.could_not_render() {
            return Ok(code);
        }
        let manifests = &self.head.manifests;
        let rules = rules_of(manifests, &self.approvals);
        let now = Timestamp::UNIX_EPOCH.to_string();
        let accepted = Accepted::default();
        let described = self.head.review.admitted.described();
        let suspended = self.suspended.keys().collect();
        let described = kept_while_suspended(described, &suspended, &self.before, &self.live);
        let context = Context {
            revision: &self.revision,
            applied: self.base.as_ref(),
            schemas: &manifests.schemas,
            recorded: &self.recorded,
            described: &described,
            accepted: &accepted,
            rules: &rules,
            now: &now,
        };
        let plan: Plan = plan::plan(&self.head.review.admitted, &self.live, &context);
        let refused = self.head.review.blocked.iter().filter(|blocked| !self.was_refused(blocked));
        let mut entries: Vec<Entry> = refused.map(Entry::of_refused).collect();
        entries.extend(Entry::all_of(&plan, &self.live, &context, &self.suspended));
        let findings: Vec<Finding> =
            self.head.findings().into_iter().chain(plan.findings.clone()).chain(self.findings).collect();
        let summary = Summary::of(&entries, &findings);
        let explained = reasons.explained(&self.head, &findings)?;
        match format {
            Format::Unified => {
                let color = output::colors(&std::io::stdout());
                let palette = if color { Palette::colored() } else { Palette::plain() };
                let explained = reasons::text(explained.as_deref().unwrap_or_default());
                let diffs = text::unified(&entries, &palette);
                output::result(&format!("{diffs}{explained}{summary}\n"))?;
                output::findings(&findings);
            }
            Format::Json => {
                let mut report = PlanReport::of(&plan, findings, &self.suspended);
                report.objects.extend(entries.iter().filter_map(Entry::stopped));
                let said = match &explained {
                    None => serde_json::to_string_pretty(&report)?,
                    Some(explained) => {
                        let mut report = serde_json::to_value(report)?;
                        report["explanations"] = reasons::json(explained);
                        serde_json::to_string_pretty(&report)?
                    }
                };
                output::result(&(said + "\n"))?;
            }
            Format::Markdown => {
                let comment = markdown::comment(&entries, &findings, &summary, self.is_live);
                let explained = reasons::text(explained.as_deref().unwrap_or_default());
                output::result(&markdown::with_explanations(comment, &explained))?;
            }
        }
        Ok(u8::from(!summary.is_empty()))
    }

    /// Whether the object was refused before, as it is now: the change does not bring that.
    fn was_refused(&self, blocked: &Blocked) -> bool {
        let same = |before: &Blocked| {
            before.manifest.id == blocked.manifest.id && before.manifest.body == blocked.manifest.body
        };
        self.refused_before.iter().any(same)
    }
}
