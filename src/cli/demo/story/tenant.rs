//! A tenant comes, and goes.

use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, DynamicObject, ListParams, WatchEvent, WatchParams};

use super::super::stage::{Stage, Wanted, is_true};
use super::{BoxError, CLUSTERS, FIRST, STACKS, expect, kind};

const TENANT: &str = "team-c";
const FOLDER: &str = "tenants/mgmt1/team-c";

/// The files come from the repository's template, as anybody would write them.
pub async fn join(stage: &Stage) -> Result<(), BoxError> {
    let folder = stage.repository.folder();
    let output = tokio::process::Command::new(std::env::current_exe()?)
        .args(["tenant", "new", TENANT, "--cluster", "mgmt1", "--set", "workload=api", "--repo"])
        .arg(folder)
        .env_clear()
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr);
    expect(output.status.success(), "`moin tenant new` writes the files", &said)?;
    let commit = stage.repository.commit("Team C")?;
    for (api_version, what, name) in
        [(STACKS, "ClusterStack", "scs2-1-34"), ("rbac.authorization.k8s.io/v1", "RoleBinding", "tenant")]
    {
        let there = Wanted { kind: &kind(api_version, what), namespace: Some(TENANT), name };
        stage.until(FIRST, there, &format!("the {what} of team-c"), |it| it.is_some()).await?;
    }
    let cluster = Wanted { kind: &kind(CLUSTERS, "Cluster"), namespace: Some(TENANT), name: "api" };
    stage
        .until(FIRST, cluster, "Cluster team-c/api to be available", |it| {
            it.is_some_and(|it| is_true(&it.data["status"], "Available"))
        })
        .await?;
    stage.applied_everywhere(&commit).await
}

/// Its files go; what is protected goes once that is approved, and nothing before what needs it.
pub async fn leave(stage: &Stage) -> Result<(), BoxError> {
    let clusters = stage.managements[FIRST].api(&kind(CLUSTERS, "Cluster"), Some(TENANT));
    let stacks = stage.managements[FIRST].api(&kind(STACKS, "ClusterStack"), Some(TENANT));
    let namespaces = stage.managements[FIRST].api(&kind("v1", "Namespace"), None);
    stage.repository.remove(FOLDER)?;
    stage.repository.commit("Team C leaves")?;
    let cluster = format!("Cluster/{TENANT}/api");
    stage.found(FIRST, "MOIN-0704", &[&cluster]).await?;
    let order = tokio::try_join!(
        departure(&clusters, "api"),
        departure(&stacks, "scs2-1-34"),
        departure(&namespaces, TENANT)
    );
    let (clusters, stacks, namespaces) = order?;
    let names = [cluster, format!("ClusterStack/{TENANT}/scs2-1-34"), format!("Namespace/{TENANT}")];
    let approvals = names.map(|name| format!("{{action: delete, object: {name}, reason: team C leaves}}"));
    stage.repository.approve(&approvals)?;
    let commit = stage.repository.commit("Let everything of team C go")?;
    stage.applied(FIRST, &commit).await?;
    let gone = Wanted { kind: &kind("v1", "Namespace"), namespace: None, name: TENANT };
    stage.until(FIRST, gone, "the namespace of team-c to go", |it| it.is_none()).await?;
    let order = tokio::try_join!(clusters, stacks, namespaces)?;
    expect(
        order.0 < order.1 && order.1 < order.2,
        "the Cluster went first, then its ClusterStack, then the namespace",
        &order,
    )?;
    stage.repository.approve(&[])?;
    let commit = stage.repository.commit("All is done")?;
    stage.applied_everywhere(&commit).await
}

/// Watches from now on; answers, when awaited, at which revision of the API server the object went.
async fn departure(
    api: &Api<DynamicObject>,
    name: &str,
) -> Result<impl Future<Output = Result<u64, BoxError>> + use<>, BoxError> {
    let fields = format!("metadata.name={name}");
    let now = api.list(&ListParams::default().fields(&fields)).await?.metadata.resource_version;
    let mut events =
        api.watch(&WatchParams::default().fields(&fields), &now.unwrap_or_default()).await?.boxed();
    Ok(async move {
        while let Some(event) = events.try_next().await? {
            if let WatchEvent::Deleted(object) = event {
                return Ok(object.metadata.resource_version.unwrap_or_default().parse()?);
            }
        }
        Err("the watch ended before the object went".into())
    })
}
