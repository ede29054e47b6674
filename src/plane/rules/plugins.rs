//! What the admission plugins that are on by default add to objects; it belongs to no field manager.

use serde_json::{Value, json};

use super::report::same;
use crate::plane::kinds::Resource;
use crate::plane::write::set_or_remove;

/// How long a pod stays on a node that is lost, if it says nothing.
const PATIENCE: i64 = 300;

/// What is added to a new object.
pub(super) fn on_create(resource: &Resource, body: &mut Value) {
    match &*resource.collection {
        "pods" => {
            priority(&mut body["spec"]);
            tolerations(&mut body["spec"]);
        }
        "persistentvolumes" => protect(body, "kubernetes.io/pv-protection"),
        "persistentvolumeclaims" => protect(body, "kubernetes.io/pvc-protection"),
        "nodes" => not_ready(&mut body["spec"]),
        _ => {}
    }
}

/// What an update leaves out that it was given when it was new.
pub(super) fn on_update(resource: &Resource, body: &mut Value, before: &Value) {
    if !resource.is("", "Pod") || !body["spec"].is_object() {
        return;
    }
    for field in ["priority", "preemptionPolicy"] {
        if body["spec"][field].is_null() {
            set_or_remove(&mut body["spec"], field, before["spec"][field].clone());
        }
    }
    tolerations(&mut body["spec"]);
}

/// The Priority plugin: without a class a pod has none over others.
fn priority(spec: &mut Value) {
    if spec.is_object() && spec["priorityClassName"].as_str().unwrap_or_default().is_empty() {
        spec["priority"] = 0.into();
        if spec["preemptionPolicy"].is_null() {
            spec["preemptionPolicy"] = "PreemptLowerPriority".into();
        }
        set_or_remove(spec, "priorityClassName", Value::Null);
    }
}

/// The DefaultTolerationSeconds plugin.
fn tolerations(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let given = spec["tolerations"].as_array().into_iter().flatten();
        let text =
            |toleration: &Value, field: &str| toleration[field].as_str().unwrap_or_default().to_owned();
        let tolerated = given.into_iter().any(|toleration| {
            ["", key].contains(&&*text(toleration, "key"))
                && ["", "NoExecute"].contains(&&*text(toleration, "effect"))
        });
        if !tolerated {
            let toleration = json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": PATIENCE});
            push(spec, "tolerations", toleration);
        }
    }
}

/// The StorageObjectInUseProtection plugin.
fn protect(body: &mut Value, finalizer: &str) {
    let finalizers = body["metadata"]["finalizers"].as_array();
    if !finalizers.is_some_and(|all| all.iter().any(|one| one == finalizer)) {
        push(&mut body["metadata"], "finalizers", finalizer.into());
    }
}

/// The TaintNodesByCondition plugin; and the networks of pods, of which the first has a field of its own.
fn not_ready(spec: &mut Value) {
    let taint = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
    let taints = spec["taints"].as_array();
    if !taints.is_some_and(|all| {
        all.iter().any(|one| one["key"] == taint["key"] && one["effect"] == taint["effect"])
    }) {
        push(spec, "taints", taint);
    }
}

fn push(object: &mut Value, field: &str, item: Value) {
    if same(&object[field], &Value::Null) {
        object[field] = json!([]);
    }
    if let Some(list) = object[field].as_array_mut() {
        list.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_tolerates_lost_nodes_for_a_while_unless_it_says_otherwise() {
        let mut spec = json!({});
        tolerations(&mut spec);
        assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
        tolerations(&mut spec);
        assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
        let mut spec = json!({"tolerations": [{"operator": "Exists"}]});
        tolerations(&mut spec);
        assert_eq!(spec["tolerations"].as_array().unwrap().len(), 1);
    }
}
