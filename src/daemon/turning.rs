//! One turn of the loop: performing effects, taking in what came of them, saying how it stands.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::fetch::{Fetched, Fetcher};
use super::in_use::kept;
use super::pipeline::{Pipeline, Turn, fingerprint, not_a_descendant, rules_of};
use super::reporter::Reporter;
use super::target::{Target, absent};
use crate::apply::{Applier, Outcome, Receipt, Work};
use crate::cluster::{Cluster, ClusterError};
use crate::engine::{Effect, Engine, Event, UnitPhase, WriteEnd, Written};
use crate::finding::{Code, Finding};
use crate::model::{GroupKind, ObjectId, Revision, Snapshot};
use crate::plan::{Action, Cause, Step};
use crate::source::SourceError;
use crate::status::{ObjectCounts, Report, SourceRecord, UnitStatus};
use crate::web::Probes;

/// What comes back from work beside the loop.
pub(super) enum Message {
    Fetched(Box<Result<Fetched, SourceError>>),
    Applied(Vec<Receipt>),
    Pruned(Vec<Receipt>),
}

/// Everything that the loop owns beside the engine.
pub(super) struct Turning {
    target: Target,
    applier: Applier,
    pipeline: Pipeline,
    cluster: Cluster,
    fetcher: Fetcher,
    source: SourceRecord,
    first: Option<Fetched>,
    snapshot: Option<Snapshot>,
    left_out: Vec<Finding>,
    turn: Option<Turn>,
    /// The revision that was applied as a whole.
    applied: Option<Revision>,
    /// The newest revision that was planned for: no other may follow that does not descend from it.
    attempted: Option<Revision>,
    /// What the Reconciliation was last seen to record: another value is somebody else's.
    recorded: Option<Revision>,
    holds_lease: bool,
    reporter: Reporter,
    probes: Probes,
    messages: mpsc::UnboundedSender<Message>,
}

impl Turning {
    pub(super) fn new(
        applier: Applier,
        target: Target,
        pipeline: Pipeline,
        fetcher: Fetcher,
        source: SourceRecord,
        first: Fetched,
        probes: Probes,
    ) -> (Turning, mpsc::UnboundedReceiver<Message>) {
        let (messages, inbox) = mpsc::unbounded_channel();
        let cluster = applier.cluster().clone();
        let turning = Turning {
            cluster: cluster.clone(),
            applier,
            reporter: Reporter::start(cluster.clone(), target.reconciliation()),
            applied: target.applied_revision(),
            attempted: target.attempted_revision(),
            recorded: target.attempted_revision(),
            target,
            pipeline,
            fetcher,
            source,
            first: Some(first),
            snapshot: None,
            left_out: Vec::new(),
            turn: None,
            holds_lease: false,
            probes,
            messages,
        };
        (turning, inbox)
    }

    /// Do it, or have it done; what comes of it at once is answered, the rest comes as a message.
    pub(super) fn perform(&mut self, effect: Effect, engine: &Engine) -> Option<Event> {
        match effect {
            Effect::Fetch => self.fetch(),
            Effect::Plan => return Some(self.plan()),
            Effect::Apply(ids) => self.apply(&ids),
            Effect::Prune(ids) => self.prune(&ids),
            Effect::Report => self.report(engine),
            // The loop itself sees to these.
            Effect::WakeAt(_) | Effect::Finish(_) => {}
        }
        None
    }

    /// Take in what came of work beside the loop.
    pub(super) fn receive(&mut self, message: Message) -> Option<Event> {
        Some(match message {
            Message::Fetched(result) => match *result {
                // Somebody else has applied more since it was asked: whether it descends from that nobody knows yet.
                Ok(fetched) if fetched.after != self.attempted => {
                    self.fetch();
                    return None;
                }
                result => self.fetched(result),
            },
            Message::Applied(receipts) => Event::Applied(self.take_in(receipts)),
            Message::Pruned(receipts) => Event::Pruned(self.take_in(receipts)),
        })
    }

    /// The lease was won or lost.
    pub(super) fn lease(&mut self, event: Event) -> Vec<Event> {
        self.holds_lease = matches!(event, Event::Lease { held: true });
        let recorded = self.target.recorded_revision();
        let known = recorded.is_none() || recorded == self.recorded || recorded == self.attempted;
        if !self.holds_lease || known {
            return vec![event];
        }
        self.recorded.clone_from(&recorded);
        self.attempted = recorded;
        // Taken from the end.
        vec![event, Event::Overtaken]
    }

