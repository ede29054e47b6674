//! What policies ask for at admission, and what the API server last answered.
//!
//! A request waits a moment for the answer to a question that is new. What is asked for again and again is known from
//! then on, and as old as [`AGAIN`] at most; what nobody asks for any more is forgotten, so that an idle webhook asks nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::policy::World;

/// How long the API server may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often what is still of use is asked again.
const AGAIN: Duration = Duration::from_secs(10);

/// The questions and their answers.
#[derive(Debug)]
pub(super) struct Questions {
    world: RwLock<World>,
    under_way: Mutex<BTreeSet<String>>,
    asked: Notify,
    answered: watch::Sender<u64>,
}

impl Default for Questions {
    fn default() -> Questions {
        Questions {
            world: RwLock::new(World::nothing().with_cluster()),
            under_way: Mutex::default(),
            asked: Notify::new(),
            answered: watch::Sender::new(0),
        }
    }
}

impl Questions {
    /// What is known, and where new questions are noted.
    pub(super) fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read()
    }

    /// Tells of every answer from now on.
    pub(super) fn answers(&self) -> watch::Receiver<u64> {
        self.answered.subscribe()
    }

    /// Something new was noted.
    pub(super) fn ask(&self) {
        self.asked.notify_one();
    }

    /// Has what is noted asked, and what is known asked again, until it is told to stop.
    pub(super) async fn keep(self: Arc<Self>, cluster: Cluster, stop: CancellationToken) {
        // The first time is not at once: what was just asked is new enough.
        let mut again = tokio::time::interval_at(Instant::now() + AGAIN, AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let paths = tokio::select! {
                () = stop.cancelled() => return,
                () = self.asked.notified() => self.beside(|questions| questions.begin(World::open)).await,
                _ = again.tick() => self.beside(|questions| {
                    questions.world.write().forget_unused();
                    questions.begin(World::asked)
                }).await,
            };
            if !paths.is_empty() {
                tokio::spawn(self.clone().have_answered(cluster.clone(), paths));
            }
        }
    }

    /// Those paths that are not under way, which they are from now on. What is no longer under way is answered: the world is
    /// read later.
    fn begin(&self, paths: impl FnOnce(&World) -> Vec<String>) -> Vec<String> {
        let mut under_way = self.under_way.lock();
        let paths = paths(&self.world.read());
        paths.into_iter().filter(|path| under_way.insert(path.clone())).collect()
    }

    /// Works on the world where it may wait for judgements that read it.
    async fn beside<T: Default + Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Questions) -> T + Send + 'static,
    ) -> T {
        let questions = self.clone();
        tokio::task::spawn_blocking(move || work(&questions)).await.unwrap_or_default()
    }

    async fn have_answered(self: Arc<Self>, cluster: Cluster, paths: Vec<String>) {
        let answers = cluster.answers(paths.clone(), DEADLINE).await;
        let take = move |questions: &Questions| {
            questions.world.write().hear(answers);
            questions.under_way.lock().retain(|path| !paths.contains(path));
        };
        self.beside(take).await;
        self.answered.send_modify(|times| *times += 1);
    }
}
