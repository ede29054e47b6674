//! Holding the lease of a target: looking at it, taking it, renewing it, asking a stand-in for it, handing it over.
//!
//! At most one request for the Lease is under way, so answers come in the order of the questions; each write goes over
//! the very state that was read. A holder writes only for as long as its own clock says that nobody else can have taken
//! the lease, and only after it has read what the target records.

use std::time::Duration;

use super::lease::{Observed, PROTOCOL};
use super::{Effect, LeaseRecord, LeaseWrite, Now, Role};
use crate::config::LeaseTimes;
use crate::finding::{Code, Finding};

/// How long a hand-over waits for the writes under way.
const HAND_OVER_PATIENCE: Duration = Duration::from_millis(500);
/// After so many renewals for another time than ours it is no passing difference.
const ODD_RENEWALS: u32 = 2;
/// How often one looks who waits for a stand-in, if no watch tells.
const LOOK_OFTEN: Duration = Duration::from_millis(500);

/// Who one is to a target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidate {
    /// The name that this instance holds leases by; no other has it.
    pub identity: String,
    /// What it is to the target.
    pub role: Role,
    /// What the target's management cluster is called, if that was said.
    pub cluster: Option<String>,
}

/// What the lease needs to know of the rest of the engine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// Writes are under way.
    pub writing: bool,
    /// There is a revision that may be applied: who has none has no use for the lease of another.
    pub able: bool,
    /// The end is near: nothing is taken any more.
    pub leaving: bool,
}

#[derive(Debug)]
enum Standing {
    /// It is somebody else's, or nobody's.
    Waiting,
    /// It is ours until then.
    Held { until: Now, renew_at: Now },
    /// It is ours, and to be handed to another as soon as no write is under way, at the latest at `by`.
    Yielding { to: String, by: Now, until: Now },
}

#[derive(Debug)]
struct Request {
    asked: Now,
    write: Option<LeaseWrite>,
}

/// What an answer means for the rest of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// The lease is ours since now.
    Won,
    /// It is no longer ours.
    Lost,
}

#[derive(Debug)]
pub(super) struct Leader {
    me: Candidate,
    times: LeaseTimes,
    standing: Standing,
    /// How often in a row another holder has renewed it for another time than ours.
    odd_renewals: u32,
    observed: Option<Observed>,
    under_way: Option<Request>,
    /// A state of the Lease that a watch told of and no answer has shown yet.
    hint: Option<String>,
    /// The record was just read: it may be written over.
    fresh: bool,
    look_at: Now,
    finding: Option<Finding>,
}

impl Leader {
    pub fn new(me: Candidate, times: LeaseTimes) -> Leader {
        Leader {
            me,
            times,
            odd_renewals: 0,
            standing: Standing::Waiting,
            observed: None,
            under_way: None,
            hint: None,
            fresh: false,
            look_at: Now::ZERO,
            finding: None,
        }
    }

    /// From now on it lasts this long. A lease that is held says so with its next renewal, which comes at once.
    pub fn go_by(&mut self, times: LeaseTimes, now: Now) {
        if self.times == times {
            return;
        }
        self.times = times;
        self.odd_renewals = 0;
        if let Standing::Held { renew_at, .. } = &mut self.standing {
            *renew_at = (*renew_at).min(now);
        }
    }

    /// Instances must agree how long a lease lasts; until they do, what its holder says counts.
    fn disagreement(&self) -> Option<Finding> {
        let record = self.observed.as_ref()?.record.as_ref()?;
        (self.odd_renewals >= ODD_RENEWALS).then(|| {
            let message = format!(
                "{} holds its lease for {} s at a time, and here it is to last {} s (spec.peers.lease)",
                record.holder,
                record.duration.as_secs(),
                self.times.lease.as_secs()
            );
            Finding::warning(Code::LeaseTimesDiffer, message)
        })
    }

    /// Until when the lease is certainly ours, if it is to stay so.
    pub fn held_until(&self) -> Option<Now> {
        if let Standing::Held { until, .. } = self.standing { Some(until) } else { None }
    }

    /// What a person should know of it.
    pub fn findings(&self) -> impl Iterator<Item = Finding> {
        self.finding().into_iter().chain(self.disagreement())
    }

    /// What is in the way of holding it.
    fn finding(&self) -> Option<Finding> {
        if self.finding.is_some() {
            return self.finding.clone();
        }
        let holder = &self.observed.as_ref()?.record.as_ref()?.holder;
        let waits = matches!(self.standing, Standing::Waiting) && self.me.role == Role::Home;
        (waits && *holder != self.me.identity && !holder.is_empty()).then(|| {
            let message = format!("another instance holds the lease ({holder}); nothing is written");
            Finding::warning(Code::LeaseHeld, message)
        })
    }

