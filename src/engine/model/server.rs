//! A target and the history of the repository, as far as they matter to who may write.

use crate::engine::{LeaseRecord, LeaseWrite, PROTOCOL};

/// How many objects there are names for, in each target.
pub const OBJECTS: usize = 4;
/// More commits than this are not made.
const MOST_COMMITS: usize = 120;

pub type Commit = usize;

/// The repository: each commit knows all that it descends from.
#[derive(Debug)]
pub struct History {
    ancestors: Vec<u128>,
    pub head: Commit,
}

impl History {
    pub fn new() -> History {
        History { ancestors: vec![1], head: 0 }
    }

    /// A commit on top of others becomes the newest.
    pub fn commit(&mut self, parents: &[Commit]) {
        if self.ancestors.len() < MOST_COMMITS {
            let new = self.ancestors.len();
            let of_parents = parents.iter().fold(0, |sum, parent| sum | self.ancestors[*parent]);
            self.ancestors.push(of_parents | 1 << new);
            self.head = new;
        }
    }

    pub fn len(&self) -> usize {
        self.ancestors.len()
    }

    /// Whether one is the other or comes after it.
    pub fn descends(&self, new: Commit, old: Commit) -> bool {
        self.ancestors[new] & (1 << old) != 0
    }
}

/// What a commit wants an object of a target to be, if it wants it at all. Neighbours often agree.
pub fn wanted(commit: Commit, target: usize, id: usize) -> Option<u32> {
    let draw = |salt: usize| {
        let mixed =
            (salt as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ ((target * OBJECTS + id) as u64) << 7;
        (mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33) as u32
    };
    // The first object is always wanted, so that a target is never empty.
    (id == 0 || draw(commit) % 4 != 0).then(|| draw(commit * 7) % 3)
}

/// An object in a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    pub uid: u32,
    pub version: u32,
    pub content: u32,
    /// The commit that it was last written by.
    pub commit: Commit,
    /// A field of it is somebody else's.
    pub foreign: bool,
}

/// A request to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    ReadLease,
    WriteLease(LeaseWrite),
    ReadRecord,
    /// Over this version of the record.
    Record(Commit, u32),
    Put {
        id: usize,
        commit: Commit,
        content: u32,
        over: Option<(u32, u32)>,
        forced: bool,
    },
    Delete {
        id: usize,
        commit: Commit,
        over: (u32, u32),
    },
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Lease(Option<LeaseRecord>),
    Written(LeaseRecord),
    Stale,
    /// The record and its version; `None` while the API server does not know who writes.
    Record(Option<(Option<Commit>, u32)>),
    Recorded(Commit, u32),
    /// Somebody else has recorded something since.
    RecordMoved(Option<Commit>, u32),
    Object(usize, Option<Object>),
    Refused(usize),
    Failed(usize),
}

#[derive(Debug, Default)]
pub struct Target {
    pub number: usize,
    pub objects: [Option<Object>; OBJECTS],
    pub lease: Option<LeaseRecord>,
    /// Who may write, by what the API server has heard of the Lease so far.
    pub fence: String,
    pub recorded: Option<Commit>,
    pub record_version: u32,
    pub versions: u32,
    /// Who was let through last, with the version of the Lease by which it was.
    pub active: String,
    /// Writes of objects and of the record that took effect.
    pub writes: u64,
}

impl Target {
    fn next(&mut self) -> u32 {
        self.versions += 1;
        self.versions
    }

    pub fn holder(&self) -> &str {
        self.lease.as_ref().map_or("", |lease| &lease.holder)
    }

    /// The API server hears of the Lease.
    pub fn hear(&mut self) {
        self.fence = self.holder().to_owned();
    }

    /// Somebody writes by hand.
    pub fn edit(&mut self, id: usize, claim: bool) {
        let version = self.next();
        match &mut self.objects[id] {
            Some(object) => {
                object.content = 100 + version;
                object.version = version;
                object.foreign |= claim;
            }
            None if claim => {
                self.objects[id] =
                    Some(Object { uid: version, version, content: 100, commit: 0, foreign: true });
            }
            None => {}
        }
    }

