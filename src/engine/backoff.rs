//! How long to wait before trying again.

use std::time::Duration;

/// Doubles from one second to five minutes, shortened by up to a quarter so that failures do not march in step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(300);

    /// The next wait. `salt` spreads: different salts, different shortenings.
    pub fn next(&mut self, salt: u64) -> Duration {
        let full = Self::FIRST.saturating_mul(1 << self.attempts.min(16)).min(Self::LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        // A multiplicative hash of salt and attempt; its top bits are evenly spread.
        let spread = (salt ^ u64::from(self.attempts)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
        full - full.mul_f64(spread as f64 / 4096.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..20).map(|_| backoff.next(7)).collect();
        assert!(waits[0] <= Duration::from_secs(1) && waits[0] >= Duration::from_millis(750));
        assert!(waits[5] > waits[1]);
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(300)));
        assert!(waits[19] >= Duration::from_secs(225));
    }
}
