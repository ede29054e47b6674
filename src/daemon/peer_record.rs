//! What the home cluster remembers of a peer, so that a peer that was lost can be known again and filled again: a
//! ConfigMap in the home cluster. It is the one thing that neither git nor the peer could tell.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cluster::{ApplyOptions, Cluster, ClusterError};
use crate::model::{ClusterUid, Gvk, LiveState, ObjectId, SYSTEM_NAMESPACE, ServedKind};
use crate::plan::{Provisioned, provisioned};

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

/// The ConfigMap of one peer.
#[derive(Debug, Clone)]
pub(super) struct PeerMemory {
    home: Cluster,
    name: String,
}

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

    /// The record of the same cluster by what lives in it now.
    pub(super) fn updated(&self, live: &LiveState) -> PeerRecord {
        let back = |cluster: &&Provisioned| !live.objects.contains_key(&cluster.id());
        PeerRecord {
            uid: self.uid.clone(),
            clusters: provisioned(live),
            lost: self.lost.iter().filter(back).cloned().collect(),
        }
    }
}

impl PeerMemory {
    /// Of a peer, by its name in `moin.yaml`.
    pub(super) fn of(home: &Cluster, owner: &str, peer: &str) -> PeerMemory {
        PeerMemory { home: home.clone(), name: format!("{owner}-peer-{peer}") }
    }

    /// What is remembered; nothing before the first time.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub(super) async fn recall(&self) -> Result<PeerRecord, ClusterError> {
        let id = ObjectId::new("", "ConfigMap", Some(SYSTEM_NAMESPACE), &self.name);
        let found = self.home.get(&kind(), &id).await?;
        Ok(found.map(|found| record_in(&found.body)).unwrap_or_default())
    }

    /// Remember this.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub(super) async fn remember(&self, record: &PeerRecord) -> Result<(), ClusterError> {
        let options = ApplyOptions { force: true, ..ApplyOptions::default() };
        self.home.apply(&kind(), &self.body(record), &options).await.map(drop)
    }

    fn body(&self, record: &PeerRecord) -> Value {
        let text = serde_json::to_string(record).expect("a record holds only texts");
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"namespace": SYSTEM_NAMESPACE, "name": self.name}, "data": {"peer.json": text}})
    }
}

/// What is not understood was written by a later version, or by hand: it is as if nothing was remembered of that field.
fn record_in(body: &Value) -> PeerRecord {
    let text = body["data"]["peer.json"].as_str().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

fn kind() -> ServedKind {
    ServedKind { gvk: Gvk::new("v1", "ConfigMap"), plural: "configmaps".to_owned(), namespaced: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_remembered_is_recalled_and_what_is_broken_is_nothing() {
        let home = Cluster::from_client(kube::Client::new(axum::Router::new(), "default"));
        let memory = PeerMemory::of(&home, "moin", "mgmt2");
        let web = Provisioned {
            namespace: "a".into(),
            name: "web".into(),
            uid: "7".into(),
            provider_ids: Vec::new(),
            endpoint: None,
        };
        let record = PeerRecord { uid: Some("1".into()), clusters: vec![web.clone()], lost: Vec::new() };
        assert_eq!(record_in(&memory.body(&record)), record);
        assert_eq!(record_in(&json!({"data": {"peer.json": "{"}})), PeerRecord::default());
        assert_eq!(record_in(&Value::Null).uid(), None);
        let anew = record.rebuilt(&ClusterUid::new("2").unwrap());
        assert_eq!((anew.uid.as_deref(), &anew.lost), (Some("2"), &vec![web.clone()]));
        let mut live = LiveState::default();
        assert_eq!(anew.updated(&live).lost, std::slice::from_ref(&web));
        live.objects.insert(web.id(), crate::model::LiveObject::new(json!({})));
        assert!(anew.updated(&live).lost.is_empty(), "it is back");
    }
}
