//! What is read out of an object, whatever its kind.

use serde_json::{Value, json};

/// The label that names an object's Cluster.
pub(super) const CLUSTER_NAME: &str = "cluster.x-k8s.io/cluster-name";
/// What keeps an object until its simulated operator has cleared up after it.
pub(super) const FINALIZER: &str = "simulated-operators.moin.scs.community/cleanup";

pub(super) fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    path.iter().fold(value, |value, key| &value[*key]).as_str().unwrap_or_default()
}

pub(super) fn name(object: &Value) -> &str {
    text(object, &["metadata", "name"])
}

pub(super) fn namespace(object: &Value) -> &str {
    text(object, &["metadata", "namespace"])
}

pub(super) fn uid(object: &Value) -> &str {
    text(object, &["metadata", "uid"])
}

pub(super) fn generation(object: &Value) -> i64 {
    object["metadata"]["generation"].as_i64().unwrap_or(1)
}

pub(super) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

pub(super) fn label<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["labels"][name].as_str()
}

pub(super) fn group(object: &Value) -> &str {
    text(object, &["apiVersion"]).split_once('/').map_or("", |(group, _)| group)
}

pub(super) fn finalizers(object: &Value) -> Vec<&str> {
    array(&object["metadata"]["finalizers"]).filter_map(Value::as_str).collect()
}

pub(super) fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Whether `object` says that this one owns it.
pub(super) fn is_owned_by(object: &Value, owner: &Value) -> bool {
    array(&object["metadata"]["ownerReferences"])
        .any(|reference| reference["uid"] == owner["metadata"]["uid"])
}

/// A reference to an owner, for what it owns.
pub(super) fn owned_by(owner: &Value) -> Value {
    json!([{"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true}])
}

/// Whether `have` says all of `wanted`.
pub(super) fn is_said(have: &Value, wanted: &Value) -> bool {
    match (have, wanted) {
        (Value::Object(have), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| is_said(have.get(key).unwrap_or(&Value::Null), value))
        }
        (Value::Array(have), Value::Array(wanted)) => {
            have.len() == wanted.len() && have.iter().zip(wanted).all(|(have, wanted)| is_said(have, wanted))
        }
        (have, wanted) => have == wanted,
    }
}

/// Whether a version is of Cluster API's newer shape: `v1beta2` and later.
pub(super) fn is_modern(object: &Value) -> bool {
    let version = text(object, &["apiVersion"]).rsplit('/').next().unwrap_or_default();
    !version.starts_with("v1alpha") && version != "v1beta1"
}
