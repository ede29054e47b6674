//! The same writes to the plane and to a real kube-apiserver: random sequences over many kinds, compared answer by
//! answer; a sequence that differs is cut down to the steps that matter.

pub mod generate;
pub mod rng;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use regex::Regex;
use serde_json::{Value, json};

use super::exchange::{Names, call, difference, substitute, substituted};

const APPLY: &str = "application/apply-patch+yaml";

/// The two servers.
pub struct Pair {
    pub plane: kube::Client,
    pub real: kube::Client,
    runs: AtomicUsize,
}

/// What came of a sequence: the first step that differs, and how.
pub struct Found {
    pub step: usize,
    pub lines: Vec<String>,
    /// What the difference is about, without the particulars.
    pub signature: String,
}

impl Pair {
    pub fn new(plane: kube::Client, real: kube::Client) -> Pair {
        Pair { plane, real, runs: AtomicUsize::new(0) }
    }

    /// Installs a definition on both and waits until both serve it.
    pub async fn define(&self, definition: &Value) {
        let name = definition["metadata"]["name"].as_str().unwrap();
        let path = format!(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager=setup&force=true"
        );
        let spec = &definition["spec"];
        for client in [&self.plane, &self.real] {
            let answer = call(client, "PATCH", &path, Some(definition), APPLY).await;
            assert!(answer.status < 300, "{name}: {}", answer.body);
            for version in spec["versions"].as_array().unwrap() {
                let (group, version) = (spec["group"].as_str().unwrap(), version["name"].as_str().unwrap());
                let plural = spec["names"]["plural"].as_str().unwrap();
                for _ in 0..200 {
                    let path = format!("/apis/{group}/{version}/{plural}");
                    if call(client, "GET", &path, None, "").await.status == 200 {
                        break;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Sends a sequence to both servers, each in a namespace of its own; the first difference.
    pub async fn compare(&self, steps: &[Value]) -> Option<Found> {
        let namespace = format!("d-{}", self.runs.fetch_add(1, Ordering::Relaxed));
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        for client in [&self.plane, &self.real] {
            let path = format!("/api/v1/namespaces/{namespace}?fieldManager=setup");
            call(client, "PATCH", &path, Some(&body), APPLY).await;
        }
        let mut plane = Side::new(&self.plane, &namespace);
        let mut real = Side::new(&self.real, &namespace);
        let mut found = None;
        for (index, step) in steps.iter().enumerate() {
            let (got, want) = futures::join!(plane.step(step), real.step(step));
            let mut lines = Vec::new();
            difference("", &want, &got, &mut lines);
            if !lines.is_empty() {
                let signature = signature(step, &lines, &want);
                found = Some(Found { step: index, lines, signature });
                break;
            }
        }
        self.clean(steps, &namespace).await;
        found
    }

    /// Takes away what a sequence left outside its namespace, or what would be scarce.
    async fn clean(&self, steps: &[Value], namespace: &str) {
        let mut paths: Vec<String> = steps
            .iter()
            .filter(|step| step["method"] != "POST")
            .filter_map(|step| step["path"].as_str()?.split('?').next().map(str::to_owned))
            .map(|path| {
                let path = path.trim_end_matches("/status").trim_end_matches("/scale").to_owned();
                path.replace("$NS", namespace)
            })
            .filter(|path| path.contains("/services/") || !path.contains("/namespaces/"))
            .collect();
        paths.sort();
        paths.dedup();
        for path in paths {
            for client in [&self.plane, &self.real] {
                let none = json!({"metadata": {"finalizers": null}});
                call(client, "PATCH", &path, Some(&none), "application/merge-patch+json").await;
                call(client, "DELETE", &format!("{path}?gracePeriodSeconds=0"), None, "").await;
            }
        }
    }

    /// The sequence without the steps, and the bodies without the parts, that the difference does not need.
    pub async fn shrink(&self, steps: &[Value], found: Found) -> (Vec<Value>, Found) {
        let (mut steps, mut found) = (steps[..=found.step].to_vec(), found);
        let mut index = steps.len() - 1;
        while index > 0 {
            index -= 1;
            let Some(fewer) = without_step(&steps, index) else { continue };
            if let Some(smaller) = self.compare(&fewer).await
                && smaller.signature == found.signature
            {
                (steps, found) = (fewer[..=smaller.step].to_vec(), smaller);
                index = index.min(steps.len() - 1);
            }
        }
        for index in (0..steps.len()).rev() {
            for pointer in pointers(&steps[index]["body"]) {
                let mut fewer = steps.clone();
                if !remove(&mut fewer[index]["body"], &pointer) {
                    continue;
                }
                if let Some(smaller) = self.compare(&fewer).await
                    && smaller.signature == found.signature
                    && smaller.step + 1 == fewer.len()
                {
                    (steps, found) = (fewer, smaller);
                }
            }
        }
        (steps, found)
    }
}

struct Side<'a> {
    client: &'a kube::Client,
    namespace: &'a str,
    answers: Vec<Value>,
    names: Names,
}

impl<'a> Side<'a> {
    fn new(client: &'a kube::Client, namespace: &'a str) -> Side<'a> {
        Side { client, namespace, answers: Vec::new(), names: Names::default() }
    }

    async fn step(&mut self, step: &Value) -> Value {
        let path = substitute(step["path"].as_str().unwrap(), self.namespace, &self.answers);
        let body =
            step.get("body").filter(|b| !b.is_null()).map(|b| substituted(b, self.namespace, &self.answers));
        let content_type = step["contentType"].as_str().unwrap_or("application/json");
        let method = step["method"].as_str().unwrap();
        let answer = call(self.client, method, &path, body.as_ref(), content_type).await;
        let got = answer.comparable(&mut self.names, self.namespace);
        self.answers.push(answer.body);
        renamed(got, &mut self.names, "")
    }
}

static ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^10\.(9[6-9]|10\d|11[01])\.\d+\.\d+$").unwrap());
static GENERATED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(gen-)[a-z0-9]{5}\b").unwrap());

/// What the server picks: addresses, ports, generated names.
fn renamed(node: Value, names: &mut Names, key: &str) -> Value {
    match node {
        Value::Object(map) => map.into_iter().map(|(k, v)| (k.clone(), renamed(v, names, &k))).collect(),
        Value::Array(items) => items.into_iter().map(|item| renamed(item, names, key)).collect(),
        Value::String(text) if matches!(key, "clusterIP" | "clusterIPs") && ADDRESS.is_match(&text) => {
            names.of("address", &text).into()
        }
        Value::Number(n) if matches!(key, "nodePort" | "healthCheckNodePort") => {
            names.of("port", &n.to_string()).into()
        }
        Value::String(text) if key == "message" => message(&text).into(),
        Value::String(text) => GENERATED.replace_all(&text, "${1}<gen>").into_owned().into(),
        other => other,
    }
}

/// A refusal: versions that nobody else saw, generated names, and errors in an order that is random in the real server.
fn message(text: &str) -> String {
    static RECORD: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(in record|in the precondition) \(\d*\)").unwrap());
    let text = RECORD.replace_all(text, "$1 (<rv>)");
    let text = GENERATED.replace_all(&text, "${1}<gen>");
    if let Some((before, errors)) = text.split_once(": errors:\n") {
        let mut errors: Vec<&str> = errors.lines().collect();
        errors.sort_unstable();
        return format!("{before}: {errors:?}");
    }
    match text.split_once(" is invalid: [") {
        Some((before, errors)) => {
            let mut errors: Vec<&str> = errors.trim_end_matches(']').split(", ").collect();
            errors.sort_unstable();
            format!("{before} is invalid: {errors:?}")
        }
        None => text.into_owned(),
    }
}

/// What a difference is about: resource, method, place, and the words of a refusal without its values.
fn signature(step: &Value, lines: &[String], want: &Value) -> String {
    static NOISE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"\[\d+\]|"[^"]*"|\d+"#).unwrap());
    let path = step["path"].as_str().unwrap().split('?').next().unwrap();
    let resource: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "apis" | "api" | "namespaces" | "$NS" | "w"))
        .collect();
    let content = step["contentType"].as_str().unwrap_or("").trim_start_matches("application/");
    let status = lines.iter().find(|line| line.starts_with(".status"));
    let words = match status {
        Some(line) => {
            let message = want["body"]["message"].as_str().unwrap_or_default();
            format!("{line} {message}")
        }
        None => {
            let line = lines.iter().find(|line| !line.starts_with(".body.message")).unwrap_or(&lines[0]);
            line.replace(r#"\""#, "")
        }
    };
    let words = NOISE.replace_all(&words, "_");
    let method = step["method"].as_str().unwrap();
    format!("{} {method} {content} {}", resource.join("/"), words.chars().take(160).collect::<String>())
}

/// The sequence without a step; references to later steps move. `None` when a later step refers to this one.
fn without_step(steps: &[Value], index: usize) -> Option<Vec<Value>> {
    static REFERENCE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$\{(\d+)\.").unwrap());
    let mut text = Vec::new();
    for (at, step) in steps.iter().enumerate().filter(|(at, _)| *at != index) {
        let mut refers = false;
        let moved = REFERENCE
            .replace_all(&step.to_string(), |found: &regex::Captures<'_>| {
                let to: usize = found[1].parse().unwrap();
                refers |= to == index && at > index;
                format!("${{{}.", if to > index { to - 1 } else { to })
            })
            .into_owned();
        if refers {
            return None;
        }
        text.push(serde_json::from_str(&moved).unwrap());
    }
    Some(text)
}

/// Pointers to the parts of a body that may be left out, outer ones first.
fn pointers(body: &Value) -> Vec<String> {
    fn walk(at: &str, value: &Value, out: &mut Vec<String>) {
        let mut child = |key: &str, value: &Value| {
            let pointer = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
            if !matches!(pointer.as_str(), "/apiVersion" | "/kind" | "/metadata" | "/metadata/name") {
                out.push(pointer.clone());
            }
            walk(&pointer, value, out);
        };
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| child(key, value)),
            Value::Array(items) => {
                items.iter().enumerate().rev().for_each(|(index, value)| child(&index.to_string(), value));
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk("", body, &mut out);
    out.sort_by_key(|pointer| pointer.matches('/').count());
    out
}

fn remove(body: &mut Value, pointer: &str) -> bool {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let last = last.replace("~1", "/").replace("~0", "~");
    match body.pointer_mut(parent) {
        Some(Value::Object(map)) => map.remove(&last).is_some(),
        Some(Value::Array(items)) => {
            let index: usize = last.parse().unwrap();
            index < items.len() && {
                items.remove(index);
                true
            }
        }
        _ => false,
    }
}

/// Differences of a run by signature, with how often each came and its first sequence.
pub type Report = BTreeMap<String, (usize, Vec<Value>, Found)>;
