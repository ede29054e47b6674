//! Limits, priorities, roles, volumes: kinds that other objects refer to.

use serde_json::{Map, Value, json};

use super::pods::host_path;
use super::{items, set, within};

pub(super) fn limit_range(spec: &mut Value) {
    for item in items(spec, "limits").filter(|item| item["type"] == "Container") {
        // What is not said follows from what is: limit from maximum, request from limit, then from minimum.
        for (to, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
            let values = item.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
            if values.is_empty() {
                continue;
            }
            set(item, to, json!({}));
            for (name, value) in values {
                set(&mut item[to], &name, value);
            }
        }
    }
}

pub(super) fn autoscaler(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    set(spec, "minReplicas", 1);
    if items(spec, "metrics").next().is_none() {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        spec["metrics"] = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
    }
    let Some(behavior) = within(spec, "behavior") else { return };
    let whole = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let four = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    for (direction, policies) in [("scaleUp", json!([four, whole])), ("scaleDown", json!([whole]))] {
        set(behavior, direction, json!({}));
        let rules = &mut behavior[direction];
        set(rules, "selectPolicy", "Max");
        set(rules, "policies", policies);
        if direction == "scaleUp" {
            set(rules, "stabilizationWindowSeconds", 0);
        }
    }
}

pub(super) fn role_binding(object: &mut Value) {
    const RBAC: &str = "rbac.authorization.k8s.io";
    if let Some(role) = within(object, "roleRef") {
        set(role, "apiGroup", RBAC);
    }
    for subject in items(object, "subjects") {
        if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
            set(subject, "apiGroup", RBAC);
        }
    }
}

pub(super) fn volume(spec: &mut Value) {
    set(spec, "persistentVolumeReclaimPolicy", "Retain");
    set(spec, "volumeMode", "Filesystem");
    host_path(spec);
    if let Some(disk) = within(spec, "azureDisk") {
        set(disk, "readOnly", false);
    }
}

pub(super) fn claim(object: &mut Value) {
    set(&mut object["spec"], "volumeMode", "Filesystem");
    if let Some(status) = within(object, "status") {
        set(status, "phase", "Pending");
    }
}

pub(super) fn storage_class(object: &mut Value) {
    set(object, "reclaimPolicy", "Delete");
    set(object, "volumeBindingMode", "Immediate");
}

pub(super) fn storage_driver(spec: &mut Value) {
    set(spec, "attachRequired", true);
    set(spec, "podInfoOnMount", false);
    set(spec, "storageCapacity", false);
    set(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    set(spec, "requiresRepublish", false);
    set(spec, "seLinuxMount", false);
    if items(spec, "volumeLifecycleModes").next().is_none() {
        spec["volumeLifecycleModes"] = json!(["Persistent"]);
    }
}

/// What is allocatable of a node, if it does not say, is all it has.
pub(super) fn node(object: &mut Value) {
    if let Some(status) = within(object, "status")
        && let Some(capacity) =
            status.get("capacity").and_then(Value::as_object).filter(|map| !map.is_empty())
    {
        let capacity = Value::Object(Map::clone(capacity));
        set(status, "allocatable", capacity);
    }
}
