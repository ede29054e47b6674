//! A dry run answers what the write would, and changes nothing: over random writes of many kinds.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

mod support;

use std::sync::LazyLock;

use moin::plane::Plane;
use regex::Regex;
use serde_json::{Value, json};
use support::exchange::{Names, call, difference, substitute, substituted};
use support::writes::generate;
use support::writes::rng::Rng;

/// Sequences of a run; each is some ten writes of one object.
const SEQUENCES: u64 = 150;

/// An answer without what only a stored object has, or what is made up anew each time.
fn settled(status: u16, body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(metadata) = body["metadata"].as_object_mut() {
        for field in ["resourceVersion", "uid", "creationTimestamp", "deletionTimestamp"] {
            metadata.remove(field);
        }
        // The name was made up.
        if metadata.contains_key("generateName") {
            metadata.remove("name");
        }
    }
    // Addresses and node ports are drawn at random where none is asked for; a dry run keeps none of them.
    if body["kind"] == "Service"
        && let Some(spec) = body["spec"].as_object_mut()
    {
        for field in ["clusterIP", "clusterIPs", "healthCheckNodePort"] {
            spec.entry(field).and_modify(|value| *value = drawn(value));
        }
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(value) = port.get_mut("nodePort") {
                *value = drawn(value);
            }
        }
    }
    let mut names = Names::default();
    let body = support::exchange::normalise(&body, &mut names, "").to_string();
    let body: Value = serde_json::from_str(&MADE_UP.replace_all(&body, "gen-x")).unwrap();
    json!({"status": status, "body": body})
}

/// What stands for an address or a port: that there is one, and of which kind.
fn drawn(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(drawn).collect(),
        Value::String(text) if text.parse::<std::net::IpAddr>().is_ok() => json!("an address"),
        Value::Number(_) => json!("a port"),
        other => other.clone(),
    }
}

/// A name that the server made up, in a message about what it refuses.
static MADE_UP: LazyLock<Regex> = LazyLock::new(|| Regex::new("gen-[a-z0-9]{5}\\b").unwrap());

async fn differences(plane: &Plane, seed: u64) -> Vec<String> {
    let client = plane.client();
    let (mut rng, kinds, namespace) = (Rng::new(seed), generate::kinds(), format!("n-{seed}"));
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    call(&client, "POST", "/api/v1/namespaces", Some(&body), "application/json").await;
    let kind = generate::choose(&kinds, &mut rng);
    let (mut answers, mut wrong) = (Vec::new(), Vec::new());
    for step in generate::sequence(kind, &mut rng) {
        let path = substitute(step["path"].as_str().unwrap(), &namespace, &answers);
        let body = step.get("body").filter(|b| !b.is_null()).map(|b| substituted(b, &namespace, &answers));
        let kind_of_body = step["contentType"].as_str().unwrap_or("application/json");
        let method = step["method"].as_str().unwrap();
        let mut tried = None;
        if method != "GET" && !path.contains("dryRun") {
            // Of a deletion with options in its body the query does not count.
            let in_body =
                body.clone().filter(|body| method == "DELETE" && body.is_object()).map(|mut body| {
                    body["dryRun"] = json!(["All"]);
                    body
                });
            let dry_body = in_body.as_ref().or(body.as_ref());
            let mark = if path.contains('?') { '&' } else { '?' };
            let revision = plane.revision();
            let dry = call(&client, method, &format!("{path}{mark}dryRun=All"), dry_body, kind_of_body).await;
            assert_eq!(plane.revision(), revision, "a dry {method} {path} wrote");
            tried = Some(dry);
        }
        let real = call(&client, method, &path, body.as_ref(), kind_of_body).await;
        if let Some(dry) = tried {
            let (want, got) = (settled(real.status, &real.body), settled(dry.status, &dry.body));
            let mut lines = Vec::new();
            difference("", &want, &got, &mut lines);
            if !lines.is_empty() {
                wrong.push(format!("seed {seed}: {method} {path} {body:?}\n  {}", lines.join("\n  ")));
            }
        }
        answers.push(real.body);
    }
    wrong
}

#[tokio::test]
async fn a_dry_run_answers_what_the_write_would() {
    let Some(traces) = support::shared_data("apiserver-traces") else { return };
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let plane = Plane::builder().controllers(false).build();
    plane.define(&read(&std::fs::read_to_string(traces.join("crds/widgets.json")).unwrap())).unwrap();
    plane.define(&read(include_str!("support/writes/gadgets.json"))).unwrap();
    let mut wrong = Vec::new();
    for seed in 0..SEQUENCES {
        wrong.extend(differences(&plane, seed).await);
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
