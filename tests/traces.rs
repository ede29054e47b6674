//! Exchanges with a real kube-apiserver, replayed on the plane in-process: status, body and warnings must be those
//! that it answered, but for what differs from run to run (uids, resourceVersions, times).

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use moin::plane::Plane;
use regex::Regex;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Scenarios that do not come out as recorded yet, and why.
const NOT_YET: [(&str, &str); 0] = [];

const APPLY: &str = "application/apply-patch+yaml";

struct Answer {
    status: u16,
    warnings: Vec<String>,
    body: Value,
}

async fn call(plane: &Plane, method: &str, path: &str, body: Option<&Value>, content_type: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("Accept", "application/json");
    let bytes = match body {
        None => Vec::new(),
        Some(body) => {
            request = request.header("Content-Type", content_type);
            body.as_str().map_or_else(|| body.to_string(), str::to_owned).into_bytes()
        }
    };
    let response = plane.router().oneshot(request.body(Body::from(bytes)).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let warnings =
        response.headers().get_all("Warning").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let body = match text.as_str() {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
    };
    Answer { status, warnings, body }
}

/// Ordinals by first appearance: the relation between values is kept, the values are not.
#[derive(Default)]
struct Names(BTreeMap<(&'static str, String), String>);

impl Names {
    fn of(&mut self, kind: &'static str, value: &str) -> String {
        let next = 1 + self.0.keys().filter(|(k, _)| *k == kind).count();
        self.0.entry((kind, value.to_owned())).or_insert_with(|| format!("<{kind}-{next}>")).clone()
    }
}

fn regex(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

static TIME: LazyLock<Regex> = LazyLock::new(|| regex(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"));
static ANY_TIME: LazyLock<Regex> = LazyLock::new(|| regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"));
static UID: LazyLock<Regex> =
    LazyLock::new(|| regex(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"));
/// The words of a decoder are its library's own.
static DECODER: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?s)(error decoding YAML: |error decoding patch: |continue key is not valid: ).*")
});
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| regex(r"\$\{(\d+)\.([^}]*)\}"));

fn normalise(node: &Value, names: &mut Names, key: &str) -> Value {
    match node {
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), normalise(v, names, k))).collect(),
        Value::Array(items) => {
            let mut items = items.clone();
            let fields: &[&str] = match key {
                "managedFields" => &["manager", "operation", "subresource", "apiVersion"],
                "causes" => &["field", "message"],
                _ => &[],
            };
            if !fields.is_empty() {
                items.sort_by_key(|item| -> Vec<String> {
                    fields.iter().map(|f| item[*f].as_str().unwrap_or_default().to_owned()).collect()
                });
            }
            items.iter().map(|item| normalise(item, names, "")).collect()
        }
        Value::String(text) => normalise_text(text, names, key).into(),
        other => other.clone(),
    }
}

fn normalise_text(text: &str, names: &mut Names, key: &str) -> String {
    match key {
        "resourceVersion" if !text.is_empty() => return names.of("rv", text),
        "uid" => return names.of("uid", text),
        "continue" if !text.is_empty() => return "<continue>".to_owned(),
        _ => {}
    }
    if TIME.is_match(text) {
        return "<time>".to_owned();
    }
    let text = DECODER.replace(text, "${1}<decoder>");
    let text = ANY_TIME.replace_all(&text, "<time>");
    UID.replace_all(&text, |found: &regex::Captures<'_>| names.of("uid", &found[0])).into_owned()
}

/// `$NS` is the trace's namespace; `${n.a.b}` is a value out of step n's answer.
fn substitute(text: &str, namespace: &str, answers: &[Value]) -> String {
    let text = text.replace("$NS", namespace);
    let value = |found: &regex::Captures<'_>| {
        let pointer = format!("/{}", found[2].replace('.', "/"));
        let value =
            answers[found[1].parse::<usize>().unwrap()].pointer(&pointer).cloned().unwrap_or_default();
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    };
    REFERENCE.replace_all(&text, value).into_owned()
}

fn substituted(node: &Value, namespace: &str, answers: &[Value]) -> Value {
    match node {
        Value::String(text) => substitute(text, namespace, answers).into(),
        Value::Object(map) => {
            map.iter().map(|(k, v)| (k.clone(), substituted(v, namespace, answers))).collect()
        }
        Value::Array(items) => items.iter().map(|item| substituted(item, namespace, answers)).collect(),
        other => other.clone(),
    }
}

fn difference(path: &str, want: &Value, got: &Value, out: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let path = format!("{path}.{key}");
                match (a.get(key), b.get(key)) {
                    (Some(want), Some(got)) => difference(&path, want, got, out),
                    (want, got) => out.push(format!("{path}: want {want:?} got {got:?}")),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            if a.len() != b.len() {
                out.push(format!("{path}: want {} items, got {}", a.len(), b.len()));
            }
            for (i, (want, got)) in a.iter().zip(b).enumerate() {
                difference(&format!("{path}[{i}]"), want, got, out);
            }
        }
        _ if want != got => out.push(format!("{path}: want {want} got {got}")),
        _ => {}
    }
}

/// What does not come out as recorded.
async fn replay(plane: &Plane, trace: &Value) -> Vec<String> {
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
            let mut got = json!({"status": answer.status, "body": normalise(&answer.body, &mut names, "")});
            if !answer.warnings.is_empty() {
                got["warnings"] = answer.warnings.into();
            }
            answers.push(answer.body);
            got
        };
        let got: Value = serde_json::from_str(&got.to_string().replace(&namespace, "$NS")).unwrap();
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
    let plane = Plane::new();
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
