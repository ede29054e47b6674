//! Makes the tables of built-in kinds in `src/schema/table` from an API server's OpenAPI v3 documents and discovery.
//!
//!     cargo run --example schema_table -- OPENAPI_FOLDER src/schema/table
//!
//! OPENAPI_FOLDER holds `discovery.json` (the answers of `/api/v1`, `/apis/GROUP/VERSION` by path) and one
//! `*.json` for each `/openapi/v3/...` document. Written are `kinds.jsonl` (a kind a line) and `types.jsonl`
//! (a type a line: its name, a tab, its schema), with what no kind reaches left out.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

type Types = BTreeMap<String, Value>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: schema_table OPENAPI_FOLDER TARGET_FOLDER".into());
    };
    let types = types_of(&from)?;
    let discovery: Value = serde_json::from_str(&fs::read_to_string(from.join("discovery.json"))?)?;
    let kinds = kinds_of(&discovery, &types);
    fs::write(to.join("kinds.jsonl"), kinds.iter().map(|k| format!("{k}\n")).collect::<String>())?;
    let reached = reached(&kinds, &types);
    let mut text = String::new();
    for name in &reached {
        text.push_str(&format!("{}\t{}\n", short(name), compact(&types[name])));
    }
    fs::write(to.join("types.jsonl"), text)?;
    Ok(())
}

/// All schemas of all documents by name; the documents agree where they overlap.
fn types_of(folder: &Path) -> Result<Types, Box<dyn Error>> {
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

fn kinds_of(discovery: &Value, types: &Types) -> Vec<Value> {
    let mut kinds = BTreeMap::new();
    let lists = discovery.as_object().into_iter().flat_map(Map::values);
    for list in lists.filter(|v| v["kind"] == "APIResourceList") {
        let group_version = list["groupVersion"].as_str().unwrap_or_default();
        let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
        let resources = list["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
        for resource in resources {
            let name = resource["name"].as_str().unwrap_or_default();
            let kind = resource["kind"].as_str().unwrap_or_default();
            if name.contains('/') {
                continue;
            }
            let below = format!("{name}/");
            let subresources: Vec<&str> =
                resources.iter().filter_map(|r| r["name"].as_str()?.strip_prefix(below.as_str())).collect();
            let gvk = json!({"group": group, "version": version, "kind": kind});
            let ty = types
                .iter()
                .find(|(_, schema)| {
                    let gvks = schema["x-kubernetes-group-version-kind"].as_array();
                    schema["properties"]["kind"].is_object()
                        && gvks.is_some_and(|all| all[..] == [gvk.clone()])
                })
                .map(|(name, _)| short(name));
            kinds.insert(
                (group.to_owned(), version.to_owned(), kind.to_owned()),
                json!({
                    "group": group, "version": version, "kind": kind, "plural": name,
                    "singular": resource["singularName"], "shortNames": resource["shortNames"],
                    "categories": resource["categories"], "namespaced": resource["namespaced"],
                    "verbs": resource["verbs"], "subresources": subresources, "type": ty,
                }),
            );
        }
    }
    kinds.into_values().collect()
}

/// Names of all types that a kind needs.
fn reached(kinds: &[Value], types: &Types) -> BTreeSet<String> {
    let long: BTreeMap<&str, &String> = types.keys().map(|name| (short(name), name)).collect();
    let mut todo: Vec<String> =
        kinds.iter().filter_map(|k| Some((*long.get(k["type"].as_str()?)?).clone())).collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = todo.pop() {
        if seen.insert(name.clone()) {
            references(&types[&name], &mut todo);
        }
    }
    seen
}

fn references(schema: &Value, found: &mut Vec<String>) {
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
fn compact(schema: &Value) -> Value {
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
fn short(name: &str) -> &str {
    let known = [
        "io.k8s.api.",
        "io.k8s.apimachinery.pkg.apis.",
        "io.k8s.apimachinery.pkg.",
        "io.k8s.apiextensions-apiserver.pkg.apis.",
    ];
    known.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}
