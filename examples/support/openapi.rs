//! Reading OpenAPI v3 documents of an API server, for the tools that make tables of them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use serde_json::Value;

pub type Types = BTreeMap<String, Value>;

/// All schemas of all documents by name; the documents agree where they overlap.
pub fn types_of(folder: &Path) -> Result<Types, Box<dyn Error>> {
    let mut types = Types::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|e| e != "json") || path.ends_with("discovery.json") {
            continue;
        }
        let document: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
        let schemas = document["components"]["schemas"].as_object().ok_or("no components.schemas")?;
        types.extend(schemas.iter().map(|(name, schema)| (name.clone(), schema.clone())));
    }
    Ok(types)
}

/// Names of the types that a schema refers to.
pub fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                found.push(reference.rsplit('/').next().unwrap_or_default().to_owned());
            }
            map.values().for_each(|v| references(v, found));
        }
        Value::Array(list) => list.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

/// A schema without what the program has no use for, references by short name.
pub fn compact(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(all)) = map.get("allOf")
                && let [only] = all.as_slice()
            {
                let mut flat = map.clone();
                flat.remove("allOf");
                flat.extend(only.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
                return compact(&Value::Object(flat));
            }
            let kept = map.iter().filter(|(key, value)| {
                !matches!(
                    key.as_str(),
                    "description" | "x-kubernetes-group-version-kind" | "x-kubernetes-unions"
                ) || (key.as_str() == "description" && value.is_object())
            });
            Value::Object(kept.map(|(key, value)| (key.clone(), entry(key, value))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(compact).collect()),
        other => other.clone(),
    }
}

fn entry(key: &str, value: &Value) -> Value {
    match (key, value) {
        ("$ref", Value::String(reference)) => {
            Value::String(short(reference.rsplit('/').next().unwrap_or_default()).to_owned())
        }
        ("properties", Value::Object(map)) => {
            Value::Object(map.iter().map(|(name, schema)| (name.clone(), compact(schema))).collect())
        }
        ("default" | "enum", value) => value.clone(),
        (_, value) => compact(value),
    }
}

/// `core.v1.Pod` for `io.k8s.api.core.v1.Pod`.
pub fn short(name: &str) -> &str {
    let known = [
        "io.k8s.api.",
        "io.k8s.apimachinery.pkg.apis.",
        "io.k8s.apimachinery.pkg.",
        "io.k8s.apiextensions-apiserver.pkg.apis.",
        "io.k8s.kube-aggregator.pkg.apis.",
    ];
    known.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}
