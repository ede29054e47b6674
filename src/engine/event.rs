//! The words between the engine and whoever drives it: events in, effects out.

use std::sync::Arc;
use std::time::Duration;

use super::Now;
use crate::finding::Finding;
use crate::model::{Health, ObjectId, Revision, Unit};
use crate::plan::Wave;

/// How long a run lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Until it is stopped.
    Forever,
    /// Until nothing can move any more, at most until the deadline.
    Once {
        /// When to stop at the latest.
        deadline: Now,
    },
}

/// What the engine is told once.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long to run.
    pub mode: Mode,
    /// How often the source is looked at.
    pub interval: Duration,
    /// How long a unit may take that says nothing of it.
    pub unit_timeout: Duration,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The process began.
    Started,
    /// The lease was won or lost.
    Lease {
        /// Whether writes are ours now.
        held: bool,
    },
    /// Somebody else has applied another revision since the source was read: what was read is nothing to write by until it
    /// has been read again.
    Overtaken,
    /// The source was read and its revision may be applied; the same revision as before is no news.
    Fetched(Revision),
    /// The source could not be read, or its revision may not be applied.
    FetchFailed(Box<Finding>),
    /// The source says by itself that it changed.
    SourceChanged,
    /// Something in the cluster changed.
    ClusterChanged,
    /// The plan for the newest revision and the newest live state.
    Planned(PlanView),
    /// Writes were answered.
    Applied(Vec<Written>),
    /// Deletions were answered.
    Pruned(Vec<Written>),
    /// The time that was asked for has come.
    Woke,
    /// Somebody wants the process to end.
    Stop,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Read the source.
    Fetch,
    /// Render, review and plan with the newest snapshot and live state.
    Plan,
    /// Carry out the steps of these objects.
    Apply(Vec<ObjectId>),
    /// Carry out these deletions.
    Prune(Vec<ObjectId>),
    /// Tell the world how it stands, if that changed.
    Report,
    /// Send [`Event::Woke`] at this time, in place of any earlier wish.
    WakeAt(Now),
    /// End with this exit code.
    Finish(i32),
}

/// The plan, as far as the engine needs it.
#[derive(Debug, Clone, Default)]
pub struct PlanView {
    /// What it was made for.
    pub revision: Option<Revision>,
    /// Units in any order.
    pub units: Vec<UnitView>,
    /// Deletions that wait for the whole commit.
    pub deletions: Vec<ObjectId>,
    /// Deletions that wait for nothing.
    pub deletions_at_once: Vec<ObjectId>,
    /// Why nothing may be pruned: something was not understood, so that its objects may only seem to be gone.
    pub hold_prune: Option<String>,
    /// Whether anything is blocked or was found wrong, so that the pass is no success even when nothing moves.
    pub flawed: bool,
}

/// A unit's part of the plan.
#[derive(Debug, Clone)]
pub struct UnitView {
    /// The unit.
    pub unit: Arc<Unit>,
    /// What is to be written, with a fingerprint of the desired body: what failed is tried anew when it changes.
    pub writes: Vec<(Wave, ObjectId, u64)>,
    /// Objects whose kind is about to be served.
    pub awaiting: Vec<ObjectId>,
    /// Objects that cannot be written and hold what depends on the unit, with the reason.
    pub held: Vec<(ObjectId, String)>,
    /// Objects that the unit waits for and that are not healthy.
    pub unhealthy: Vec<(ObjectId, Health)>,
}

/// How the write of one object ended.
#[derive(Debug, Clone)]
pub struct Written {
    /// The object.
    pub id: ObjectId,
    /// Fingerprint of what was written.
    pub fingerprint: u64,
    /// The end.
    pub end: WriteEnd,
}

/// How a write ended.
#[derive(Debug, Clone, PartialEq)]
pub enum WriteEnd {
    /// It is done.
    Done,
    /// The server refused it; trying again helps only if something else changes.
    Refused(Box<Finding>),
    /// It failed in passing; the server may have said how long to wait.
    Failed(Box<Finding>, Option<Duration>),
}
