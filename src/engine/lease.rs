//! The Lease of a target as the engine sees it, and when it is free.
//!
//! The rule of client-go's leader election: a lease is free when nobody has renewed it for its duration, counted on the
//! observer's own monotonic clock since it first saw that renewal. The times written in the record are for people;
//! comparing them with a wall clock would trust the other's clock.

use std::time::Duration;

use super::Now;
use crate::config::{LONGEST_LEASE, LeaseTimes, SHORTEST_LEASE};

/// How much longer than everybody else a stand-in waits, so that a replica of the home daemon is faster.
pub(super) const STAND_IN_WAITS: Duration = Duration::from_millis(500);
/// The version of what instances tell each other through the Lease. One that reads a higher number takes no part.
pub const PROTOCOL: u32 = 1;

/// What a daemon is to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// It is the target's own: preferred.
    #[default]
    Home,
    /// It stands in while the target's own is gone.
    Peer,
}

/// The part of a Lease object that matters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaseRecord {
    /// Who holds it; empty if it was given back.
    pub holder: String,
    /// What the holder is to the target.
    pub role: Role,
    /// Differs from one renewal to the next; compared for change only.
    pub renewal: String,
    /// How long it is good for without a renewal.
    pub duration: Duration,
    /// What the management cluster is called that it belongs to, where that was said.
    pub cluster: Option<String>,
    /// Version of the protocol that its last writer speaks.
    pub protocol: u32,
    /// Who wants it from a stand-in.
    pub hand_back: Option<String>,
    /// The state that was read: a write goes over exactly this one.
    pub version: String,
}

/// A write of the Lease over the record that was seen last; refused if that has changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseWrite {
    /// The version that it goes over; `None` makes the Lease.
    pub over: Option<String>,
    /// Who holds it from then on; empty gives it back.
    pub holder: String,
    /// What that holder is to the target.
    pub role: Role,
    /// What the management cluster is called.
    pub cluster: Option<String>,
    /// Who wants it from a stand-in.
    pub hand_back: Option<String>,
    /// Whether the lease counts anew from this write.
    pub renews: bool,
    /// How long it is good for from then on without a renewal.
    pub duration: Duration,
}

/// The record as it was last seen, and since when nobody has renewed it.
#[derive(Debug)]
pub(super) struct Observed {
    pub record: Option<LeaseRecord>,
    since: Now,
}

impl Observed {
    /// Take in the record as it is now (`None`: there is no Lease object).
    pub fn update(before: Option<Observed>, record: Option<LeaseRecord>, now: Now) -> Observed {
        let same = |old: &Option<LeaseRecord>| match (old, &record) {
            (None, None) => true,
            (Some(old), Some(new)) => old.holder == new.holder && old.renewal == new.renewal,
            _ => false,
        };
        let since = before.filter(|before| same(&before.record)).map_or(now, |before| before.since);
        Observed { record, since }
    }

    /// When somebody of this role may take it; what its holder says of its duration counts. What nobody holds is the home's at once; a stand-in waits as long as for
    /// one that is held, for the home may just be starting.
    pub fn free_at(&self, role: Role, times: LeaseTimes) -> Now {
        let held = self.record.as_ref().filter(|record| !record.holder.is_empty());
        let good_for =
            held.map_or(times.lease, |record| record.duration.clamp(SHORTEST_LEASE, LONGEST_LEASE));
        match (role, held) {
            (Role::Home, None) => self.since,
            (Role::Home, Some(_)) => self.since + good_for,
            (Role::Peer, _) => self.since + good_for + STAND_IN_WAITS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn record(holder: &str, renewal: &str) -> Option<LeaseRecord> {
        Some(LeaseRecord {
            holder: holder.into(),
            renewal: renewal.into(),
            duration: SHORTEST_LEASE,
            ..LeaseRecord::default()
        })
    }

    #[test]
    fn a_lease_is_free_when_nobody_renewed_it_for_its_duration() {
        // The other's clock is a day ahead; that says nothing.
        let observed = Observed::update(None, record("other", "2036-01-01"), Now::ZERO);
        assert_eq!(observed.free_at(Role::Home, LeaseTimes::default()), 15 * SECOND);
        let observed = Observed::update(Some(observed), record("other", "2036-01-01"), 14 * SECOND);
        assert_eq!(observed.free_at(Role::Home, LeaseTimes::default()), 15 * SECOND);
        let observed = Observed::update(Some(observed), record("other", "2036-01-02"), 14 * SECOND);
        assert_eq!(observed.free_at(Role::Home, LeaseTimes::default()), 29 * SECOND);
        assert!(observed.free_at(Role::Peer, LeaseTimes::default()) > 29 * SECOND);
    }

    #[test]
    fn who_asks_for_a_lease_does_not_renew_it() {
        let observed = Observed::update(None, record("other", "a"), Now::ZERO);
        let asked = record("other", "a").map(|record| LeaseRecord {
            hand_back: Some("me".into()),
            version: "2".into(),
            ..record
        });
        assert_eq!(
            Observed::update(Some(observed), asked, 5 * SECOND).free_at(Role::Home, LeaseTimes::default()),
            15 * SECOND
        );
    }

    #[test]
    fn what_nobody_holds_is_the_homes_at_once_and_a_stand_ins_later() {
        for nobody in [None, record("", "x")] {
            let observed = Observed::update(None, nobody, SECOND);
            assert_eq!(observed.free_at(Role::Home, LeaseTimes::default()), SECOND);
            assert!(observed.free_at(Role::Peer, LeaseTimes::default()) >= 16 * SECOND);
        }
    }

    #[test]
    fn no_record_locks_a_target_for_long_nor_frees_it_early() {
        let with = |duration| record("other", "x").map(|record| LeaseRecord { duration, ..record });
        let long = Observed::update(None, with(Duration::from_secs(1 << 40)), Now::ZERO);
        assert_eq!(long.free_at(Role::Home, LeaseTimes::default()), 60 * SECOND);
        let short = Observed::update(None, with(Duration::ZERO), Now::ZERO);
        assert_eq!(short.free_at(Role::Home, LeaseTimes::default()), 15 * SECOND);
    }
}
