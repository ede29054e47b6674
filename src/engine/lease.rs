//! Who may write: a Lease in the target, judged by own observation.
//!
//! The rule of client-go's leader election: a lease is free when its record has not changed for its duration, counted
//! on the observer's own monotonic clock since it first saw that record. The times written in the record are for
//! people; comparing them with a wall clock would trust the other's clock.

use std::time::Duration;

use super::Now;

/// The part of a Lease object that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Who holds it; empty if it was given back.
    pub holder: String,
    /// When it was renewed, as written; compared for change only.
    pub renew_time: String,
    /// How long it is good for without a renewal.
    pub duration: Duration,
}

/// What to do about the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseDecision {
    /// It is ours: renew it.
    Renew,
    /// It is free: take it.
    Take,
    /// Somebody else holds it; look again after this long.
    Wait(Duration),
}

/// Watches a lease over time.
#[derive(Debug)]
pub struct LeaseObserver {
    identity: String,
    seen: Option<(LeaseRecord, Now)>,
}

impl LeaseObserver {
    /// How long a lease is good for.
    pub const DURATION: Duration = Duration::from_secs(15);
    /// How often it is renewed.
    pub const RENEW_EVERY: Duration = Duration::from_secs(5);

    /// An observer that writes `identity` as the holder.
    pub fn new(identity: &str) -> LeaseObserver {
        LeaseObserver { identity: identity.to_owned(), seen: None }
    }

    /// The name that this instance holds leases by.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Take in the record as it is now (`None`: there is no Lease object) and decide.
    pub fn observe(&mut self, record: Option<LeaseRecord>, now: Now) -> LeaseDecision {
        let Some(record) = record else {
            self.seen = None;
            return LeaseDecision::Take;
        };
        if record.holder == self.identity {
            self.seen = Some((record, now));
            return LeaseDecision::Renew;
        }
        if record.holder.is_empty() {
            self.seen = None;
            return LeaseDecision::Take;
        }
        let since = match &self.seen {
            Some((seen, since)) if *seen == record => *since,
            _ => {
                self.seen = Some((record.clone(), now));
                now
            }
        };
        let free_at = since + record.duration;
        if now >= free_at { LeaseDecision::Take } else { LeaseDecision::Wait(free_at - now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(holder: &str, renew_time: &str) -> Option<LeaseRecord> {
        Some(LeaseRecord {
            holder: holder.into(),
            renew_time: renew_time.into(),
            duration: LeaseObserver::DURATION,
        })
    }

    #[test]
    fn a_lease_is_free_when_its_record_stands_still_for_its_duration() {
        let mut observer = LeaseObserver::new("me");
        let second = Duration::from_secs(1);
        // The other's clock is a day ahead; that says nothing.
        assert!(matches!(observer.observe(record("other", "2036-01-01"), Now::ZERO), LeaseDecision::Wait(_)));
        assert!(matches!(
            observer.observe(record("other", "2036-01-01"), 14 * second),
            LeaseDecision::Wait(_)
        ));
        assert!(matches!(
            observer.observe(record("other", "2036-01-02"), 15 * second),
            LeaseDecision::Wait(_)
        ));
        assert!(matches!(
            observer.observe(record("other", "2036-01-02"), 29 * second),
            LeaseDecision::Wait(_)
        ));
        assert_eq!(observer.observe(record("other", "2036-01-02"), 30 * second), LeaseDecision::Take);
    }

    #[test]
    fn a_lease_that_was_given_back_is_free_at_once() {
        let mut observer = LeaseObserver::new("me");
        assert_eq!(observer.observe(None, Now::ZERO), LeaseDecision::Take);
        assert_eq!(observer.observe(record("", "x"), Now::ZERO), LeaseDecision::Take);
        assert_eq!(observer.observe(record("me", "x"), Now::ZERO), LeaseDecision::Renew);
    }
}
