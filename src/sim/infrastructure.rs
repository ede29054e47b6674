//! The infrastructure provider: what a Cluster stands on, in the simulated cloud. It goes after the machines.

use serde_json::{Value, json};

use super::condition::{Condition, both};
use super::object::{array, generation, is_deleting, name, namespace, text};
use super::world::{Error, World};
use super::{cluster, machines};

pub(super) const GROUP: &str = "infrastructure.cluster.x-k8s.io";

pub(super) async fn reconcile(world: &World, infrastructure: &Value) -> Result<(), Error> {
    let Some(key) = key(infrastructure) else { return Ok(()) };
    if is_deleting(infrastructure) {
        return remove(world, infrastructure, key).await;
    }
    world.hold(infrastructure).await?;
    if !is_ready(infrastructure) && !world.is_done(infrastructure, "infrastructure") {
        return tell(world, infrastructure, false).await;
    }
    let label = format!("{}/{}", namespace(infrastructure), name(infrastructure));
    let workload = world.cloud.provision(key, &label).await?;
    let mut wanted = world.draft(
        (GROUP, text(infrastructure, &["kind"])),
        namespace(infrastructure),
        name(infrastructure),
    )?;
    wanted["spec"] = json!({"controlPlaneEndpoint": {"host": workload.host, "port": workload.port}});
    world.apply_part(wanted, super::ENDPOINT_MANAGER).await?;
    tell(world, infrastructure, true).await
}

async fn remove(world: &World, infrastructure: &Value, key: &str) -> Result<(), Error> {
    let left = machines::of_cluster(world, namespace(infrastructure), name(infrastructure));
    if left.is_empty() && world.is_done(infrastructure, "removal") {
        world.cloud.remove(key).await;
        world.release(infrastructure).await?;
    }
    Ok(())
}

/// Whether its provider says that it can be used.
pub(super) fn is_ready(infrastructure: &Value) -> bool {
    infrastructure["status"]["ready"] == true
}

/// What the cloud knows a cluster by: the uid of the Cluster that owns its infrastructure.
fn key(infrastructure: &Value) -> Option<&str> {
    let references = &infrastructure["metadata"]["ownerReferences"];
    array(references).find(|owner| owner["kind"] == cluster::KIND.1)?["uid"].as_str()
}

async fn tell(world: &World, infrastructure: &Value, ready: bool) -> Result<(), Error> {
    let (reason, message) = match ready {
        true => ("Provisioned", "network, load balancer and security groups are there"),
        false => ("Provisioning", "network, load balancer and security groups are being made"),
    };
    let condition = [Condition::new("Ready", ready, reason, message)];
    let status = json!({"ready": ready, "initialization": {"provisioned": ready},
        "observedGeneration": generation(infrastructure)});
    world.tell(infrastructure, both(infrastructure, status, &condition, &condition)).await
}
