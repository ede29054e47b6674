//! What would change, and why: admitted objects against the live state.
//!
//! Input: what review admitted, what the cluster holds, what the recorded revision rendered, the repository's rules.
//! Output: a [`Plan`]: one [`Step`] an object, with its fields' changes and risk, and the [`Deletion`]s. Planning cannot
//! fail: what cannot be done is a step that is blocked, with the finding that says why.
//!
//! Guarantees: planning a converged cluster yields no write; nothing is deleted that does not carry our owner label
//! and our field manager; a field of somebody else is never taken unless the repository says so; the result does not
//! depend on the order of the input. Cost: O(fields of the objects whose desired or live state changed); an object
//! whose two sides are the same allocations as last time is answered from the [`Planner`]'s memory.

mod guard;
mod mask;
mod offline;
mod prune;
mod recognise;
mod step;
mod stored;
mod wave;
mod way_back;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value;

pub use guard::{Homes, MovedClusters, Provisioned, provisioned};
pub use mask::{MASK, mask_secret};
pub use offline::{live_state_of, served_kinds};
pub use prune::{Deletion, Deletions, Waiting, may_still_go, refers_to, uses_stack};
pub use recognise::{Holds, Recognition, Sighting};
pub use wave::Wave;
pub use way_back::no_way_back;

use crate::config::{Adoption, Approval, Impersonation, Protection, Repository};
use crate::finding::Finding;
use crate::merge::FieldChange;
use crate::model::{Actor, FieldPath, GroupKind, LiveState, Manifest, ObjectId, Revision};
use crate::review::Admitted;
use crate::schema::Schemas;

/// The repository's rules for what may be taken and deleted.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Owner name: `metadata.name` of `moin.yaml`.
    pub owner: String,
    /// When foreign objects are taken over.
    pub adoption: Adoption,
    /// What needs an approval to be deleted.
    pub protection: Protection,
    /// Approvals in git and from the operator.
    pub approvals: Vec<Approval>,
    /// As whom the objects of tenants are applied.
    pub impersonation: Option<Impersonation>,
    /// The Clusters that instances of moin run on.
    pub homes: Homes,
    /// What a cluster that was built anew had provisioned before, as its peer remembers it; empty otherwise.
    pub may_exist: Vec<Provisioned>,
}

impl Rules {
    /// The rules of a repository; `operators` are approvals given beside git.
    pub fn of(owner: &str, repository: &Repository, operators: &[Approval]) -> Rules {
        Rules {
            owner: owner.to_owned(),
            adoption: repository.adoption,
            protection: repository.protection.clone(),
            approvals: repository.approvals.iter().chain(operators).cloned().collect(),
            impersonation: repository.impersonation().cloned(),
            homes: Homes::of(repository),
            may_exist: Vec::new(),
        }
    }
}

/// What planning compares with, beside the live state.
pub struct Context<'a> {
    /// What is planned for.
    pub revision: &'a Revision,
    /// What is applied: an approval in git cannot name the commit that it is in, so it names the one it builds on.
    pub applied: Option<&'a Revision>,
    /// Types of kinds, for merging.
    pub schemas: &'a Schemas,
    /// What the recorded revision rendered: the fields that are ours and whose change by hand is drift.
    pub recorded: &'a HashMap<ObjectId, Arc<Value>>,
    /// Everything that the new revision describes, admitted or not: what is in it is never pruned.
    pub described: &'a HashSet<ObjectId>,
    /// Desired and live pairs that the server has accepted as equal although the merge predicts a difference.
    pub accepted: &'a Accepted,
    /// The repository's rules.
    pub rules: &'a Rules,
    /// Time for predicted managed fields, RFC 3339.
    pub now: &'a str,
}

/// Why an object that is ours is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// The repository changed.
    Commit,
    /// Somebody changed it in the cluster.
    Drift(Vec<Actor>),
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The object does not exist.
    Create,
    /// The object is ours and differs.
    Update(Cause),
    /// The object exists and becomes ours.
    Adopt,
    /// The object is deleted, and created when it is gone, as somebody approved.
    Recreate,
    /// Nothing to do.
    Unchanged,
    /// Its kind is brought by a CRD that is not established yet.
    AwaitKind,
    /// Nothing can be done; `holds` says whether what depends on its unit waits.
    Blocked {
        /// Why.
        finding: Box<Finding>,
        /// Whether dependents wait for it. A kind that nobody serves holds nobody.
        holds: bool,
    },
}

