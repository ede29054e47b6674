//! Cluster API: a Cluster is what its topology says, and says how far that is.

use std::sync::Arc;

use serde_json::{Value, json};

use super::condition::{Condition, both};
use super::infrastructure;
use super::machines;
use super::object::{generation, is_deleting, is_modern, name, namespace};
use super::topology::{self, Parts};
use super::world::{Error, World};
use super::{ENDPOINT_MANAGER, class, removal};

pub(super) const KIND: (&str, &str) = ("cluster.x-k8s.io", "Cluster");

pub(super) async fn reconcile(world: &World, cluster: &Value) -> Result<(), Error> {
    if is_paused(cluster) {
        let paused = Condition::new("Paused", true, "Paused", "nothing is done as long as it is paused");
        let status = json!({"observedGeneration": generation(cluster), "phase": phase(cluster)});
        return world.tell(cluster, both(cluster, status, &[paused], &[])).await;
    }
    if is_deleting(cluster) {
        return removal::reconcile(world, cluster).await;
    }
    // Without a topology its parts would come from somebody else, whom nobody simulates.
    if class::name_of(cluster).is_empty() {
        return Ok(());
    }
    world.hold(cluster).await?;
    let pending = topology::reconcile(world, cluster).await?;
    let parts = Parts::of(world, cluster);
    if let Some(infrastructure) = parts.infrastructure.as_ref().filter(|part| infrastructure::is_ready(part))
    {
        let mut wanted = world.draft(KIND, namespace(cluster), name(cluster))?;
        wanted["spec"] = json!({"controlPlaneEndpoint": infrastructure["spec"]["controlPlaneEndpoint"]});
        world.apply_part(wanted, ENDPOINT_MANAGER).await?;
    }
    world.tell(cluster, status(cluster, &parts, pending.as_deref())).await
}

/// Whether somebody asked to leave it alone.
pub(super) fn is_paused(cluster: &Value) -> bool {
    cluster["spec"]["paused"] == true
        || !cluster["metadata"]["annotations"]["cluster.x-k8s.io/paused"].is_null()
}

/// Whether machines can be made.
pub(super) fn is_infrastructure_ready(world: &World, cluster: &Value) -> bool {
    Parts::of(world, cluster).infrastructure.is_some_and(|part| infrastructure::is_ready(&part))
}

/// Whether the first machine of the control plane runs, or ran once.
pub(super) fn is_initialized(world: &World, cluster: &Value) -> bool {
    Parts::of(world, cluster)
        .control_plane
        .is_some_and(|part| part["status"]["initialization"]["controlPlaneInitialized"] == true)
}

/// The word for how far it is.
fn phase(cluster: &Value) -> &str {
    cluster["status"]["phase"].as_str().unwrap_or("Pending")
}

fn status(cluster: &Value, parts: &Parts, pending: Option<&str>) -> Value {
    let infrastructure = parts.infrastructure.as_ref().is_some_and(|part| infrastructure::is_ready(part));
    let control_plane = parts.control_plane.as_deref();
    let initialized =
        control_plane.is_some_and(|part| part["status"]["initialization"]["controlPlaneInitialized"] == true);
    let control_plane_available = control_plane.is_some_and(machines::is_available);
    let workers_available = parts.workers.iter().all(|part| machines::is_available(part));
    let owners = control_plane.into_iter().chain(parts.workers.iter().map(Arc::as_ref));
    let rolling: Vec<&str> = owners.filter(|owner| !machines::is_settled(owner)).map(name).collect();
    let available = infrastructure && control_plane_available && workers_available;
    let say = |kind, holds, no: &str, yes: &str| {
        let (reason, message) = if holds { ("Ready", yes) } else { ("NotReady", no) };
        Condition::new(kind, holds, reason, message)
    };
    let settled = rolling.is_empty() && pending.is_none();
    let under_way = match rolling.is_empty() {
        true => "no machine changes".to_owned(),
        false => format!("machines change: {}", rolling.join(", ")),
    };
    let topology = pending.unwrap_or(if settled { "it is what it says" } else { &under_way });
    let reconciled = say("TopologyReconciled", settled, topology, topology);
    let infrastructure_ready = say("InfrastructureReady", infrastructure, "it is being made", "it is there");
    let control_plane_ready = |kind| {
        say(kind, control_plane_available, "not all machines of the control plane run", "its machines run")
    };
    let initialized_says =
        say("ControlPlaneInitialized", initialized, "no machine of it runs", "its first machine runs");
    let available_says = say("Available", available, "not everything is there", "everything is there");
    let modern = [
        available_says,
        reconciled.clone(),
        infrastructure_ready.clone(),
        initialized_says.clone(),
        control_plane_ready("ControlPlaneAvailable"),
        say("WorkersAvailable", workers_available, "not all workers run", "the workers run"),
        Condition::new("RollingOut", initialized && !settled, "RollingOut", &under_way),
    ];
    let old = [
        say("Ready", available, "not everything is there", "everything is there"),
        reconciled,
        infrastructure_ready,
        initialized_says,
        control_plane_ready("ControlPlaneReady"),
    ];
    let phase = match (infrastructure && initialized, parts.infrastructure.is_some()) {
        (true, _) => "Provisioned",
        (false, true) => "Provisioning",
        (false, false) => "Pending",
    };
    let mut status = json!({"observedGeneration": generation(cluster), "phase": phase});
    if is_modern(cluster) {
        status["initialization"] =
            json!({"infrastructureProvisioned": infrastructure, "controlPlaneInitialized": initialized});
        if let Some(control_plane) = control_plane {
            status["controlPlane"] = counts(&[control_plane]);
        }
        let workers: Vec<&Value> = parts.workers.iter().map(Arc::as_ref).collect();
        status["workers"] = counts(&workers);
    } else {
        status["infrastructureReady"] = infrastructure.into();
        status["controlPlaneReady"] = control_plane_available.into();
    }
    both(cluster, status, &modern, &old)
}

/// The machines of several owners together.
fn counts(owners: &[&Value]) -> Value {
    let sum =
        |field: &str| -> i64 { owners.iter().filter_map(|owner| owner["status"][field].as_i64()).sum() };
    json!({"replicas": sum("replicas"), "readyReplicas": sum("readyReplicas"),
        "upToDateReplicas": sum("upToDateReplicas")})
}
