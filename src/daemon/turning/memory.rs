//! What is remembered: of the peer at home, and of the target in itself.

use super::Turning;
use super::beside::Message;
use crate::daemon::peer_record::{OwnRecord, gone, not_back};
use crate::engine::Event;
use crate::model::{GroupKind, LiveState, ObjectId};

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
    pub(super) fn remember_itself(&mut self, live: &LiveState) {
        let lost = not_back(&self.own.lost, live);
        let own = OwnRecord { lost, moved: self.pipeline.moved(), standing: self.own.standing.clone() };
        if own != self.own && self.may_tell {
            self.own_scribe.keep(&own);
            self.own = own;
        }
    }
}
