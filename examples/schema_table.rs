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
use std::path::PathBuf;

use serde_json::{Map, Value, json};

#[path = "support/openapi.rs"]
mod openapi;

use openapi::{Types, compact, references, short, types_of};

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
