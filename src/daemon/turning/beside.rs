//! What is done beside the loop, and the messages that bring its answers.

use super::Turning;
use super::recorded::Found;
use crate::apply::Receipt;
use crate::cluster::{ClusterError, Reply, WriteFence};
use crate::daemon::fetch::Fetched;
use crate::engine::Event;
use crate::finding::Finding;
use crate::model::ObjectId;
use crate::source::SourceError;

/// What comes back from work beside the loop.
pub(super) enum Message {
    Fetched(Box<Result<Fetched, SourceError>>),
    Applied(Vec<Receipt>),
    Pruned(Vec<Receipt>),
    Record(Box<Result<Found, ClusterError>>),
    Raised(Result<WriteFence, Box<Finding>>),
    /// Clusters of the peer that were asked for and are gone.
    Gone(Vec<ObjectId>),
    /// What the cluster says to the questions of policies.
    Answered(Vec<(String, Reply)>),
    /// It is time to put them again.
    AskAgain,
    Engine(Event),
}

impl Turning {
    /// Have something asked beside the loop.
    pub(super) fn ask(&self, request: impl Future<Output = Message> + Send + 'static) {
        let messages = self.messages.clone();
        // Nobody listens any more when the daemon ends.
        tokio::spawn(async move { messages.send(request.await) });
    }

    /// Have writes done beside the loop. Whatever becomes of them, an answer comes: the loop waits for it.
    pub(super) fn beside(
        &self,
        ids: &[ObjectId],
        answer: fn(Vec<Receipt>) -> Message,
        work: impl Future<Output = Vec<Receipt>> + Send + 'static,
    ) {
        let (messages, ids) = (self.messages.clone(), ids.to_vec());
        tokio::spawn(async move {
            let receipts = match tokio::spawn(work).await {
                Ok(receipts) => receipts,
                Err(error) => {
                    tracing::error!(%error, "writing failed inside");
                    ids.iter().map(Receipt::unknown).collect()
                }
            };
            // Nobody listens any more when the daemon ends.
            let _ = messages.send(answer(receipts));
        });
    }
}
