//! What to do next: [`Engine::step`] takes what happened and the time, and answers with effects.
//!
//! Pure: time is a number handed in (since the process began, monotonic), work is done by the daemon, which feeds each
//! outcome back as the next event. All order, waiting, retrying and stopping is decided here and nowhere else.
//!
//! An engine is for one target. Guarantees: at most one of fetch, plan, apply and prune of each is under way; nothing is
//! applied or pruned without the lease, nor before the revision is recorded in the target, nor of a revision that does
//! not descend from the recorded one; a unit begins only when what it depends on is ready; nothing is pruned before
//! everything of the commit was applied; with nothing changed no effect is asked for but the next look at the source and
//! the lease's renewal.
//! It must never do I/O, read a clock, or decide what an object should look like. `model` plays two of them against
//! everything that can happen to two management clusters, a million steps in each test run.

mod backoff;
mod event;
mod leader;
mod lease;
mod reading;
mod rules;
mod troubles;
mod units;
mod writing;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

pub use backoff::Backoff;
pub use event::{Effect, Event, Look, Mode, Options, PlanView, UnitView, WriteEnd, Written};
pub use leader::Candidate;
pub use lease::{LeaseRecord, LeaseWrite, PROTOCOL, Role};
pub use units::{UnitPhase, UnitReport};

use crate::finding::{Code, Finding, Severity};
use crate::model::{ObjectId, Revision, Unit, UnitName};
use leader::Leader;
use reading::Reading;
use rules::Rule;
use troubles::Trouble;
use writing::Record;

/// Time since the process began.
pub type Now = Duration;

/// How long an end waits for the writes under way.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How long a request for the Lease may take.
pub const LEASE_PATIENCE: Duration = Duration::from_secs(4);

/// Everything the engine knows.
#[derive(Debug)]
pub struct Engine {
    options: Options,
    leader: Leader,
    /// The lease was won and not lost since.
    held: bool,
    record: Record,
    /// What the target records, as far as is known: only what descends from it is applied.
    base: Option<Revision>,
    /// When to end at the latest, once somebody asked for it.
    stopping: Option<Now>,
    revision: Option<Revision>,
    reading: Reading,
    planning: bool,
    /// Something changed after the plan under way was begun.
    stale: bool,
    writing: bool,
    plan: PlanView,
    planned: bool,
    progress: u64,
    troubles: HashMap<ObjectId, Trouble>,
    units: BTreeMap<UnitName, UnitReport>,
    #[cfg(test)]
    left_out: Option<Rule>,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(options: Options) -> Engine {
        Engine {
            leader: Leader::new(options.candidate.clone(), options.lease),
            base: options.recorded.clone(),
            options,
            held: false,
            record: Record::default(),
            stopping: None,
            revision: None,
            reading: Reading::new(),
            planning: false,
            stale: false,
            writing: false,
            plan: PlanView::default(),
            planned: false,
            progress: 0,
            troubles: HashMap::new(),
            units: BTreeMap::new(),
            #[cfg(test)]
            left_out: None,
        }
    }

    /// The units as they stand, by name.
    pub fn units(&self) -> impl Iterator<Item = &UnitReport> {
        self.units.values()
    }

    /// The newest revision that may be applied.
    pub fn revision(&self) -> Option<&Revision> {
        self.revision.as_ref()
    }

    /// The revision that the target records, as far as is known.
    pub fn recorded(&self) -> Option<&Revision> {
        self.base.as_ref()
    }

    /// Whether writes are ours.
    pub fn holds_lease(&self) -> bool {
        self.held
    }

    /// Whether the status is ours to write: not before it was read what the holder before has recorded there.
    pub fn may_tell(&self) -> bool {
        self.held && self.record.known
    }

    /// The last write of the Lease, for one that ends.
    pub fn give_back(&self) -> Option<LeaseWrite> {
        self.leader.give_back()
    }

