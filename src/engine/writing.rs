//! Who may write: the lease, what the target records, and the writes that these two allow.

use super::leader::{Circumstances, News};
use super::{Backoff, Effect, Engine, Now, Rule, UnitPhase, units};
use crate::finding::Finding;
use crate::model::{ObjectId, Revision};

/// What is known of the revision that the target records.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// It was read since the lease was won: whoever held it before may have applied more.
    pub known: bool,
    /// A read is under way.
    reading: bool,
    /// The read under way was asked for since the lease was won.
    valid: bool,
    /// What is being recorded.
    writing: Option<Revision>,
    retry_at: Now,
    backoff: Backoff,
    pub finding: Option<Finding>,
}

impl Engine {
    /// Go on with the lease, and with what must be known before the first write.
    pub(super) fn lead(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.options.observe {
            return;
        }
        let news = self.leader.act(now, self.circumstances(), effects);
        self.take_news(news, effects);
        if self.held && !self.keeps(Rule::RecordBeforeWrites) {
            self.record.known = true;
        }
        if self.held && !self.record.known && !self.record.reading && now >= self.record.retry_at {
            self.record.reading = true;
            self.record.valid = true;
            effects.push(Effect::ReadRecord);
        }
    }

    pub(super) fn circumstances(&self) -> Circumstances {
        Circumstances {
            writing: self.writing,
            able: self.revision.is_some(),
            leaving: self.stopping.is_some(),
        }
    }

    pub(super) fn take_news(&mut self, news: Option<News>, effects: &mut Vec<Effect>) {
        let Some(news) = news else { return };
        self.held = news == News::Won;
        self.record.known = false;
        self.record.valid = false;
        self.record.writing = None;
        if !self.held {
            effects.push(Effect::CloseFence);
        }
        effects.push(Effect::Report);
    }

    /// The Lease was written: if it is ours, writes may be sent for a while.
    pub(super) fn open_fence(&self, effects: &mut Vec<Effect>) {
        if let Some(until) = self.leader.held_until() {
            effects.push(Effect::OpenFence(until));
        }
    }

    /// Whether a write may be asked for.
    fn may_write(&self, now: Now) -> bool {
        let holds = self.held && self.leader.held_until().is_some_and(|until| now < until);
        holds && self.record.known || !self.keeps(Rule::LeaseBeforeWrites)
    }

    /// Whether nothing of who writes, and by which revision, is open.
    pub(super) fn is_in_charge(&self, now: Now) -> bool {
        self.options.observe || self.may_write(now) && self.record.writing.is_none()
    }

    /// What the target records: what was read of the source is nothing to write by until it is known to descend from it.
    pub(super) fn take_in_record(&mut self, recorded: Option<Revision>, now: Now) {
        self.record.reading = false;
        // What was to be recorded over another state was not.
        self.record.writing = None;
        if self.held && std::mem::take(&mut self.record.valid) {
            self.record.known = true;
            // What the holder before has written is to be seen before the first write.
            self.stale = self.revision.is_some();
        }
        self.record.finding = None;
        if recorded.is_none() || recorded == self.base {
            return;
        }
        self.base = recorded;
        if self.base != self.revision {
            self.revision = None;
            self.planned = false;
            self.stale = false;
            self.reading.hurry(now);
        }
    }

    pub(super) fn take_in_recorded(&mut self, revision: Revision) {
        if self.record.writing.as_ref() == Some(&revision) {
            self.record.writing = None;
            self.record.finding = None;
            self.record.backoff = Backoff::default();
            self.base = Some(revision);
        }
    }

    pub(super) fn record_failed(&mut self, finding: Finding, now: Now, effects: &mut Vec<Effect>) {
        self.record.reading = false;
        self.record.writing = None;
        self.record.retry_at = now + self.record.backoff.next(0);
        if self.record.finding.as_ref() != Some(&finding) {
            self.record.finding = Some(finding);
            effects.push(Effect::Report);
        }
    }

    /// When the record is tried again.
    pub(super) fn record_again_at(&self) -> Option<Now> {
        self.held.then_some(self.record.retry_at)
    }

    pub(super) fn ask_writes(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.writing || !self.may_write(now) {
            return;
        }
        if self.base != self.revision {
            // After a crash nobody else would know that something of it may be applied.
            let revision = self.revision.clone().filter(|_| now >= self.record.retry_at);
            if let Some(revision) = revision.filter(|_| self.record.writing.is_none()) {
                self.record.writing = Some(revision.clone());
                effects.push(Effect::Record(revision));
            }
            return;
        }
        let writes = self.next_writes(now);
        if !writes.is_empty() && (self.keeps(Rule::PruneLast) || self.plan.deletions.is_empty()) {
            self.writing = true;
            effects.push(Effect::Apply(writes));
            return;
        }
        let deletions = self.next_deletions(now);
        if !deletions.is_empty() {
            self.writing = true;
            effects.push(Effect::Prune(deletions));
        }
    }

    fn next_writes(&self, now: Now) -> Vec<ObjectId> {
        let applying = self.plan.units.iter().filter(|view| {
            self.units.get(&view.unit.name).is_some_and(|unit| unit.phase == UnitPhase::Applying)
        });
        applying.flat_map(|view| units::next_writes(view, &self.troubles, self.progress, now)).collect()
    }

    fn next_deletions(&self, now: Now) -> Vec<ObjectId> {
        let mut deletions = self.plan.deletions_at_once.clone();
        let is_applied = || self.units.values().all(|unit| unit.phase.lets_prune());
        if self.plan.hold_prune.is_none() && (is_applied() || !self.keeps(Rule::PruneLast)) {
            deletions.extend(self.plan.deletions.iter().cloned());
        }
        deletions
            .retain(|id| self.troubles.get(id).is_none_or(|trouble| trouble.may_retry(self.progress, now)));
        deletions
    }
}
