//! What the integration tests share. A test binary takes what it needs: `mod support;`.
#![allow(dead_code, reason = "no test binary uses all of it")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]
#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

pub mod audit;
pub mod differential;
pub mod exchange;
pub mod faults;
pub mod helm;
pub mod invariants;
pub mod moin;
pub mod namespaces;
pub mod pair;
pub mod proxy;
pub mod real_server;
pub mod repository;
pub mod scenario;
pub mod sites;
pub mod webhook;
pub mod writes;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A folder of the shared test data; `None` (and a line that says so) where it is not here.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(name);
    if !path.exists() {
        eprintln!("skipped: ../shared/{name} is not here");
        return None;
    }
    Some(path)
}

/// Polls until `probe` answers, or panics with `what` after `limit`. Returns the answer and how long it took.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> (T, Duration) {
    let start = Instant::now();
    loop {
        if let Some(answer) = probe().await {
            return (answer, start.elapsed());
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
