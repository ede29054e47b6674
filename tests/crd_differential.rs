//! Definitions and custom resources, good and bad, sent to the plane and to the real kube-apiserver: the status codes
//! and the whole answers must be the same, but for what differs from run to run.

#![allow(missing_docs, reason = "test code")]
#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]
#![allow(clippy::print_stderr, reason = "a test that finds differences says which")]

#[path = "crd/cases.rs"]
mod cases;
#[path = "crd/objects.rs"]
mod objects;
mod support;

use axum::body::Body;
use http_body_util::BodyExt as _;
use moin::plane::Plane;
use serde_json::{Value, json};
use support::real_server::RealServer;
use tower::ServiceExt as _;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A request of a case.
#[derive(Clone)]
pub struct Step {
    pub method: &'static str,
    pub path: String,
    pub content_type: &'static str,
    pub body: Value,
}

impl Step {
    pub fn new(method: &'static str, path: impl Into<String>, body: Value) -> Step {
        let content_type = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        Step { method, path: path.into(), content_type, body }
    }
}

/// Requests that belong together, and a name to find them by.
pub struct Case {
    pub name: String,
    pub steps: Vec<Step>,
}

struct Answer {
    status: u16,
    warnings: Vec<String>,
    body: Value,
}

fn request<B>(step: &Step, body: impl FnOnce(Vec<u8>) -> B) -> http::Request<B> {
    let bytes = if step.body.is_null() { Vec::new() } else { step.body.to_string().into_bytes() };
    http::Request::builder()
        .method(step.method)
        .uri(&step.path)
        .header("accept", "application/json")
        .header("content-type", step.content_type)
        .body(body(bytes))
        .unwrap()
}

fn answer(status: u16, headers: &http::HeaderMap, bytes: &[u8]) -> Answer {
    let warnings = headers.get_all("warning").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
    let body = serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into());
    Answer { status, warnings, body }
}

async fn ask_plane(plane: &Plane, step: &Step) -> Answer {
    let response = plane.router().oneshot(request(step, Body::from)).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    answer(parts.status.as_u16(), &parts.headers, &bytes)
}

async fn ask_real(client: &kube::Client, step: &Step) -> Answer {
    let response = client.send(request(step, kube::client::Body::from)).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    answer(parts.status.as_u16(), &parts.headers, &bytes)
}

/// Without what differs from run to run, and with what has no order in order.
fn normalise(node: &Value, key: &str) -> Value {
    match node {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "managedFields" | "resourceVersion" | "uid"))
            .map(|(key, value)| (key.clone(), normalise(value, key)))
            .collect(),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| normalise(item, "")).collect();
            if matches!(key, "causes") {
                items.sort_by_key(Value::to_string);
            }
            items.into()
        }
        Value::String(text) if key == "message" => {
            // Several errors stand in the order of a map's keys, which is another each time.
            let text = text.replace("is invalid: ", "is invalid: , ").replace(['[', ']'], "");
            let mut parts: Vec<&str> = text.split(", ").collect();
            parts.sort_unstable();
            parts.join(", ").into()
        }
        Value::String(_) if key.ends_with("Timestamp") || key == "lastTransitionTime" => "<time>".into(),
        other => other.clone(),
    }
}

/// What of an answer is compared.
fn compared(answer: &Answer) -> Value {
    let mut warnings = answer.warnings.clone();
    warnings.sort_unstable();
    let mut body = normalise(&answer.body, "");
    if answer.status < 300 && body["kind"] == "CustomResourceDefinition" {
        // The controllers of the real server may have written meanwhile.
        body.as_object_mut().unwrap().remove("status");
    }
    json!({"status": answer.status, "body": body, "warnings": warnings})
}

fn difference(path: &str, real: &Value, ours: &Value, out: &mut Vec<String>) {
    match (real, ours) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                difference(
                    &format!("{path}.{key}"),
                    &a.get(key).cloned().unwrap_or_default(),
                    &b.get(key).cloned().unwrap_or_default(),
                    out,
                );
            }
        }
        _ if real != ours => out.push(format!("    {path}\n      real {real}\n      ours {ours}")),
        _ => {}
    }
}

/// Waits until the real server's controllers have said whether a new definition is established: until then more of it may
/// be changed.
async fn until_judged(real: &kube::Client, definition: &Value) {
    let name = definition["metadata"]["name"].as_str().unwrap();
    let read = Step::new("GET", format!("{DEFINITIONS}/{name}"), Value::Null);
    support::eventually("the definition is judged", std::time::Duration::from_secs(20), async || {
        let conditions = ask_real(real, &read).await.body["status"]["conditions"].clone();
        let judged = conditions.as_array().is_some_and(|list| {
            list.iter().any(|one| one["type"] == "Established" && one["reason"] != "Installing")
        });
        judged.then_some(())
    })
    .await;
}

/// Sends all cases to both; what came out different.
async fn compare(real: &kube::Client, plane: &Plane, cases: Vec<Case>) -> Vec<String> {
    let mut wrong = Vec::new();
    let only = std::env::var("CRD_CASE").ok();
    for case in cases {
        if only.as_ref().is_some_and(|only| !case.name.contains(only.as_str())) {
            continue;
        }
        let mut found = Vec::new();
        for (index, step) in case.steps.iter().enumerate() {
            let (theirs, ours) = (ask_real(real, step).await, ask_plane(plane, step).await);
            if index + 1 < case.steps.len() && step.path == DEFINITIONS && theirs.status == 201 {
                until_judged(real, &theirs.body).await;
            }
            if std::env::var_os("CRD_SHOW").is_some() {
                eprintln!("{} [{index}] {} {}", case.name, theirs.status, theirs.body);
            }
            difference(&format!("[{index}]"), &compared(&theirs), &compared(&ours), &mut found);
        }
        if !found.is_empty() {
            wrong.push(format!("{}\n{}", case.name, found.join("\n")));
        }
    }
    wrong
}

fn report(wrong: &[String], asked: usize) {
    eprintln!("{asked} cases, {} different", wrong.len());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn definitions_are_refused_and_taken_as_by_the_real_server() {
    let Some(server) = RealServer::shared() else { return };
    let (real, plane) = (server.client("admin").await, Plane::new());
    let cases = cases::all();
    let asked = cases.len();
    report(&compare(&real, &plane, cases).await, asked);
}

#[tokio::test]
async fn custom_resources_are_held_against_their_schema_as_by_the_real_server() {
    let Some(server) = RealServer::shared() else { return };
    let (real, plane) = (server.client("admin").await, Plane::new());
    let definition = Step::new("POST", DEFINITIONS, objects::definition());
    assert_eq!(ask_real(&real, &definition).await.status, 201);
    let made = ask_plane(&plane, &definition).await;
    assert_eq!(made.status, 201, "{}", made.body);
    // The real server serves the kind some moments later.
    let list = Step::new("GET", objects::PATH, Value::Null);
    support::eventually("the kind is served", std::time::Duration::from_secs(20), async || {
        (ask_real(&real, &list).await.status == 200).then_some(())
    })
    .await;
    // Its storage comes up a moment after its discovery.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let cases = objects::all();
    let asked = cases.len();
    report(&compare(&real, &plane, cases).await, asked);
}
