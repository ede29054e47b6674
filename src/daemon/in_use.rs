//! What is asked right before a ClusterStack goes with its namespace: whether a Cluster uses it, whoever made that
//! Cluster. The watches know our own Clusters only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::apply::{Outcome, Receipt};
use crate::cluster::{Cluster, ClusterError, ListOptions};
use crate::finding::{Code, Finding};
use crate::model::{LiveObject, ObjectId, ServedKind};
use crate::plan;

/// Receipts of those of these ClusterStacks that must stay, or of which that cannot be told. `clusters` is how the kind
/// Cluster is served; where nobody serves it, there is none.
pub(super) async fn kept(
    cluster: &Cluster,
    stacks: &[(ObjectId, LiveObject)],
    clusters: Option<&ServedKind>,
) -> Vec<Receipt> {
    let Some(kind) = clusters else { return Vec::new() };
    let mut by_namespace: HashMap<Option<&str>, Result<Vec<LiveObject>, ClusterError>> = HashMap::new();
    let mut receipts = Vec::new();
    for (id, stack) in stacks {
        let answer = match by_namespace.entry(id.namespace()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let namespace = id.namespace().map(str::to_owned);
                let options = ListOptions { namespace, ..ListOptions::default() };
                place.insert(cluster.list(kind, &options).await)
            }
        };
        match answer {
            Err(ClusterError::NotServed { .. }) => {}
            Err(error) => receipts.push(Receipt::of_error(id, None, error)),
            Ok(found) => {
                if let Some(user) = found.iter().find(|found| plan::uses_stack(&found.body, &stack.body)) {
                    let name = user.body["metadata"]["name"].as_str().unwrap_or_default();
                    let message = format!("kept while the Cluster {name} still uses it");
                    let finding = Finding::warning(Code::ApprovalNeeded, message).about(id);
                    receipts.push(Receipt {
                        id: id.clone(),
                        desired: None,
                        outcome: Outcome::Refused(finding),
                    });
                }
            }
        }
    }
    receipts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Gvk;
    use serde_json::json;

    #[tokio::test]
    async fn a_stack_that_somebody_elses_cluster_uses_is_kept() {
        let clusters = json!({"kind": "ClusterList", "apiVersion": "cluster.x-k8s.io/v1beta1", "metadata": {}, "items": [
            {"metadata": {"name": "web", "namespace": "a"}, "spec": {"topology": {"class": "openstack-scs-1-31-v2"}}}]});
        let router = axum::Router::new().fallback(move || async move { axum::Json(clusters) });
        let cluster = Cluster::from_client(kube::Client::new(router, "default"));
        let kind = ServedKind {
            gvk: Gvk::new("cluster.x-k8s.io/v1beta1", "Cluster"),
            plural: "clusters".into(),
            namespaced: true,
        };
        let stack = |version: &str| {
            let body =
                json!({"spec": {"provider": "openstack", "name": "scs", "kubernetesVersion": version}});
            (
                ObjectId::new("clusterstack.x-k8s.io", "ClusterStack", Some("a"), version),
                LiveObject::new(body),
            )
        };
        let receipts = kept(&cluster, &[stack("1.30"), stack("1.31")], Some(&kind)).await;
        let names: Vec<&str> = receipts.iter().map(|receipt| receipt.id.name()).collect();
        assert_eq!(names, ["1.31"]);
        assert!(kept(&cluster, &[stack("1.31")], None).await.is_empty());
    }
}