    /// Answer a request; an error is a promise that was broken. `lets_create`: anybody may make objects.
    pub fn serve(
        &mut self,
        who: &str,
        ask: &Ask,
        history: &History,
        lets_create: bool,
    ) -> Result<Reply, String> {
        Ok(match ask {
            Ask::ReadLease => Reply::Lease(self.lease.clone()),
            Ask::WriteLease(write) => self.write_lease(write),
            Ask::ReadRecord => {
                if self.fence != who || self.holder() != who {
                    return Ok(Reply::Record(None));
                }
                self.active = who.to_owned();
                Reply::Record(Some((self.recorded, self.record_version)))
            }
            Ask::Record(commit, over) => {
                if *over != self.record_version {
                    return Ok(Reply::RecordMoved(self.recorded, self.record_version));
                }
                if let Some(before) = self.recorded.filter(|before| !history.descends(*commit, *before)) {
                    return Err(format!(
                        "{who} records commit {commit}, which does not descend from {before}"
                    ));
                }
                self.recorded = Some(*commit);
                self.record_version = self.next();
                self.writes += 1;
                Reply::Recorded(*commit, self.record_version)
            }
            Ask::Put { id, commit, .. } | Ask::Delete { id, commit, .. } => {
                let creates = matches!(ask, Ask::Put { .. }) && self.objects[*id].is_none();
                if self.fence != who && !(creates && lets_create) {
                    return Ok(Reply::Failed(*id));
                }
                let before = self.objects[*id];
                let reply = self.write(ask);
                if self.objects[*id] != before {
                    self.writes += 1;
                    self.judge(who, ask, before, *commit, history)?;
                }
                reply
            }
        })
    }

    fn write_lease(&mut self, write: &LeaseWrite) -> Reply {
        if write.over != self.lease.as_ref().map(|lease| lease.version.clone()) {
            return Reply::Stale;
        }
        let version = self.next().to_string();
        let renewal = self.lease.as_ref().map(|lease| lease.renewal.clone()).unwrap_or_default();
        let record = LeaseRecord {
            holder: write.holder.clone(),
            role: write.role,
            renewal: if write.renews { version.clone() } else { renewal },
            duration: write.duration,
            cluster: write.cluster.clone(),
            protocol: PROTOCOL,
            hand_back: write.hand_back.clone(),
            version,
        };
        self.lease = Some(record.clone());
        Reply::Written(record)
    }

    fn write(&mut self, ask: &Ask) -> Reply {
        match *ask {
            Ask::Put { id, commit, content, over, forced } => {
                let before = self.objects[id];
                if before.map(|object| (object.uid, object.version)) != over {
                    return Reply::Failed(id);
                }
                if before.is_some_and(|object| object.foreign) && !forced {
                    return Reply::Refused(id);
                }
                if before.is_some_and(|object| object.content == content) {
                    return Reply::Object(id, before);
                }
                let version = self.next();
                let uid = before.map_or(version, |object| object.uid);
                self.objects[id] = Some(Object { uid, version, content, commit, foreign: false });
                Reply::Object(id, self.objects[id])
            }
            Ask::Delete { id, over, .. } => {
                if self.objects[id].is_some_and(|object| (object.uid, object.version) != over) {
                    return Reply::Failed(id);
                }
                self.objects[id] = None;
                Reply::Object(id, None)
            }
            _ => Reply::Stale,
        }
    }

    /// Whether what just took effect may have.
    fn judge(
        &self,
        who: &str,
        ask: &Ask,
        before: Option<Object>,
        commit: Commit,
        history: &History,
    ) -> Result<(), String> {
        let broken = |what: String| Err(format!("{who} in target {}: {what} ({ask:?})", self.number));
        if self.active != who {
            return broken(format!("writes after {} has begun to", self.active));
        }
        if let Some(before) = before {
            if !history.descends(commit, before.commit) {
                return broken(format!("takes an object of commit {} back to {commit}", before.commit));
            }
            if before.foreign {
                return broken("takes what is somebody else's".into());
            }
        }
        if !self.recorded.is_some_and(|recorded| history.descends(recorded, commit)) {
            return broken(format!("applies commit {commit}, where {:?} is recorded", self.recorded));
        }
        match ask {
            Ask::Delete { id, .. } if wanted(commit, self.number, *id).is_some() => {
                broken("deletes what its commit wants".into())
            }
            _ => Ok(()),
        }
    }
}
