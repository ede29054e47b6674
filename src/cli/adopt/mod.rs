//! `moin adopt`: taking over from a running Flux, one step after the other.
//!
//! Every step is decided by what lives in the cluster, so that one that was interrupted is simply run again.

mod flux;
mod steps;

use std::collections::HashSet;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::args::{ClusterArgs, SourceArgs, TriggerArgs};
use super::offline::{Offline, Reviewed};
use super::{BoxError, Outcome, output};
use crate::cluster::{Cluster, Kinds, ListOptions};
use crate::finding::{Severity, counted};
use crate::model::{GroupKind, LiveObject, Manifest, ObjectId, ServedKind};
use flux::Kustomization;

const EXAMPLES: &str = "\
Examples:
  moin adopt --repo .                    what there is to take over, and how far it is
  moin adopt --step suspend              Flux leaves its Kustomizations alone
  moin adopt --step take                 the fields of kustomize-controller become moin's, values stay
  moin adopt --step verify               moin would change nothing but its own mark
  moin adopt --step remove               the Kustomizations go, what they applied stays
  moin adopt --step all --dry-run        all of it, without writing

Run `moin run` between verify and remove, or after.";

/// Take over from a running Flux, step by step.
///
/// Kustomizations whose content this repository has are suspended, the fields of their objects given to moin without
/// changing a value, the plan checked, and the Kustomizations removed without pruning. One that would prune is never
/// deleted. Each step looks at the cluster first and may be run again. Ends with 0 when the steps are done, with 1 when
/// something stands in the way, with 2 when it could not run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AdoptArgs {
    /// What to do; without it, how far it is.
    #[arg(long, value_enum, value_name = "STEP")]
    step: Option<Step>,
    /// Say what would be written, and write nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    triggers: TriggerArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Flux leaves its Kustomizations alone.
    Suspend,
    /// The fields that Flux owns become moin's.
    Take,
    /// The plan holds nothing but moin's own marks.
    Verify,
    /// The Kustomizations go, without what they applied.
    Remove,
    /// All of these, one after the other.
    All,
}

/// What is taken over, and from what.
struct Takeover {
    cluster: Cluster,
    kinds: Kinds,
    /// How Kustomizations are served.
    kind: ServedKind,
    reviewed: Reviewed,
    /// Those whose content this repository has; who applies others first.
    ours: Vec<Kustomization>,
    /// The others.
    foreign: Vec<Kustomization>,
    dry_run: bool,
}

/// Run the command.
pub fn run(args: &AdoptArgs) -> Outcome {
    let reviewed = Offline::reviewed(&args.source, &args.triggers, None)?;
    if let Some(code) = reviewed.could_not_render() {
        return Ok(code);
    }
    let settings = args.source.settings_with(args.cluster.flags())?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let cluster = args.cluster.connect(&settings).await?;
        let mut takeover = Takeover::look(cluster, reviewed, args.dry_run).await?;
        takeover.introduce()?;
        let Some(step) = args.step else { return takeover.standing().await };
        if takeover.stands_in_the_way()? {
            return Ok(1);
        }
        let steps = match step {
            Step::All => vec![Step::Suspend, Step::Take, Step::Verify, Step::Remove],
            one => vec![one],
        };
        for step in steps {
            let done = match step {
                Step::Suspend => takeover.suspend().await?,
                Step::Take => takeover.take().await?,
                Step::Verify => takeover.verify().await?,
                Step::Remove => takeover.remove().await?,
                Step::All => true,
            };
            if !done {
                return Ok(1);
            }
        }
        Ok(0)
    })
}

impl Takeover {
    async fn look(cluster: Cluster, reviewed: Reviewed, dry_run: bool) -> Result<Takeover, BoxError> {
        let kinds = cluster.discover().await?;
        let group_kind = GroupKind { group: flux::GROUP.into(), kind: "Kustomization".into() };
        let kind = kinds.get(&group_kind).and_then(|versions| versions.first()).cloned();
        let kind = kind
            .ok_or("there is no Flux here: nobody serves its Kustomization; `moin run` needs no adoption")?;
        let (ours, foreign) = kustomizations(&cluster, &kind, &reviewed).await?;
        Ok(Takeover { cluster, kinds, kind, reviewed, ours, foreign, dry_run })
    }

