//! A daemon's part for one target: an engine, and a driver that performs its effects as the real one does.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::Sabotage;
use super::server::{Ask, Commit, OBJECTS, Object, Reply, wanted};
use crate::config::LeaseTimes;
use crate::engine::{
    Candidate, Effect, Engine, Event, Look, Mode, Now, Options, PlanView, Role, UnitView, WriteEnd, Written,
};
use crate::finding::{Code, Finding};
use crate::model::{ObjectId, Revision, Unit, UnitName};
use crate::plan::Wave;

static IDS: LazyLock<[ObjectId; OBJECTS]> =
    LazyLock::new(|| std::array::from_fn(|n| ObjectId::new("", "ConfigMap", Some("a"), &format!("o{n}"))));

/// The second unit begins when the first is ready.
static UNITS: LazyLock<[Arc<Unit>; 2]> = LazyLock::new(|| {
    let first = Unit::new(UnitName::new("first"));
    let depends_on = vec![UnitName::new("first")];
    [Arc::new(first), Arc::new(Unit { depends_on, ..Unit::new(UnitName::new("second")) })]
});

/// How many writes are under way at once.
const CONCURRENCY: usize = 2;

/// What leaves the driver.
#[derive(Debug, Clone)]
pub enum Request {
    /// To the source: the newest commit, and whether it descends from this one.
    Fetch(Option<Commit>),
    Target(Ask),
}

/// What comes back.
#[derive(Debug, Clone)]
pub enum Answer {
    Fetched {
        commit: Commit,
        after: Option<Commit>,
        descends: bool,
    },
    Target(Reply),
    /// It took too long: whether it was done nobody knows.
    Nothing(Request),
}

/// Writes that the engine asked for together.
#[derive(Debug, Default)]
struct Batch {
    prunes: bool,
    unsent: VecDeque<Ask>,
    under_way: usize,
    written: Vec<Written>,
    /// What each write would make of its object: what failed waits only while the same is asked for.
    fingerprints: [u64; OBJECTS],
}

pub struct Seat {
    pub identity: String,
    target: usize,
    engine: Engine,
    pub wake: Option<Now>,
    pub fence_until: Option<Now>,
    cache: [Option<Object>; OBJECTS],
    lease_seen: String,
    record_version: u32,
    batch: Option<Batch>,
    pub out: Vec<Request>,
    pub finding: Finding,
    pub steps: u64,
    pub broken: Option<String>,
}

fn commit_of(revision: &Revision) -> Commit {
    revision.as_str()[1..].parse().expect("the model named it")
}

fn revision_of(commit: Commit) -> Revision {
    Revision::new(&format!("c{commit}"))
}

impl Seat {
    pub fn new(identity: String, target: usize, role: Role, sabotage: Option<Sabotage>) -> Seat {
        let candidate =
            Candidate { identity: identity.clone(), role, cluster: Some(format!("mgmt{target}")) };
        let mut engine = Engine::new(Options {
            mode: Mode::Forever,
            interval: Duration::from_secs(3),
            unit_timeout: Duration::from_secs(300),
            candidate,
            observe: false,
            recorded: None,
            lease: LeaseTimes::default(),
        });
        if let Some(Sabotage::Engine(rule)) = sabotage {
            engine.leave_out(rule);
        }
        Seat {
            identity,
            target,
            engine,
            wake: None,
            fence_until: None,
            cache: [None; OBJECTS],
            lease_seen: String::new(),
            record_version: 0,
            batch: None,
            out: Vec::new(),
            finding: Finding::error(Code::ClusterUnreachable, "no answer"),
            steps: 0,
            broken: None,
        }
    }

    /// Whether writes may be sent now.
    pub fn is_open(&self, now: Now) -> bool {
        self.fence_until.is_some_and(|until| now < until)
    }