    /// The Lease as it was read.
    pub fn seen(&mut self, record: Option<LeaseRecord>, now: Now) -> Option<News> {
        self.answered();
        self.fresh = true;
        let mine = record.as_ref().is_some_and(|record| record.holder == self.me.identity);
        self.observe(record, now);
        self.finding = self.objection();
        let is_held = !matches!(self.standing, Standing::Waiting);
        if is_held && (!mine || self.finding.is_some()) {
            self.standing = Standing::Waiting;
            return Some(News::Lost);
        }
        None
    }

    /// A write of the Lease was stored.
    pub fn written(&mut self, record: LeaseRecord, now: Now) -> Option<News> {
        let request = self.answered()?;
        self.finding = None;
        let mine = record.holder == self.me.identity;
        self.observe(Some(record), now);
        let held = !matches!(self.standing, Standing::Waiting);
        if !mine {
            self.standing = Standing::Waiting;
            self.look_at = now + LOOK_OFTEN;
            return held.then_some(News::Lost);
        }
        let duration = request.write.map_or(self.times.lease, |write| write.duration);
        let until = request.asked + LeaseTimes::write_for(duration);
        // What was asked for before the times changed must not run out on the way to the new ones.
        let renew_after = self.times.renew.min(LeaseTimes::of(duration).renew);
        let renew_at = if duration == self.times.lease { request.asked + renew_after } else { now };
        self.standing = Standing::Held { until, renew_at };
        (!held).then_some(News::Won)
    }

    /// Somebody else has written the Lease since it was read.
    pub fn refused(&mut self, now: Now) {
        self.answered();
        self.look_at = now;
        self.hint = Some(String::new());
    }

    /// No answer, or one that says nothing of the Lease. Whether a write was stored nobody knows.
    pub fn failed(&mut self, finding: Finding, now: Now) {
        self.answered();
        self.look_at = now + self.times.retry;
        let again = now + self.times.retry;
        if let Standing::Held { renew_at, .. } = &mut self.standing {
            *renew_at = again;
        }
        self.finding = Some(finding);
    }

    /// A watch says that the Lease is in this state by now.
    pub fn touched(&mut self, version: String) {
        if self.version().as_deref() != Some(&version) {
            self.hint = Some(version);
        }
    }

    /// Go on with it.
    pub fn act(&mut self, now: Now, around: Circumstances, effects: &mut Vec<Effect>) -> Option<News> {
        let mut news = None;
        let until = match self.standing {
            Standing::Held { until, .. } | Standing::Yielding { until, .. } => Some(until),
            Standing::Waiting => None,
        };
        if until.is_some_and(|until| now >= until) {
            self.standing = Standing::Waiting;
            self.look_at = now;
            news = Some(News::Lost);
        }
        if self.under_way.is_none() {
            if self.hint.take().is_some_and(|hint| self.version().as_deref() != Some(&hint)) {
                self.read(now, effects);
            } else if let Some(write) = self.next(now, around, effects) {
                self.under_way = Some(Request { asked: now, write: Some(write.clone()) });
                effects.push(Effect::WriteLease(write));
            }
        }
        self.fresh = false;
        news
    }

    /// When to act next, if nothing happens before.
    pub fn wake_at(&self, around: Circumstances) -> Option<Now> {
        let until = match self.standing {
            Standing::Held { until, .. } | Standing::Yielding { until, .. } => Some(until),
            Standing::Waiting => None,
        };
        if self.under_way.is_some() {
            return until;
        }
        Some(match self.standing {
            Standing::Held { until, renew_at } => until.min(renew_at),
            Standing::Yielding { by, until, .. } => until.min(if around.writing { by } else { self.look_at }),
            Standing::Waiting => self.look_at,
        })
    }

    /// The last write, for one that ends: the lease goes to who asked for it, else to nobody.
    pub fn give_back(&self) -> Option<LeaseWrite> {
        let record = self.observed.as_ref()?.record.as_ref()?;
        if matches!(self.standing, Standing::Waiting) || record.holder != self.me.identity {
            return None;
        }
        Some(match self.asker() {
            Some(asker) => self.hand_over(asker),
            None => LeaseWrite { holder: String::new(), ..self.write(true) },
        })
    }

