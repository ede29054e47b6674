//! `moin diff`: what would change.

mod danger;
mod entry;
pub(super) mod escape;
mod markdown;
mod text;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::args::{ClusterArgs, SourceArgs, TriggerArgs, open_repository, render_options};
use super::offline::{Between, Offline, Reviewed};
use super::{Outcome, output};
use crate::cluster::{Cluster, ListOptions};
use crate::daemon::rules_of;
use crate::finding::Finding;
use crate::model::{LiveState, Manifest, OWNER_LABEL, Revision, ServedKind};
use crate::plan::{self, Accepted, Context, Plan};
use crate::review::Blocked;
use crate::status::PlanReport;
use entry::{Entry, Summary};
use text::Palette;

/// What a policy asks for may name what it asks for next, as often as this.
const QUESTION_ROUNDS: usize = 5;
/// How long the questions of one round may take.
const QUESTION_DEADLINE: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  moin diff                              what the uncommitted changes would do
  moin diff main..HEAD                   what this branch would do, without a cluster
  moin diff main..HEAD -o markdown       the same, as a comment for a pull request
  moin diff --live                       what applying this folder to the cluster would do
  moin diff --live HEAD                  the same for the last commit";

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
            read_live(&cluster, &[]).await
        })?;
        namespaces.extend(live.namespaces);
    }
    let mut world = args.triggers.world()?;
    if args.live {
        world = world.with_cluster();
    }
    let mut offline = Offline::new(source, render_options(&settings), namespaces).within(world);
    let comparison = if args.live {
        against_cluster(&args, &settings, &mut offline)?
    } else {
        between_revisions(&args, &mut offline)?
    };
    comparison.print(args.output)
}

/// Two sides and what is planned to get from one to the other.
struct Comparison {
    head: Reviewed,
    live: LiveState,
    recorded: HashMap<crate::model::ObjectId, Arc<serde_json::Value>>,
    revision: Revision,
    base: Option<Revision>,
    refused_before: Vec<Blocked>,
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
    let base = Some(base_revision);
    Ok(Comparison { head, live, recorded, revision: head_revision, base, refused_before })
}

fn against_cluster(
    args: &DiffArgs,
    settings: &crate::config::Settings,
    offline: &mut Offline,
) -> Result<Comparison, super::BoxError> {
    let snapshot = offline.snapshot(args.range.as_deref())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let cluster = runtime.block_on(args.cluster.connect(settings))?;
    let mut head = offline.review(&snapshot, None);
    for _ in 0..QUESTION_ROUNDS {
        let open = offline.world.open();
        if open.is_empty() {
            break;
        }
        offline.world.take(runtime.block_on(cluster.answers(open, QUESTION_DEADLINE)));
        head = offline.review(&snapshot, None);
    }
    let live = runtime.block_on(read_live(&cluster, &head.manifests.manifests))?;
    // Once more, now that what is there is known: a version may go up from there, and not down.
    let head = offline.review_beside(&snapshot, None, Some(&live.objects));
    let owner = &head.manifests.owner;
    // What is ours and rendered is taken as recorded: an edit by hand shows as what a pass would set back.
    let ours = head.manifests.manifests.iter().filter(|manifest| {
        live.objects.get(&manifest.id).is_some_and(|object| object.label(OWNER_LABEL) == Some(owner))
    });
    let recorded = ours.map(|manifest| (manifest.id.clone(), manifest.body.clone())).collect();
    Ok(Comparison {
        head,
        live,
        recorded,
        revision: snapshot.revision,
        base: None,
        refused_before: Vec::new(),
    })
}

/// The namespaces of a cluster, the objects that are rendered, and everything that carries an owner label of their kinds.
async fn read_live(cluster: &Cluster, manifests: &[Arc<Manifest>]) -> Result<LiveState, super::BoxError> {
    let mut live = LiveState { kinds: cluster.discover().await?, ..LiveState::default() };
    let namespace = crate::model::Gvk::new("v1", "Namespace");
    if let Some(kind) = live.served(&namespace).cloned() {
        for object in cluster.list(&kind, &ListOptions::default()).await? {
            let name = object.body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            live.namespaces.insert(name, object);
        }
    }
    let owned = ListOptions { labels: Some(OWNER_LABEL.to_owned()), ..ListOptions::default() };
    let kinds: Vec<ServedKind> =
        live.kinds.values().filter_map(|versions| versions.first().cloned()).collect();
    if !manifests.is_empty() {
        for kind in kinds {
            // Kinds that cannot be listed hold nothing of ours.
            for object in cluster.list(&kind, &owned).await.unwrap_or_default() {
                if let Ok(id) = crate::model::ObjectId::of(&object.body) {
                    live.objects.insert(id, object);
                }
            }
        }
    }
    let class = crate::model::Gvk::new("cluster.x-k8s.io/v1", "ClusterClass").group_kind();
    if let Some(kind) = live.kinds.get(&class).and_then(|kinds| kinds.first()).cloned()
        && manifests.iter().any(|manifest| manifest.id.kind() == "Cluster")
    {
        // They say which variables a Cluster may have, whoever made them.
        for object in cluster.list(&kind, &ListOptions::default()).await.unwrap_or_default() {
            if let Ok(id) = crate::model::ObjectId::of(&object.body) {
                live.objects.entry(id).or_insert(object);
            }
        }
    }
    for manifest in manifests {
        if let Some(kind) = live.served(&manifest.gvk).cloned()
            && !live.objects.contains_key(&manifest.id)
            && let Some(object) = cluster.get(&kind, &manifest.id).await?
        {
            live.objects.insert(manifest.id.clone(), object);
        }
    }
    Ok(live)
}

impl Comparison {
    fn print(self, format: Format) -> Outcome {
        if let Some(code) = self.head.could_not_render() {
            return Ok(code);
        }
        let manifests = &self.head.manifests;
        let rules = rules_of(manifests, &[]);
        let now = Timestamp::UNIX_EPOCH.to_string();
        let accepted = Accepted::default();
        let context = Context {
            revision: &self.revision,
            applied: self.base.as_ref(),
            schemas: &manifests.schemas,
            recorded: &self.recorded,
            described: self.head.review.admitted.described(),
            accepted: &accepted,
            rules: &rules,
            now: &now,
        };
        let plan: Plan = plan::plan(&self.head.review.admitted, &self.live, &context);
        let refused = self.head.review.blocked.iter().filter(|blocked| !self.was_refused(blocked));
        let mut entries: Vec<Entry> = refused.map(Entry::of_refused).collect();
        entries.extend(Entry::all_of(&plan, &self.live, &context));
        let findings: Vec<Finding> = self.head.findings().into_iter().chain(plan.findings.clone()).collect();
        let summary = Summary::of(&entries, &findings);
        match format {
            Format::Unified => {
                let color = output::colors(&std::io::stdout());
                let palette = if color { Palette::colored() } else { Palette::plain() };
                output::result(&format!("{}{summary}\n", text::unified(&entries, &palette)))?;
                output::findings(&findings);
            }
            Format::Json => {
                let mut report = PlanReport::of(&plan, findings);
                report.objects.extend(entries.iter().filter_map(Entry::stopped));
                output::result(&(serde_json::to_string_pretty(&report)? + "\n"))?;
            }
            Format::Markdown => {
                output::result(&markdown::comment(&entries, &findings, &summary, self.base.is_none()))?;
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
