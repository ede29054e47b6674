//! The fence in the API server: raising it, marking what passes it, telling when it does not stand.

use super::Turning;
use super::beside::Message;
use crate::cluster::WriteFence;
use crate::engine::Backoff;
use crate::finding::Finding;

impl Turning {
    /// From now on writes bear our mark, if the API server takes it.
    pub(super) fn fenced(&mut self, fence: Result<WriteFence, Box<Finding>>) {
        if let Ok(fence) = &fence {
            self.applier = self.applier.clone().shared(fence.writer().clone());
            self.lease.mark(fence.identity());
        }
        self.write_fence = Some(fence);
    }

    /// Have the fence raised that was not needed when the lease was won, for there was nobody else.
    pub(super) fn raise_fence(&mut self) {
        if self.raising || self.write_fence.is_some() {
            return;
        }
        self.raising = true;
        let (cluster, messages) = (self.cluster.clone(), self.messages.clone());
        let (owner, identity) = (self.target.owner().to_owned(), self.candidate.identity.clone());
        tokio::spawn(async move {
            let mut backoff = Backoff::default();
            let fence = loop {
                match WriteFence::raise(&cluster, &owner, &identity).await {
                    Ok(fence) => break fence,
                    Err(error) => tracing::warn!(%error, %owner, "writes are not fenced yet; trying again"),
                }
                tokio::select! {
                    () = messages.closed() => return,
                    () = tokio::time::sleep(backoff.next(0)) => {}
                }
            };
            // Nobody listens any more when the daemon ends.
            let _ = messages.send(Message::Raised(fence));
        });
    }

    pub(super) fn unfenced(&self) -> Option<Finding> {
        self.write_fence.as_ref()?.as_ref().err().map(|finding| (**finding).clone())
    }
}
