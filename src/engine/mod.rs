//! What to do next: [`Engine::step`] takes what happened and the time, and answers with effects.
//!
//! Pure: time is a number handed in (since the process began, monotonic), work is done by the daemon, which feeds each
//! outcome back as the next event. All order, waiting, retrying and stopping is decided here and nowhere else.
//!
//! Guarantees: at most one of fetch, plan, apply and prune of each is under way; nothing is applied or pruned without
//! the lease; a unit begins only when what it depends on is ready; nothing is pruned before everything of the
//! commit was applied; with nothing changed no effect is asked for but the next look at the source.
//! It must never do I/O, read a clock, or decide what an object should look like.

mod backoff;
mod event;
mod lease;
mod units;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

pub use backoff::Backoff;
pub use event::{Effect, Event, Mode, Options, PlanView, UnitView, WriteEnd, Written};
pub use lease::{LeaseDecision, LeaseObserver, LeaseRecord};
pub use units::{UnitPhase, UnitReport};

use crate::finding::{Code, Finding, Severity};
use crate::model::{ObjectId, Revision, Unit, UnitName};

/// Time since the process began.
pub type Now = Duration;

/// How long an end waits for the writes under way.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What went wrong with an object the last time.
#[derive(Debug, Clone)]
struct Trouble {
    fingerprint: u64,
    finding: Finding,
    backoff: Backoff,
    retry_at: Now,
    /// Refusals are tried anew only after something else has moved.
    refused_at_progress: Option<u64>,
}

/// Everything the engine knows.
#[derive(Debug)]
pub struct Engine {
    options: Options,
    held: bool,
    /// When to end at the latest, once somebody asked for it.
    stopping: Option<Now>,
    revision: Option<Revision>,
    fetching: bool,
    fetch_backoff: Backoff,
    next_fetch: Now,
    source_finding: Option<Finding>,
    planning: bool,
    /// Something changed after the plan under way was begun.
    stale: bool,
    writing: bool,
    plan: PlanView,
    planned: bool,
    progress: u64,
    troubles: HashMap<ObjectId, Trouble>,
    units: BTreeMap<UnitName, UnitReport>,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(options: Options) -> Engine {
        Engine {
            options,
            held: false,
            stopping: None,
            revision: None,
            fetching: false,
            fetch_backoff: Backoff::default(),
            next_fetch: Now::ZERO,
            source_finding: None,
            planning: false,
            stale: false,
            writing: false,
            plan: PlanView::default(),
            planned: false,
            progress: 0,
            troubles: HashMap::new(),
            units: BTreeMap::new(),
        }
    }

    /// The units as they stand, by name.
    pub fn units(&self) -> impl Iterator<Item = &UnitReport> {
        self.units.values()
    }

    /// What is wrong now beyond the plan: the source, and writes that failed.
    pub fn findings(&self) -> Vec<Finding> {
        let mut troubles: Vec<(&ObjectId, &Trouble)> = self.troubles.iter().collect();
        troubles.sort_by_key(|(id, _)| *id);
        let writes = troubles.into_iter().map(|(_, trouble)| trouble.finding.clone());
        let units = self.units.values().filter_map(UnitReport::finding);
        self.source_finding.iter().cloned().chain(writes).chain(units).collect()
    }

    /// Whether everything of the newest plan is applied and healthy.
    pub fn is_converged(&self) -> bool {
        self.planned
            && !self.plan.flawed
            && self.troubles.is_empty()
            && self.plan.deletions.is_empty()
            && self.plan.deletions_at_once.is_empty()
            && self.units.values().all(|unit| unit.phase.is_settled_well())
    }

