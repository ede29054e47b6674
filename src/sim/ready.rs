//! What a ready object of each simulated kind says of itself.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::model::Gvk;

/// Any time will do: the same one each time makes the answer the same each time.
const SINCE: &str = "2026-01-01T00:00:00Z";

/// Whether objects of this kind are answered.
pub(super) fn is_simulated(gvk: &Gvk) -> bool {
    let api_version = gvk.api_version();
    answer_of(&api_version, &gvk.kind).is_some()
}

type Answer = fn(&DynamicObject) -> Value;

/// The kinds, each with its answer.
fn answer_of(api_version: &str, kind: &str) -> Option<Answer> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    Some(match (group, kind) {
        ("apps", "Deployment") => deployment,
        ("cluster.x-k8s.io", "Cluster") => cluster,
        ("clusterstack.x-k8s.io", "ClusterStack") => cluster_stack,
        (
            "helm.toolkit.fluxcd.io"
            | "source.toolkit.fluxcd.io"
            | "cert-manager.io"
            | "operator.cluster.x-k8s.io",
            _,
        ) => conditions_only,
        _ => return None,
    })
}

/// The status that makes the object ready; `None` if it says so already, or is going.
pub(super) fn status_of(object: &DynamicObject) -> Option<Value> {
    if object.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let types = object.types.as_ref()?;
    let status = answer_of(&types.api_version, &types.kind)?(object);
    (!is_said(&object.data["status"], &status)).then_some(status)
}

/// Whether `have` says all of `wanted`.
fn is_said(have: &Value, wanted: &Value) -> bool {
    match (have, wanted) {
        (Value::Object(have), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| have.get(key).is_some_and(|found| is_said(found, value)))
        }
        (Value::Array(have), Value::Array(wanted)) => {
            have.len() == wanted.len() && have.iter().zip(wanted).all(|(have, wanted)| is_said(have, wanted))
        }
        (have, wanted) => have == wanted,
    }
}

fn condition(kind: &str, generation: i64) -> Value {
    json!({"type": kind, "status": "True", "reason": "Simulated", "message": "by a simulated operator",
        "observedGeneration": generation, "lastTransitionTime": SINCE})
}

fn generation(object: &DynamicObject) -> i64 {
    object.metadata.generation.unwrap_or(1)
}

fn conditions_only(object: &DynamicObject) -> Value {
    let generation = generation(object);
    json!({"observedGeneration": generation, "conditions": [condition("Ready", generation)]})
}

fn deployment(object: &DynamicObject) -> Value {
    let replicas = object.data["spec"]["replicas"].as_i64().unwrap_or(1);
    let mut available = condition("Available", 0);
    if let Some(available) = available.as_object_mut() {
        available.remove("observedGeneration");
        available.insert("lastUpdateTime".into(), SINCE.into());
    }
    json!({"observedGeneration": generation(object), "replicas": replicas, "updatedReplicas": replicas,
        "readyReplicas": replicas, "availableReplicas": replicas, "conditions": [available]})
}

fn cluster(object: &DynamicObject) -> Value {
    let generation = generation(object);
    let old = object.types.as_ref().is_some_and(|types| types.api_version.ends_with("/v1beta1"));
    let kinds = if old {
        ["Ready", "ControlPlaneReady", "InfrastructureReady", "TopologyReconciled"]
    } else {
        ["Available", "TopologyReconciled", "InfrastructureReady", "ControlPlaneAvailable"]
    };
    let conditions: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            let mut condition = condition(kind, generation);
            if let Some(condition) = condition.as_object_mut().filter(|_| old) {
                condition.remove("observedGeneration");
            }
            condition
        })
        .collect();
    json!({"observedGeneration": generation, "phase": "Provisioned", "conditions": conditions})
}

fn cluster_stack(object: &DynamicObject) -> Value {
    let spec = &object.data["spec"];
    let text = |field: &str| spec[field].as_str().unwrap_or_default().replace('.', "-");
    let base = format!("{}-{}-{}", text("provider"), text("name"), text("kubernetesVersion"));
    let versions: Vec<String> = spec["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str())
        .map(str::to_owned)
        .collect();
    let names: Vec<String> = versions.iter().map(|version| format!("{base}-{version}")).collect();
    let summary: Vec<Value> = names.iter().map(|name| json!({"name": name, "ready": true, "phase": "applying objects", "message": "by a simulated operator"})).collect();
    let mut ready = condition("Ready", 0);
    if let Some(ready) = ready.as_object_mut() {
        ready.remove("observedGeneration");
    }
    json!({"latestRelease": names.last(), "usableVersions": versions.join(", "), "summary": summary, "conditions": [ready]})
}