    /// Tell the engine, and perform what it says.
    pub fn tell(&mut self, event: Event, now: Now, sabotage: Option<Sabotage>) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            self.steps += 1;
            for effect in self.engine.step(event, now) {
                events.extend(self.perform(effect, now, sabotage));
            }
        }
        self.send(now, sabotage);
    }

    fn perform(&mut self, effect: Effect, now: Now, sabotage: Option<Sabotage>) -> Option<Event> {
        match effect {
            Effect::Fetch { after } => self.out.push(Request::Fetch(after.as_ref().map(commit_of))),
            Effect::Plan => return Some(Event::Planned(self.plan(sabotage))),
            Effect::Apply(ids) => self.begin(false, &ids, now, sabotage),
            Effect::Prune(ids) => self.begin(true, &ids, now, sabotage),
            Effect::ReadLease => self.out.push(Request::Target(Ask::ReadLease)),
            Effect::WriteLease(write) => self.out.push(Request::Target(Ask::WriteLease(write))),
            Effect::OpenFence(until) => self.fence_until = Some(until),
            Effect::CloseFence => self.fence_until = None,
            Effect::ReadRecord => self.out.push(Request::Target(Ask::ReadRecord)),
            Effect::Record(revision) => {
                self.out.push(Request::Target(Ask::Record(commit_of(&revision), self.record_version)));
            }
            Effect::WakeAt(at) => self.wake = Some(at),
            Effect::Report | Effect::Finish(_) => {}
        }
        None
    }

    fn plan(&self, sabotage: Option<Sabotage>) -> PlanView {
        let Some(revision) = self.engine.revision().cloned() else { return PlanView::default() };
        let commit = commit_of(&revision);
        let mut view = PlanView { revision: Some(revision), ..PlanView::default() };
        view.units = UNITS
            .iter()
            .map(|unit| UnitView {
                unit: unit.clone(),
                writes: Vec::new(),
                awaiting: Vec::new(),
                held: Vec::new(),
                unhealthy: Vec::new(),
            })
            .collect();
        for (n, id) in IDS.iter().enumerate() {
            match (wanted(commit, self.target, n), self.cache[n]) {
                (Some(_), Some(object)) if object.foreign && sabotage != Some(Sabotage::Force) => {
                    view.flawed = true;
                }
                (Some(content), Some(object)) if object.content == content => {}
                (Some(content), _) => {
                    view.units[n / 2].writes.push((Wave::Workloads, id.clone(), u64::from(content)));
                }
                (None, Some(object)) if !object.foreign => view.deletions.push(id.clone()),
                (None, _) => {}
            }
        }
        view
    }

    fn begin(&mut self, prunes: bool, ids: &[ObjectId], now: Now, sabotage: Option<Sabotage>) {
        let Some(commit) = self.engine.revision().map(commit_of) else {
            self.broken = Some(format!("{} writes without a revision", self.identity));
            return;
        };
        if !self.is_open(now) {
            self.broken = Some(format!("{} asks for writes without the lease", self.identity));
        }
        let ready = |n: usize| {
            let wanted = wanted(commit, self.target, n);
            wanted.is_none() || self.cache[n].is_some_and(|it| it.foreign || Some(it.content) == wanted)
        };
        if prunes && !(0..OBJECTS).all(ready) {
            self.broken =
                Some(format!("{} prunes before everything of commit {commit} is applied", self.identity));
        }
        let asks = ids.iter().filter_map(|id| {
            let n = IDS.iter().position(|known| known == id)?;
            let cached = self.cache[n];
            if prunes {
                let cached = cached?;
                return Some(Ask::Delete { id: n, commit, over: (cached.uid, cached.version) });
            }
            Some(Ask::Put {
                id: n,
                commit,
                content: wanted(commit, self.target, n)?,
                over: cached.map(|object| (object.uid, object.version)),
                forced: sabotage == Some(Sabotage::Force),
            })
        });
        let asks: VecDeque<Ask> = asks.collect();
        let mut batch = Batch { prunes, ..Batch::default() };
        for ask in &asks {
            if let Ask::Put { id, content, .. } = ask {
                batch.fingerprints[*id] = u64::from(*content);
            }
        }
        batch.unsent = asks;
        self.batch = Some(batch);
    }

    /// Send what may be sent of the batch, and end it when all is answered.
    fn send(&mut self, now: Now, sabotage: Option<Sabotage>) {
        let open = self.is_open(now);
        let Some(batch) = &mut self.batch else { return };
        while batch.under_way < CONCURRENCY
            && let Some(ask) = batch.unsent.pop_front()
        {
            if open {
                batch.under_way += 1;
                self.out.push(Request::Target(ask));
            } else {
                let mut written = failed(id_of(&ask), &self.finding);
                written.fingerprint = batch.fingerprints[id_of(&ask)];
                batch.written.push(written);
            }
        }
        if batch.under_way == 0
            && batch.unsent.is_empty()
            && let Some(batch) = self.batch.take()
        {
            let event =
                if batch.prunes { Event::Pruned(batch.written) } else { Event::Applied(batch.written) };
            self.tell(event, now, sabotage);
        }
    }

    /// The watches tell of everything.
    pub fn see(
        &mut self,
        objects: &[Option<Object>; OBJECTS],
        lease: &str,
        now: Now,
        sabotage: Option<Sabotage>,
    ) {
        if self.cache != *objects {
            self.cache = *objects;
            self.tell(Event::ClusterChanged, now, sabotage);
        }
        if self.lease_seen != lease {
            lease.clone_into(&mut self.lease_seen);
            self.tell(Event::LeaseTouched(lease.to_owned()), now, sabotage);
        }
    }

    pub fn take(&mut self, answer: Answer, now: Now, sabotage: Option<Sabotage>) {
        let trouble = || Box::new(self.finding.clone());
        let event = match answer {
            Answer::Fetched { commit, after, descends } => Event::Fetched(Look {
                revision: revision_of(commit),
                after: after.map(revision_of),
                descends,
                approved: false,
            }),
            Answer::Nothing(Request::Fetch(_)) => Event::FetchFailed(trouble()),
            Answer::Nothing(Request::Target(ask)) => match ask {
                Ask::ReadLease | Ask::WriteLease(_) => Event::LeaseFailed(trouble()),
                Ask::ReadRecord => Event::RecordUnread(trouble()),
                Ask::Record(..) => Event::RecordFailed(trouble()),
                Ask::Put { id, .. } | Ask::Delete { id, .. } => {
                    return self.wrote(id, failed(id, &self.finding), now, sabotage);
                }
            },
            Answer::Target(reply) => match reply {
                Reply::Lease(record) => Event::LeaseSeen(record),
                Reply::Written(record) => Event::LeaseWritten(record),
                Reply::Stale => Event::LeaseRefused,
                Reply::Record(None) => Event::RecordUnread(trouble()),
                Reply::Record(Some((recorded, version))) | Reply::RecordMoved(recorded, version) => {
                    self.record_version = version;
                    Event::RecordSeen(recorded.map(revision_of))
                }
                Reply::Recorded(commit, version) => {
                    self.record_version = version;
                    Event::Recorded(revision_of(commit))
                }
                Reply::Object(id, object) => {
                    self.cache[id] = object;
                    return self.wrote(id, ended(id, WriteEnd::Done), now, sabotage);
                }
                Reply::Refused(id) => {
                    let end = WriteEnd::Refused(trouble());
                    return self.wrote(id, ended(id, end), now, sabotage);
                }
                Reply::Failed(id) => return self.wrote(id, failed(id, &self.finding), now, sabotage),
            },
        };
        self.tell(event, now, sabotage);
    }

    fn wrote(&mut self, id: usize, mut written: Written, now: Now, sabotage: Option<Sabotage>) {
        if let Some(batch) = &mut self.batch {
            batch.under_way -= 1;
            written.fingerprint = batch.fingerprints[id];
            batch.written.push(written);
        }
        self.send(now, sabotage);
    }
}

fn id_of(ask: &Ask) -> usize {
    match ask {
        Ask::Put { id, .. } | Ask::Delete { id, .. } => *id,
        _ => 0,
    }
}

fn ended(id: usize, end: WriteEnd) -> Written {
    Written { id: IDS[id].clone(), fingerprint: 0, end }
}

fn failed(id: usize, finding: &Finding) -> Written {
    ended(id, WriteEnd::Failed(Box::new(finding.clone()), None))
}