/// What a change means for what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Changed in place.
    InPlace,
    /// Machines or pods are replaced.
    Rolls,
    /// Something is deleted.
    Deletes,
    /// The way back is closed: a lower version is refused.
    NotRevertible,
}

/// What happens to one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The object.
    pub manifest: Arc<Manifest>,
    /// Its place in the order within its unit.
    pub wave: Wave,
    /// What is done.
    pub action: Action,
    /// What changes in the live object, field by field; of a creation, nothing.
    pub changes: Vec<FieldChange>,
    /// What it means.
    pub risk: Risk,
    /// Whether the schema is known, so that the prediction holds field for field.
    pub exact: bool,
    /// Whether the write takes fields of others: all of them drift, or taken by the repository's word.
    pub force: bool,
    /// uid and resourceVersion of the live object that this was planned on.
    pub precondition: Option<(String, String)>,
    /// Fields that differ but stay, because the object says `drift: report`.
    pub reported: Vec<FieldPath>,
}

impl Step {
    /// Whether the step writes to the cluster.
    pub fn writes(&self) -> bool {
        matches!(self.action, Action::Create | Action::Update(_) | Action::Adopt)
    }

    /// Whether the object is all that the repository wants it to be.
    pub fn is_settled(&self) -> bool {
        self.action == Action::Unchanged && self.reported.is_empty()
    }

    /// The object's identity.
    pub fn id(&self) -> &ObjectId {
        &self.manifest.id
    }
}

/// What would change.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it was made for.
    pub revision: Revision,
    /// One step an admitted object, ordered by wave and identity.
    pub steps: Vec<Arc<Step>>,
    /// What is no longer rendered.
    pub deletions: Deletions,
    /// What a person should know: conflicts, missing approvals, kinds nobody serves.
    pub findings: Vec<Finding>,
}

impl Plan {
    /// Whether carrying it out writes nothing.
    pub fn is_empty(&self) -> bool {
        self.deletions.allowed.is_empty()
            && self.deletions.waiting.is_empty()
            && !self.steps.iter().any(|step| step.writes())
    }
}

/// Pairs of desired and live states that the server, asked by a dry run or a write, answered without a change.
#[derive(Debug, Default, Clone)]
pub struct Accepted(HashMap<ObjectId, (Arc<Value>, String)>);

impl Accepted {
    /// Remember that applying `desired` leaves the object as it is at this resource version.
    pub fn remember(&mut self, id: &ObjectId, desired: &Arc<Value>, resource_version: &str) {
        self.0.insert(id.clone(), (desired.clone(), resource_version.to_owned()));
    }

    /// How many pairs are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Remember only those of these objects.
    pub fn retain(&mut self, keep: impl Fn(&ObjectId) -> bool) {
        self.0.retain(|id, _| keep(id));
    }

    /// Whether applying `desired` to this state is known to change nothing.
    pub fn knows(&self, id: &ObjectId, desired: &Arc<Value>, resource_version: &str) -> bool {
        self.0.get(id).is_some_and(|(known, version)| {
            version == resource_version && (Arc::ptr_eq(known, desired) || known == desired)
        })
    }
}

/// Plans again and again, at the cost of what changed since the last time.
#[derive(Debug, Default)]
pub struct Planner {
    memory: FxHashMap<ObjectId, Remembered>,
    moves: guard::Moves,
    /// How often it was planned: what the last plan did not use is forgotten.
    round: u64,
}

#[derive(Debug)]
struct Remembered {
    manifest: Arc<Manifest>,
    live: Option<Arc<Value>>,
    recorded: Option<Arc<Value>>,
    environment: u64,
    step: Arc<Step>,
    round: u64,
}

impl Remembered {
    /// Whether the step still holds. What depends on more than the two sides is decided anew: what the server accepted
    /// as equal, and which kinds this commit brings.
    fn holds(
        &self,
        manifest: &Arc<Manifest>,
        live: Option<&Arc<Value>>,
        recorded: Option<&Arc<Value>>,
        environment: u64,
    ) -> bool {
        self.environment == environment
            && Arc::ptr_eq(&self.manifest, manifest)
            && same(self.live.as_ref(), live)
            && same(self.recorded.as_ref(), recorded)
            && !matches!(self.step.action, Action::Update(_) | Action::AwaitKind | Action::Blocked { .. })
    }
}