    /// What is in the way of writing at all: the lease, and what the target records.
    pub fn own_findings(&self) -> Vec<Finding> {
        self.record.finding.iter().cloned().chain(self.leader.findings()).collect()
    }

    /// What is wrong now beyond the plan: the source, the lease, and writes that failed.
    pub fn findings(&self) -> Vec<Finding> {
        let mut troubles: Vec<(&ObjectId, &Trouble)> = self.troubles.iter().collect();
        troubles.sort_by_key(|(id, _)| *id);
        let writes = troubles.into_iter().map(|(_, trouble)| trouble.finding.clone());
        let units = self.units.values().filter_map(UnitReport::finding);
        let source = self.reading.finding.iter().chain(&self.record.finding).cloned();
        source.chain(self.leader.findings()).chain(writes).chain(units).collect()
    }

    /// Whether everything of the newest plan is applied and healthy; what is suspended is not.
    pub fn is_converged(&self) -> bool {
        self.planned
            && !self.plan.flawed
            && self.troubles.is_empty()
            && self.plan.deletions.is_empty()
            && self.plan.deletions_at_once.is_empty()
            && self.plan.deletions_waiting.is_empty()
            && self.plan.deletions_going.is_empty()
            && self.units.values().all(|unit| unit.phase == UnitPhase::Ready)
    }

    /// Whether all that the newest plan asks for is written and nothing of it was refused. Kinds that nobody serves do
    /// not count, for nothing of theirs can be written; nor do suspended units, for nothing of theirs may be.
    pub fn has_applied_everything(&self) -> bool {
        let done = |phase: &UnitPhase| {
            matches!(
                phase,
                UnitPhase::Ready | UnitPhase::Suspended | UnitPhase::WaitingForHealth | UnitPhase::TimedOut
            )
        };
        self.planned
            && !self.stale
            && !self.writing
            && self.troubles.is_empty()
            && self.plan.deletions.is_empty()
            && self.plan.deletions_waiting.is_empty()
            && self.plan.units.iter().all(|view| view.held.is_empty() && view.writes.is_empty())
            && self.units.values().all(|unit| done(&unit.phase))
    }

    /// Whether nothing can move without a person.
    pub fn is_stalled(&self) -> bool {
        self.planned
            && !self.is_converged()
            && !self.writing
            && !self.stale
            && self.plan.deletions_going.is_empty()
            && !self.units.values().any(|unit| unit.phase.may_still_move())
    }

    /// Take in what happened; answer what to do.
    pub fn step(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.take_in(event, now, &mut effects);
        self.lead(now, &mut effects);
        if let Some(deadline) = self.stopping {
            if !self.writing || now >= deadline {
                // A single pass that was cut short is no success unless it was through.
                let well = self.options.mode == Mode::Forever || self.is_converged();
                effects.push(Effect::Finish(i32::from(!well)));
            } else {
                effects.push(Effect::WakeAt(self.next_wake(now).map_or(deadline, |at| at.min(deadline))));
            }
            return effects;
        }
        self.ask_source(now, &mut effects);
        self.ask_plan(&mut effects);
        let settled = !self.planning && !self.stale && self.planned;
        if settled {
            units::advance(self, now);
            self.ask_writes(now, &mut effects);
        }
        self.finish(settled, now, &mut effects);
        if let Some(at) = self.next_wake(now) {
            effects.push(Effect::WakeAt(at));
        }
        effects
    }

