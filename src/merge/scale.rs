//! Field managers of the `scale` subresource: who owns the replicas of an object owns those of its scale.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::managers::{self, Entry};
use super::path::{Path, PathElement};
use super::set::FieldSet;

const SCALE: &str = "autoscaling/v1";

fn in_scale() -> FieldSet {
    FieldSet::of_fields([["spec", "replicas"]])
}

fn in_object(replicas: &[String]) -> Path {
    replicas.iter().cloned().map(PathElement::Field).collect()
}

/// The managed fields of an object's scale; `replicas` is where the object has them.
pub fn to_scale(object: &Value, replicas: &[String]) -> Value {
    let place = in_object(replicas);
    let mut owners = managers::decode(object);
    owners.retain(|_, entry| entry.set.contains(&place));
    for entry in owners.values_mut() {
        *entry = Entry { api_version: SCALE.to_owned(), time: entry.time.take(), set: in_scale() };
    }
    let mut shown = json!({"metadata": {}});
    managers::write(&mut shown, &owners);
    shown["metadata"]["managedFields"].take()
}

/// The managed fields of an object after a write through its scale, whose managed fields are those of `scale`.
pub fn from_scale(object: &Value, replicas: &[String], scale: &Value) -> Value {
    let place = in_object(replicas);
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let mut of_scale = managers::decode(scale);
    let mut after: managers::Managers = BTreeMap::new();
    for (identity, mut entry) in managers::decode(object) {
        if entry.set.contains(&place) && of_scale.remove(&identity).is_none() {
            // Another version's name is another's: what was owned goes over to the entry of the scale.
            entry.set = entry.set.difference(&FieldSet::of([&*place]));
        }
        if !entry.set.is_empty() {
            after.insert(identity, entry);
        }
    }
    for (identity, entry) in of_scale {
        if !entry.set.intersection(&in_scale()).is_empty() {
            let set = FieldSet::of([&*place]);
            // Who is new to the object has no time.
            after.insert(identity, Entry { api_version: api_version.to_owned(), time: None, set });
        }
    }
    let mut shown = json!({"metadata": {}});
    managers::write(&mut shown, &after);
    shown["metadata"]["managedFields"].take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_go_over_to_who_scales() {
        let object = json!({"apiVersion": "apps/v1", "metadata": {"managedFields": [
            {"manager": "a", "operation": "Apply", "apiVersion": "apps/v1", "time": "t",
             "fieldsV1": {"f:spec": {"f:replicas": {}, "f:paused": {}}}}]}});
        let replicas = ["spec".to_owned(), "replicas".to_owned()];
        let shown = to_scale(&object, &replicas);
        assert_eq!(shown[0]["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
        let scaled = json!({"metadata": {"managedFields": [
            {"manager": "b", "operation": "Update", "apiVersion": SCALE, "subresource": "scale", "time": "u",
             "fieldsV1": {"f:spec": {"f:replicas": {}}}}]}});
        let after = from_scale(&object, &replicas, &scaled);
        assert_eq!(after[0]["fieldsV1"], json!({"f:spec": {"f:paused": {}}}));
        assert_eq!((&after[1]["manager"], &after[1]["time"]), (&json!("b"), &Value::Null));
    }
}
