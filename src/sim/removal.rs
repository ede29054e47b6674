//! Cluster API: a Cluster goes in order. First nothing in the workload cluster may hold it up: a load balancer that a
//! Service made, or a volume, would outlive it in the cloud. Then workers, control plane, infrastructure, and itself.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::condition::{Condition, both};
use super::object::{generation, name, namespace, text};
use super::topology::Parts;
use super::world::{Error, World};
use crate::cluster::{Cluster, ClusterError, ListOptions};
use crate::model::{Gvk, ServedKind};

/// How long a workload cluster may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn reconcile(world: &World, cluster: &Value) -> Result<(), Error> {
    let parts = Parts::of(world, cluster);
    let whole = parts.control_plane.as_ref().is_some_and(|part| !super::object::is_deleting(part));
    let holding = if whole { holding(world, cluster).await } else { Vec::new() };
    if !holding.is_empty() {
        // The workload cluster is not watched: only now, and not often, is it asked.
        world.look_again();
        let message = format!("the workload cluster still has {}; delete them there", holding.join(", "));
        return tell(world, cluster, "WaitingForWorkloadCluster", &message).await;
    }
    for worker in &parts.workers {
        world.delete(worker).await?;
    }
    let rest = match (&parts.control_plane, &parts.infrastructure) {
        _ if !parts.workers.is_empty() => {
            return tell(world, cluster, "WaitingForWorkers", "the workers go first").await;
        }
        (Some(part), _) => {
            Some((part, "WaitingForControlPlane", "the control plane goes, after the workers"))
        }
        (None, Some(part)) => {
            Some((part, "WaitingForInfrastructure", "the infrastructure goes, after all machines"))
        }
        (None, None) => None,
    };
    let Some((part, reason, message)) = rest else { return world.release(cluster).await };
    world.delete(part).await?;
    tell(world, cluster, reason, message).await
}

async fn tell(world: &World, cluster: &Value, reason: &'static str, message: &str) -> Result<(), Error> {
    let going = Condition::new("Deleting", true, reason, message);
    let available = Condition::new("Available", false, "Deleting", message);
    let ready = Condition::new("Ready", false, reason, message);
    let status = json!({"observedGeneration": generation(cluster), "phase": "Deleting"});
    world.tell(cluster, both(cluster, status, &[available, going], &[ready])).await
}

/// What in the workload cluster would outlive it.
async fn holding(world: &World, cluster: &Value) -> Vec<String> {
    let secret = world.get(("", "Secret"), namespace(cluster), &format!("{}-kubeconfig", name(cluster)));
    // Without a kubeconfig it never had a control plane, so nobody made anything in it.
    let Some(secret) = secret else { return Vec::new() };
    let kubeconfig = STANDARD.decode(text(&secret, &["data", "value"])).unwrap_or_default();
    match in_workload_cluster(&String::from_utf8_lossy(&kubeconfig)).await {
        Ok(found) => found,
        Err(error) => vec![format!("an API server that does not answer ({error})")],
    }
}

async fn in_workload_cluster(kubeconfig: &str) -> Result<Vec<String>, ClusterError> {
    let workload = Cluster::connect_with_text(kubeconfig, None).await?.with_timeout(PATIENCE);
    let kind = |kind, plural: &str, namespaced| ServedKind {
        gvk: Gvk::new("v1", kind),
        plural: plural.to_owned(),
        namespaced,
    };
    let services = workload.list(&kind("Service", "services", true), &ListOptions::default()).await?;
    let volumes =
        workload.list(&kind("PersistentVolume", "persistentvolumes", false), &ListOptions::default()).await?;
    let mut found: Vec<String> = services
        .iter()
        .filter(|service| service.body["spec"]["type"] == "LoadBalancer")
        .map(|service| {
            format!("load balancer of Service {}/{}", namespace(&service.body), name(&service.body))
        })
        .collect();
    found.extend(volumes.iter().map(|volume| format!("PersistentVolume {}", name(&volume.body))));
    Ok(found)
}
