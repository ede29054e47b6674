//! The questions of policies, which the cluster answers.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Turning;
use super::beside::Message;
use crate::cluster::Reply;
use crate::engine::Event;

/// How long the API server may take to answer the questions of policies.
const QUESTION_DEADLINE: Duration = Duration::from_secs(10);
/// How often what policies asked for is asked again.
const QUESTION_INTERVAL: Duration = Duration::from_secs(30);

/// The questions that are on their way: each path once, and one time to put them again.
#[derive(Debug, Default)]
pub(super) struct Questions {
    under_way: BTreeSet<String>,
    again: bool,
}

impl Questions {
    /// Those of the paths that nobody is being asked yet; from now on somebody is.
    fn begin(&mut self, paths: Vec<String>) -> Vec<String> {
        paths.into_iter().filter(|path| self.under_way.insert(path.clone())).collect()
    }

    fn end<'p>(&mut self, paths: impl IntoIterator<Item = &'p String>) {
        for path in paths {
            self.under_way.remove(path);
        }
    }
}

impl Turning {
    /// Have the cluster asked what policies want to know, as far as it is not being asked already.
    pub(super) fn ask_for(&mut self, paths: Vec<String>) {
        let paths = self.questions.begin(paths);
        if paths.is_empty() {
            return;
        }
        let cluster = self.cluster.clone();
        self.ask(async move { Message::Answered(cluster.answers(paths, QUESTION_DEADLINE).await) });
    }

    /// Ask again what is still of use.
    pub(super) fn ask_again(&mut self) -> Event {
        self.questions.again = false;
        self.ask_for(self.pipeline.world.asked());
        Event::Woke
    }

    /// Plan with what is known now. What was answered is asked again later, for it may change.
    pub(super) fn answered(&mut self, mut answers: Vec<(String, Reply)>) -> Event {
        self.questions.end(answers.iter().map(|(path, _)| path));
        let world = &mut self.pipeline.world;
        answers.retain(|(path, _)| world.wants(path));
        let before = world.version();
        world.hear(answers);
        let changed = world.version() != before;
        if !std::mem::replace(&mut self.questions.again, true) {
            self.ask(async {
                tokio::time::sleep(QUESTION_INTERVAL).await;
                Message::AskAgain
            });
        }
        match (self.waiting, changed) {
            (true, _) => self.plan_again(),
            (false, true) => Event::ClusterChanged,
            (false, false) => Event::Woke,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_asked_for_once_at_a_time() {
        let mut questions = Questions::default();
        let paths = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(questions.begin(paths(&["/a", "/b"])), ["/a", "/b"]);
        assert_eq!(questions.begin(paths(&["/b", "/c"])), ["/c"]);
        questions.end(&paths(&["/b"]));
        assert_eq!(questions.begin(paths(&["/a", "/b"])), ["/b"]);
    }
}
