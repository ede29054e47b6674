//! The cluster that is reconciled: prepared, watched, and known by what it records.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc;

use super::bootstrap::{self, reconciliation_kind};
use super::pipeline::Turn;
use crate::apply::{Receipt, Work};
use crate::cluster::{Cluster, ClusterError, ListOptions, Watches};
use crate::config::{Approval, ApprovalAction};
use crate::finding::{Code, Finding};
use crate::model::{
    API_GROUP, GroupKind, Gvk, LiveObject, LiveState, OWNER_LABEL, ObjectId, Revision, SYSTEM_NAMESPACE,
};
use crate::source::SourceError;
use crate::status::{self, SourceRecord, Suspension};

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The source could not be read for the first time.
    #[error("the source cannot be read")]
    Source(#[source] SourceError),
    /// The target could not be prepared.
    #[error("the cluster cannot be prepared")]
    Cluster(#[source] ClusterError),
    /// Another source uses the owner name in this cluster.
    #[error("{} ({})", .0.message, .0.code)]
    SourceMismatch(Box<Finding>),
}

/// A cluster under reconciliation.
pub(super) struct Target {
    owner: String,
    watches: Arc<Watches>,
    /// Kinds that our objects are of, whether or not the repository still renders such.
    found: Vec<Gvk>,
    reconciliation: Option<LiveObject>,
}

impl Target {
    /// Prepare, unless nothing may be written before the lease is won, and begin to watch; every change of what is watched
    /// is told on the channel.
    pub(super) async fn open(
        cluster: &Cluster,
        owner: &str,
        source: &SourceRecord,
        prepare: bool,
    ) -> Result<(Target, mpsc::Receiver<()>), DaemonError> {
        let reconciliation =
            if prepare { prepared(cluster, owner).await } else { bootstrap::find(cluster, owner).await };
        let reconciliation = reconciliation.map_err(DaemonError::Cluster)?;
        if let Some(live) = &reconciliation {
            same_source(owner, live, source)?;
        }
        let (watches, changes) =
            Watches::start(cluster.clone(), owner).await.map_err(DaemonError::Cluster)?;
        let found = owned_kinds(cluster, owner, &watches).await;
        let target = Target { owner: owner.to_owned(), watches: Arc::new(watches), found, reconciliation };
        target.follow_kinds(&[], Vec::new());
        target.watches.settled().await;
        // Without the namespaces, what they triggered would look as if its namespace had gone.
        if let Some(error) = target.watches.problems().remove(&namespaces()) {
            return Err(DaemonError::Cluster(error));
        }
        Ok((target, told(changes)))
    }

    /// The owner name.
    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    /// What is known of the cluster now.
    pub(super) fn live(&self) -> LiveState {
        self.watches.snapshot()
    }

    /// The watches, for work beside the loop.
    pub(super) fn watches(&self) -> Arc<Watches> {
        self.watches.clone()
    }

    /// The Reconciliation as it was found.
    pub(super) fn reconciliation(&self) -> Option<LiveObject> {
        self.reconciliation.clone()
    }

    /// The revision that was applied as a whole.
    pub(super) fn applied_revision(&self) -> Option<Revision> {
        let live = self.reconciliation.as_ref()?;
        status::recorded(&live.body).1.map(|revision| Revision::new(&revision))
    }

    /// The newest revision of which anything may be applied.
    pub(super) fn attempted_revision(&self) -> Option<Revision> {
        attempted_in(&self.reconciliation.as_ref()?.body)
    }

    /// Approvals that an operator wrote into the Reconciliation.
    pub(super) fn approvals(&self) -> Vec<Approval> {
        operators_approvals(&self.told_by_operators())
    }

    /// What an operator has suspended there.
    pub(super) fn suspensions(&self) -> Vec<Suspension> {
        Suspension::all_of(&self.told_by_operators())
    }

    /// The Reconciliation by now; null while there is none.
    fn told_by_operators(&self) -> Arc<Value> {
        let state = self.watches.state();
        let state = state.read();
        state.objects.get(&self.reconciliation_id()).map(|live| live.body.clone()).unwrap_or_default()
    }

    /// Whether an operator approved a revision that does not descend from the applied one.
    pub(super) fn approves_revision(&self, revision: &Revision) -> bool {
        self.approvals().iter().any(|approval| approval.allows_revision(ApprovalAction::Revision, revision))
    }

    /// Watch what a turn renders, refers to, and left behind.
    pub(super) fn follow(&mut self, turn: &Turn) {
        let kinds: HashSet<&Gvk> = turn.manifests.manifests.iter().map(|manifest| &manifest.gvk).collect();
        // What is rendered no more is still to be seen: until it is deleted, and while its deletion is under way.
        let known: HashSet<GroupKind> = self.found.iter().map(Gvk::group_kind).collect();
        let new = kinds.iter().filter(|gvk| !known.contains(&gvk.group_kind()));
        self.found.extend(new.map(|gvk| (*gvk).clone()));
        let kinds: Vec<Gvk> = kinds.into_iter().cloned().collect();
        let checks = turn.manifests.units.iter().flat_map(|unit| &unit.health_checks).map(|check| {
            let id =
                ObjectId::new(&check.gvk.group, &check.gvk.kind, check.namespace.as_deref(), &check.name);
            (check.gvk.clone(), id)
        });
        self.follow_kinds(&kinds, checks.collect());
    }

    fn follow_kinds(&self, kinds: &[Gvk], mut named: Vec<(Gvk, ObjectId)>) {
        let mut all: Vec<Gvk> = self.found.iter().chain(kinds).cloned().collect();
        all.sort();
        all.dedup();
        self.watches.follow(all);
        named.push((reconciliation_kind().gvk, self.reconciliation_id()));
        self.watches.name(named);
    }

    fn reconciliation_id(&self) -> ObjectId {
        ObjectId::new(API_GROUP, "Reconciliation", Some(SYSTEM_NAMESPACE), &status::name_of(&self.owner))
    }

    /// Take in the answer to a write.
    pub(super) fn take_in(&self, id: &ObjectId, object: Option<LiveObject>) {
        match object {
            Some(object) => self.watches.feed(&object),
            None => self.watches.feed_deleted(id),
        }
    }

    /// What cannot be watched.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let problems = self.watches.problems();
        // A kind that nobody serves is told of each object of it.
        let problems =
            problems.into_iter().filter(|(_, error)| !matches!(error, ClusterError::NotServed { .. }));
        problems
            .map(|(kind, error)| {
                let message = format!("{kind} cannot be watched: {error}");
                Finding::warning(Code::ClusterUnreachable, message)
            })
            .collect()
    }
}

