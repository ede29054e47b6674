//! Defaults of built-in kinds: what no OpenAPI document says, in one place.
//!
//! An API server holds built-in kinds as structs, so a struct that is no pointer is written even when it is empty;
//! and it fills in what the kinds' own defaulting functions say, for the kinds that people apply.

mod admission;
mod cluster;
mod network;
mod pods;
mod workloads;

use serde_json::{Map, Value};

use super::types::TypeRef;
use crate::model::Gvk;

/// Fills in the defaults of a built-in kind, as the `defaults.go` of its group does.
pub(super) fn fill(gvk: &Gvk, ty: &TypeRef, object: &mut Value) {
    structs(ty, object);
    let spec = &mut object["spec"];
    match (&*gvk.group, &*gvk.kind) {
        ("", "Pod") => pods::pod(spec),
        ("", "Service") => network::service(object),
        ("", "Endpoints") => network::endpoints(object),
        ("", "Secret") => set(object, "type", "Opaque"),
        ("", "PersistentVolumeClaim") => cluster::claim(object),
        ("", "PersistentVolume") => cluster::volume(spec),
        ("", "LimitRange") => cluster::limit_range(spec),
        ("", "Node") => cluster::node(object),
        ("", "PodTemplate") => pods::pod_spec(&mut object["template"]["spec"]),
        ("", "ReplicationController") => workloads::replication_controller(object),
        ("" | "events.k8s.io", "Event") => {
            for field in ["reportingComponent", "reportingInstance"] {
                if gvk.group.is_empty() && object.get(field).is_none_or(Value::is_null) {
                    object[field] = "".into();
                }
            }
        }
        ("apps", "Deployment") => workloads::deployment(spec),
        ("apps", "ReplicaSet") => workloads::replica_set(spec),
        ("apps", "DaemonSet") => workloads::daemon_set(spec),
        ("apps", "StatefulSet") => workloads::stateful_set(spec),
        ("batch", "Job") => workloads::job(object),
        ("batch", "CronJob") => workloads::cron_job(spec),
        ("autoscaling", "HorizontalPodAutoscaler") => cluster::autoscaler(spec),
        ("networking.k8s.io", "NetworkPolicy") => network::network_policy(spec),
        ("networking.k8s.io", "IngressClass") => network::ingress_class(spec),
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice(object),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => cluster::role_binding(object),
        ("storage.k8s.io", "StorageClass") => cluster::storage_class(object),
        ("storage.k8s.io", "CSIDriver") => cluster::storage_driver(spec),
        ("scheduling.k8s.io", "PriorityClass") => set(object, "preemptionPolicy", "PreemptLowerPriority"),
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
        ) => admission::webhooks(gvk, object),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy") => {
            set(spec, "failurePolicy", "Fail");
            admission::matching(spec, "matchConstraints");
        }
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding",
        ) => admission::matching(spec, "matchResources"),
        _ => {}
    }
    if object["spec"].is_null() {
        // Looking at an absent spec leaves a null behind.
        object.as_object_mut().map(|object| object.remove("spec"));
    }
}

/// Structs that are no pointers, there even when nothing was set; and what the types themselves say a field is when it
/// is not set.
fn structs(ty: &TypeRef, value: &mut Value) {
    let ty = ty.get();
    match value {
        Value::Object(object) => {
            let Some(map) = &ty.map else { return };
            for (name, field) in &map.fields {
                let default = match &field.default {
                    Some(Value::Object(_)) => Value::Object(Map::new()),
                    // An empty or zero default is how the type of any field that is always written is shown.
                    Some(declared) if !is_zero(declared) => declared.clone(),
                    _ => continue,
                };
                if object.get(&**name).is_none_or(|there| there.is_null() || there == "") {
                    object.insert(name.to_string(), default);
                }
            }
            for (key, value) in object.iter_mut() {
                if let Some(ty) = map.value_type(key) {
                    structs(ty, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(ty) = ty.list.as_ref().and_then(|list| list.items.as_ref()) {
                items.iter_mut().for_each(|item| structs(ty, item));
            }
        }
        _ => {}
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(flag) => !flag,
        _ => true,
    }
}

/// Sets a field that is absent, `null` or empty text.
fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut()
        && map.get(field).is_none_or(|v| v.is_null() || v == "")
    {
        map.insert(field.to_owned(), value.into());
    }
}

/// The items of a list; an absent one is left absent.
fn items<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = object.as_object_mut().and_then(|object| object.get_mut(field));
    list.and_then(Value::as_array_mut).into_iter().flatten()
}

/// The value of a field that is an object; absent ones are left absent.
fn within<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    object.as_object_mut()?.get_mut(field).filter(|value| value.is_object())
}

#[cfg(test)]
mod tests {
    use crate::model::Gvk;
    use crate::schema::Schemas;
    use serde_json::json;

    #[test]
    fn a_deployment_is_filled_in() {
        let mut object = json!({
            "metadata": {"name": "d"},
            "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "a"}]}}},
        });
        Schemas::builtin().fill_defaults(&Gvk::new("apps/v1", "Deployment"), &mut object);
        let spec = &object["spec"];
        assert_eq!(spec["strategy"]["rollingUpdate"]["maxSurge"], "25%");
        assert_eq!(spec["template"]["spec"]["containers"][0]["imagePullPolicy"], "Always");
        assert_eq!(spec["template"]["spec"]["containers"][0]["resources"], json!({}));
        assert_eq!(object["status"], json!({}));
        assert!(!serde_json::to_string(&object).unwrap().contains("null"));
    }

    #[test]
    fn what_is_absent_stays_absent() {
        let mut object = json!({"metadata": {"name": "a"}, "data": {"a": "b"}});
        let before = object.clone();
        Schemas::builtin().fill_defaults(&Gvk::new("v1", "ConfigMap"), &mut object);
        assert_eq!(object, before);
    }
}
