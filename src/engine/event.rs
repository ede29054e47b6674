//! The words between the engine and whoever drives it: events in, effects out.

use std::sync::Arc;
use std::time::Duration;

use super::{Candidate, LeaseRecord, LeaseWrite, Now};
use crate::config::LeaseTimes;
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
    /// By what name and in what role it asks for the lease.
    pub candidate: Candidate,
    /// Plan and tell, but take no lease and write nothing.
    pub observe: bool,
    /// The revision that the target was found to record.
    pub recorded: Option<Revision>,
    /// How long leases last, until a plan says otherwise.
    pub lease: LeaseTimes,
}

/// One look at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What was found.
    pub revision: Revision,
    /// The revision that it should descend from, as it was asked for.
    pub after: Option<Revision>,
    /// Whether it does.
    pub descends: bool,
    /// Whether somebody approved it though it does not.
    pub approved: bool,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The process began.
    Started,
    /// The Lease as it was read; `None`: there is none.
    LeaseSeen(Option<LeaseRecord>),
    /// The Lease was written, and is like this now.
    LeaseWritten(LeaseRecord),
    /// The write of the Lease was refused: somebody else has written it since it was read.
    LeaseRefused,
    /// A request for the Lease was not answered, or not with anything about it.
    LeaseFailed(Box<Finding>),
    /// A watch tells of this version of the Lease; empty: of something about it.
    LeaseTouched(String),
    /// The revision that the target records, whoever recorded it: nothing else may follow that does not descend from it.
    RecordSeen(Option<Revision>),
    /// It could not be read.
    RecordUnread(Box<Finding>),
    /// The target records this revision now.
    Recorded(Revision),
    /// It could not be recorded.
    RecordFailed(Box<Finding>),
    /// The source was read.
    Fetched(Look),
    /// The source could not be read.
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
    /// Read the source, and see whether it descends from this revision.
    Fetch {
        /// Which.
        after: Option<Revision>,
    },
    /// Read the Lease; answered with [`Event::LeaseSeen`] or [`Event::LeaseFailed`] within [`super::LEASE_PATIENCE`].
    ReadLease,
    /// Write the Lease; answered with [`Event::LeaseWritten`], [`Event::LeaseRefused`] or [`Event::LeaseFailed`] within
    /// [`super::LEASE_PATIENCE`].
    WriteLease(LeaseWrite),
    /// Let writes through until this time.
    OpenFence(Now),
    /// Send no write any more, not even one that was asked for.
    CloseFence,
    /// Read from the target, not from a cache, which revision it records.
    ReadRecord,
    /// Record in the target that this revision is about to be applied, over the record that was read last.
    Record(Revision),
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
    /// Deletions that wait for the whole commit, and for nothing else.
    pub deletions: Vec<ObjectId>,
    /// Deletions that wait for nothing.
    pub deletions_at_once: Vec<ObjectId>,
    /// Deletions whose turn comes when others are gone.
    pub deletions_waiting: Vec<ObjectId>,
    /// Deletions under way: the cluster says when they are done.
    pub deletions_going: Vec<ObjectId>,
    /// Why nothing may be pruned: something was not understood, so that its objects may only seem to be gone.
    pub hold_prune: Option<String>,
    /// How long leases last by that revision, if it says so.
    pub lease: Option<LeaseTimes>,
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
