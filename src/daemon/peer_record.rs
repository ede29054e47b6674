//! What is remembered of a cluster that may be lost, so that it can be known again and filled again: of a peer in the home
//! cluster, and in the filled cluster itself what its own daemon must know when it is back.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::notes::Notes;
use crate::cluster::Cluster;
use crate::model::{ClusterUid, LiveState, ObjectId, ServedKind};
use crate::plan::{MovedClusters, Provisioned, provisioned};

/// What is remembered of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PeerRecord {
    /// The uid of its namespace kube-system.
    pub uid: Option<String>,
    /// The Clusters for which machines exist.
    pub clusters: Vec<Provisioned>,
    /// Those that it had before it was built anew, and that have not come back.
    pub lost: Vec<Provisioned>,
}

/// What a cluster keeps of itself for whoever reconciles it next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OwnRecord {
    /// Clusters that it had before it was built anew, and that have not come back: its peer remembered them.
    pub lost: Vec<Provisioned>,
    /// Management clusters that exist, whether or not their objects are here.
    pub standing: BTreeSet<String>,
    /// Clusters that `clusterctl move` took away, or is about to.
    pub moved: MovedClusters,
}

/// Where a peer is remembered.
pub(super) type PeerMemory = Notes<PeerRecord>;
/// Where a cluster remembers itself.
pub(super) type OwnMemory = Notes<OwnRecord>;

impl PeerRecord {
    /// The identity that is remembered.
    pub(super) fn uid(&self) -> Option<ClusterUid> {
        self.uid.as_deref().and_then(ClusterUid::new)
    }

    /// The record of the cluster that it was built anew as.
    pub(super) fn rebuilt(self, uid: &ClusterUid) -> PeerRecord {
        let mut lost = self.clusters;
        lost.extend(self.lost);
        PeerRecord { uid: Some(uid.to_string()), clusters: Vec::new(), lost }
    }

    /// The record of the same cluster by what lives in it now. What is seen no more stays, for it may be the whole cluster
    /// that is gone; [`gone`] finds that out.
    pub(super) fn updated(&self, live: &LiveState) -> PeerRecord {
        let mut clusters = provisioned(live);
        let unseen = self.clusters.iter().filter(|known| !live.objects.contains_key(&known.id()));
        clusters.extend(unseen.cloned());
        clusters.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        PeerRecord { uid: self.uid.clone(), clusters, lost: not_back(&self.lost, live) }
    }

    /// The Clusters that are remembered and not seen.
    pub(super) fn unseen(&self, live: &LiveState) -> Vec<ObjectId> {
        self.clusters.iter().map(Provisioned::id).filter(|id| !live.objects.contains_key(id)).collect()
    }
}

/// Those of lost Clusters that are still not there.
pub(super) fn not_back(lost: &[Provisioned], live: &LiveState) -> Vec<Provisioned> {
    lost.iter().filter(|cluster| !live.objects.contains_key(&cluster.id())).cloned().collect()
}

/// Both lists as one, each Cluster once.
pub(super) fn united(mut lost: Vec<Provisioned>, more: &[Provisioned]) -> Vec<Provisioned> {
    let new: Vec<Provisioned> =
        more.iter().filter(|one| lost.iter().all(|known| known.id() != one.id())).cloned().collect();
    lost.extend(new);
    lost
}

/// Of Clusters that are not seen any more, those that the cluster itself says are gone, while it is still the one that
/// it was.
pub(super) async fn gone(
    peer: &Cluster,
    uid: &ClusterUid,
    kind: &ServedKind,
    unseen: Vec<ObjectId>,
) -> Vec<ObjectId> {
    let mut gone = Vec::new();
    for id in unseen {
        if matches!(peer.get(kind, &id).await, Ok(None)) {
            gone.push(id);
        }
    }
    // Asked last: whatever answered before was this cluster, too, or an earlier one.
    match peer.uid().await {
        Ok(now) if now == *uid => gone,
        _ => Vec::new(),
    }
}

impl PeerMemory {
    /// Of a peer, by its name in `moin.yaml`.
    pub(super) fn of_peer(home: &Cluster, owner: &str, peer: &str) -> PeerMemory {
        Notes::new(home, format!("{owner}-peer-{peer}"), "peer.json")
    }
}

impl OwnMemory {
    /// Of the cluster itself.
    pub(super) fn of_itself(cluster: &Cluster, owner: &str) -> OwnMemory {
        Notes::new(cluster, format!("{owner}-memory"), "memory.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LiveObject;
    use serde_json::json;

    fn web() -> Provisioned {
        Provisioned {
            namespace: "a".into(),
            name: "web".into(),
            uid: "7".into(),
            provider_ids: Vec::new(),
            endpoint: None,
        }
    }

    #[test]
    fn what_a_cluster_had_is_lost_with_it_until_it_is_back() {
        let record = PeerRecord { uid: Some("1".into()), clusters: vec![web()], lost: Vec::new() };
        let mut live = LiveState::default();
        assert_eq!(record.updated(&live), record, "what is not seen may be gone with the whole cluster");
        assert_eq!(record.unseen(&live), [web().id()]);
        let anew = record.rebuilt(&ClusterUid::new("2").unwrap());
        assert_eq!((anew.uid.as_deref(), &anew.lost), (Some("2"), &vec![web()]));
        assert_eq!(anew.updated(&live).lost, [web()]);
        assert_eq!(united(anew.lost.clone(), &anew.lost), [web()]);
        live.objects.insert(web().id(), LiveObject::new(json!({})));
        assert!(anew.updated(&live).lost.is_empty(), "it is back");
    }

    #[tokio::test]
    async fn only_the_same_cluster_says_that_a_cluster_is_gone() {
        let system =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": "1"}});
        let none = json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "no", "details": {"name": "web"}});
        let router = axum::Router::new().fallback(move |uri: http::Uri| async move {
            if uri.path().ends_with("/kube-system") {
                (http::StatusCode::OK, axum::Json(system))
            } else {
                (http::StatusCode::NOT_FOUND, axum::Json(none))
            }
        });
        let peer = Cluster::from_client(kube::Client::new(router, "default"));
        let kind = ServedKind {
            gvk: crate::model::Gvk::new("cluster.x-k8s.io/v1beta2", "Cluster"),
            plural: "clusters".into(),
            namespaced: true,
        };
        for (uid, expected) in [("1", vec![web().id()]), ("2", Vec::new())] {
            let uid = ClusterUid::new(uid).unwrap();
            assert_eq!(gone(&peer, &uid, &kind, vec![web().id()]).await, expected, "{uid:?}");
        }
    }
}