impl Planner {
    /// What this planner knows of moves, for one that begins anew.
    pub fn moved(&self) -> MovedClusters {
        self.moves.told()
    }

    /// Take in what another planner knew of moves.
    pub fn recall_moves(&mut self, moved: &MovedClusters) {
        self.moves.recall(moved);
    }

    /// The plan for what was admitted. `environment` is a hash of everything else that classification depends on
    /// (schemas, served kinds, terminating namespaces, rules); when it changes, all steps are made anew.
    ///
    /// What is settled is expected to count as recorded in the next plan.
    pub fn plan(
        &mut self,
        admitted: &Admitted,
        live: &LiveState,
        context: &Context<'_>,
        environment: u64,
    ) -> Plan {
        self.round += 1;
        let brought = wave::brought_kinds(admitted.manifests());
        let mut steps: Vec<Arc<Step>> =
            admitted.manifests().iter().map(|m| self.step(m, live, &brought, context, environment)).collect();
        if self.memory.len() > steps.len() {
            let round = self.round;
            self.memory.retain(|_, remembered| remembered.round == round);
        }
        // Beside the memory: what stands in the way of a step may come and go without a change of its object.
        let guards = guard::Guards::new(admitted.manifests(), live, context, &mut self.moves);
        for step in &mut steps {
            *step = guards.judge(step.clone());
        }
        steps.sort_by(|a, b| (a.wave, &a.manifest.id).cmp(&(b.wave, &b.manifest.id)));
        let mut deletions = prune::deletions(live, context);
        let recreated = prune::recreations(steps.iter().map(|step| &**step), live, context);
        for step in steps.iter_mut().filter(|step| recreated.iter().any(|(id, _)| id == step.id())) {
            *step = Arc::new(Step { action: Action::Recreate, ..(**step).clone() });
        }
        deletions.allowed.extend(recreated.into_iter().filter_map(|(_, deletion)| deletion));
        guards.keep(&mut deletions);
        let findings = findings_of(&steps, &deletions);
        Plan { revision: context.revision.clone(), steps, deletions, findings }
    }

    /// What happens to one object, from memory if nothing about it changed.
    fn step(
        &mut self,
        manifest: &Arc<Manifest>,
        live: &LiveState,
        brought: &HashSet<GroupKind>,
        context: &Context<'_>,
        environment: u64,
    ) -> Arc<Step> {
        let body = live.objects.get(&manifest.id).map(|object| &object.body);
        let recorded = context.recorded.get(&manifest.id);
        if let Some(known) = self.memory.get_mut(&manifest.id)
            && known.holds(manifest, body, recorded, environment)
        {
            known.round = self.round;
            return known.step.clone();
        }
        let step = Arc::new(step::classify(manifest, live, brought, context));
        let recorded = if step.is_settled() { Some(&step.manifest.body) } else { recorded };
        let remembered = Remembered {
            manifest: manifest.clone(),
            live: body.cloned(),
            recorded: recorded.cloned(),
            environment,
            step: step.clone(),
            round: self.round,
        };
        self.memory.insert(manifest.id.clone(), remembered);
        step
    }
}

/// Plans once, from nothing remembered.
pub fn plan(admitted: &Admitted, live: &LiveState, context: &Context<'_>) -> Plan {
    Planner::default().plan(admitted, live, context, 0)
}

/// An object before and after a step, without the server's bookkeeping and with the values of Secrets masked; `None`
/// where there is none.
pub fn outcome(step: &Step, live: &LiveState, context: &Context<'_>) -> (Option<Value>, Option<Value>) {
    let (before, after) = step::outcome(step, live, context);
    let masked_after = after.as_ref().map(|after| mask_secret(after, before.as_ref()));
    (before.as_ref().map(|before| mask_secret(before, None)), masked_after)
}

fn same(a: Option<&Arc<Value>>, b: Option<&Arc<Value>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

fn findings_of(steps: &[Arc<Step>], deletions: &Deletions) -> Vec<Finding> {
    let mut findings: Vec<Finding> = steps.iter().filter_map(|step| step::finding(step)).collect();
    let told = deletions.going.iter().chain(&deletions.held);
    findings.extend(told.map(|(_, finding)| finding.clone()));
    findings
}

#[cfg(test)]
mod odd_tests;
#[cfg(test)]
mod tests;
