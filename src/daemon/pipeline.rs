//! From a snapshot and a live state to a plan: render, review and plan, each remembering what it did last.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHasher};
use serde_json::Value;

use super::policy_reports::PolicyReports;
use crate::config::{Approval, LeaseTimes};
use crate::engine::{PlanView, UnitView};
use crate::finding::{Finding, Severity};
use crate::model::{Health, HealthStatus, LiveState, Manifest, ObjectId, Revision, Snapshot, Unit, UnitName};
use crate::observe;
use crate::plan::{Accepted, Action, Context, MovedClusters, Plan, Planner, Rules, Step};
use crate::policy::World;
use crate::render::{LiveTriggers, Manifests, RenderOptions, Renderer};
use crate::review::{ObjectResults, Review, Reviewer, Surroundings};
use crate::status::Suspension;

/// Everything between a commit and a plan, with the memory that makes the next plan cheap.
pub struct Pipeline {
    options: RenderOptions,
    /// What the cluster answered to the questions of policies.
    pub world: World,
    renderer: Renderer,
    reviewer: Reviewer,
    planner: Planner,
    /// Bodies by object that are known to be applied: fields in them are ours.
    recorded: HashMap<ObjectId, Arc<Value>>,
    /// The applied revision: its policies still judge.
    applied: Option<Manifests>,
    applied_revision: Option<Revision>,
    /// What the server took as equal.
    pub accepted: Accepted,
    health: HashMap<ObjectId, (Arc<Value>, Health)>,
    /// What an operator has suspended.
    suspensions: Vec<Suspension>,
    /// From how much on what is known of objects that are gone is forgotten.
    forget_at: usize,
}

/// Less than this is not worth looking through.
const LITTLE: usize = 1024;

fn live_of<'a>(live: &'a LiveState, world: &'a World) -> LiveTriggers<'a> {
    LiveTriggers { namespaces: &live.namespaces, world }
}

/// The outcome of one turn.
pub struct Turn {
    /// What was rendered.
    pub manifests: Manifests,
    /// What would change.
    pub plan: Plan,
    /// The engine's view of it.
    pub view: PlanView,
    /// Everything to tell a person, of all stages.
    pub findings: Vec<Finding>,
    /// How many admitted objects are as they should be.
    pub in_sync: usize,
    /// How many are blocked, by review or by the plan.
    pub blocked: usize,
    /// What rules say of each object, if that is kept.
    pub results: Vec<ObjectResults>,
}

impl Pipeline {
    /// A pipeline that remembers nothing.
    pub fn new(options: RenderOptions) -> Pipeline {
        Pipeline {
            options,
            world: World::nothing().with_cluster(),
            renderer: Renderer::default(),
            reviewer: Reviewer::default(),
            planner: Planner::default(),
            recorded: HashMap::new(),
            applied: None,
            applied_revision: None,
            accepted: Accepted::default(),
            health: HashMap::new(),
            suspensions: Vec::new(),
            forget_at: LITTLE,
        }
    }

    /// From the next turn on, these are suspended.
    pub fn suspend(&mut self, suspensions: Vec<Suspension>) {
        self.suspensions = suspensions;
    }

    /// What the repository calls itself.
    pub fn owner_of(&mut self, snapshot: &Snapshot) -> String {
        self.render(snapshot, &LiveState::default()).owner
    }

    /// How long leases last by it.
    pub fn lease_times(&mut self, snapshot: &Snapshot) -> LeaseTimes {
        self.render(snapshot, &LiveState::default()).repository.lease
    }

    /// Take a revision as applied: the fields that it renders are ours, and a change of them is drift.
    pub fn record_revision(&mut self, snapshot: &Snapshot, live: &LiveState) {
        let manifests = self.render(snapshot, live);
        self.recorded = manifests.manifests.iter().map(|m| (m.id.clone(), m.body.clone())).collect();
        self.applied = Some(manifests);
        self.applied_revision = Some(snapshot.revision.clone());
    }

    /// Take what was rendered last as applied: from now on its policies judge beside those of the next revision.
    pub fn record_turn(&mut self, turn: &Turn) {
        self.applied = Some(turn.manifests.clone());
        self.applied_revision = Some(turn.plan.revision.clone());
    }

