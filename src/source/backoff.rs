//! How long to wait before the next try.

use std::time::Duration;

/// Exponential back-off with jitter; says how long, never waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(300) }
    }
}

impl Backoff {
    /// The wait after `failures` failures in a row (0: none). `jitter`, from 0 to 1, is drawn by the caller and spreads
    /// the wait over its upper half, so that many instances do not come back at once.
    pub fn wait(&self, failures: u32, jitter: f64) -> Duration {
        if failures == 0 {
            return Duration::ZERO;
        }
        let factor = 2u32.saturating_pow(failures.saturating_sub(1).min(31));
        let full = self.first.saturating_mul(factor).min(self.longest);
        let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 1.0 };
        full.mul_f64(0.5 + jitter / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(0, 1.0), Duration::ZERO);
        assert_eq!(backoff.wait(1, 1.0), Duration::from_secs(2));
        assert_eq!(backoff.wait(3, 1.0), Duration::from_secs(8));
        assert_eq!(backoff.wait(3, 0.0), Duration::from_secs(4));
        assert_eq!(backoff.wait(u32::MAX, 1.0), Duration::from_secs(300));
        assert!(backoff.wait(5, f64::NAN) <= backoff.longest);
    }
}
