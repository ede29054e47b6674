//! Meeting a peer: whether what answers is the cluster that is meant, and may be written to.

use super::bootstrap;
use super::peer_record::{PeerMemory, PeerRecord};
use super::peers::Said;
use super::target::same_source;
use crate::cluster::{Cluster, ClusterError};
use crate::finding::Finding;
use crate::model::{ClusterUid, Revision};
use crate::plan::{Holds, Sighting};
use crate::status::SourceRecord;

/// Who meets whom.
pub(super) struct Meeting<'a> {
    /// The peer's name in `moin.yaml`.
    pub name: &'a str,
    /// What answers for it.
    pub peer: &'a Cluster,
    /// The home cluster.
    pub home: &'a Cluster,
    /// Its name.
    pub home_name: &'a str,
    /// The owner name.
    pub owner: &'a str,
    /// What identifies our source.
    pub source: &'a SourceRecord,
    /// What is remembered of the peer.
    pub memory: PeerMemory,
}

/// What came of it.
pub(super) enum Met {
    /// It may be reconciled, as long as it has this identity. The record is what is remembered of it.
    Admitted(ClusterUid, PeerRecord),
    /// It is left alone.
    Held(Box<Finding>),
}

impl Meeting<'_> {
    /// Look who answers, and remember it.
    ///
    /// # Errors
    /// [`ClusterError`] when one of the two clusters does not answer.
    pub(super) async fn meet(&self, said: &Said) -> Result<Met, ClusterError> {
        let seen = self.peer.uid().await?;
        let home = self.home.uid().await?;
        let mut record = self.memory.recall().await?;
        let recorded = record.uid();
        let sighting = Sighting {
            cluster: self.name,
            seen: &seen,
            recorded: recorded.as_ref(),
            others: &[(self.home_name, &home)],
            holds: self.holds().await?,
        };
        let rebuild = said.rebuild.get(self.name).copied().unwrap_or_default();
        let revision = said.revision.clone().unwrap_or_else(|| Revision::new(""));
        if !sighting.may_write(rebuild, &said.approvals, &revision)
            && let Some(finding) = sighting.finding()
        {
            return Ok(Met::Held(Box::new(finding)));
        }
        if recorded.as_ref() != Some(&seen) {
            record = record.rebuilt(&seen);
            self.memory.keep(&record).await?;
        }
        Ok(Met::Admitted(seen, record))
    }

    async fn holds(&self) -> Result<Holds, ClusterError> {
        let Some(found) = bootstrap::find(self.peer, self.owner).await? else { return Ok(Holds::Nothing) };
        Ok(match same_source(self.owner, &found, self.source) {
            Ok(()) => Holds::Ours,
            Err(_) => Holds::OtherSource,
        })
    }
}
