//! Tables of every built-in kind: columns and cells are those of the real server.

use std::collections::BTreeMap;

use moin::plane::Plane;
use serde_json::{Value, json};

use crate::support::real_server::RealServer;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const LABEL: &str = "example.org/table";

/// Names of resources by apiVersion and kind, and whether they live in namespaces.
type Resources = BTreeMap<(String, String), (String, bool)>;

async fn call(
    client: &kube::Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Result<Value, String> {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = client.request(request.body(body).unwrap()).await;
    answer.map_err(|error| format!("{method} {path}: {error}"))
}

async fn get(client: &kube::Client, path: &str, accept: &str) -> Value {
    call(client, "GET", path, &[("accept", accept)], &Value::Null).await.unwrap()
}

fn root(api_version: &str) -> String {
    if api_version.contains('/') { format!("/apis/{api_version}") } else { format!("/api/{api_version}") }
}

async fn resources(client: &kube::Client, samples: &[Value]) -> Resources {
    let mut found = Resources::new();
    for sample in samples {
        let version = sample["apiVersion"].as_str().unwrap();
        if found.keys().any(|(known, _)| known == version) {
            continue;
        }
        let list = get(client, &root(version), "application/json").await;
        for resource in list["resources"].as_array().unwrap() {
            let name = resource["name"].as_str().unwrap();
            if !name.contains('/') {
                let kind = resource["kind"].as_str().unwrap().to_owned();
                found.insert((version.to_owned(), kind), (name.to_owned(), resource["namespaced"] == true));
            }
        }
    }
    found
}

fn collection(resources: &Resources, sample: &Value) -> String {
    let text = |key: &str| sample[key].as_str().unwrap().to_owned();
    let (plural, namespaced) = &resources[&(text("apiVersion"), text("kind"))];
    let namespace = if *namespaced { "/namespaces/default" } else { "" };
    format!("{}{namespace}/{plural}", root(&text("apiVersion")))
}

async fn create(client: &kube::Client, resources: &Resources, sample: &Value) -> Result<(), String> {
    let path = collection(resources, sample);
    let json = [("content-type", "application/json")];
    let mut object = sample.clone();
    object["metadata"]["labels"][LABEL] = "yes".into();
    let status = object.as_object_mut().unwrap().remove("status");
    call(client, "POST", &path, &json, &object).await?;
    let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
    if let Some(status) = status {
        let merge = [("content-type", "application/merge-patch+json")];
        call(client, "PATCH", &format!("{path}/status"), &merge, &json!({"status": status})).await?;
    }
    if object["metadata"]["finalizers"].is_array() {
        call(client, "DELETE", &path, &json, &Value::Null).await?;
    }
    Ok(())
}

/// Columns and cells of a table; what each server makes itself made equal.
fn shown(table: &Value) -> Value {
    let rows: Vec<Value> = table["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let cells: Vec<Value> = row["cells"].as_array().unwrap().iter().map(without_time).collect();
            json!({"cells": cells, "conditions": row["conditions"], "kind": row["object"]["kind"]})
        })
        .collect();
    json!({"columns": table["columnDefinitions"], "rows": rows})
}

fn without_time(cell: &Value) -> Value {
    let Value::String(text) = cell else { return cell.clone() };
    let is = |pattern: &str| regex::Regex::new(pattern).unwrap().is_match(text);
    if is(r"^(\d+s|\d+m\d+s)$") || text.parse::<jiff::Timestamp>().is_ok() {
        "AGE".into()
    } else if is(r"^10\.\d+\.\d+\.\d+$") {
        "ADDRESS".into()
    } else {
        let uid = regex::Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap();
        uid.replace_all(text, "UID").into_owned().into()
    }
}

#[tokio::test]
async fn every_kind_is_shown_as_the_real_server_shows_it() {
    let Some(server) = RealServer::shared() else { return };
    let real = server.client("admin").await;
    // As beside the real server, nobody collects objects whose owner is not there.
    let plane = Plane::builder().controllers(false).build().client();
    let samples: Vec<Value> = include_str!("samples.yaml")
        .split("\n---\n")
        .map(|text| moin::yaml::parse(text, true).unwrap_or_else(|error| panic!("{error}: {text}")))
        .collect();
    let known = resources(&real, &samples).await;
    let mut wrong = Vec::new();
    for (side, client) in [("real", &real), ("plane", &plane)] {
        for sample in &samples {
            if let Err(error) = create(client, &known, sample).await {
                wrong.push(format!("{side}: {}", error.split(" (Status").next().unwrap_or_default()));
            }
        }
    }
    let mut paths: Vec<String> = samples.iter().map(|sample| collection(&known, sample)).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        let selected = format!("{path}?labelSelector={LABEL}");
        let expected = shown(&get(&real, &selected, TABLE).await);
        let actual = shown(&get(&plane, &selected, TABLE).await);
        if expected["rows"].as_array().unwrap().is_empty() {
            wrong.push(format!("{path}: no sample was taken"));
        }
        for part in ["columns", "rows"] {
            let (expected, actual) = (expected[part].as_array().unwrap(), actual[part].as_array().unwrap());
            if expected.len() != actual.len() {
                wrong.push(format!("{path}: {} {part}, not {}", actual.len(), expected.len()));
            }
            for (expected, actual) in
                expected.iter().zip(actual).filter(|(expected, actual)| expected != actual)
            {
                wrong.push(format!("{path}\n  real  {expected}\n  plane {actual}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_scale_is_a_table_too() {
    let plane = Plane::new().client();
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}}}});
    let path = "/apis/apps/v1/namespaces/default/deployments";
    call(&plane, "POST", path, &[("content-type", "application/json")], &deployment).await.unwrap();
    let table = get(&plane, &format!("{path}/a/scale"), TABLE).await;
    assert_eq!(table["rows"][0]["cells"].as_array().unwrap()[..3], [json!("a"), json!(2), json!(0)]);
}
