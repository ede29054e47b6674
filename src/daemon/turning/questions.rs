//! The questions of policies, which the cluster answers.

use std::time::Duration;

use serde_json::Value;

use super::Turning;
use super::beside::Message;
use crate::engine::Event;

/// How long the API server may take to answer the questions of policies.
const QUESTION_DEADLINE: Duration = Duration::from_secs(10);
/// How often what policies asked for is asked again.
const QUESTION_INTERVAL: Duration = Duration::from_secs(30);

impl Turning {
    /// Have the cluster asked what policies want to know.
    pub(super) fn ask_for(&self, paths: Vec<String>, after: Duration) {
        let cluster = self.cluster.clone();
        self.ask(async move {
            tokio::time::sleep(after).await;
            Message::Answered(cluster.answers(paths, QUESTION_DEADLINE).await)
        });
    }

    /// Plan with what is known now. What was answered is asked again later, for it may change.
    pub(super) fn answered(&mut self, answers: Vec<(String, Result<Value, String>)>) -> Event {
        let paths = answers.iter().map(|(path, _)| path.clone()).collect();
        let world = &mut self.pipeline.world;
        let before = world.version();
        world.take(answers);
        let changed = world.version() != before;
        self.ask_for(paths, QUESTION_INTERVAL);
        match (self.waiting, changed) {
            (true, _) => self.plan_again(),
            (false, true) => Event::ClusterChanged,
            (false, false) => Event::Woke,
        }
    }
}
