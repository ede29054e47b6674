//! A management cluster is wiped: its peer fills it again, and builds no Cluster a second time.

use std::time::Instant;

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::peers::{Pair, SETTINGS, Site};
use crate::support::scenario::{CONFIG_MAP, Kind, LEASE, RECONCILIATION, holds, map};

const CLUSTER: Kind = ("cluster.x-k8s.io/v1beta2", "Cluster", "clusters");
const REBUILT: &str = "MOIN-0811";
const MAY_EXIST: &str = "MOIN-0710";

const CRD: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: clusters.cluster.x-k8s.io}
spec:
  group: cluster.x-k8s.io
  scope: Namespaced
  names: {kind: Cluster, plural: clusters, singular: cluster, listKind: ClusterList}
  versions:
  - name: v1beta2
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

fn cluster(name: &str, namespace: &str) -> String {
    format!(
        "apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{x: 1}}\n"
    )
}

impl Site {
    async fn patch(&self, kind: Kind, namespace: &str, name: &str, patch: Value) {
        let params = PatchParams::default();
        self.api(kind, namespace).patch(name, &params, &Patch::Merge(&patch)).await.unwrap();
    }

    async fn has(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        self.api(kind, namespace).get_opt(name).await.is_ok_and(|found| found.is_some())
    }
}

impl Pair {
    /// One whose first cluster has built a Cluster, and is to build the second.
    async fn with_clusters() -> Pair {
        let pair = Pair::new().await;
        pair.repository.write("common/crd.yaml", CRD);
        pair.repository.write("clusters/of-mgmt1/web.yaml", &cluster("web", "default"));
        pair.repository.write("clusters/of-mgmt1/mgmt2.yaml", &cluster("mgmt2", "mgmt"));
        pair.repository.write(
            "clusters/of-mgmt1/mgmt.yaml",
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: mgmt}\n",
        );
        pair.repository.commit("Clusters");
        pair
    }

    /// The first cluster is another from now on, with nothing in it.
    async fn wipe_first(&mut self) {
        self.sites[0] = Site::new("mgmt1").await;
        let [one, two] = &self.sites;
        two.knows(one).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_cluster_is_filled_by_its_peer_and_gets_its_lease_back() {
    let mut pair = Pair::with_clusters().await;
    let [one, two] = &pair.sites;
    let (first, second) = (pair.start(one), pair.start(two));
    one.until_value("one", "1").await;
    two.until_ready().await;
    one.until(CLUSTER, "default", "web", |_| true).await;
    let built = json!({"status": {"phase": "Provisioned"}});
    one.api(CLUSTER, "default")
        .patch_status("web", &PatchParams::default(), &Patch::Merge(&built))
        .await
        .unwrap();
    let remembers = |notes: &Value| notes["data"]["peer.json"].as_str().is_some_and(|it| it.contains("web"));
    two.until(CONFIG_MAP, "moin-system", "test-peer-mgmt1", remembers).await;

    first.kill().await;
    pair.wipe_first().await;
    let [one, two] = &pair.sites;
    two.until_found(REBUILT).await;
    two.until_ready().await;
    assert!(!one.has(CONFIG_MAP, "default", "both").await, "nothing is written without a word");
    two.until(CONFIG_MAP, "moin-system", "test-peer-mgmt1", remembers).await;
    let word = json!({"spec": {"approvals": [{"action": "rebuild", "cluster": "mgmt1"}]}});
    two.patch(RECONCILIATION, "moin-system", "test", word).await;
    one.until_held_by("mgmt2_").await;
    one.until_value("one", "1").await;
    one.until_found(MAY_EXIST).await;
    holds(!one.has(CLUSTER, "default", "web").await, &"its machines may still run");
    holds(!one.has(CLUSTER, "mgmt", "mgmt2").await, &"the peer runs on it");

    // Its own daemon knows what its peer remembered.
    let both = one.version("both").await;
    one.knows(two).await;
    let first = pair.start(one);
    one.until(LEASE, "moin-system", "moin-test", |lease| {
        lease["metadata"]["annotations"]["moin.scs.community/hand-back"].is_string()
            || lease["metadata"]["annotations"]["moin.scs.community/role"] == "home"
    })
    .await;
    let asked = Instant::now();
    one.until_held_by("mgmt1_").await;
    holds(asked.elapsed().as_secs() < 1, &asked.elapsed());
    pair.repository.write("clusters/of-mgmt1/one.yaml", &map("one", "2"));
    pair.repository.commit("It is back");
    one.until_value("one", "2").await;
    one.until_found(MAY_EXIST).await;
    holds(!one.has(CLUSTER, "default", "web").await, &"nobody has approved it");
    assert_eq!(one.version("both").await, both, "nobody wrote what was already right");

    let approved = format!("{SETTINGS}  approvals:\n    - {{action: create, object: Cluster/default/web}}\n");
    pair.repository.write("moin.yaml", &approved);
    pair.repository.commit("Its machines are gone");
    one.until(CLUSTER, "default", "web", |_| true).await;
    one.until(CONFIG_MAP, "moin-system", "test-memory", |notes| {
        notes["data"]["memory.json"].as_str().is_some_and(|it| !it.contains("web"))
    })
    .await;
    holds(!one.has(CLUSTER, "mgmt", "mgmt2").await, &"whatever is approved");
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_empty_is_filled_at_once_where_moin_yaml_says_so() {
    let mut pair = Pair::with_clusters().await;
    pair.repository.write("moin.yaml", &SETTINGS.replace("peers: [mgmt2]", "peers: [mgmt2], rebuild: auto"));
    pair.repository.commit("Without asking");
    let [one, two] = &pair.sites;
    let (first, second) = (pair.start(one), pair.start(two));
    one.until_value("one", "1").await;
    two.until_ready().await;
    two.until(CONFIG_MAP, "moin-system", "test-peer-mgmt1", |_| true).await;
    first.kill().await;
    pair.wipe_first().await;
    let [one, _] = &pair.sites;
    one.until_value("one", "1").await;
    // What was never provisioned is made.
    one.until(CLUSTER, "default", "web", |_| true).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_was_never_met_is_made() {
    let pair = Pair::with_clusters().await;
    let [one, two] = &pair.sites;
    // Nothing leads to it yet.
    one.api(crate::support::scenario::SECRET, "mgmt")
        .delete(&format!("{}-kubeconfig", two.name), &DeleteParams::default())
        .await
        .unwrap();
    let first = pair.start(one);
    one.until(CLUSTER, "mgmt", "mgmt2", |_| true).await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_move_took_away_is_not_forgotten_by_a_restart() {
    let pair = Pair::with_clusters().await;
    let [one, _] = &pair.sites;
    let first = pair.start(one);
    one.until(CLUSTER, "default", "web", |_| true).await;
    one.patch(CLUSTER, "default", "web", json!({"spec": {"paused": true}})).await;
    one.until(CONFIG_MAP, "moin-system", "test-memory", |notes| {
        notes["data"]["memory.json"].as_str().is_some_and(|it| it.contains("default/web"))
    })
    .await;
    first.stop().await;
    one.api(CLUSTER, "default").delete("web", &DeleteParams::default()).await.unwrap();
    pair.repository.write("clusters/of-mgmt1/one.yaml", &map("one", "2"));
    pair.repository.commit("After the move");
    let first = pair.start(one);
    one.until_value("one", "2").await;
    one.until_found(MAY_EXIST).await;
    holds(!one.has(CLUSTER, "default", "web").await, &"it lives elsewhere");
    first.stop().await;
}