    /// What is known of moves.
    pub fn moved(&self) -> MovedClusters {
        self.planner.moved()
    }

    /// Take in what was known of moves before.
    pub fn recall_moves(&mut self, moved: &MovedClusters) {
        self.planner.recall_moves(moved);
    }

    /// The revision that was last taken as applied.
    pub fn applied_revision(&self) -> Option<&Revision> {
        self.applied_revision.as_ref()
    }

    /// What was rendered of the applied revision, if it is known.
    pub fn applied(&self) -> Option<&Manifests> {
        self.applied.as_ref()
    }

    /// Take one object as applied.
    pub fn record(&mut self, id: &ObjectId, body: Arc<Value>) {
        self.recorded.insert(id.clone(), body);
    }

    /// Render alone.
    pub fn render(&mut self, snapshot: &Snapshot, live: &LiveState) -> Manifests {
        self.renderer.render(snapshot, &self.options, &live_of(live, &self.world))
    }

    /// Render, review and plan.
    pub fn turn(
        &mut self,
        snapshot: &Snapshot,
        live: &LiveState,
        rules: impl FnOnce(&Manifests) -> Rules,
        now: &str,
    ) -> Turn {
        let mut manifests = self.render(snapshot, live);
        for unit in &mut manifests.units {
            unit.suspended |= self.suspensions.iter().any(|suspension| suspension.covers(unit.name.as_str()));
        }
        self.reviewer.keep_results(PolicyReports::are_wanted(&manifests.repository, live));
        let mut rules = rules(&manifests);
        if let Some(applied) = &self.applied {
            rules.homes.include(&applied.repository);
        }
        let rules = &rules;
        let triggers = live_of(live, &self.world);
        let objects = Some(&live.objects);
        let surroundings = Surroundings { applied: self.applied.as_ref(), live: triggers, objects };
        let review = self.reviewer.review(&manifests, &surroundings);
        let suspended = manifests.units.iter().filter(|unit| unit.suspended).map(|unit| &unit.name).collect();
        let applied = self.applied.as_ref().map_or(&[][..], |applied| &applied.manifests);
        let described = kept_while_suspended(review.admitted.described(), &suspended, applied, live);
        let context = Context {
            revision: &snapshot.revision,
            applied: self.applied_revision.as_ref(),
            schemas: &manifests.schemas,
            recorded: &self.recorded,
            described: &described,
            accepted: &self.accepted,
            rules,
            now,
        };
        let environment = environment(live, rules, manifests.schemas_generation);
        let plan = self.planner.plan(&review.admitted, live, &context, environment);
        for step in plan.steps.iter().filter(|step| step.is_settled()) {
            let body = &step.manifest.body;
            if self.recorded.get(step.id()).is_none_or(|known| !Arc::ptr_eq(known, body)) {
                self.recorded.insert(step.id().clone(), body.clone());
            }
        }
        self.forget_gone(&plan, live);
        let view = self.view(&manifests, &review, &plan, live);
        let mut findings = manifests.findings.clone();
        findings.extend(self.suspensions.iter().map(|suspension| suspension.finding(&manifests.units)));
        findings.extend(review.findings.iter().cloned());
        findings.extend(plan.findings.iter().cloned());
        let in_sync = plan.steps.iter().filter(|step| step.action == Action::Unchanged).count();
        let stuck = plan.steps.iter().filter(|step| matches!(step.action, Action::Blocked { .. })).count();
        let (blocked, results) = (stuck + review.blocked.len(), review.results);
        Turn { blocked, manifests, plan, view, findings, in_sync, results }
    }

    /// What is neither rendered nor there any more needs not be known. Looked through only when it has doubled.
    fn forget_gone(&mut self, plan: &Plan, live: &LiveState) {
        if self.recorded.len().max(self.accepted.len()) <= self.forget_at {
            return;
        }
        let planned: HashSet<&ObjectId> = plan.steps.iter().map(|step| step.id()).collect();
        let stays = |id: &ObjectId| planned.contains(id) || live.objects.contains_key(id);
        self.recorded.retain(|id, _| stays(id));
        self.accepted.retain(stays);
        self.forget_at = LITTLE.max(2 * self.recorded.len().max(self.accepted.len()));
    }

