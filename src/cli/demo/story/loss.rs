//! A management cluster is lost and wiped; its peer builds it anew; its daemon comes back.

use super::super::stage::Stage;
use super::{BoxError, CLUSTERS, FIRST, SECOND, expect, kind};

/// The Clusters of `mgmt1` by then: their machines may outlive it, so each is built again only if somebody says so.
const PROVISIONED: [&str; 2] = ["Cluster/team-a/web", "Cluster/team-c/api"];

/// Its API server is another from now on, with nothing in it. The peer sees that, and does nothing.
pub async fn lose(stage: &mut Stage) -> Result<(), BoxError> {
    stage.lose(FIRST).await?;
    stage.found(SECOND, "MOIN-0811", &["mgmt1"]).await?;
    let namespaces = stage.managements[FIRST].api(&kind("v1", "Namespace"), None);
    expect(namespaces.get_opt("team-a").await?.is_none(), "nothing is built without a word", &"team-a")
}

/// The word is a commit.
pub fn approve(stage: &Stage) -> Result<(), BoxError> {
    let mut approvals = vec!["{action: rebuild, cluster: mgmt1, reason: its disks are gone}".to_owned()];
    approvals.extend(PROVISIONED.map(|cluster| {
        format!("{{action: create, object: {cluster}, reason: its machines went with mgmt1}}")
    }));
    stage.repository.approve(&approvals)?;
    stage.repository.commit("Build mgmt1 anew")?;
    Ok(())
}

/// The peer stands in: it takes the lease when nobody else did, and fills what is empty.
pub async fn rebuild(stage: &Stage) -> Result<(), BoxError> {
    stage.held_by(FIRST, "mgmt2").await?;
    stage.applied(FIRST, &stage.repository.head()?).await?;
    let clusters = stage.managements[FIRST].api(&kind(CLUSTERS, "Cluster"), Some("team-c"));
    expect(clusters.get_opt("api").await?.is_some(), "the Cluster of team-c is back", &"")
}

/// Its own daemon is preferred: it asks for the lease and gets it.
pub async fn come_back(stage: &mut Stage) -> Result<(), BoxError> {
    stage.revive(FIRST).await?;
    stage.held_by(FIRST, "mgmt1").await?;
    stage.repository.approve(&[])?;
    let commit = stage.repository.commit("mgmt1 is back")?;
    stage.applied_everywhere(&commit).await
}
