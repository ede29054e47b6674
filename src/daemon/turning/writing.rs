//! Applying and pruning, and taking in the receipts.

use std::collections::HashMap;
use std::sync::Arc;

use super::Turning;
use super::beside::Message;
use crate::apply::{Outcome, Receipt, Work};
use crate::cluster::ClusterError;
use crate::daemon::hold_up::{Sought, held_up};
use crate::daemon::pipeline::fingerprint;
use crate::daemon::target::absent;
use crate::engine::{WriteEnd, Written};
use crate::model::{LiveObject, ObjectId};
use crate::plan::{Action, Cause, Deletion, Step, may_still_go};

/// A deletion of an object as it lives by now, which may be later than it was planned on; or why none is sent.
fn as_it_lives(
    deletion: &Deletion,
    object: Option<&LiveObject>,
    owner: &str,
    recreates: bool,
) -> Result<Deletion, Box<Receipt>> {
    let id = deletion.id.clone();
    // The watches know what bears our label: it is gone, or somebody took it over. Either way nothing is left to delete.
    let Some(object) = object else {
        return Err(Box::new(Receipt { id, desired: None, outcome: Outcome::Deleted(None) }));
    };
    if object.uid() != deletion.uid || !(recreates || may_still_go(object, owner)) {
        let error = ClusterError::Stale { message: "it is not what was to be deleted any more".to_owned() };
        return Err(Box::new(Receipt::of_error(&id, None, &error)));
    }
    Ok(Deletion { version: object.resource_version().to_owned(), ..deletion.clone() })
}

impl Turning {
    pub(super) fn apply(&mut self, ids: &[ObjectId]) {
        let Some(turn) = &self.turn else { return };
        let live = self.target.live();
        let by_id: HashMap<&ObjectId, _> = turn.plan.steps.iter().map(|step| (step.id(), step)).collect();
        let work: Vec<Work> = ids
            .iter()
            .filter_map(|id| {
                let step = (*by_id.get(id)?).clone();
                let kind = live.served(&step.manifest.gvk)?.clone();
                Some(Work { live: live.objects.get(id).cloned(), step, kind })
            })
            .collect();
        drop(live);
        let (applier, target) = (self.applier.clone(), self.target.watches());
        self.beside(ids, Message::Applied, async move {
            // What exists without being ours is not in the watch caches: it must be seen before it is written over.
            let (new, known): (Vec<Work>, Vec<Work>) =
                work.into_iter().partition(|work| work.step.action == Action::Create);
            let (absent, mut receipts) = absent(&target, new).await;
            receipts.extend(applier.apply(known.into_iter().chain(absent).collect()).await);
            receipts
        });
    }

    pub(super) fn prune(&mut self, ids: &[ObjectId]) {
        let Some(turn) = &self.turn else { return };
        let live = self.target.live();
        let mut work = Vec::new();
        let mut receipts = Vec::new();
        let mut objects = Vec::new();
        for deletion in turn.plan.deletions.allowed.iter().filter(|deletion| ids.contains(&deletion.id)) {
            let recreates = turn.plan.steps.iter().any(|step| *step.id() == deletion.id);
            let current =
                as_it_lives(deletion, live.objects.get(&deletion.id), self.target.owner(), recreates);
            match (current, live.served(&deletion.gvk)) {
                (Ok(current), Some(kind)) => work.push((current, kind.clone())),
                (Ok(_), None) => {
                    let error = ClusterError::NotServed { what: deletion.gvk.to_string() };
                    receipts.push(Receipt::of_error(&deletion.id, None, &error));
                    continue;
                }
                (Err(receipt), _) => {
                    receipts.push(*receipt);
                    continue;
                }
            }
            if let Some(object) = live.objects.get(&deletion.id) {
                objects.push((deletion.clone(), object.clone()));
            }
        }
        let sought = Sought::of(&live);
        let (applier, cluster) = (self.applier.clone(), self.cluster.clone());
        self.beside(ids, Message::Pruned, async move {
            receipts.extend(held_up(&cluster, &objects, &sought).await);
            work.retain(|(deletion, _)| receipts.iter().all(|receipt| receipt.id != deletion.id));
            receipts.extend(applier.prune(work).await);
            receipts
        });
    }

    /// Remember what was applied, so that the next plan sees it whether or not the watch has told of it.
    pub(super) fn take_in(&mut self, receipts: Vec<Receipt>) -> Vec<Written> {
        let turn = self.turn.as_ref();
        let steps: HashMap<&ObjectId, &Arc<Step>> =
            turn.iter().flat_map(|turn| &turn.plan.steps).map(|step| (step.id(), step)).collect();
        receipts
            .into_iter()
            .map(|Receipt { id, desired, outcome }| {
                let step = steps.get(&id);
                let fingerprint = step.map(|step| fingerprint(&step.manifest)).unwrap_or_default();
                let drift = step.is_some_and(|step| matches!(step.action, Action::Update(Cause::Drift(_))));
                // What the server would not have changed was no drift.
                if desired.is_some() && matches!(outcome, Outcome::Written(_)) {
                    self.probes.metrics.written.inc();
                    if drift {
                        self.probes.metrics.repaired.inc();
                    }
                }
                let end = match outcome {
                    Outcome::Written(object) | Outcome::AlreadySo(object) if desired.is_some() => {
                        if let Some(desired) = desired {
                            self.pipeline.accepted.remember(&id, &desired, object.resource_version());
                            self.pipeline.record(&id, desired);
                        }
                        self.target.take_in(&id, Some(object));
                        WriteEnd::Done
                    }
                    Outcome::Written(_) | Outcome::AlreadySo(_) => WriteEnd::Done,
                    Outcome::Deleted(left) => {
                        self.target.take_in(&id, left);
                        WriteEnd::Done
                    }
                    Outcome::Refused(finding) => WriteEnd::Refused(Box::new(finding)),
                    Outcome::Failed(finding, after) => WriteEnd::Failed(Box::new(finding), after),
                };
                Written { id, fingerprint, end }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FIELD_MANAGER, Gvk, OWNER_LABEL};
    use serde_json::json;

    #[test]
    fn a_deletion_is_of_the_object_as_it_lives_by_now() {
        let deletion = Deletion {
            id: ObjectId::new("", "ConfigMap", Some("a"), "x"),
            gvk: Gvk::new("v1", "ConfigMap"),
            uid: "1".into(),
            version: "7".into(),
            reason: String::new(),
            at_once: false,
            forced: false,
            tenant: None,
        };
        let ours = json!({"metadata": {"uid": "1", "resourceVersion": "8", "labels": {OWNER_LABEL: "moin"},
            "managedFields": [{"manager": FIELD_MANAGER, "operation": "Apply"}]}});
        let with = |more: serde_json::Value| {
            let mut body = ours.clone();
            json_patch::merge(&mut body, &more);
            LiveObject::new(body)
        };
        let end = |object: Option<&LiveObject>, recreates| as_it_lives(&deletion, object, "moin", recreates);
        assert_eq!(end(Some(&with(json!({}))), false).unwrap().version, "8");
        assert!(matches!(end(None, false).unwrap_err().outcome, Outcome::Deleted(None)));
        let never = json!({"metadata": {"annotations": {"moin.scs.community/prune": "never"}}});
        let taken = json!({"metadata": {"labels": {OWNER_LABEL: null}}});
        for more in [never, taken.clone(), json!({"metadata": {"uid": "2"}})] {
            assert!(matches!(end(Some(&with(more)), false).unwrap_err().outcome, Outcome::Failed(..)));
        }
        assert!(end(Some(&with(taken)), true).is_ok(), "somebody approved it");
    }
}