/// What a target needs, and the Reconciliation in it.
pub(super) async fn prepared(cluster: &Cluster, owner: &str) -> Result<Option<LiveObject>, ClusterError> {
    let kinds = cluster.discover().await?;
    bootstrap::prepare(cluster, &kinds, owner).await
}

/// The newest revision of which anything may be applied, by a Reconciliation.
pub(super) fn attempted_in(reconciliation: &Value) -> Option<Revision> {
    let status = &reconciliation["status"];
    status["revision"].as_str().or(status["appliedRevision"].as_str()).map(Revision::new)
}

/// The approvals that operators wrote into a Reconciliation.
pub fn operators_approvals(reconciliation: &Value) -> Vec<Approval> {
    let approvals = reconciliation["spec"]["approvals"].as_array();
    approvals.into_iter().flatten().filter_map(approval_of).collect()
}

/// An approval in the Reconciliation's spec; one that is not understood allows nothing.
fn approval_of(entry: &Value) -> Option<Approval> {
    let text = |field: &str| entry[field].as_str().filter(|text| !text.is_empty());
    let action = ApprovalAction::WORDS.iter().find(|(word, _)| Some(*word) == text("action"))?.1;
    let object = text("object").map(str::parse).transpose().ok()?;
    Some(Approval {
        action,
        object,
        revision: text("revision").map(str::to_owned),
        cluster: text("cluster").map(str::to_owned),
        reason: text("reason").map(str::to_owned),
        line: 0,
    })
}

/// Of objects that are to be created, those that do not exist, and receipts of those that could not be looked for. The
/// others are in the caches now, so that the next plan sees that they are not ours.
pub(super) async fn absent(watches: &Watches, work: Vec<Work>) -> (Vec<Work>, Vec<Receipt>) {
    let wanted: Vec<_> = work.iter().map(|work| (work.kind.clone(), work.step.id().clone())).collect();
    let failed = watches.look(wanted).await;
    let failed: HashMap<ObjectId, ClusterError> = failed.into_iter().collect();
    let state = watches.state();
    let state = state.read();
    let mut absent = Vec::new();
    let mut receipts = Vec::new();
    for work in work {
        let id = work.step.id();
        match failed.get(id) {
            Some(error) => {
                receipts.push(Receipt::of_error(id, Some(work.step.manifest.body.clone()), error));
            }
            None if state.objects.contains_key(id) => {}
            None => absent.push(work),
        }
    }
    (absent, receipts)
}

