//! What `moin demo --check` walks through: each chapter ends well, or the demo fails and says where.

use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;

use super::super::BoxError;
use super::say;
use super::stage::Stage;

/// How long nothing must happen to be called idle.
const IDLE: Duration = Duration::from_secs(6);

/// The whole story.
pub async fn tell(stage: &Stage) -> Result<(), BoxError> {
    chapter("the example is applied", stage.converged()).await?;
    chapter("a commit is applied", commit(stage)).await?;
    chapter(
        "a namespace made by kubectl gets its ClusterStack, and loses it with the namespace",
        trigger(stage),
    )
    .await?;
    chapter("a forbidden Kubernetes version is refused, with file and line", refusal(stage)).await?;
    chapter("an edit by hand is set back", drift(stage)).await?;
    chapter("with nothing changed, nothing is written", idle(stage)).await
}

async fn chapter(title: &str, told: impl Future<Output = Result<(), BoxError>>) -> Result<(), BoxError> {
    let began = Instant::now();
    told.await.map_err(|error| format!("{title}: {error}"))?;
    say(&format!("ok  {title} ({:.1} s)", began.elapsed().as_secs_f64()))?;
    Ok(())
}

fn kind(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

async fn commit(stage: &Stage) -> Result<(), BoxError> {
    let manifest =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: motd, namespace: team-a}\ndata: {text: moin}\n";
    stage.repository.write("tenants/mgmt1/team-a/motd.yaml", manifest)?;
    let commit = stage.repository.commit("A message of the day for team-a")?;
    stage.applied(&commit).await?;
    let motd = stage.api(&kind("v1", "ConfigMap"), Some("team-a")).get("motd").await?;
    expect(motd.data["data"]["text"] == "moin", "the ConfigMap has the text of the commit")
}

async fn trigger(stage: &Stage) -> Result<(), BoxError> {
    let namespaces = stage.api(&kind("v1", "Namespace"), None);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "playground-1"}});
    namespaces.create(&PostParams::default(), &serde_json::from_value(namespace)?).await?;
    let stacks = kind("clusterstack.x-k8s.io/v1alpha1", "ClusterStack");
    let there = |object: Option<&kube::api::DynamicObject>| object.is_some();
    stage
        .until(&stacks, Some("playground-1"), "scs2-1-34", "the ClusterStack of playground-1", there)
        .await?;
    stage.converged().await?;
    namespaces.delete("playground-1", &Default::default()).await?;
    let gone = |object: Option<&kube::api::DynamicObject>| object.is_none();
    stage.until(&kind("v1", "Namespace"), None, "playground-1", "the namespace to go", gone).await?;
    stage.converged().await
}

async fn refusal(stage: &Stage) -> Result<(), BoxError> {
    let file = "tenants/mgmt1/team-a/old.yaml";
    let manifest = "apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata:\n  name: old\n  namespace: team-a\n\
                    spec:\n  topology:\n    classRef:\n      name: openstack-scs2-1-26-v1\n    version: v1.26.0\n";
    stage.repository.write(file, manifest)?;
    stage.repository.commit("A Cluster that is too old")?;
    stage
        .reported("the refusal", |status| {
            let findings = status["findings"].as_array();
            findings.is_some_and(|all| {
                all.iter().any(|finding| {
                    finding["code"] == "MOIN-0502"
                        && finding["location"].as_str().is_some_and(|at| at.starts_with(&format!("{file}:")))
                })
            })
        })
        .await?;
    let clusters = stage.api(&kind("cluster.x-k8s.io/v1beta2", "Cluster"), Some("team-a"));
    expect(clusters.get_opt("old").await?.is_none(), "the refused Cluster is not in the cluster")?;
    stage.repository.remove(file)?;
    let commit = stage.repository.commit("Take it back")?;
    stage.applied(&commit).await
}

async fn drift(stage: &Stage) -> Result<(), BoxError> {
    let resource = kind("v1", "ConfigMap");
    let maps = stage.api(&resource, Some("team-a"));
    let edit = json!({"data": {"text": "changed by hand"}});
    maps.patch(
        "motd",
        &PatchParams { field_manager: Some("kubectl-edit".into()), ..Default::default() },
        &Patch::Merge(&edit),
    )
    .await?;
    let repaired = |object: Option<&kube::api::DynamicObject>| {
        object.is_some_and(|object| object.data["data"]["text"] == "moin")
    };
    stage.until(&resource, Some("team-a"), "motd", "the repair", repaired).await?;
    stage.converged().await
}

async fn idle(stage: &Stage) -> Result<(), BoxError> {
    // A report may be under way; afterwards it must be quiet for longer than the lease is renewed.
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.plane.clear_requests();
    tokio::time::sleep(IDLE).await;
    let requests = stage.plane.requests();
    let lease = |path: &str| path.contains("/leases/");
    let unexpected: Vec<String> = requests
        .iter()
        .filter(|request| !lease(&request.path) && !request.query.contains("watch=true"))
        .map(|request| format!("{} {}", request.method, request.path))
        .collect();
    expect(unexpected.is_empty(), &format!("no request but the lease's; there were {unexpected:?}"))?;
    say(&format!("    {} requests in {} s, all for the lease", requests.len(), IDLE.as_secs()))?;
    Ok(())
}

fn expect(held: bool, what: &str) -> Result<(), BoxError> {
    if held { Ok(()) } else { Err(format!("expected that {what}").into()) }
}
