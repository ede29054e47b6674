//! The ClusterStack operator: a ClusterStack has a release for each of its versions.
//!
//! A release that a Cluster uses stays, whatever the versions say; and while one does, the ClusterStack cannot go.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::condition::{Condition, with_severity};
use super::object::{array, is_deleting, name, namespace, owned_by, text};
use super::world::{Error, World};
use super::{class, cluster, release};

pub(super) const KIND: (&str, &str) = ("clusterstack.x-k8s.io", "ClusterStack");

pub(super) async fn reconcile(world: &World, stack: &Value) -> Result<(), Error> {
    if is_deleting(stack) {
        return remove(world, stack).await;
    }
    world.hold(stack).await?;
    let wanted: Vec<String> = versions(stack).map(|version| release_name(stack, version)).collect();
    for name in &wanted {
        let mut release = world.draft(release::KIND, namespace(stack), name)?;
        release["metadata"]["ownerReferences"] = owned_by(stack);
        release["spec"] = json!({});
        if stack["spec"]["noProvider"] != true {
            release["spec"]["providerRef"] = stack["spec"]["providerRef"].clone();
        }
        world.apply(release).await?;
    }
    for old in world.owned(stack, release::KIND) {
        if !wanted.iter().any(|wanted| wanted == name(&old)) && users(world, &old).is_empty() {
            world.delete(&old).await?;
        }
    }
    world.tell(stack, status(world, stack, &wanted)).await
}

/// It goes when nobody uses it, and after its releases.
async fn remove(world: &World, stack: &Value) -> Result<(), Error> {
    let releases = world.owned(stack, release::KIND);
    let users: BTreeSet<String> = releases.iter().flat_map(|release| users(world, release)).collect();
    if !users.is_empty() {
        let users: Vec<String> = users.into_iter().collect();
        let message = format!("it stays as long as it is used by {}", users.join(", "));
        let ready = [Condition::new("Ready", false, "InUse", message)];
        let wanted: Vec<String> = releases.iter().map(|release| name(release).to_owned()).collect();
        let mut status = status(world, stack, &wanted);
        status["conditions"] = with_severity(&stack["status"]["conditions"], &ready);
        return world.tell(stack, status).await;
    }
    for release in &releases {
        world.delete(release).await?;
    }
    if releases.is_empty() { world.release(stack).await } else { Ok(()) }
}

/// The Clusters that are made of a release's class.
pub(super) fn users(world: &World, release: &Value) -> Vec<String> {
    let clusters = world.of_kind(cluster::KIND, namespace(release)).into_iter();
    let users = clusters.filter(|cluster| class::name_of(cluster) == name(release));
    users.map(|cluster| format!("Cluster {}/{}", namespace(&cluster), name(&cluster))).collect()
}

fn versions(stack: &Value) -> impl Iterator<Item = &str> {
    array(&stack["spec"]["versions"]).filter_map(Value::as_str)
}

/// provider-stack-minor-version, with dashes where a version has dots.
fn release_name(stack: &Value, version: &str) -> String {
    let part = |field| text(stack, &["spec", field]);
    let minor = part("kubernetesVersion").replace('.', "-");
    format!("{}-{}-{minor}-{}", part("provider"), part("name"), version.replace('.', "-"))
}

fn status(world: &World, stack: &Value, wanted: &[String]) -> Value {
    let releases: Vec<_> =
        wanted.iter().map(|name| (name, world.get(release::KIND, namespace(stack), name))).collect();
    let is_ready = |release: &Option<std::sync::Arc<Value>>| {
        release.as_ref().is_some_and(|release| release["status"]["ready"] == true)
    };
    let summary: Vec<Value> = releases
        .iter()
        .map(|(name, release)| {
            let (phase, message) = release.as_ref().map_or(("downloading release assets", ""), |release| {
                (release::phase(release), release::message(release))
            });
            json!({"name": name, "ready": is_ready(release), "phase": phase, "message": message})
        })
        .collect();
    let usable: Vec<&str> = versions(stack)
        .zip(&releases)
        .filter(|(_, (_, release))| is_ready(release))
        .map(|(version, _)| version)
        .collect();
    let all = usable.len() == wanted.len();
    let reason = if all { "ReleasesReady" } else { "ReleasesNotReady" };
    let message = format!("{} of {} releases are ready", usable.len(), wanted.len());
    let ready = [Condition::new("Ready", all, reason, message)];
    let latest = releases.iter().rev().find(|(_, release)| is_ready(release)).map(|(name, _)| name.as_str());
    json!({"latestRelease": latest.unwrap_or_default(), "usableVersions": usable.join(", "), "summary": summary,
        "conditions": with_severity(&stack["status"]["conditions"], &ready)})
}
