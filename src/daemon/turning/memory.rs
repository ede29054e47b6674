//! What is remembered: of the peer at home, and of the target in itself.

use super::Turning;
use super::beside::Message;
use crate::config::Repository;
use crate::daemon::peer_record::{OwnRecord, gone, not_back};
use crate::engine::Event;
use crate::finding::Code;
use crate::model::{GroupKind, LiveState, ObjectId};
use crate::render::Manifests;

impl Turning {
    /// What the peer would lose with its cluster is remembered at home.
    pub(super) fn remember(&mut self, live: &LiveState) {
        let Some(stand_in) = &mut self.stand_in else { return };
        let unseen = stand_in.record.unseen(live);
        let record = stand_in.record.updated(live);
        if record != stand_in.record {
            stand_in.record = record;
            self.peer_scribe.iter().for_each(|scribe| scribe.keep(&stand_in.record));
        }
        let clusters = GroupKind { group: "cluster.x-k8s.io".into(), kind: "Cluster".into() };
        let kind = live.kinds.get(&clusters).and_then(|versions| versions.first()).cloned();
        if let Some(kind) = kind.filter(|_| !unseen.is_empty() && !self.asking) {
            self.asking = true;
            let (peer, uid) = (self.cluster.clone(), stand_in.uid.clone());
            self.ask(async move { Message::Gone(gone(&peer, &uid, &kind, unseen).await) });
        }
    }

    /// What the peer itself says is gone need not be remembered.
    pub(super) fn forget(&mut self, gone: &[ObjectId]) -> Event {
        self.asking = false;
        if let Some(stand_in) = self.stand_in.as_mut().filter(|_| !gone.is_empty()) {
            stand_in.record.clusters.retain(|cluster| !gone.contains(&cluster.id()));
            self.peer_scribe.iter().for_each(|scribe| scribe.keep(&stand_in.record));
        }
        Event::Woke
    }

    /// What whoever reconciles the target next must know is kept in it.
    pub(super) fn remember_itself(&mut self, live: &LiveState, manifests: &Manifests) {
        let lost = not_back(&self.own.lost, live);
        let mut standing = self.own.standing.clone();
        // A stand-in is told nothing of the others; and of settings with mistakes nobody knows what they say.
        let is_clear = manifests.findings.iter().all(|finding| finding.code != Code::BadSettings);
        if let Some(here) = self.candidate.cluster.as_deref().filter(|_| self.stand_in.is_none() && is_clear)
        {
            standing.retain(|name| are_peers(&manifests.repository, here, name));
        }
        let own = OwnRecord { lost, moved: self.pipeline.moved(), standing };
        if own != self.own && self.may_tell {
            self.own_scribe.keep(&own);
            self.own = own;
        }
    }
}

/// Whether one of two management clusters stands in for the other: what is no peer any more may be made again.
fn are_peers(repository: &Repository, one: &str, other: &str) -> bool {
    let names = |of: &str, peer: &str| {
        repository.clusters.get(of).is_some_and(|cluster| cluster.peers.iter().any(|name| name == peer))
    };
    names(one, other) || names(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ManagementCluster, Rebuild};

    #[test]
    fn peers_are_whom_either_of_them_names() {
        let mut repository = Repository::default();
        let cluster = ManagementCluster {
            use_case: None,
            folders: Vec::new(),
            kubeconfig: None,
            peers: vec!["a".into()],
            rebuild: Rebuild::Approve,
            line: 0,
        };
        repository.clusters.insert("b".into(), cluster);
        assert!(are_peers(&repository, "a", "b") && are_peers(&repository, "b", "a"));
        repository.clusters.clear();
        assert!(!are_peers(&repository, "a", "b"));
    }
}
