//! How long a lease lasts, and how its holder keeps it.

use std::time::Duration;

/// The shortest lease: what keeps it needs a request's time on top of a renewal's.
pub const SHORTEST_LEASE: Duration = Duration::from_secs(15);
/// The longest lease that is believed: nobody may lock a target for a day.
pub const LONGEST_LEASE: Duration = Duration::from_secs(60);
const SHORTEST_WAIT: Duration = Duration::from_millis(500);

/// `spec.peers` of `moin.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long a lease is good for without a renewal.
    pub lease: Duration,
    /// How often it is renewed.
    pub renew: Duration,
    /// How soon a request that failed is sent again.
    pub retry: Duration,
}

impl Default for LeaseTimes {
    fn default() -> LeaseTimes {
        LeaseTimes::of(SHORTEST_LEASE)
    }
}

impl LeaseTimes {
    /// Those that go with a lease: three renewals, so that one may be missed.
    pub fn of(lease: Duration) -> LeaseTimes {
        LeaseTimes { lease, renew: lease / 3, retry: Duration::from_secs(1) }
    }

    /// For how long after a renewal was asked for the holder of such a lease writes: shorter than the lease by what clocks
    /// may run apart.
    pub fn write_for(lease: Duration) -> Duration {
        lease * 2 / 3
    }

    /// What is wrong with them: field and why.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let LeaseTimes { lease, renew, retry } = *self;
        let shown = humantime::format_duration;
        if lease < SHORTEST_LEASE || lease > LONGEST_LEASE {
            let (shortest, longest) = (shown(SHORTEST_LEASE), shown(LONGEST_LEASE));
            return Some((
                "lease",
                format!("a lease lasts from {shortest} to {longest}, not {}", shown(lease)),
            ));
        }
        if lease.subsec_nanos() != 0 {
            return Some(("lease", "a lease lasts whole seconds".to_owned()));
        }
        if renew > lease / 3 || renew < SHORTEST_WAIT {
            let why = format!(
                "a lease of {} is renewed at least every {}, so that one renewal may be missed, and not more often than every {}",
                shown(lease),
                shown(lease / 3),
                shown(SHORTEST_WAIT)
            );
            return Some(("renew", why));
        }
        if retry > renew / 2 || retry < SHORTEST_WAIT.min(renew / 2) {
            let why = format!(
                "with a renewal every {}, a request that failed is sent again after {} at most, and {} at least",
                shown(renew),
                shown(renew / 2),
                shown(SHORTEST_WAIT.min(renew / 2))
            );
            return Some(("retry", why));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_must_outlast_a_missed_renewal() {
        let times = |lease: u64, renew: u64, retry: u64| LeaseTimes {
            lease: Duration::from_secs(lease),
            renew: Duration::from_secs(renew),
            retry: Duration::from_secs(retry),
        };
        assert_eq!(times(15, 5, 1), LeaseTimes::default());
        for (times, wrong) in [
            (times(15, 5, 1), None),
            (times(60, 20, 10), None),
            (times(30, 4, 2), None),
            (times(14, 4, 1), Some("lease")),
            (times(61, 4, 1), Some("lease")),
            (times(30, 11, 1), Some("renew")),
            (times(30, 0, 0), Some("renew")),
            (times(30, 10, 6), Some("retry")),
            (times(30, 10, 0), Some("retry")),
        ] {
            assert_eq!(times.problem().map(|(field, _)| field), wrong, "{times:?}");
        }
        assert_eq!(LeaseTimes::write_for(Duration::from_secs(30)), Duration::from_secs(20));
    }
}
