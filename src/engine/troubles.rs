//! Writes that failed: what is known of each, and when it is worth another try.

use std::collections::{HashMap, HashSet};

use super::{Backoff, Engine, Now, WriteEnd, Written};
use crate::finding::Finding;
use crate::model::ObjectId;

/// What went wrong with an object the last time.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub fingerprint: u64,
    pub finding: Finding,
    backoff: Backoff,
    pub retry_at: Now,
    /// Refusals are tried anew only after something else has moved.
    pub refused_at_progress: Option<u64>,
}

impl Trouble {
    pub fn may_retry(&self, progress: u64, now: Now) -> bool {
        now >= self.retry_at && self.refused_at_progress.is_none_or(|seen| seen < progress)
    }
}

impl Engine {
    pub(super) fn take_in_written(&mut self, written: Vec<Written>, now: Now) {
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
    pub(super) fn forget_solved_troubles(&mut self) {
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
}
