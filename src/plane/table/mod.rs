//! Objects as rows, for `kubectl get`: the columns and cells of each kind as the API server prints them.
//!
//! Columns of built-in kinds are a table (`columns.txt`, made by `examples/table_columns.rs`); how a cell is made is
//! in a file for each family of kinds. A kind without cells of its own shows its name and when it was created.

mod access;
mod admission;
mod cluster;
mod columns;
mod config;
mod custom;
mod events;
mod network;
mod pods;
mod row;
mod selectors;
mod storage;
mod time;
mod workloads;

use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::Resource;
use super::read;
use super::request::Query;
use super::store::Object;
use row::Row;

pub(crate) use columns::AGE_DESCRIPTION;

/// How the cells of a kind are made.
type Cells = fn(&Row<'_>) -> Vec<Value>;

/// A table of objects.
pub(crate) fn of(
    resource: &Resource,
    objects: &[Arc<Object>],
    metadata: Value,
    query: &Query,
    with_columns: bool,
    now: &str,
) -> Value {
    let include = query.get("includeObject").unwrap_or("Metadata");
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let body = object.body();
            let mut row = json!({"cells": cells(resource, &body, now)});
            if let Some(conditions) = pods::conditions(resource, &body) {
                row["conditions"] = conditions;
            }
            match include {
                "None" => {}
                "Object" => row["object"] = super::write::served(resource, object),
                _ => row["object"] = read::metadata_of(object),
            }
            row
        })
        .collect();
    table(with_columns.then(|| columns(resource)), rows, metadata)
}

/// The table of a `scale` subresource.
pub(crate) fn of_scale(scale: &Value, now: &str) -> Value {
    let row = Row::new(scale, now);
    let cells = [
        row.name(),
        row.number(&scale["spec"]["replicas"]),
        row.number(&scale["status"]["replicas"]),
        row.age(),
    ];
    let metadata = json!({"resourceVersion": scale["metadata"]["resourceVersion"]});
    table(Some(columns::scale()), vec![json!({"cells": cells, "object": metadata_only(scale)})], metadata)
}

fn metadata_only(object: &Value) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
}

fn table(columns: Option<Vec<Value>>, rows: Vec<Value>, metadata: Value) -> Value {
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "Table", "metadata": metadata,
        "columnDefinitions": columns, "rows": rows,
    })
}

fn columns(resource: &Resource) -> Vec<Value> {
    if resource.custom { custom::columns(resource) } else { columns::builtin(&resource.qualified) }
}

fn cells(resource: &Resource, body: &Value, now: &str) -> Vec<Value> {
    let row = Row::new(body, now);
    if resource.custom {
        return custom::cells(resource, &row);
    }
    let families = [
        pods::cells,
        workloads::cells,
        config::cells,
        network::cells,
        storage::cells,
        access::cells,
        admission::cells,
        cluster::cells,
        events::cells,
    ];
    match families.iter().find_map(|family| family(&resource.qualified)) {
        Some(cells) => cells(&row),
        None => vec![row.name(), body["metadata"]["creationTimestamp"].clone()],
    }
}