    /// Whether all that the newest plan asks for is written and nothing of it was refused; kinds that nobody serves do
    /// not count, for nothing of theirs can be written.
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
            && self.plan.units.iter().all(|view| view.held.is_empty() && view.writes.is_empty())
            && self.units.values().all(|unit| done(&unit.phase))
    }

    /// Whether nothing can move without a person.
    pub fn is_stalled(&self) -> bool {
        self.planned
            && !self.is_converged()
            && !self.writing
            && !self.stale
            && !self.units.values().any(|unit| unit.phase.may_still_move())
    }

    /// Take in what happened; answer what to do.
    pub fn step(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.take_in(event, now, &mut effects);
        if let Some(deadline) = self.stopping {
            if !self.writing || now >= deadline {
                // A single pass that was cut short is no success unless it was through.
                let well = self.options.mode == Mode::Forever || self.is_converged();
                effects.push(Effect::Finish(i32::from(!well)));
            } else {
                effects.push(Effect::WakeAt(deadline));
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
            Event::Lease { held } => {
                self.held = held;
                // What was found before may only now be told to the cluster.
                effects.push(Effect::Report);
            }
            Event::SourceChanged => self.next_fetch = now,
            Event::Overtaken => {
                self.revision = None;
                self.planned = false;
                self.stale = false;
                self.next_fetch = now;
            }
            Event::ClusterChanged => {
                self.stale = self.revision.is_some();
                self.progress += 1;
            }
            Event::Fetched(revision) => {
                self.fetching = false;
                self.fetch_backoff = Backoff::default();
                self.next_fetch = now + self.options.interval;
                self.source_finding = None;
                if self.revision.as_ref() != Some(&revision) {
                    self.revision = Some(revision);
                    self.stale = true;
                }
            }
            Event::FetchFailed(finding) => {
                self.fetching = false;
                self.next_fetch = now + self.wait_after(&finding);
                if self.source_finding.as_ref() != Some(&*finding) {
                    self.source_finding = Some(*finding);
                    effects.push(Effect::Report);
                }
                let once = matches!(self.options.mode, Mode::Once { .. });
                if once && self.revision.is_none() {
                    effects.push(Effect::Finish(2));
                }
            }
            Event::Planned(plan) => {
                self.planning = false;
                self.planned = true;
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

    /// How long to leave the source alone. One that answered with a revision that may not be applied works: a better
    /// commit, or an approval, is to be seen as soon as any other.
    fn wait_after(&mut self, finding: &Finding) -> Duration {
        if finding.code == Code::NotADescendant {
            self.fetch_backoff = Backoff::default();
            return self.options.interval;
        }
        self.fetch_backoff.next(0).max(self.options.interval.min(Duration::from_secs(1)))
    }

    fn take_in_written(&mut self, written: Vec<Written>, now: Now) {
        let done = written.iter().filter(|written| written.end == WriteEnd::Done).count();
        self.progress += done as u64;
        for Written { id, fingerprint, end } in written {
            let (finding, after, refused) = match end {
                WriteEnd::Done => {
                    self.troubles.remove(&id);
                    continue;
                }
                WriteEnd::Refused(finding) => (*finding, None, true),
                WriteEnd::Failed(finding, after) => (*finding, after, false),
            };
            let salt = fingerprint;
            let mut backoff = match self.troubles.remove(&id) {
                Some(trouble) if trouble.fingerprint == fingerprint => trouble.backoff,
                _ => Backoff::default(),
            };
            let retry_at = now + after.unwrap_or_else(|| backoff.next(salt));
            let refused_at_progress = refused.then_some(self.progress);
            self.troubles
                .insert(id, Trouble { fingerprint, finding, backoff, retry_at, refused_at_progress });
        }
    }

    /// A failed write that is no longer planned, or whose object has changed since, is no trouble any more.
    fn forget_solved_troubles(&mut self) {
        let planned: HashMap<&ObjectId, u64> = self
            .plan
            .units
            .iter()
            .flat_map(|unit| unit.writes.iter().map(|(_, id, print)| (id, *print)))
            .collect();
        let deletions: HashSet<&ObjectId> =
            self.plan.deletions.iter().chain(&self.plan.deletions_at_once).collect();
        self.troubles
            .retain(|id, trouble| planned.get(id) == Some(&trouble.fingerprint) || deletions.contains(id));
    }

    fn ask_source(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let once_is_enough = matches!(self.options.mode, Mode::Once { .. }) && self.revision.is_some();
        if !self.fetching && now >= self.next_fetch && !once_is_enough {
            self.fetching = true;
            effects.push(Effect::Fetch);
        }
    }

    fn ask_plan(&mut self, effects: &mut Vec<Effect>) {
        if self.stale && !self.planning && !self.writing && self.revision.is_some() {
            self.stale = false;
            self.planning = true;
            effects.push(Effect::Plan);
        }
    }

    fn ask_writes(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.writing || !self.held {
            return;
        }
        let writes: Vec<ObjectId> = self
            .plan
            .units
            .iter()
            .filter(|view| {
                self.units.get(&view.unit.name).is_some_and(|unit| unit.phase == UnitPhase::Applying)
            })
            .flat_map(|view| units::next_writes(view, &self.troubles, self.progress, now))
            .collect();
        if !writes.is_empty() {
            self.writing = true;
            effects.push(Effect::Apply(writes));
            return;
        }
        let mut deletions = self.plan.deletions_at_once.clone();
        if self.plan.hold_prune.is_none() && self.units.values().all(|unit| unit.phase.is_settled_well()) {
            deletions.extend(self.plan.deletions.iter().cloned());
        }
        deletions
            .retain(|id| self.troubles.get(id).is_none_or(|trouble| trouble.may_retry(self.progress, now)));
        if !deletions.is_empty() {
            self.writing = true;
            effects.push(Effect::Prune(deletions));
        }
    }

    /// In a single pass: end when nothing can move any more, or its time is over. `settled`: the plan is of now.
    fn finish(&mut self, settled: bool, now: Now, effects: &mut Vec<Effect>) {
        let Mode::Once { deadline } = self.options.mode else { return };
        // A request that hangs must not outlive the time of the pass.
        if (!settled || self.writing || !self.held) && now < deadline {
            return;
        }
        let may_move = self.units.values().any(|unit| unit.phase.may_still_move())
            || self
                .troubles
                .values()
                .any(|trouble| trouble.refused_at_progress.is_none_or(|seen| seen < self.progress));
        if settled && self.is_converged() {
            effects.extend([Effect::Report, Effect::Finish(0)]);
        } else if !may_move || now >= deadline {
            for view in &self.plan.units {
                if let Some(report) = self.units.get_mut(&view.unit.name) {
                    report.give_up(&view.unit);
                }
            }
            effects.extend([Effect::Report, Effect::Finish(1)]);
        }
    }

    fn next_wake(&self, now: Now) -> Option<Now> {
        let source = (!self.fetching).then_some(self.next_fetch);
        let source =
            source.filter(|_| !(matches!(self.options.mode, Mode::Once { .. }) && self.revision.is_some()));
        let retries = self.troubles.values().map(|trouble| trouble.retry_at);
        let deadlines = self.units.values().filter_map(|unit| unit.deadline);
        let end = match self.options.mode {
            Mode::Once { deadline } => Some(deadline),
            Mode::Forever => None,
        };
        source.into_iter().chain(retries).chain(deadlines).chain(end).filter(|at| *at > now).min()
    }
}

impl Trouble {
    fn may_retry(&self, progress: u64, now: Now) -> bool {
        now >= self.retry_at && self.refused_at_progress.is_none_or(|seen| seen < progress)
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
mod tests;
