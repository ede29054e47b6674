//! Until when writes are ours: shared between who renews the lease and who writes.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

/// Closes by itself when nobody prolongs it, so that a writer that was frozen or cut off stops without being told.
#[derive(Debug, Clone, Default)]
pub struct Fence(Arc<Mutex<Option<Instant>>>);

impl Fence {
    /// Let writes through until then.
    pub fn open_until(&self, end: Instant) {
        *self.0.lock() = Some(end);
    }

    /// Let no write through any more.
    pub fn close(&self) {
        *self.0.lock() = None;
    }

    /// Whether a write may be sent now.
    pub fn is_open(&self) -> bool {
        self.0.lock().is_some_and(|end| Instant::now() < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_closes_by_itself() {
        let fence = Fence::default();
        assert!(!fence.is_open());
        fence.open_until(Instant::now() + Duration::from_secs(60));
        assert!(fence.is_open());
        fence.clone().close();
        assert!(!fence.is_open());
        fence.open_until(Instant::now());
        assert!(!fence.is_open());
    }
}