    /// The last report.
    pub(super) async fn finish(mut self, engine: &Engine) -> Report {
        let report = self.make_report(engine);
        if self.holds_lease {
            self.reporter.finish(&report).await;
        }
        report
    }

    fn fetch(&mut self) {
        let messages = self.messages.clone();
        if let Some(first) = self.first.take() {
            // It was read before the target was known; only now can its descent be judged.
            if self.attempted.is_none() {
                let _ = messages.send(Message::Fetched(Box::new(Ok(first))));
                return;
            }
        }
        let (fetcher, applied) = (self.fetcher.clone(), self.attempted.clone());
        tokio::spawn(async move {
            let fetched = fetcher.fetch(applied).await;
            let _ = messages.send(Message::Fetched(Box::new(fetched)));
        });
    }

    fn fetched(&mut self, result: Result<Fetched, SourceError>) -> Event {
        match result {
            Err(error) => {
                self.probes.metrics.fetch_failures.inc();
                let finding = error.finding();
                tracing::warn!(code = %finding.code, "{}", finding.message);
                Event::FetchFailed(Box::new(finding))
            }
            Ok(fetched) => {
                let revision = fetched.snapshot.revision.clone();
                let applied = self.attempted.as_ref().filter(|_| !fetched.descends);
                if let Some(applied) = applied.filter(|_| !self.target.approves_revision(&revision)) {
                    return Event::FetchFailed(Box::new(not_a_descendant(applied, &revision)));
                }
                self.attempted = Some(revision.clone());
                self.left_out = fetched.left_out;
                self.snapshot = Some(fetched.snapshot);
                Event::Fetched(revision)
            }
        }
    }

    fn plan(&mut self) -> Event {
        let Some(snapshot) = &self.snapshot else { return Event::Woke };
        let began = Instant::now();
        let live = self.target.live();
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let approvals = self.target.approvals();
        let pipeline = &mut self.pipeline;
        let turn = tokio::task::block_in_place(|| {
            pipeline.turn(snapshot, &live, |manifests| rules_of(manifests, &approvals), &now)
        });
        self.target.follow(&turn);
        self.probes.metrics.planned_in(began.elapsed());
        self.probes.set_ready(true);
        let view = turn.view.clone();
        self.turn = Some(turn);
        Event::Planned(view)
    }

    fn apply(&mut self, ids: &[ObjectId]) {
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
        let told = self.reporter.once_told(turn.plan.revision.as_str());
        self.beside(ids, Message::Applied, async move {
            told.await;
            // What exists without being ours is not in the watch caches: it must be seen before it is written over.
            let (new, known): (Vec<Work>, Vec<Work>) =
                work.into_iter().partition(|work| work.step.action == Action::Create);
            let (absent, mut receipts) = absent(&target, new).await;
            receipts.extend(applier.apply(known.into_iter().chain(absent).collect()).await);
            receipts
        });
    }

    /// Have writes done beside the loop. Whatever becomes of them, an answer comes: the loop waits for it.
    fn beside(
        &self,
        ids: &[ObjectId],
        answer: fn(Vec<Receipt>) -> Message,
        work: impl Future<Output = Vec<Receipt>> + Send + 'static,
    ) {
        let (messages, ids) = (self.messages.clone(), ids.to_vec());
        tokio::spawn(async move {
            let receipts = match tokio::spawn(work).await {
                Ok(receipts) => receipts,
                Err(error) => {
                    tracing::error!(%error, "writing failed inside");
                    ids.iter().map(Receipt::unknown).collect()
                }
            };
            // Nobody listens any more when the daemon ends.
            let _ = messages.send(answer(receipts));
        });
    }

