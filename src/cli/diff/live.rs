//! The cluster as one side of a diff: what lives there, and what its Reconciliation records.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Comparison, DiffArgs};
use crate::cli::offline::{Offline, Reviewed};
use crate::cli::{BoxError, reconciliation};
use crate::cluster::{Cluster, ClusterError, ListOptions};
use crate::config::Settings;
use crate::daemon::operators_approvals;
use crate::finding::{Code, Finding, Severity};
use crate::model::{Gvk, LiveState, Manifest, OWNER_LABEL, ObjectId, Revision, ServedKind, Unit, UnitName};
use crate::status::{self, Suspension};

/// What a policy asks for may name what it asks for next, as often as this.
const QUESTION_ROUNDS: usize = 5;
/// How long the questions of one round may take.
const QUESTION_DEADLINE: Duration = Duration::from_secs(10);

/// The repository against the cluster that the arguments name.
pub(super) fn against_cluster(
    args: &DiffArgs,
    settings: &Settings,
    offline: &mut Offline,
) -> Result<Comparison, BoxError> {
    let snapshot = offline.snapshot(args.range.as_deref())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let cluster = runtime.block_on(args.cluster.connect(settings))?;
    let mut head = offline.review(&snapshot, None);
    for _ in 0..QUESTION_ROUNDS {
        let open = offline.world.open();
        if open.is_empty() {
            break;
        }
        offline.world.hear(runtime.block_on(cluster.answers(open, QUESTION_DEADLINE)));
        head = offline.review(&snapshot, None);
    }
    let (told, forbidden) = match runtime.block_on(reconciliation::of(&cluster, &head.manifests.owner)) {
        Err(error @ ClusterError::Refused { status: 403, .. }) => {
            (Value::Null.into(), Some(unreadable(&error)))
        }
        answer => (answer?.map(|live| live.body).unwrap_or_default(), None),
    };
    let (applied, unread) = applied(&told, offline);
    let manifests = applied.iter().flat_map(|applied| &applied.reviewed.manifests.manifests);
    let manifests: Vec<Arc<Manifest>> = head.manifests.manifests.iter().chain(manifests).cloned().collect();
    let live = runtime.block_on(read(&cluster, &manifests))?;
    // Once more, now that what is there is known: a version may go up from there, and not down. The applied policies
    // judge as well.
    let before = applied.as_ref().map(|applied| &applied.reviewed.manifests);
    let head = offline.review_beside(&snapshot, before, Some(&live.objects));
    let head = offline.hand_over(head);
    let owner = &head.manifests.owner;
    let recorded = match &applied {
        Some(applied) => bodies(&applied.reviewed.manifests.manifests),
        // Nobody knows what was applied: of what is ours, an edit by hand shows as what a pass would set back.
        None => bodies(head.manifests.manifests.iter().filter(|manifest| {
            live.objects.get(&manifest.id).is_some_and(|object| object.label(OWNER_LABEL) == Some(owner))
        })),
    };
    let (suspended, mut findings) = suspended(&told, &head.manifests.units);
    findings.extend(forbidden.into_iter().chain(unread));
    findings.extend(another_place(&told, settings));
    Ok(Comparison {
        live,
        recorded,
        revision: snapshot.revision,
        base: applied.as_ref().map(|applied| applied.revision.clone()),
        before: applied.map(|applied| applied.reviewed.manifests.manifests).unwrap_or_default(),
        refused_before: Vec::new(),
        approvals: operators_approvals(&told),
        suspended,
        findings,
        head,
        is_live: true,
    })
}

fn bodies<'a>(manifests: impl IntoIterator<Item = &'a Arc<Manifest>>) -> HashMap<ObjectId, Arc<Value>> {
    manifests.into_iter().map(|manifest| (manifest.id.clone(), manifest.body.clone())).collect()
}

/// The applied revision, as it renders.
struct Applied {
    revision: Revision,
    reviewed: Reviewed,
}