    fn take_in(&mut self, event: Event, now: Now, effects: &mut Vec<Effect>) {
        match event {
            Event::Started | Event::Woke => {}
            Event::Stop => {
                self.stopping.get_or_insert(now + STOP_PATIENCE);
            }
            Event::LeaseSeen(record) => {
                let news = self.leader.seen(record, now);
                self.take_news(news, effects);
            }
            Event::LeaseWritten(record) => {
                let news = self.leader.written(record, now);
                self.take_news(news, effects);
                self.open_fence(effects);
            }
            Event::LeaseRefused => self.leader.refused(now),
            Event::LeaseFailed(finding) => self.leader.failed(*finding, now),
            Event::LeaseTouched(version) => self.leader.touched(version),
            Event::RecordSeen(recorded) => {
                self.take_in_record(recorded, now);
                // What was found before may only now be told to the cluster.
                effects.push(Effect::Report);
            }
            Event::Recorded(revision) => self.take_in_recorded(revision),
            Event::RecordUnread(finding) | Event::RecordFailed(finding) => {
                self.record_failed(*finding, now, effects);
            }
            Event::SourceChanged => self.reading.hurry(now),
            Event::ClusterChanged => {
                self.stale = self.revision.is_some();
                self.progress += 1;
            }
            Event::Fetched(look) => self.take_in_look(look, now, effects),
            Event::FetchFailed(finding) => self.take_in_unread(*finding, now, effects),
            Event::Planned(plan) => {
                self.planning = false;
                if plan.revision != self.revision {
                    // Another revision came to be the newest while it was made, or none is.
                    self.stale = self.revision.is_some();
                    return;
                }
                self.planned = true;
                if let Some(times) = plan.lease {
                    self.leader.go_by(times, now);
                }
                self.plan = plan;
                self.forget_solved_troubles();
                effects.push(Effect::Report);
            }
            Event::Applied(written) | Event::Pruned(written) => {
                self.writing = false;
                self.stale = true;
                self.take_in_written(written, now);
            }
        }
    }

    fn ask_plan(&mut self, effects: &mut Vec<Effect>) {
        if self.stale && !self.planning && !self.writing && self.revision.is_some() {
            self.stale = false;
            self.planning = true;
            effects.push(Effect::Plan);
        }
    }

    /// In a single pass: end when nothing can move any more, or its time is over. `settled`: the plan is of now.
    fn finish(&mut self, settled: bool, now: Now, effects: &mut Vec<Effect>) {
        let Mode::Once { deadline } = self.options.mode else { return };
        // A request that hangs must not outlive the time of the pass.
        if (!settled || self.writing || !self.is_in_charge(now)) && now < deadline {
            return;
        }
        let may_move = !self.options.observe && self.may_move();
        if settled && self.is_converged() {
            effects.extend([Effect::Report, Effect::Finish(0)]);
        } else if !may_move || now >= deadline {
            // Who only observes was not to do anything.
            for view in self.plan.units.iter().filter(|_| !self.options.observe) {
                if let Some(report) = self.units.get_mut(&view.unit.name) {
                    report.give_up(&view.unit);
                }
            }
            effects.extend([Effect::Report, Effect::Finish(1)]);
        }
    }

    fn may_move(&self) -> bool {
        self.units.values().any(|unit| unit.phase.may_still_move())
            || !self.plan.deletions_going.is_empty()
            || self
                .troubles
                .values()
                .any(|trouble| trouble.refused_at_progress.is_none_or(|seen| seen < self.progress))
    }

    fn next_wake(&self, now: Now) -> Option<Now> {
        let retries = self.troubles.values().map(|trouble| trouble.retry_at);
        let deadlines = self.units.values().filter_map(|unit| unit.deadline);
        let end = match self.options.mode {
            Mode::Once { deadline } => Some(deadline),
            Mode::Forever => None,
        };
        let lease = (!self.options.observe).then(|| self.leader.wake_at(self.circumstances())).flatten();
        let own = [self.next_look(), lease, self.record_again_at()].into_iter().flatten();
        own.chain(retries).chain(deadlines).chain(end).filter(|at| *at > now).min()
    }
}

/// The finding of a unit that cannot go on.
fn unit_finding(code: Code, unit: &Unit, message: String) -> Finding {
    let mut finding = Finding::error(code, format!("unit {}: {message}", unit.name));
    if code == Code::DependencyNotReady {
        finding.severity = Severity::Note;
    }
    match &unit.defined_at {
        Some((file, line)) => finding.at(crate::finding::Location::line(file, *line)),
        None => finding,
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
