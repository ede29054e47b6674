//! Makes `src/plane/table/columns.txt`, the columns in which an API server shows its kinds, from a running server.
//!
//!     KUBECONFIG=... cargo run --example table_columns > src/plane/table/columns.txt
//!
//! A line is a column: resource, name, type, format, priority, description. A description that was there before is
//! `=` and where it was.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;

use serde_json::Value;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = kube::Client::try_default().await?;
    let mut seen = BTreeMap::new();
    for (path, resource) in resources(&client).await? {
        let table = get(&client, &path, TABLE).await?;
        for column in table["columnDefinitions"].as_array().into_iter().flatten() {
            let name = column["name"].as_str().unwrap_or_default();
            let text = column["description"].to_string();
            let description = seen.get(&text).map_or_else(|| text.clone(), |first| format!("={first}"));
            seen.entry(text).or_insert_with(|| format!("{resource} {name}"));
            let (kind, format) = (column["type"].as_str(), column["format"].as_str());
            println!(
                "{resource}\t{name}\t{}\t{}\t{}\t{description}",
                kind.unwrap_or_default(),
                format.unwrap_or_default(),
                column["priority"]
            );
        }
    }
    Ok(())
}

/// Paths of the collections, and their names in the table.
async fn resources(client: &kube::Client) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let groups = get(client, "/apis", "application/json").await?;
    let mut roots = vec![(String::new(), "/api/v1".to_owned())];
    for group in groups["groups"].as_array().into_iter().flatten() {
        let name = group["name"].as_str().unwrap_or_default();
        let version = group["preferredVersion"]["version"].as_str().unwrap_or_default();
        roots.push((format!(".{name}"), format!("/apis/{name}/{version}")));
    }
    let mut found = Vec::new();
    for (suffix, root) in roots {
        let list = get(client, &root, "application/json").await?;
        for resource in list["resources"].as_array().into_iter().flatten() {
            let name = resource["name"].as_str().unwrap_or_default();
            let listed = resource["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|v| v == "list"));
            if listed && !name.contains('/') {
                found.push((format!("{root}/{name}"), format!("{name}{suffix}")));
            }
        }
    }
    Ok(found)
}

async fn get(client: &kube::Client, path: &str, accept: &str) -> Result<Value, Box<dyn Error>> {
    let request = http::Request::get(path).header("accept", accept).body(Vec::new())?;
    Ok(client.request(request).await?)
}