/// What the Reconciliation records as applied, or why that is not known here.
fn applied(told: &Value, offline: &mut Offline) -> (Option<Applied>, Option<Finding>) {
    let Some(revision) = status::recorded(told).1.map(|revision| Revision::new(&revision)) else {
        return (None, None);
    };
    match offline.snapshot(Some(revision.as_str())) {
        Ok(snapshot) => {
            let reviewed = offline.review(&snapshot, None);
            (Some(Applied { revision, reviewed }), None)
        }
        Err(error) => {
            let message = format!(
                "what is applied there ({}) cannot be read here, so a conflict with another owner may show as a repair: \
                 {error}",
                revision.short()
            );
            let help = "fetch that commit into this repository, or give --repo URL";
            (None, Some(Finding::warning(Code::SourceUnreachable, message).help(help)))
        }
    }
}

/// Who may not read the Reconciliation is shown the rest.
fn unreadable(error: &ClusterError) -> Finding {
    let mut finding = error.finding();
    finding.severity = Severity::Warning;
    finding.message = format!(
        "what is applied there may not be read, so a conflict with another owner may show as a repair, and what is suspended as a \
         change: {}",
        finding.message
    );
    finding
}

/// The units that are not touched, by an operator or by the repository.
fn suspended(told: &Value, units: &[Unit]) -> (BTreeMap<UnitName, String>, Vec<Finding>) {
    let by_hand = Suspension::all_of(told);
    let findings = by_hand.iter().map(|suspension| suspension.finding(units)).collect();
    let words = |unit: &Unit| {
        let of_unit = by_hand.iter().find(|suspension| suspension.covers(unit.name.as_str()));
        let in_git = unit.suspended.then(|| "suspended in the repository".to_owned());
        Some((unit.name.clone(), of_unit.map(Suspension::words).or(in_git)?))
    };
    (units.iter().filter_map(words).collect(), findings)
}

/// What is compared is not what the daemon of the cluster applies.
fn another_place(told: &Value, settings: &Settings) -> Option<Finding> {
    let here = settings.path.to_string();
    let recorded = status::recorded(told).0.filter(|source| source.path != here)?;
    let message = format!(
        "the daemon of this cluster applies the path {:?} of {}, and this compares the path {:?}",
        recorded.path, recorded.url, here
    );
    let help = format!("give --path '{}'", recorded.path);
    Some(Finding::warning(Code::SourceMismatch, message).help(help))
}

/// The namespaces of a cluster, the objects that are rendered, and everything that carries an owner label of their kinds.
pub(super) async fn read(cluster: &Cluster, manifests: &[Arc<Manifest>]) -> Result<LiveState, BoxError> {
    let mut live = LiveState { kinds: cluster.discover().await?, ..LiveState::default() };
    let namespace = Gvk::new("v1", "Namespace");
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
                if let Ok(id) = ObjectId::of(&object.body) {
                    live.objects.insert(id, object);
                }
            }
        }
    }
    let class = Gvk::new("cluster.x-k8s.io/v1", "ClusterClass").group_kind();
    if let Some(kind) = live.kinds.get(&class).and_then(|kinds| kinds.first()).cloned()
        && manifests.iter().any(|manifest| manifest.id.kind() == "Cluster")
    {
        // They say which variables a Cluster may have, whoever made them.
        for object in cluster.list(&kind, &ListOptions::default()).await.unwrap_or_default() {
            if let Ok(id) = ObjectId::of(&object.body) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_unit_is_suspended_by_hand_or_in_the_repository() {
        let units =
            [Unit::new(UnitName::new("a")), Unit { suspended: true, ..Unit::new(UnitName::new("b")) }];
        let told = json!({"spec": {"suspensions": [{"unit": "a", "by": "jane", "reason": "repair"}]}});
        let (found, findings) = suspended(&told, &units);
        let words: Vec<&str> = found.values().map(String::as_str).collect();
        assert_eq!(words, ["suspended by jane: repair", "suspended in the repository"]);
        assert_eq!(findings.len(), 1);
        assert!(suspended(&Value::Null, &units[..1]).0.is_empty());
    }
}
