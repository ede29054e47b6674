//! `components.schemas`: the types that a document's paths refer to, and what those refer to.

use serde_json::{Map, Value, json};

use super::table;
use crate::model::Gvk;

const PREFIX: &str = "#/components/schemas/";
/// What says of which kinds a schema is.
pub(super) const GVK: &str = "x-kubernetes-group-version-kind";

/// The name of a built-in type in documents: `io.k8s.api.core.v1.Pod` for `core.v1.Pod`.
pub(super) fn long(name: &str) -> String {
    let prefix = match name.split('.').next().unwrap_or_default() {
        "meta" => "io.k8s.apimachinery.pkg.apis.",
        "api" | "util" | "runtime" | "version" => "io.k8s.apimachinery.pkg.",
        "apiextensions" => "io.k8s.apiextensions-apiserver.pkg.apis.",
        "apiregistration" => "io.k8s.kube-aggregator.pkg.apis.",
        "io" => "",
        _ => "io.k8s.api.",
    };
    format!("{prefix}{name}")
}

fn short(name: &str) -> &str {
    let known = [
        "io.k8s.api.",
        "io.k8s.apimachinery.pkg.apis.",
        "io.k8s.apimachinery.pkg.",
        "io.k8s.apiextensions-apiserver.pkg.apis.",
        "io.k8s.kube-aggregator.pkg.apis.",
    ];
    known.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// A reference to a type by its name in documents.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("{PREFIX}{name}")})
}

/// A reference with a description.
pub(super) fn described_reference(name: &str, description: Value) -> Value {
    json!({"description": description, "allOf": [reference(name)]})
}

/// All schemas that `paths` need. `own` are those of the document's own kinds: each by its name.
pub(super) fn components(paths: &Value, own: Map<String, Value>) -> Map<String, Value> {
    let mut todo = Vec::new();
    references(paths, &mut todo);
    let mut found = own;
    for schema in found.values() {
        references(schema, &mut todo);
    }
    while let Some(name) = todo.pop() {
        if found.contains_key(&name) {
            continue;
        }
        let Some(schema) = builtin(short(&name)) else { continue };
        references(&schema, &mut todo);
        found.insert(name, schema);
    }
    found
}

/// A built-in type with its descriptions, as documents have it.
pub(super) fn builtin(name: &str) -> Option<Value> {
    let mut schema = table::schema(name)?;
    for (field, text) in table::descriptions(name) {
        match field {
            "" => schema["description"] = text,
            extension if extension.starts_with("x-kubernetes-unions") => schema[extension] = text,
            field => {
                if let Some(property) = schema["properties"].get_mut(field) {
                    property["description"] = text;
                }
            }
        }
    }
    if let Some(gvk) = table::kind_of(name) {
        schema[GVK] = json!([gvk_of(gvk)]);
    }
    Some(expand(schema))
}

/// A kind as documents name it.
pub(super) fn gvk_of(gvk: &Gvk) -> Value {
    json!({"group": &*gvk.group, "kind": &*gvk.kind, "version": &*gvk.version})
}

/// References by long name; one that says more than its name does so beside an `allOf`.
fn expand(schema: Value) -> Value {
    let Value::Object(map) = schema else { return schema };
    let alone = map.len() == 1;
    let mut out = Map::new();
    for (key, value) in map {
        match (key.as_str(), value) {
            ("$ref", Value::String(name)) if alone => return reference(&long(&name)),
            ("$ref", Value::String(name)) => {
                out.insert("allOf".to_owned(), json!([reference(&long(&name))]));
            }
            ("properties", Value::Object(fields)) => {
                let fields = fields.into_iter().map(|(name, schema)| (name, expand(schema))).collect();
                out.insert(key, Value::Object(fields));
            }
            ("items" | "additionalProperties" | "not", value) => {
                out.insert(key, expand(value));
            }
            ("oneOf" | "anyOf" | "allOf", Value::Array(branches)) => {
                out.insert(key, branches.into_iter().map(expand).collect());
            }
            (_, value) => {
                out.insert(key, value);
            }
        }
    }
    Value::Object(out)
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix(PREFIX)) {
                found.push(name.to_owned());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_long_in_documents() {
        for (name, expected) in [
            ("core.v1.Pod", "io.k8s.api.core.v1.Pod"),
            ("meta.v1.Time", "io.k8s.apimachinery.pkg.apis.meta.v1.Time"),
            ("api.resource.Quantity", "io.k8s.apimachinery.pkg.api.resource.Quantity"),
        ] {
            assert_eq!(long(name), expected);
            assert_eq!(short(expected), name);
        }
    }

    #[test]
    fn a_reference_that_says_more_stands_beside_it() {
        let schema = builtin("apps.v1.Deployment").unwrap();
        let spec = &schema["properties"]["spec"];
        assert_eq!(spec["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec");
        assert!(spec["description"].is_string() && spec["$ref"].is_null());
        let unions = builtin("core.v1.AppArmorProfile").unwrap();
        assert!(unions["x-kubernetes-unions"].is_array());
    }
}