/// Kinds of which objects carry our label: found once, so that what is no longer rendered can be pruned.
async fn owned_kinds(cluster: &Cluster, owner: &str, watches: &Watches) -> Vec<Gvk> {
    let kinds = watches.snapshot().kinds;
    let options = ListOptions { labels: Some(format!("{OWNER_LABEL}={owner}")), ..ListOptions::default() };
    let mut found = Vec::new();
    for kind in kinds.values().filter_map(|versions| versions.first()) {
        match cluster.list(kind, &options).await {
            Ok(objects) if !objects.is_empty() => found.push(kind.gvk.clone()),
            // Its watch tries again, and says so while it cannot.
            Err(error) if error.is_retryable() => found.push(kind.gvk.clone()),
            // Kinds that cannot be listed (reviews), or not by us, hold nothing of ours.
            Ok(_) | Err(_) => {}
        }
    }
    found
}

pub(super) fn same_source(owner: &str, live: &LiveObject, source: &SourceRecord) -> Result<(), DaemonError> {
    let Some(recorded) = status::recorded(&live.body).0 else { return Ok(()) };
    // A history is known by its root, whatever it is reached by; what has none (a folder) by its address alone.
    let both_have_history = !recorded.root_commit.is_empty() && !source.root_commit.is_empty();
    let same = if both_have_history {
        recorded.root_commit == source.root_commit
    } else {
        recorded.url == source.url
    };
    if same && recorded.path == source.path {
        return Ok(());
    }
    let message = format!(
        "the owner name {owner:?} is used by another source in this cluster: {} at path {:?}, not {} at path {:?}",
        recorded.url, recorded.path, source.url, source.path
    );
    let help = format!(
        "give this repository another metadata.name in moin.yaml, or another --name; if it is the same repository at a new \
         place, `kubectl delete reconciliations.moin.scs.community -n {SYSTEM_NAMESPACE} {}` lets the next run record it",
        status::name_of(owner)
    );
    let finding = Finding::error(Code::SourceMismatch, message).help(help);
    Err(DaemonError::SourceMismatch(Box::new(finding)))
}

/// Changes without what they say: the plan looks at everything anyway. Many at once are told as one.
fn told(mut changes: mpsc::UnboundedReceiver<crate::cluster::Change>) -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while changes.recv().await.is_some() {
            // One that nobody has taken yet tells of this one too: a loop that is slower than the changes is told of
            // them once.
            if let Err(mpsc::error::TrySendError::Closed(())) = sender.try_send(()) {
                return;
            }
        }
    });
    receiver
}

fn namespaces() -> GroupKind {
    Gvk::new("v1", "Namespace").group_kind()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn recorded(url: &str, root: &str) -> LiveObject {
        LiveObject::new(json!({"status": {"source": {"url": url, "path": "", "rootCommit": root}}}))
    }

    fn source(url: &str, root: &str) -> SourceRecord {
        SourceRecord { url: url.into(), path: String::new(), root_commit: root.into() }
    }

    #[test]
    fn a_history_is_known_by_its_root_and_a_folder_by_its_address() {
        let same = |a: (&str, &str), b: (&str, &str)| {
            same_source("moin", &recorded(a.0, a.1), &source(b.0, b.1)).is_ok()
        };
        assert!(same(("https://a", "1"), ("https://mirror", "1")));
        assert!(!same(("https://a", "1"), ("https://a", "2")));
        assert!(same(("/a", ""), ("/a", "")));
        assert!(!same(("/a", ""), ("/b", "")));
        assert!(!same(("/a", ""), ("https://a", "1")));
    }

    #[tokio::test]
    async fn changes_that_nobody_took_yet_are_told_once() {
        let (sender, changes) = mpsc::unbounded_channel();
        let mut told = told(changes);
        for _ in 0..1000 {
            sender.send(crate::cluster::Change::Kinds).unwrap();
        }
        drop(sender);
        let mut times = 0;
        while told.recv().await.is_some() {
            times += 1;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!((1..=2).contains(&times), "{times}");
    }
}