    fn prune(&mut self, ids: &[ObjectId]) {
        let Some(turn) = &self.turn else { return };
        let live = self.target.live();
        let mut work = Vec::new();
        let mut receipts = Vec::new();
        let mut stacks = Vec::new();
        for deletion in turn.plan.deletions.allowed.iter().filter(|deletion| ids.contains(&deletion.id)) {
            match live.served(&deletion.gvk) {
                Some(kind) => work.push((deletion.clone(), kind.clone())),
                None => {
                    let error = ClusterError::NotServed { what: deletion.gvk.to_string() };
                    receipts.push(Receipt::of_error(&deletion.id, None, &error));
                }
            }
            if deletion.at_once
                && deletion.id.kind() == "ClusterStack"
                && let Some(stack) = live.objects.get(&deletion.id)
            {
                stacks.push((deletion.id.clone(), stack.clone()));
            }
        }
        let clusters = GroupKind { group: "cluster.x-k8s.io".into(), kind: "Cluster".into() };
        let clusters = live.kinds.get(&clusters).and_then(|versions| versions.first()).cloned();
        let (applier, cluster) = (self.applier.clone(), self.cluster.clone());
        self.beside(ids, Message::Pruned, async move {
            receipts.extend(kept(&cluster, &stacks, clusters.as_ref()).await);
            work.retain(|(deletion, _)| receipts.iter().all(|receipt| receipt.id != deletion.id));
            receipts.extend(applier.prune(work).await);
            receipts
        });
    }

    /// Remember what was applied, so that the next plan sees it whether or not the watch has told of it.
    fn take_in(&mut self, receipts: Vec<Receipt>) -> Vec<Written> {
        let turn = self.turn.as_ref();
        let steps: HashMap<&ObjectId, &Arc<Step>> =
            turn.iter().flat_map(|turn| &turn.plan.steps).map(|step| (step.id(), step)).collect();
        receipts
            .into_iter()
            .map(|Receipt { id, desired, outcome }| {
                let step = steps.get(&id);
                let fingerprint = step.map(|step| fingerprint(&step.manifest)).unwrap_or_default();
                let drift = step.is_some_and(|step| matches!(step.action, Action::Update(Cause::Drift(_))));
                let end = match outcome {
                    Outcome::Written(object) | Outcome::AlreadySo(object) if desired.is_some() => {
                        self.probes.metrics.written.inc();
                        if drift {
                            self.probes.metrics.repaired.inc();
                        }
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

    fn report(&mut self, engine: &Engine) {
        // Before the first plan there is nothing to tell but what stands in its way.
        if self.turn.is_none() && engine.findings().is_empty() {
            return;
        }
        let report = self.make_report(engine);
        self.probes.metrics.report(&report);
        if self.holds_lease {
            self.reporter.report(&report);
        }
    }

    fn make_report(&mut self, engine: &Engine) -> Report {
        let mut findings = self.left_out.clone();
        findings.extend(self.target.findings());
        findings.extend(self.turn.iter().flat_map(|turn| turn.findings.iter().cloned()));
        findings.extend(engine.findings());
        if !self.holds_lease {
            findings.push(Finding::warning(
                Code::LeaseHeld,
                "another instance holds the lease; nothing is written",
            ));
        }
        let converged = engine.is_converged();
        let revision = self.snapshot.as_ref().map(|snapshot| snapshot.revision.clone());
        if engine.has_applied_everything() && self.applied != revision {
            self.applied.clone_from(&revision);
            if let Some(turn) = &self.turn {
                self.pipeline.record_turn(turn);
            }
        }
        let units = engine.units().map(|unit| UnitStatus {
            name: unit.name.to_string(),
            phase: phase_name(&unit.phase).to_owned(),
            message: unit.message.clone(),
        });
        let objects = self.turn.as_ref().map_or(ObjectCounts::default(), |turn| ObjectCounts {
            rendered: turn.manifests.manifests.len(),
            in_sync: turn.in_sync,
            blocked: turn.blocked,
            pending: turn.manifests.manifests.len().saturating_sub(turn.in_sync + turn.blocked),
        });
        Report {
            owner: self.target.owner().to_owned(),
            source: self.source.clone(),
            // One that was refused leaves no trace: what was attempted before is what the next must descend from.
            revision: revision.or_else(|| self.attempted.clone()).map(|revision| revision.to_string()),
            applied_revision: self.applied.as_ref().map(ToString::to_string),
            holds_lease: self.holds_lease,
            converged,
            stalled: engine.is_stalled(),
            units: units.collect(),
            objects,
            findings,
        }
    }
}

fn phase_name(phase: &UnitPhase) -> &'static str {
    match phase {
        UnitPhase::Refused => "Refused",
        UnitPhase::Suspended => "Suspended",
        UnitPhase::WaitingFor(_) => "WaitingForDependency",
        UnitPhase::Applying => "Applying",
        UnitPhase::WaitingForHealth => "WaitingForHealth",
        UnitPhase::Failed => "Failed",
        UnitPhase::TimedOut => "TimedOut",
        UnitPhase::Ready => "Ready",
    }
}