    async fn look_again(&mut self) -> Result<(), BoxError> {
        (self.ours, self.foreign) = kustomizations(&self.cluster, &self.kind, &self.reviewed).await?;
        Ok(())
    }

    fn manifests(&self) -> &[Arc<Manifest>] {
        &self.reviewed.manifests.manifests
    }

    fn introduce(&self) -> Result<(), BoxError> {
        let mut out = String::new();
        for one in &self.ours {
            let state = if one.is_suspended() { "suspended" } else { "at work" };
            out += &format!("{}: {state}, applied {}\n", one.unit(), counted(one.inventory.len(), "object"));
        }
        for one in &self.foreign {
            out += &format!("{}: left alone, its content is not in this repository\n", one.unit());
        }
        if self.ours.is_empty() {
            out += "no Kustomization is left to take over from\n";
        }
        let rendered: HashSet<&ObjectId> = self.manifests().iter().map(|manifest| &manifest.id).collect();
        let strangers = self.ours.iter().flat_map(|one| &one.inventory).filter(|id| {
            // Kustomizations become units, and are not applied.
            !rendered.contains(*id) && id.group() != flux::GROUP
        });
        for id in strangers {
            out += &format!(
                "{id}: applied by Flux and not in this repository; it stays, and nobody looks after it\n"
            );
        }
        Ok(output::words(&out)?)
    }

    /// Errors of the repository: what it does not render moin would not look after.
    fn stands_in_the_way(&self) -> Result<bool, BoxError> {
        let findings = self.reviewed.findings();
        let errors: Vec<_> =
            findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect();
        if errors.is_empty() {
            return Ok(false);
        }
        output::findings(&errors);
        output::words("nothing is taken over while the repository has errors\n")?;
        Ok(true)
    }

    /// How far it is, and the next step.
    async fn standing(&mut self) -> Outcome {
        let left = self.to_take().await?.len();
        let next = match () {
            () if self.ours.is_empty() && left == 0 => {
                output::words("nothing is left to do\n")?;
                return Ok(0);
            }
            () if self.ours.iter().any(|one| !one.is_suspended()) => "suspend",
            () if left > 0 => "take",
            () => "verify",
        };
        let then = if next == "verify" { ", then `moin adopt --step remove`" } else { "" };
        output::words(&format!(
            "{} has fields in {}\nnext: `moin adopt --step {next}`{then}\n",
            flux::MANAGER,
            counted(left, "object")
        ))?;
        Ok(1)
    }

    /// A rendered object as it lives; `None` while there is none, or nobody serves its kind.
    async fn live(&self, manifest: &Manifest) -> Result<Option<(ServedKind, LiveObject)>, BoxError> {
        let versions = self.kinds.get(&manifest.gvk.group_kind());
        let Some(kind) = versions.and_then(|all| all.iter().find(|kind| kind.gvk == manifest.gvk)) else {
            return Ok(None);
        };
        let found = self.cluster.get(kind, &manifest.id).await?;
        Ok(found.map(|object| (kind.clone(), object)))
    }
}

/// The Kustomizations of a cluster: those whose content a repository has, who applies others first; and the others.
async fn kustomizations(
    cluster: &Cluster,
    kind: &ServedKind,
    reviewed: &Reviewed,
) -> Result<(Vec<Kustomization>, Vec<Kustomization>), BoxError> {
    let found = cluster.list(kind, &ListOptions::default()).await?;
    let units: HashSet<&str> = reviewed.manifests.units.iter().map(|unit| unit.name.as_str()).collect();
    let rendered: HashSet<&ObjectId> = reviewed.manifests.manifests.iter().map(|it| &it.id).collect();
    let is_ours = |one: &Kustomization| {
        units.contains(one.unit().as_str()) || one.inventory.iter().any(|id| rendered.contains(id))
    };
    let all: Vec<Kustomization> = found.into_iter().filter_map(Kustomization::of).collect();
    // What applies one of ours would set it back: it is ours as well.
    let named: HashSet<ObjectId> = all.iter().filter(|one| is_ours(one)).map(|one| one.id.clone()).collect();
    let (ours, foreign): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| {
        named.contains(&one.id) || one.inventory.iter().any(|applied| named.contains(applied))
    });
    Ok((flux::parents_first(ours), foreign))
}
