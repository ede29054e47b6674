//! Kinds of Kubernetes itself that are no workloads.

use serde_json::Value;

use super::object::{Condition, Object, degraded, healthy, progressing, stale, unknown};
use crate::model::Health;

pub(super) fn volume_claim(object: &Object<'_>) -> Health {
    match object.text(&["status", "phase"]) {
        "Bound" => healthy("the claim is bound"),
        "Lost" => degraded("the claim lost its volume"),
        "Pending" | "" => progressing("the claim waits for a volume"),
        other => unknown(format!("the claim's phase is {other}")),
    }
}

pub(super) fn volume(object: &Object<'_>) -> Health {
    match object.text(&["status", "phase"]) {
        "Bound" | "Available" | "Released" => healthy("the volume is there"),
        "Failed" => degraded("the volume failed"),
        _ => progressing("the volume is not available yet"),
    }
}

pub(super) fn service(object: &Object<'_>) -> Health {
    if object.text(&["spec", "type"]) == "LoadBalancer" {
        return load_balancer(object);
    }
    healthy("the Service needs no load balancer")
}

pub(super) fn load_balancer(object: &Object<'_>) -> Health {
    if object.list(&["status", "loadBalancer", "ingress"]).is_empty() {
        return progressing("the load balancer has no address yet");
    }
    healthy("the load balancer has an address")
}

pub(super) fn namespace(object: &Object<'_>) -> Health {
    match object.text(&["status", "phase"]) {
        "Terminating" => progressing("the namespace is being deleted"),
        _ => healthy("the namespace is active"),
    }
}

pub(super) fn custom_resource_definition(object: &Object<'_>) -> Health {
    if let Some(terminating) = object.is_true("Terminating") {
        return progressing(terminating.sentence());
    }
    if let Some(names) = object.condition("NamesAccepted").filter(|condition| condition.is("False")) {
        return degraded(names.sentence());
    }
    if let Some(wrong) = object.is_true("NonStructuralSchema") {
        return degraded(wrong.sentence());
    }
    match object.condition("Established") {
        Some(established) if established.is("True") => healthy("the definition is established"),
        Some(established) => progressing(established.sentence()),
        None => progressing("the definition is not established yet"),
    }
}

pub(super) fn api_service(object: &Object<'_>) -> Health {
    match object.condition("Available") {
        Some(available) if available.is("True") => healthy(available.sentence()),
        Some(available) => progressing(available.sentence()),
        None => progressing("nobody has asked the service yet"),
    }
}

pub(super) fn disruption_budget(object: &Object<'_>) -> Health {
    if !object.is_observed() {
        return stale(object);
    }
    if let Some(condition) = object.condition("DisruptionAllowed")
        && condition.reason() == "SyncFailed"
    {
        return degraded(condition.sentence());
    }
    let (current, wanted) = (object.count("currentHealthy"), object.count("desiredHealthy"));
    if current < wanted {
        return progressing(format!("{current} of {wanted} pods are healthy"));
    }
    healthy(format!("{current} pods are healthy, {wanted} are needed"))
}

/// In autoscaling/v1 the conditions are JSON in an annotation.
pub(super) fn autoscaler(object: &Object<'_>) -> Health {
    let from_annotation: Vec<Value> = object
        .annotation("autoscaling.alpha.kubernetes.io/conditions")
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let listed = object.list(&["status", "conditions"]);
    let entries = if listed.is_empty() { from_annotation.as_slice() } else { listed };
    let conditions: Vec<Condition<'_>> = entries.iter().map(Condition::of).collect();
    let failed = |condition: &&Condition<'_>| {
        condition.is("False")
            && matches!(condition.kind(), "AbleToScale" | "ScalingActive")
            && (condition.reason().starts_with("Failed") || condition.reason().starts_with("Invalid"))
    };
    if let Some(condition) = conditions.iter().find(failed) {
        return degraded(condition.sentence());
    }
    let well = |condition: &&Condition<'_>| {
        condition.is("True") && matches!(condition.kind(), "AbleToScale" | "ScalingLimited")
    };
    match conditions.iter().find(well) {
        Some(condition) => healthy(condition.sentence()),
        None => progressing("the autoscaler has not measured yet"),
    }
}