    fn view(&mut self, manifests: &Manifests, review: &Review, plan: &Plan, live: &LiveState) -> PlanView {
        let mut by_unit: BTreeMap<&UnitName, Vec<&Arc<Step>>> = BTreeMap::new();
        for step in &plan.steps {
            by_unit.entry(&step.manifest.unit).or_default().push(step);
        }
        let units = manifests.units.iter().map(|unit| {
            let steps = by_unit.get(&unit.name).map_or(&[][..], Vec::as_slice);
            let mut view = unit_view(unit, steps);
            let refused = review.blocked.iter().filter(|blocked| blocked.manifest.unit == unit.name);
            view.held.extend(refused.map(|blocked| {
                let reason = blocked.findings.first().map_or("refused", |finding| finding.message.as_str());
                (blocked.manifest.id.clone(), reason.to_owned())
            }));
            view.unhealthy.extend(self.unhealthy(unit, steps, live));
            view
        });
        let units: Vec<UnitView> = units.collect();
        if self.health.len() > live.objects.len() {
            self.health.retain(|id, _| live.objects.contains_key(id));
        }
        let (at_once, later): (Vec<_>, Vec<_>) =
            plan.deletions.allowed.iter().partition(|deletion| deletion.at_once);
        let blocked = plan.steps.iter().any(|step| matches!(step.action, Action::Blocked { .. }));
        let errors = manifests.findings.iter().any(|finding| finding.severity == Severity::Error);
        PlanView {
            revision: Some(plan.revision.clone()),
            units,
            deletions: later.iter().map(|deletion| deletion.id.clone()).collect(),
            deletions_at_once: at_once.iter().map(|deletion| deletion.id.clone()).collect(),
            deletions_waiting: plan.deletions.waiting.iter().map(|it| it.deletion.id.clone()).collect(),
            deletions_going: plan.deletions.going.iter().map(|(id, _)| id.clone()).collect(),
            hold_prune: hold_prune(manifests),
            lease: Some(manifests.repository.lease).filter(|_| manifests.settings_are_clear()),
            flawed: blocked || errors || !review.blocked.is_empty() || !plan.deletions.held.is_empty(),
        }
    }

    /// What the unit waits for and is not healthy. What is not written yet, or can never be, is not waited for.
    fn unhealthy(&mut self, unit: &Unit, steps: &[&Arc<Step>], live: &LiveState) -> Vec<(ObjectId, Health)> {
        let checks: Vec<ObjectId> = unit
            .health_checks
            .iter()
            .map(|c| ObjectId::new(&c.gvk.group, &c.gvk.kind, c.namespace.as_deref(), &c.name))
            .collect();
        let written = steps.iter().filter(|step| unit.wait && step.action == Action::Unchanged);
        let mut unhealthy: Vec<(ObjectId, Health)> = written
            .map(|step| step.id())
            .chain(&checks)
            .filter_map(|id| {
                let health = self.health_of(id, live)?;
                Some((id.clone(), health))
            })
            .collect();
        // The worst first: it is the one that the unit's message names.
        unhealthy.sort_by(|a, b| b.1.status.cmp(&a.1.status).then_with(|| a.0.cmp(&b.0)));
        unhealthy.dedup_by(|a, b| a.0 == b.0);
        unhealthy
    }

    /// How an object is, if it is not healthy.
    fn health_of(&mut self, id: &ObjectId, live: &LiveState) -> Option<Health> {
        let Some(object) = live.objects.get(id) else {
            return Some(Health::new(HealthStatus::Progressing, "it does not exist yet"));
        };
        let is_bad = |health: &Health| (health.status != HealthStatus::Healthy).then(|| health.clone());
        if let Some((body, health)) = self.health.get(id)
            && Arc::ptr_eq(body, &object.body)
        {
            return is_bad(health);
        }
        let health = observe::health(&object.body);
        let bad = is_bad(&health);
        self.health.insert(id.clone(), (object.body.clone(), health));
        bad
    }
}

