//! Cluster API: a Machine is Pending until its cluster can take it, Provisioning while it boots, and then Running.

use serde_json::{Value, json};

use super::condition::{Condition, both};
use super::object::{generation, is_deleting, label, name, namespace, text, uid};
use super::world::{Error, World};
use super::{cluster, machines};

pub(super) const KIND: (&str, &str) = ("cluster.x-k8s.io", "Machine");
/// The label of machines that are part of a control plane.
pub(super) const CONTROL_PLANE_LABEL: &str = "cluster.x-k8s.io/control-plane";

pub(super) async fn reconcile(world: &World, machine: &Value) -> Result<(), Error> {
    let cluster = machines::cluster_of(world, machine);
    if cluster.as_ref().is_some_and(|cluster| cluster::is_paused(cluster)) {
        return Ok(());
    }
    let key = cluster.as_ref().map_or("", |cluster| uid(cluster));
    if is_deleting(machine) {
        return remove(world, machine, key).await;
    }
    world.hold(machine).await?;
    let Some(cluster) = &cluster else { return Ok(()) };
    let control_plane = label(machine, CONTROL_PLANE_LABEL).is_some();
    if !control_plane && !cluster::is_initialized(world, cluster) {
        return tell(world, machine, "Pending", "it waits for the control plane").await;
    }
    if !is_running(machine) && !world.is_done(machine, "boot") {
        return tell(world, machine, "Provisioning", "it boots").await;
    }
    let workload = match world.cloud.find(key).await {
        Some(workload) => workload,
        // A cloud that has lost it gets it back from its infrastructure.
        None => return tell(world, machine, "Provisioning", "there is no infrastructure for it").await,
    };
    if !is_running(machine) {
        workload.join(name(machine), text(machine, &["spec", "version"]), control_plane).await?;
        let mut wanted = world.draft(KIND, namespace(machine), name(machine))?;
        wanted["spec"] = json!({"providerID": format!("simulated:///{}", name(machine))});
        world.apply_part(wanted, super::PROVIDER_ID_MANAGER).await?;
    }
    tell(world, machine, "Running", "it is a node of its cluster").await
}

pub(super) fn is_running(machine: &Value) -> bool {
    !is_deleting(machine) && text(machine, &["status", "phase"]) == "Running"
}

/// Its node leaves, then the server is gone.
async fn remove(world: &World, machine: &Value, key: &str) -> Result<(), Error> {
    if !world.is_done(machine, "removal") {
        return tell(world, machine, "Deleting", "its server is shut down").await;
    }
    if let Some(workload) = world.cloud.find(key).await {
        workload.leave(name(machine)).await?;
    }
    world.release(machine).await
}

async fn tell(world: &World, machine: &Value, phase: &'static str, message: &str) -> Result<(), Error> {
    let running = phase == "Running";
    let mut status = json!({"phase": phase, "observedGeneration": generation(machine),
        "initialization": {"infrastructureProvisioned": running, "bootstrapDataSecretCreated": phase != "Pending"}});
    if running {
        status["nodeRef"] = json!({"name": name(machine)});
    }
    let modern = ["Available", "Ready", "NodeReady", "InfrastructureReady"]
        .map(|kind| Condition::new(kind, running, phase, message));
    let old = [Condition::new("Ready", running, phase, message)];
    world.tell(machine, both(machine, status, &modern, &old)).await
}
