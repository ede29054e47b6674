//! Who is judged when: policies compute, so they do it beside the threads that serve connections, and a few at once.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

/// The turns that are left.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    /// One for each core, and two at least, so that a request that takes long does not stop all others.
    fn default() -> Turns {
        Turns::of(std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)))
    }
}

impl Turns {
    fn of(many: usize) -> Turns {
        Turns(Arc::new(Semaphore::new(many)))
    }

    /// Does some work when it is its turn; `None` if that is not so in time, or the work broke off. Work that nobody waits
    /// for any more keeps its turn until it is done.
    pub(super) async fn take<T: Send + 'static>(
        &self,
        end: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turn = match self.0.clone().try_acquire_owned() {
            Ok(turn) => turn,
            Err(_) => timeout_at(end, self.0.clone().acquire_owned()).await.ok()?.ok()?,
        };
        let work = move || {
            let _turn = turn;
            work()
        };
        spawn_blocking(work).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_waits_for_its_turn_and_holds_up_no_thread_that_serves() {
        let turns = Turns::of(1);
        let (done, wait) = mpsc::channel::<()>();
        let at_once = Instant::now();
        let long = {
            let turns = turns.clone();
            tokio::spawn(async move { turns.take(at_once, move || wait.recv().is_ok()).await })
        };
        // This runtime has one thread: it is here again although that work is not done.
        while turns.0.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(turns.take(at_once, || 1).await, None);
        done.send(()).unwrap();
        assert_eq!(long.await.unwrap(), Some(true));
        assert_eq!(turns.take(Instant::now() + Duration::from_secs(60), || 2).await, Some(2));
    }
}
