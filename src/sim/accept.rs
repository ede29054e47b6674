//! Operators of which nothing is simulated but that all is well: Deployments, cert-manager, Flux' helm-controller.

use serde_json::{Value, json};

use super::condition::{Condition, with_generation};
use super::object::{generation, group, is_deleting};
use super::world::{Error, World};

/// Whether objects of a kind are answered.
pub(super) fn is_simulated(group: &str, kind: &str) -> bool {
    match group {
        "apps" => kind == "Deployment",
        "helm.toolkit.fluxcd.io" | "source.toolkit.fluxcd.io" | "cert-manager.io" => true,
        _ => group == super::providers::GROUP,
    }
}

/// Say that it is well, unless it is going.
pub(super) async fn reconcile(world: &World, object: &Value) -> Result<(), Error> {
    let kind = object["kind"].as_str().unwrap_or_default();
    if is_deleting(object) || !is_simulated(group(object), kind) {
        return Ok(());
    }
    let status = if kind == "Deployment" { deployment(object) } else { ready(object) };
    world.tell(object, status).await
}

/// The status of an object that only has to be ready.
pub(super) fn ready(object: &Value) -> Value {
    let ready = [Condition::new("Ready", true, "Simulated", "nothing stands behind it")];
    json!({"observedGeneration": generation(object),
        "conditions": with_generation(object, &object["status"]["conditions"], &ready)})
}

fn deployment(object: &Value) -> Value {
    let replicas = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let available = [Condition::new("Available", true, "Simulated", "no pod runs")];
    let mut conditions = with_generation(object, &object["status"]["conditions"], &available);
    if let Some(available) = conditions[0].as_object_mut() {
        available.remove("observedGeneration");
    }
    json!({"observedGeneration": generation(object), "replicas": replicas, "updatedReplicas": replicas,
        "readyReplicas": replicas, "availableReplicas": replicas, "conditions": conditions})
}
