//! Schemas of custom kinds: those of their definitions, with what every object has.

use serde_json::{Map, Value, json};

use super::schemas::{GVK, described_reference, long, reference};
use super::table;
use crate::plane::kinds::Resource;

/// `org.example.v1.Widget` for the kind Widget of `example.org/v1`.
pub(super) fn name(resource: &Resource, kind: &str) -> String {
    let group: Vec<&str> = resource.gvk.group.rsplit('.').collect();
    format!("{}.{}.{kind}", group.join("."), resource.gvk.version)
}

/// The schemas of a kind and of its list, by name. `version` is the entry of the definition's `spec.versions`.
pub(super) fn schemas(resource: &Resource, version: &Value) -> [(String, Value); 2] {
    let own = name(resource, &resource.gvk.kind);
    let mut object = match version["schema"].get("openAPIV3Schema") {
        Some(schema) if schema.is_object() => published(schema),
        _ => json!({"type": "object"}),
    };
    if version["schema"]["openAPIV3Schema"].is_object() {
        add_type_meta(&mut object, "meta.v1.DeleteOptions");
        object["properties"]["metadata"] = object_meta();
    }
    object[GVK] = gvk(resource, &resource.gvk.kind);
    let mut list = json!({
        "description": format!("{} is a list of {}", resource.list_kind, resource.gvk.kind),
        "type": "object", "required": ["items"],
        "properties": {
            "items": {
                "description": format!("List of {}. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md", resource.plural),
                "type": "array", "items": reference(&own),
            },
            "metadata": described_reference(&long("meta.v1.ListMeta"), "Standard list metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds".into()),
        },
    });
    add_type_meta(&mut list, "meta.v1.DeleteOptions");
    list[GVK] = gvk(resource, &resource.list_kind);
    if let Some(selectable) =
        version.get("selectableFields").and_then(Value::as_array).filter(|s| !s.is_empty())
    {
        let fields: Vec<Value> = selectable
            .iter()
            .filter_map(|field| field["jsonPath"].as_str())
            .map(|path| json!({"fieldPath": path.strip_prefix('.').unwrap_or(path)}))
            .collect();
        object["x-kubernetes-selectable-fields"] = fields.clone().into();
        list["x-kubernetes-selectable-fields"] = fields.into();
    }
    [(own, object), (name(resource, &resource.list_kind), list)]
}

fn gvk(resource: &Resource, kind: &str) -> Value {
    json!([{"group": &*resource.gvk.group, "kind": kind, "version": &*resource.gvk.version}])
}

fn object_meta() -> Value {
    described_reference(&long("meta.v1.ObjectMeta"), "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata".into())
}

/// `apiVersion` and `kind`, described as they are for a built-in type.
fn add_type_meta(schema: &mut Value, like: &str) {
    for field in ["apiVersion", "kind"] {
        schema["properties"][field] =
            json!({"description": table::description(like, field), "type": "string"});
    }
}

/// A schema as it is published: whole objects inside have their usual fields, and what says nothing is left out.
fn published(schema: &Value) -> Value {
    let Value::Object(map) = schema else { return schema.clone() };
    let mut out = Map::new();
    for (key, value) in map {
        let value = match (key.as_str(), value) {
            (_, Value::Null)
            | ("nullable" | "uniqueItems" | "x-kubernetes-int-or-string", Value::Bool(false)) => continue,
            ("properties", Value::Object(fields)) => {
                fields.iter().map(|(name, schema)| (name.clone(), published(schema))).collect()
            }
            ("items" | "additionalProperties" | "not", value) => published(value),
            ("oneOf" | "anyOf" | "allOf", Value::Array(branches)) => branches.iter().map(published).collect(),
            (_, value) => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    let mut out = Value::Object(out);
    if out["x-kubernetes-int-or-string"] == true && out["anyOf"].is_null() {
        // Unfolded: those who do not know the extension see the two types.
        let types = json!([{"type": "integer"}, {"type": "string"}]);
        match out.get_mut("allOf").and_then(Value::as_array_mut) {
            Some(branches) if branches.iter().any(|branch| branch["anyOf"].is_array()) => {}
            _ => out["anyOf"] = types,
        }
    }
    if out["x-kubernetes-embedded-resource"] == true {
        embed(&mut out);
    }
    if let Some(map) = out.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    out
}

/// What an object inside an object has.
fn embed(schema: &mut Value) {
    let text = |description: &str| json!({"description": description, "type": "string"});
    schema["properties"]["apiVersion"] = text(
        "apiVersion defines the versioned schema of this representation of an object. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
    );
    schema["properties"]["kind"] = text(
        "kind is a string value representing the type of this object. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
    );
    schema["properties"]["metadata"] = object_meta();
    if schema["required"].is_null() {
        schema["required"] = json!([]);
    }
    if let Some(required) = schema["required"].as_array_mut() {
        for field in ["kind", "apiVersion"] {
            if !required.iter().any(|name| name == field) {
                required.push(field.into());
            }
        }
    }
}
