//! Reading what the target records, after the API server was told who writes.

use std::time::Duration;

use super::Turning;
use super::beside::Message;
use super::fetching::snapshot_of;
use crate::cluster::{ClusterError, WriteFence};
use crate::daemon::bootstrap;
use crate::daemon::peer_record::{OwnMemory, OwnRecord, united};
use crate::daemon::peers::Peers;
use crate::daemon::target::{attempted_in, prepared};
use crate::engine::Event;
use crate::finding::Finding;
use crate::model::{LiveObject, Revision, Snapshot};
use crate::plan::Provisioned;
use crate::status;

/// How long the API server may take to know who writes.
const FENCE_PATIENCE: Duration = Duration::from_secs(5);

/// What the target records, read from itself.
pub(super) struct Found {
    live: Option<LiveObject>,
    /// Whether the target is the cluster that it was.
    same_cluster: bool,
    /// The fence in the API server, if it was asked for.
    write_fence: Option<Result<WriteFence, Box<Finding>>>,
    /// What it keeps of itself.
    own: OwnRecord,
    /// Why that may not be read.
    unread: Option<Finding>,
    /// All files of the revision that it says was applied as a whole, where that is another than was known.
    applied: Option<Snapshot>,
}

impl Turning {
    /// Have read what the target records, and the API server told who writes from now on.
    pub(super) fn read_record(&self) {
        let (cluster, fetcher) = (self.cluster.clone(), self.fetcher.clone());
        let (owner, identity) = (self.target.owner().to_owned(), self.candidate.identity.clone());
        let known = self.pipeline.applied_revision().cloned();
        let expected = self.stand_in.as_ref().map(|stand_in| stand_in.uid.clone());
        let is_shared = self.stand_in.is_some() || self.peers.as_ref().is_some_and(Peers::exist);
        let mut write_fence = self.write_fence.clone().filter(Result::is_ok);
        let told = self.stand_in.as_ref().map(|it| (it.home.0.clone(), it.record.lost.clone()));
        let memory = self.own_memory.clone();
        self.ask(async move {
            let read = async {
                if let Some(expected) = &expected {
                    if cluster.uid().await? != *expected {
                        return Ok(Found {
                            live: None,
                            same_cluster: false,
                            write_fence: None,
                            own: OwnRecord::default(),
                            unread: None,
                            applied: None,
                        });
                    }
                    prepared(&cluster, &owner).await?;
                }
                if is_shared {
                    if write_fence.is_none() {
                        write_fence = Some(WriteFence::raise(&cluster, &owner, &identity).await?);
                    }
                    if let Some(Ok(fence)) = &write_fence {
                        let delay = fence.wait(FENCE_PATIENCE).await?;
                        tracing::info!(%owner, ?delay, "the API server knows who writes");
                    }
                }
                let (own, unread) = own_record(&memory, told).await?;
                let live = bootstrap::find(&cluster, &owner).await?;
                let applied = live.as_ref().and_then(|live| status::recorded(&live.body).1);
                let applied = applied.map(|revision| Revision::new(&revision));
                let applied = match applied.filter(|applied| Some(applied) != known.as_ref()) {
                    Some(revision) => snapshot_of(&fetcher, &revision).await,
                    None => None,
                };
                Ok(Found { live, same_cluster: true, write_fence, own, unread, applied })
            };
            Message::Record(Box::new(read.await))
        });
    }

    pub(super) fn found(&mut self, answer: Result<Found, ClusterError>) -> Event {
        match answer {
            Err(error) => {
                let mut finding = error.finding();
                finding.message = format!("what the cluster records cannot be read: {}", finding.message);
                tracing::warn!(code = %finding.code, "{}", finding.message);
                Event::RecordUnread(Box::new(finding))
            }
            Ok(Found { same_cluster: false, .. }) => {
                self.elsewhere = true;
                Event::Woke
            }
            Ok(Found { live, applied, write_fence, own, unread, .. }) => {
                self.own_unread = unread;
                self.pipeline.recall_moves(&own.moved);
                self.own = own;
                if let Some(fence) = write_fence {
                    self.fenced(fence);
                }
                if let Some(snapshot) = applied {
                    self.pipeline.record_revision(&snapshot, &self.target.live());
                }
                let status = live.as_ref().map(|live| &live.body);
                let recorded = status.and_then(|body| attempted_in(body));
                self.applied = status.and_then(|body| status::recorded(body).1).map(|it| Revision::new(&it));
                self.reporter.found(live);
                Event::RecordSeen(recorded)
            }
        }
    }
}

/// What the target keeps of itself, with what a stand-in tells it: the name of the cluster that he runs on, and what the
/// target has lost.
async fn own_record(
    memory: &OwnMemory,
    told: Option<(String, Vec<Provisioned>)>,
) -> Result<(OwnRecord, Option<Finding>), ClusterError> {
    let (mut own, unread) = match memory.recall().await {
        Err(error @ ClusterError::Refused { status: 403, .. }) => {
            tracing::warn!(%error, "what the cluster keeps of itself may not be read");
            (OwnRecord::default(), Some(memory.cannot("read", &error)))
        }
        answer => (answer?, None),
    };
    let Some((name, lost)) = told else { return Ok((own, unread)) };
    let before = own.clone();
    own.lost = united(own.lost, &lost);
    own.standing.insert(name);
    if own != before {
        // Before the first write: its own daemon may be back at any moment.
        memory.keep(&own).await?;
    }
    Ok((own, unread))
}
