//! Makes what `src/plane/openapi/table` holds beside the schema table, from an API server's OpenAPI v3 documents:
//! descriptions, types that no kind is made of (lists, options, `Status`), and the parameters of requests.
//!
//!     cargo run --example openapi_table -- OPENAPI_FOLDER src/schema/table/types.jsonl src/plane/openapi/table
//!
//! OPENAPI_FOLDER holds one `*.json` for each document, as `kubectl get --raw /openapi/v3/apis/apps/v1` gives it.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

#[path = "support/openapi.rs"]
mod openapi;

use openapi::{Types, compact, references, short, types_of};

const GVK: &str = "x-kubernetes-group-version-kind";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(from), Some(known), Some(to)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: openapi_table OPENAPI_FOLDER TYPES_FILE TARGET_FOLDER".into());
    };
    let types = types_of(&from)?;
    let known = fs::read_to_string(known)?;
    let known: BTreeSet<&str> = known.lines().filter_map(|line| Some(line.split_once('\t')?.0)).collect();
    let wanted = wanted(&types, &known);
    let (mut rows, mut descriptions, mut seen) = (String::new(), String::new(), BTreeMap::new());
    for name in &wanted {
        let (schema, name) = (&types[name], short(name));
        describe(name, schema, &mut seen, &mut descriptions);
        if !known.contains(name) {
            let mut row = compact(schema);
            if let Some(gvk) = schema.get(GVK) {
                row[GVK] = gvk.clone();
            }
            rows.push_str(&format!("{name}\t{row}\n"));
        }
    }
    fs::write(to.join("types.jsonl"), rows)?;
    fs::write(to.join("descriptions.txt"), descriptions)?;
    fs::write(to.join("parameters.json"), parameters(&from)?)?;
    Ok(())
}

/// What the known types are, lists of them, what goes with every request, and what all that refers to.
fn wanted(types: &Types, known: &BTreeSet<&str>) -> BTreeSet<String> {
    let of_requests = ["DeleteOptions", "Status", "Patch", "WatchEvent", "APIResourceList"];
    let others = ["autoscaling.v1.Scale", "policy.v1.Eviction", "authentication.v1.TokenRequest"];
    let mut todo: Vec<String> = types
        .keys()
        .filter(|name| {
            let name = short(name);
            known.contains(name)
                || others.contains(&name)
                || name.strip_suffix("List").is_some_and(|item| known.contains(item))
                || name.strip_prefix("meta.v1.").is_some_and(|name| of_requests.contains(&name))
        })
        .cloned()
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = todo.pop() {
        if seen.insert(name.clone()) {
            references(&types[&name], &mut todo);
        }
    }
    seen
}

/// The descriptions of a type and of its fields, and what else the schema table leaves out of it. A text that was
/// there before is named by where it was.
fn describe(name: &str, schema: &Value, seen: &mut BTreeMap<String, String>, text: &mut String) {
    let mut line = |field: &str, value: &Value| {
        let value = value.to_string();
        match seen.get(&value) {
            Some(first) => text.push_str(&format!("{name}\t{field}\t={first}\n")),
            None => {
                text.push_str(&format!("{name}\t{field}\t{value}\n"));
                seen.insert(value, format!("{name} {field}"));
            }
        }
    };
    if let Some(description) = schema.get("description") {
        line("", description);
    }
    if let Some(unions) = schema.get("x-kubernetes-unions") {
        line("x-kubernetes-unions", unions);
    }
    for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(description) = schema.get("description").filter(|description| description.is_string()) {
            line(field, description);
        }
    }
}

/// Parameters by name; where several have the same name, by name and the method whose they are.
fn parameters(folder: &Path) -> Result<String, Box<dyn Error>> {
    let document: Value = serde_json::from_str(&fs::read_to_string(folder.join("apps-v1.json"))?)?;
    let mut found: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for item in document["paths"].as_object().into_iter().flat_map(Map::values) {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let list = if method == "parameters" { operation } else { &operation["parameters"] };
            for parameter in list.as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap_or_default();
                if name != "name" {
                    let by_method = found.entry(name.to_owned()).or_default();
                    by_method.entry(parameter.to_string()).or_insert_with(|| method.as_str().into());
                }
            }
        }
    }
    let mut map = Map::new();
    for (name, by_text) in found {
        let several = by_text.len() > 1;
        for (text, method) in by_text {
            let key = match method.as_str() {
                Some("patch") if several => format!("{name}:patch"),
                _ => name.clone(),
            };
            map.insert(key, serde_json::from_str(&text)?);
        }
    }
    Ok(serde_json::to_string_pretty(&Value::Object(map))? + "\n")
}
