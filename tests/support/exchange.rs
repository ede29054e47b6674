//! Exchanges with an API server: a step is sent, its answer is made comparable with another server's.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;

use futures::FutureExt as _;
use http_body_util::BodyExt as _;
use kube::client::Body;
use regex::Regex;
use serde_json::{Value, json};

/// What a server answered.
pub struct Answer {
    pub status: u16,
    pub warnings: Vec<String>,
    pub body: Value,
}

impl Answer {
    /// As a trace holds it, with what differs from run to run replaced.
    pub fn comparable(&self, names: &mut Names, namespace: &str) -> Value {
        let mut got = json!({"status": self.status, "body": normalise(&self.body, names, "")});
        if !self.warnings.is_empty() {
            got["warnings"] = self.warnings.clone().into();
        }
        serde_json::from_str(&got.to_string().replace(namespace, "$NS")).unwrap()
    }
}

/// Sends one request; the body goes as JSON, or as it is where it is text.
pub async fn call(
    client: &kube::Client,
    method: &str,
    path: &str,
    body: Option<&Value>,
    content_type: &str,
) -> Answer {
    let mut request = http::Request::builder().method(method).uri(path).header("Accept", "application/json");
    let bytes = match body {
        None => Vec::new(),
        Some(body) => {
            request = request.header("Content-Type", content_type);
            body.as_str().map_or_else(|| body.to_string(), str::to_owned).into_bytes()
        }
    };
    let sent = AssertUnwindSafe(client.send(request.body(Body::from(bytes)).unwrap())).catch_unwind().await;
    // In-process a server that panics is one that answers wrong, not the end of the test.
    let Ok(response) = sent else {
        return Answer { status: 0, warnings: Vec::new(), body: "panicked".into() };
    };
    let response = response.unwrap();
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
pub struct Names(BTreeMap<(&'static str, String), String>);

impl Names {
    pub fn of(&mut self, kind: &'static str, value: &str) -> String {
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

/// An answer with ordinals for uids and resourceVersions, and without times.
pub fn normalise(node: &Value, names: &mut Names, key: &str) -> Value {
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
        // A patched object that cannot be read is quoted, with its resourceVersion.
        "message" if text.contains("patch: Invalid value: ") || text.starts_with("Invalid value: \"{") => {
            return "<patched>".to_owned();
        }
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
pub fn substitute(text: &str, namespace: &str, answers: &[Value]) -> String {
    let text = text.replace("$NS", namespace);
    let value = |found: &regex::Captures<'_>| {
        let pointer = format!("/{}", found[2].replace('.', "/"));
        let value =
            answers[found[1].parse::<usize>().unwrap()].pointer(&pointer).cloned().unwrap_or_default();
        match value {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        }
    };
    REFERENCE.replace_all(&text, value).into_owned()
}

/// [`substitute`] in all texts of a value.
pub fn substituted(node: &Value, namespace: &str, answers: &[Value]) -> Value {
    match node {
        Value::String(text) => substitute(text, namespace, answers).into(),
        Value::Object(map) => {
            map.iter().map(|(k, v)| (k.clone(), substituted(v, namespace, answers))).collect()
        }
        Value::Array(items) => items.iter().map(|item| substituted(item, namespace, answers)).collect(),
        other => other.clone(),
    }
}

/// Where two comparable answers differ, one line a place.
pub fn difference(path: &str, want: &Value, got: &Value, out: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let path = format!("{path}.{key}");
                match (a.get(key), b.get(key)) {
                    (Some(want), Some(got)) => difference(&path, want, got, out),
                    (Some(want), None) => out.push(format!("{path}: want {want} got nothing")),
                    (_, got) => out.push(format!("{path}: want nothing got {}", got.unwrap_or(&Value::Null))),
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