    fn next(&mut self, now: Now, around: Circumstances, effects: &mut Vec<Effect>) -> Option<LeaseWrite> {
        if let Standing::Held { until, renew_at } = self.standing {
            if let Some(to) = self.asker().filter(|_| self.me.role == Role::Peer) {
                self.standing = Standing::Yielding { to, by: now + HAND_OVER_PATIENCE, until };
                self.look_at = now;
                effects.push(Effect::CloseFence);
            } else {
                return (now >= renew_at).then(|| self.write(true));
            }
        }
        if let Standing::Yielding { to, by, .. } = &self.standing {
            let may = now >= self.look_at && (!around.writing || now >= *by);
            return may.then(|| self.hand_over(to.clone()));
        }
        if !self.fresh {
            if now >= self.look_at && !around.leaving {
                self.read(now, effects);
            }
            return None;
        }
        self.decide(now, around)
    }

    /// What to do about a lease that was just read and is not held.
    fn decide(&mut self, now: Now, around: Circumstances) -> Option<LeaseWrite> {
        self.look_at = now + self.times.renew;
        if self.finding.is_some() || around.leaving {
            return None;
        }
        let observed = self.observed.as_ref()?;
        let free_at = observed.free_at(self.me.role, self.times);
        let record = observed.record.as_ref();
        if record.is_some_and(|record| record.holder == self.me.identity) {
            return Some(self.write(true));
        }
        let able = around.able || self.me.role == Role::Home;
        if now >= free_at {
            self.look_at = now + self.times.retry;
            return able.then(|| self.write(true));
        }
        self.look_at = self.look_at.min(free_at);
        let record = record.filter(|record| record.role == Role::Peer && self.me.role == Role::Home)?;
        // A stand-in is asked by whoever is able to do its work.
        self.look_at = now + LOOK_OFTEN;
        let ask = around.able && record.hand_back.as_deref() != Some(&self.me.identity);
        ask.then(|| LeaseWrite {
            holder: record.holder.clone(),
            role: record.role,
            hand_back: Some(self.me.identity.clone()),
            ..self.write(false)
        })
    }

    fn read(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.under_way = Some(Request { asked: now, write: None });
        effects.push(Effect::ReadLease);
    }

    /// A write by which the lease is ours.
    fn write(&self, renews: bool) -> LeaseWrite {
        let record = self.observed.as_ref().and_then(|observed| observed.record.as_ref());
        LeaseWrite {
            over: record.map(|record| record.version.clone()),
            holder: self.me.identity.clone(),
            role: self.me.role,
            cluster: self.me.cluster.clone().or_else(|| record.and_then(|record| record.cluster.clone())),
            hand_back: None,
            renews,
            duration: self.times.lease,
        }
    }

    fn hand_over(&self, to: String) -> LeaseWrite {
        LeaseWrite { holder: to, role: Role::Home, ..self.write(true) }
    }

    /// Who wants the lease that we hold.
    fn asker(&self) -> Option<String> {
        let record = self.observed.as_ref()?.record.as_ref()?;
        record.hand_back.clone().filter(|asker| !asker.is_empty() && *asker != self.me.identity)
    }

    fn version(&self) -> Option<String> {
        Some(self.observed.as_ref()?.record.as_ref()?.version.clone())
    }

    fn observe(&mut self, record: Option<LeaseRecord>, now: Now) {
        let before = self.observed.as_ref().and_then(|observed| observed.record.as_ref());
        let others = record.as_ref().filter(|it| !it.holder.is_empty() && it.holder != self.me.identity);
        match others {
            Some(it) if it.duration != self.times.lease => {
                let renewed = before.is_some_and(|before| before.renewal != it.renewal);
                self.odd_renewals += u32::from(renewed);
            }
            _ => self.odd_renewals = 0,
        }
        self.observed = Some(Observed::update(self.observed.take(), record, now));
    }

    fn answered(&mut self) -> Option<Request> {
        self.under_way.take().filter(|request| request.write.is_some())
    }

    /// Why this Lease is none to take part in.
    fn objection(&self) -> Option<Finding> {
        let record = self.observed.as_ref()?.record.as_ref()?;
        if record.protocol > PROTOCOL {
            let message = format!(
                "the instance {:?} speaks version {} of the protocol, this one {PROTOCOL}; nothing is written",
                record.holder, record.protocol
            );
            return Some(Finding::error(Code::ProtocolUnknown, message));
        }
        let (expected, found) = (self.me.cluster.as_ref()?, record.cluster.as_ref()?);
        (expected != found).then(|| {
            let message = format!(
                "this is the management cluster {found} by its Lease (held by {:?}), not {expected}; nothing is written",
                record.holder
            );
            Finding::error(Code::WrongCluster, message)
        })
    }
}

#[cfg(test)]
#[path = "leader_tests.rs"]
mod tests;
