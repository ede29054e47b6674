//! What `moin demo --check` walks through: each chapter ends well, or the demo fails and says where.

mod idle;
mod loss;
mod tenant;

use std::time::Instant;

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::super::BoxError;
use super::management::kind;
use super::say;
use super::stage::{Stage, Wanted, is_true};

const CLUSTERS: &str = "cluster.x-k8s.io/v1beta2";
const STACKS: &str = "clusterstack.x-k8s.io/v1alpha1";

/// `mgmt1` and `mgmt2`.
const FIRST: usize = 0;
const SECOND: usize = 1;

/// The whole story.
pub async fn tell(stage: &mut Stage) -> Result<(), BoxError> {
    chapter("both management clusters are as the repository says", begin(stage)).await?;
    chapter(
        "a commit adds a tenant: ClusterStack and RoleBinding appear, its Cluster becomes ready",
        tenant::join(stage),
    )
    .await?;
    chapter(
        "a namespace made by kubectl gets its ClusterStack, and loses it with the namespace",
        trigger(stage),
    )
    .await?;
    chapter("a forbidden Kubernetes version is refused, with file and line", refusal(stage)).await?;
    chapter("an edit by hand is set back", drift(stage)).await?;
    chapter("mgmt1 is killed and wiped; mgmt2 knows that it is another, and waits", loss::lose(stage))
        .await?;
    loss::approve(stage)?;
    chapter("meanwhile on mgmt2 a new version rolls the machines, the control plane first", roll(stage))
        .await?;
    chapter("approved by a commit, mgmt2 builds mgmt1 anew", loss::rebuild(stage)).await?;
    chapter("the daemon of mgmt1 comes back and gets its lease", loss::come_back(stage)).await?;
    chapter("a tenant leaves: Cluster, then ClusterStack, then namespace", tenant::leave(stage)).await?;
    chapter("with nothing changed, nothing is written", idle::watch(stage)).await
}

async fn chapter(title: &str, told: impl Future<Output = Result<(), BoxError>>) -> Result<(), BoxError> {
    let began = Instant::now();
    told.await.map_err(|error| format!("{title}: {error}"))?;
    say(&format!("ok  {title} ({:.1} s)", began.elapsed().as_secs_f64()))?;
    Ok(())
}

async fn begin(stage: &Stage) -> Result<(), BoxError> {
    stage.applied_everywhere(&stage.repository.head()?).await?;
    let workload = stage.cloud.workload_clusters().await;
    expect(
        workload == ["team-a/web", "team-b/build", "team-b/shop"],
        "every Cluster is a workload cluster",
        &workload,
    )
}

async fn trigger(stage: &Stage) -> Result<(), BoxError> {
    let namespaces = stage.managements[SECOND].api(&kind("v1", "Namespace"), None);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "playground-1"}});
    namespaces.create(&PostParams::default(), &serde_json::from_value(namespace)?).await?;
    let stack =
        Wanted { kind: &kind(STACKS, "ClusterStack"), namespace: Some("playground-1"), name: "scs2-1-34" };
    stage
        .until(SECOND, stack, "the ClusterStack of playground-1 to be ready", |it| {
            it.is_some_and(|it| is_true(&it.data["status"], "Ready"))
        })
        .await?;
    namespaces.delete("playground-1", &Default::default()).await?;
    let gone = Wanted { kind: &kind("v1", "Namespace"), namespace: None, name: "playground-1" };
    stage.until(SECOND, gone, "the namespace playground-1 to go", |it| it.is_none()).await?;
    stage.reported(SECOND, "all to be well without it", |status| is_true(status, "Ready")).await
}

async fn refusal(stage: &Stage) -> Result<(), BoxError> {
    let file = "tenants/mgmt1/team-a/old.yaml";
    let manifest = "apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata:\n  name: old\n  namespace: team-a\n\
                    spec:\n  topology:\n    classRef:\n      name: openstack-scs2-1-26-v1\n    version: v1.26.0\n";
    stage.repository.write(file, manifest)?;
    stage.repository.commit("A Cluster that is too old")?;
    stage.found(FIRST, "MOIN-0502", &[&format!("{file}:")]).await?;
    let clusters = stage.managements[FIRST].api(&kind(CLUSTERS, "Cluster"), Some("team-a"));
    expect(clusters.get_opt("old").await?.is_none(), "the refused Cluster is not in the cluster", &"")?;
    stage.repository.remove(file)?;
    stage.applied_everywhere(&stage.repository.commit("Take it back")?).await
}

async fn drift(stage: &Stage) -> Result<(), BoxError> {
    let cluster = Wanted { kind: &kind(CLUSTERS, "Cluster"), namespace: Some("team-a"), name: "web" };
    let edit = json!({"spec": {"topology": {"controlPlane": {"replicas": 1}}}});
    let kubectl = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    let edited = stage.managements[FIRST]
        .api(cluster.kind, cluster.namespace)
        .patch(cluster.name, &kubectl, &Patch::Merge(&edit))
        .await?;
    let replicas = |spec: &Value| spec["topology"]["controlPlane"]["replicas"].as_i64();
    expect(replicas(&edited.data["spec"]) == Some(1), "the edit is taken", &edited.data["spec"])?;
    let repaired = "the control plane of team-a/web to have 3 machines again";
    stage
        .until(FIRST, cluster, repaired, |it| it.is_some_and(|it| replicas(&it.data["spec"]) == Some(3)))
        .await?;
    stage.reported(FIRST, "all to be well again", |status| is_true(status, "Ready")).await
}

async fn roll(stage: &Stage) -> Result<(), BoxError> {
    let file = "tenants/mgmt2/team-b/clusters.yaml";
    stage.repository.replace(file, "v1.34.1", "v1.34.2")?;
    let commit = stage.repository.commit("A patch version for the shop")?;
    stage.applied(SECOND, &commit).await?;
    let machines = stage.managements[SECOND].api(&kind(CLUSTERS, "Machine"), Some("team-b"));
    let machines = machines.list(&Default::default()).await?.items;
    let old: Vec<_> = machines.iter().filter(|it| it.data["spec"]["version"] != "v1.34.2").collect();
    expect(old.is_empty(), "every machine is of the new version", &old)?;
    expect(machines.len() == 10, "there are as many machines as before", &machines.len())
}

fn expect(held: bool, what: &str, found: &impl std::fmt::Debug) -> Result<(), BoxError> {
    if held { Ok(()) } else { Err(format!("expected that {what}; found {found:?}").into()) }
}
