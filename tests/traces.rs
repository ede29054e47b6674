//! Exchanges with a real kube-apiserver, replayed on the plane in-process: status, body and warnings must be those
//! that it answered, but for what differs from run to run (uids, resourceVersions, times).

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use kube::Client;
use moin::plane::Plane;
use serde_json::{Value, json};
use support::exchange::{Names, call, difference, substitute, substituted};

/// Scenarios that do not come out as recorded yet, and why.
const NOT_YET: [(&str, &str); 0] = [];

const APPLY: &str = "application/apply-patch+yaml";

/// What does not come out as recorded.
async fn replay(plane: &Client, trace: &Value) -> Vec<String> {
    let scenario = trace["scenario"].as_str().unwrap();
    let namespace: String = format!("t-{scenario}").chars().take(50).collect();
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    let path = format!("/api/v1/namespaces/{namespace}?fieldManager=setup&force=true");
    call(plane, "PATCH", &path, Some(&body), APPLY).await;
    let (mut answers, mut names, mut out) = (Vec::new(), Names::default(), Vec::new());
    for (index, step) in trace["steps"].as_array().unwrap().iter().enumerate() {
        let path = substitute(step["path"].as_str().unwrap(), &namespace, &answers);
        let method = step["method"].as_str().unwrap();
        let body = step.get("body").filter(|b| !b.is_null()).map(|b| substituted(b, &namespace, &answers));
        let content_type = step["contentType"].as_str().unwrap_or("application/json");
        let http_method = if matches!(method, "WAIT" | "WATCH") { "GET" } else { method };
        let mut answer = call(plane, http_method, &path, body.as_ref(), content_type).await;
        let got = if method == "WAIT" {
            answers.push(Value::Null);
            json!({"status": answer.status})
        } else {
            if method == "WATCH" {
                answer.body = match answer.body {
                    Value::String(lines) => {
                        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
                    }
                    one => json!([one]),
                };
            }
            let got = answer.comparable(&mut names, &namespace);
            answers.push(answer.body);
            got
        };
        difference(&format!("[{index}]"), &step["response"], &got, &mut out);
    }
    out
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn read(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

async fn replay_all(folder: &str) {
    let Some(traces) = support::shared_data("apiserver-traces") else { return };
    let plane = Plane::new().client();
    for file in files(&traces.join("crds")) {
        let definition = read(&file);
        let name = definition["metadata"]["name"].as_str().unwrap();
        let path = format!(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=setup&force=true"
        );
        let answer = call(&plane, "PATCH", &path, Some(&definition), APPLY).await;
        assert_eq!(answer.status, 201, "{name}: {}", answer.body);
    }
    let mut wrong = Vec::new();
    for file in files(&traces.join(folder)) {
        let trace = read(&file);
        let scenario = trace["scenario"].as_str().unwrap();
        let found = replay(&plane, &trace).await;
        let expected = NOT_YET.iter().find(|(name, _)| *name == scenario);
        match (expected, found.is_empty()) {
            (None, false) => {
                let shown = found.iter().take(6).map(|line| format!("\n    {line}")).collect::<String>();
                wrong.push(format!("{scenario}{shown}"));
            }
            (Some((name, why)), true) => wrong.push(format!("{name} comes out as recorded now (was: {why})")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn scenarios_come_out_as_recorded() {
    replay_all("scenarios").await;
}

#[tokio::test]
async fn walks_come_out_as_recorded() {
    replay_all("walks").await;
}
