//! Carries out steps and deletions of a plan: the only place that changes objects of the repository in a cluster.
//!
//! Input: steps that the engine has chosen, of a plan made from admitted objects. Output: a [`Receipt`] each. A write is
//! sent once; whether and when to try again is the engine's business. Guarantees: a change carries the uid of the
//! object that was planned on, and its resourceVersion where it takes fields of others; a change that no commit
//! explains is asked as a dry run first; a deletion carries uid and resourceVersion; nothing is sent while the [`Fence`] is
//! closed. Where peers write as well, changes carry the resourceVersion too, and a creation changes nothing that is there.

mod fence;
mod fight;
mod write;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::Value;

use crate::cluster::{Cluster, ClusterError, DeleteOptions, Preconditions, User};
use crate::finding::{Code, Finding};
use crate::model::{LiveObject, ObjectId, ServedKind, Tenant};
use crate::plan::{Deletion, Step};
pub use fence::Fence;
use fight::FightLedger;

/// How many requests are under way at once.
const CONCURRENCY: usize = 8;

/// One step to carry out.
#[derive(Debug, Clone)]
pub struct Work {
    /// The step.
    pub step: Arc<Step>,
    /// How its kind is served.
    pub kind: ServedKind,
    /// The object as it was planned on.
    pub live: Option<LiveObject>,
}

/// How one step or deletion ended.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The object.
    pub id: ObjectId,
    /// What was asked for; `None` for a deletion.
    pub desired: Option<Arc<Value>>,
    /// The end.
    pub outcome: Outcome,
}

/// How a write ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The server stored it; this is the object now.
    Written(LiveObject),
    /// The server was asked and would change nothing.
    AlreadySo(LiveObject),
    /// It is gone, or going.
    Deleted(Option<LiveObject>),
    /// The server refused; trying again helps only if something else changes.
    Refused(Finding),
    /// It failed in passing; the server may have said how long to wait.
    Failed(Finding, Option<Duration>),
}

/// Writes to one cluster.
#[derive(Debug, Clone)]
pub struct Applier {
    cluster: Cluster,
    fence: Fence,
    /// Others write here with the same field manager: each change goes over the very state that was planned on.
    shared: bool,
    fights: Arc<Mutex<FightLedger>>,
}

impl Applier {
    /// Writes to this cluster while the fence is open.
    pub fn new(cluster: Cluster, fence: Fence) -> Applier {
        Applier { cluster, fence, shared: false, fights: Arc::default() }
    }

    /// The same, with a client whose writes bear the mark of this instance, in a cluster that peers write to as well.
    #[must_use]
    pub fn shared(self, cluster: Cluster) -> Applier {
        Applier { cluster, shared: true, ..self }
    }

    /// The cluster that is written to.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The cluster, writes to it made as a tenant.
    fn cluster_as(&self, tenant: Option<&Tenant>) -> Cluster {
        match tenant {
            None => self.cluster.clone(),
            Some(tenant) => {
                let Tenant { user, groups, .. } = tenant.clone();
                self.cluster.as_user(User { name: user, groups })
            }
        }
    }

    /// Carry out steps, several at once, in no order: the engine hands in one wave at a time.
    pub async fn apply(&self, work: Vec<Work>) -> Vec<Receipt> {
        futures::stream::iter(work)
            .map(|work| async move {
                let outcome = write::write(self, &work).await;
                Receipt {
                    id: work.step.id().clone(),
                    desired: Some(work.step.manifest.body.clone()),
                    outcome,
                }
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await
    }

    /// Carry out deletions one after the other, in the plan's order.
    pub async fn prune(&self, deletions: Vec<(Deletion, ServedKind)>) -> Vec<Receipt> {
        let mut receipts = Vec::with_capacity(deletions.len());
        for (deletion, kind) in deletions {
            let preconditions = Preconditions {
                uid: Some(deletion.uid.clone()),
                // One that is long under way must not find what a newer commit wants, or what somebody took over.
                resource_version: Some(deletion.version.clone()).filter(|it| !it.is_empty()),
            };
            let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
            if !self.fence.is_open() {
                receipts.push(Receipt { outcome: fenced_off(&deletion.id), id: deletion.id, desired: None });
                continue;
            }
            tracing::info!(object = %deletion.id, reason = %deletion.reason, "delete");
            let cluster = self.cluster_as(deletion.tenant.as_ref());
            let outcome = match cluster.delete(&kind, &deletion.id, &options).await {
                Ok(going) => Outcome::Deleted(going),
                // Somebody else was faster.
                Err(ClusterError::NotFound { .. }) => Outcome::Deleted(None),
                // Another object may have its name by now, which the next plan judges anew, as the watch tells it.
                Err(error) => of_error(&error, Code::DeleteFailed, &deletion.id),
            };
            receipts.push(Receipt { id: deletion.id, desired: None, outcome });
        }
        receipts
    }
}

impl Receipt {
    /// Of a write that could not be sent, because what had to be asked first was answered with an error.
    pub fn of_error(id: &ObjectId, desired: Option<Arc<Value>>, error: &ClusterError) -> Receipt {
        let passing = if desired.is_some() { Code::ApplyFailed } else { Code::DeleteFailed };
        Receipt { id: id.clone(), desired, outcome: of_error(error, passing, id) }
    }

    /// Of a write of which nobody knows what came.
    pub fn unknown(id: &ObjectId) -> Receipt {
        let finding =
            Finding::error(Code::ApplyFailed, "the write failed inside; it is tried again").about(id);
        Receipt { id: id.clone(), desired: None, outcome: Outcome::Failed(finding, None) }
    }
}

/// The outcome of a write that was not sent, because the lease is not ours any more.
fn fenced_off(id: &ObjectId) -> Outcome {
    let finding = Finding::warning(Code::LeaseHeld, "not sent: the lease was lost before its turn came");
    Outcome::Failed(finding.about(id), None)
}

/// An error as an outcome; `passing` is the code of failures that may pass.
fn of_error(error: &ClusterError, passing: Code, id: &ObjectId) -> Outcome {
    let mut finding = error.finding().about(id);
    if error.is_retryable() {
        if finding.code != Code::NotHolder {
            finding.code = passing;
        }
        let after = if let ClusterError::Retry { after, .. } = error { *after } else { None };
        return Outcome::Failed(finding, after);
    }
    Outcome::Refused(finding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Gvk;

    #[tokio::test]
    async fn nothing_is_sent_without_the_lease() {
        let asked = Arc::new(Mutex::new(0));
        let count = asked.clone();
        let router = axum::Router::new().fallback(move || async move { *count.lock() += 1 });
        let cluster = Cluster::from_client(kube::Client::new(router, "default"));
        let applier = Applier::new(cluster, Fence::default());
        let id = ObjectId::new("", "ConfigMap", Some("a"), "x");
        let gvk = Gvk::new("v1", "ConfigMap");
        let kind = ServedKind { gvk: gvk.clone(), plural: "configmaps".into(), namespaced: true };
        let deletion = Deletion {
            id,
            gvk,
            uid: "1".into(),
            version: String::new(),
            reason: String::new(),
            at_once: false,
            forced: false,
            tenant: None,
        };
        let receipts = applier.prune(vec![(deletion, kind)]).await;
        assert!(
            matches!(&receipts[0].outcome, Outcome::Failed(finding, None) if finding.code == Code::LeaseHeld)
        );
    }
}