fn unit_view(unit: &Unit, steps: &[&Arc<Step>]) -> UnitView {
    let mut view = UnitView {
        unit: Arc::new(unit.clone()),
        writes: Vec::new(),
        awaiting: Vec::new(),
        held: Vec::new(),
        unhealthy: Vec::new(),
    };
    for step in steps {
        match &step.action {
            Action::Create | Action::Update(_) | Action::Adopt => {
                view.writes.push((step.wave, step.id().clone(), fingerprint(&step.manifest)));
            }
            Action::AwaitKind => view.awaiting.push(step.id().clone()),
            Action::Recreate => {
                let health =
                    Health::new(HealthStatus::Progressing, "it is deleted, and created when it is gone");
                view.unhealthy.push((step.id().clone(), health));
            }
            Action::Blocked { finding, holds: true } => {
                view.held.push((step.id().clone(), finding.message.clone()))
            }
            Action::Blocked { .. } | Action::Unchanged => {}
        }
    }
    view
}

/// A hash of the desired body: equal while the same thing is asked for.
pub fn fingerprint(manifest: &Manifest) -> u64 {
    FxBuildHasher.hash_one(&*manifest.body)
}

/// Why nothing may be pruned: a part of the repository was not understood, and nobody knows which objects it holds.
fn hold_prune(manifests: &Manifests) -> Option<String> {
    if manifests.is_complete() {
        return None;
    }
    let error = manifests.findings.iter().find(|finding| finding.severity == Severity::Error);
    Some(
        error.map_or("a part of the repository was not understood".to_owned(), |finding| {
            finding.message.clone()
        }),
    )
}

/// A hash of what classification depends on beside the two sides of each object.
fn environment(live: &LiveState, rules: &Rules, schemas: u64) -> u64 {
    let mut hasher = FxHasher::default();
    schemas.hash(&mut hasher);
    let kinds = live.kinds.values().flatten().map(|kind| FxBuildHasher.hash_one(&kind.gvk));
    kinds.fold(0u64, |sum, hash| sum.wrapping_add(hash)).hash(&mut hasher);
    let terminating = live
        .namespaces
        .iter()
        .filter(|(_, ns)| ns.is_deleting() || ns.body["status"]["phase"] == "Terminating");
    for (name, _) in terminating {
        name.hash(&mut hasher);
    }
    format!("{rules:?}").hash(&mut hasher);
    hasher.finish()
}

/// What is never pruned: all that is described, and what a suspended unit has applied. An object that the applied
/// revision does not hold may be of any unit, so it stays while one is suspended.
pub fn kept_while_suspended<'a>(
    described: &'a HashSet<ObjectId>,
    suspended: &HashSet<&UnitName>,
    applied: &[Arc<Manifest>],
    live: &LiveState,
) -> Cow<'a, HashSet<ObjectId>> {
    if suspended.is_empty() {
        return Cow::Borrowed(described);
    }
    let units: HashMap<&ObjectId, &UnitName> =
        applied.iter().map(|manifest| (&manifest.id, &manifest.unit)).collect();
    let stays = |id: &&ObjectId| units.get(id).is_none_or(|unit| suspended.contains(unit));
    Cow::Owned(described.iter().chain(live.objects.keys().filter(stays)).cloned().collect())
}

/// The repository's rules for planning, with what an operator approved beside git.
pub fn rules_of(manifests: &Manifests, approvals: &[Approval]) -> Rules {
    Rules::of(&manifests.owner, &manifests.repository, approvals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LiveObject, Revision};
    use serde_json::json;

    #[test]
    fn what_is_known_of_objects_that_are_gone_is_forgotten() {
        let mut pipeline = Pipeline::new(RenderOptions::default());
        let plan = Plan {
            revision: Revision::new("a"),
            steps: Vec::new(),
            deletions: Default::default(),
            findings: Vec::new(),
        };
        let id = |n: usize| ObjectId::new("", "ConfigMap", Some("a"), &format!("x{n}"));
        let mut live = LiveState::default();
        live.objects.insert(id(7), LiveObject::new(json!({})));
        let body = Arc::new(json!({}));
        for n in 0..10 * LITTLE {
            pipeline.record(&id(n), body.clone());
            pipeline.accepted.remember(&id(n), &body, "1");
            pipeline.forget_gone(&plan, &live);
            assert!(pipeline.recorded.len() <= LITTLE && pipeline.accepted.len() <= LITTLE);
        }
        assert!(pipeline.recorded.contains_key(&id(7)) && pipeline.accepted.knows(&id(7), &body, "1"));
    }
}
