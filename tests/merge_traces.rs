//! Writes that a real API server was asked for, replayed on `merge` and `schema` without a server: managed fields,
//! bodies, conflicts and violations must be those that it answered.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A test may fail loudly, and says what it skips.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use moin::merge::{self, ApplyError, FieldSet, Write};
use moin::model::Gvk;
use moin::schema::{KindInfo, Schemas};
use serde_json::{Value, json};

fn shared(below: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(below);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: ../shared/{below} is not here");
    None
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

/// A step of a trace.
struct Request<'a> {
    method: &'a str,
    content: &'a str,
    /// Path of the object, without a subresource.
    object: String,
    subresource: Option<&'a str>,
    query: &'a str,
    body: Value,
}

impl<'a> Request<'a> {
    fn of(step: &'a Value) -> Request<'a> {
        let method = step["method"].as_str().unwrap();
        let url = step["path"].as_str().unwrap();
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let mut body = step["body"].clone();
        let (object, subresource) = match path.rsplit_once('/') {
            Some((object, last @ ("status" | "scale"))) => (object.to_owned(), Some(last)),
            _ if method == "POST" => {
                (format!("{path}/{}", body["metadata"]["name"].as_str().unwrap_or("?")), None)
            }
            _ => (path.to_owned(), None),
        };
        if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut)
            && object.contains("/namespaces/")
        {
            metadata.entry("namespace").or_insert(json!("$NS"));
        }
        let content = step["contentType"].as_str().unwrap_or_default();
        Request { method, content, object, subresource, query, body }
    }

    /// Whether it writes an object and was not refused for what is no matter of merging.
    fn writes(&self, answer: &Value) -> bool {
        let message = answer["body"]["message"].as_str().unwrap_or_default();
        let refused =
            matches!(answer["status"].as_u64(), Some(400 | 404 | 415)) || message.starts_with("PatchOptions");
        let writes = matches!(self.method, "PATCH" | "PUT" | "POST");
        let tried = self.method == "POST" && self.query.contains("dryRun");
        writes && !refused && !tried && (self.body.is_object() || self.body.is_array())
    }
}

/// What a trace's steps left behind, by path, and what did not come out as recorded.
struct Replay {
    schemas: Schemas,
    stored: BTreeMap<String, Value>,
    compared: usize,
    wrong: Vec<String>,
}

impl Replay {
    fn step(&mut self, at: &str, step: &Value) {
        let answer = &step["response"];
        let status = answer["status"].as_u64().unwrap_or(0);
        let request = Request::of(step);
        if request.subresource == Some("scale") {
            // Its object is another; what it changes is read again.
            self.stored.remove(&request.object);
            return;
        }
        if request.writes(answer) {
            self.write(at, &request, answer);
        }
        let is_object = answer["body"]["metadata"]["uid"].is_string();
        let gone = match (request.method, status) {
            ("DELETE", 200) => answer["body"]["metadata"]["deletionTimestamp"].is_null(),
            ("GET", 404) => true,
            _ => false,
        };
        if gone {
            self.stored.remove(&request.object);
        } else if matches!(status, 200 | 201) && is_object && !request.query.contains("dryRun") {
            self.stored.insert(request.object, answer["body"].clone());
        }
    }

    fn write(&mut self, at: &str, request: &Request<'_>, answer: &Value) {
        let Request { method, content, subresource, query, body, .. } = request;
        let (main, subresource) = (&request.object, *subresource);
        let parameter = |name: &str| {
            query.split('&').find_map(|p| p.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
        };
        let manager = match parameter("fieldManager") {
            "" => "unknown",
            name => name,
        };
        let live = self.stored.get(main).cloned();
        let like = live.clone().unwrap_or_else(|| body.clone());
        let Ok(gvk) = Gvk::of(&like) else { return };
        // Its text is not in the answer, and its data is what the API server makes of it.
        if &*gvk.kind == "Secret" {
            return;
        }
        let schemas = self.schemas.clone();
        let Some(kind) = schemas.kind(&gvk) else { return };
        let ty = schemas.type_of(&gvk).unwrap();
        let reset = reset_fields(kind, subresource);
        let write =
            Write { manager, now: "<time>", subresource, reset: Some(&reset), schemas: Some(&schemas) };
        let outcome = if content.contains("apply-patch") {
            let force = parameter("force") == "true";
            merge::apply_as(Some(&ty), live.as_ref(), body, force, &write)
        } else {
            let Some(new) = written(method, content, live.as_ref(), body) else { return };
            // Defaults of a built-in kind are not the schema's; the answer has them.
            let answered = answer["body"]["metadata"]["uid"].is_string();
            let filled = kind.builtin && &*gvk.kind != "ConfigMap" && answered;
            let new = if filled { answer["body"].clone() } else { new };
            let mut new = decoded(&schemas, &gvk, new);
            drop_managed_fields(&mut new);
            if let (Some(live), true) = (&live, kind.has_status) {
                for (field, value) in live.as_object().unwrap() {
                    let keep = if subresource.is_none() { field == "status" } else { field != "status" };
                    if keep {
                        new[field] = value.clone();
                    }
                }
            }
            Ok(merge::update(Some(&ty), live.as_ref(), &new, &write))
        };
        self.judge(at, &gvk, live, outcome, answer);
    }

    fn judge(
        &mut self,
        at: &str,
        gvk: &Gvk,
        live: Option<Value>,
        outcome: Result<Value, ApplyError>,
        answer: &Value,
    ) {
        let message = answer["body"]["message"].as_str().unwrap_or_default();
        self.compared += 1;
        let recorded = answer["status"].as_u64().unwrap();
        let body = &answer["body"];
        match (outcome, recorded) {
            (Err(ApplyError::Conflicts(conflicts)), 409) => {
                let causes = sorted(conflicts.iter().map(|c| c.cause()).collect());
                let want = sorted(body["details"]["causes"].as_array().cloned().unwrap_or_default());
                self.expect(at, "causes", &json!(want), &json!(causes));
                self.expect(
                    at,
                    "message",
                    &json!(message),
                    &json!(ApplyError::Conflicts(conflicts).to_string()),
                );
            }
            (Err(error), 500) => self.expect(at, "message", &json!(message), &json!(error.to_string())),
            (Err(error), _) => self.wrong.push(format!("{at}: {error}; recorded {recorded} {message}")),
            (Ok(mut new), 200 | 201) => {
                self.schemas.fill_defaults(gvk, &mut new);
                self.schemas.canonical(gvk, &mut new);
                let new = match live {
                    Some(live) => merge::settle(&live, new),
                    None => new,
                };
                self.expect(at, "managedFields", &managed(body), &managed(&new));
                let custom = !self.schemas.kind(gvk).unwrap().builtin;
                let (want, mut got) = (plain(body), plain(&new));
                if !custom && &*gvk.kind != "ConfigMap" {
                    return self.expect_within(at, &got, &want);
                }
                self.schemas.drop_nulls(gvk, &mut got);
                self.expect(at, "body", &want, &got);
            }
            (Ok(mut new), 422) if !self.schemas.kind(gvk).unwrap().builtin => {
                self.schemas.fill_defaults(gvk, &mut new);
                let causes = body["details"]["causes"].as_array().cloned().unwrap_or_default();
                let want: Vec<Value> = causes.into_iter().filter(is_of_schema).collect();
                let found = self.schemas.validate(gvk, &new).into_iter();
                // The recorded times are placeholders.
                let found = found.filter(|v| !v.path.to_string().starts_with("metadata."));
                let causes = found
                    .map(|v| json!({"field": v.path.to_string(), "message": v.message, "reason": v.reason}));
                self.expect(at, "violations", &json!(sorted(want)), &json!(sorted(causes.collect())));
            }
            (Ok(_), 422) => self.compared -= 1,
            (Ok(_), 409) if !message.starts_with("Apply failed") => self.compared -= 1,
            (Ok(_), _) => self.wrong.push(format!("{at}: went through; recorded {recorded} {message}")),
        }
    }

    fn expect(&mut self, at: &str, what: &str, want: &Value, got: &Value) {
        if !same(want, got) {
            self.wrong.push(format!("{at}: {what}\n    want {want}\n    got  {got}"));
        }
    }

    fn expect_within(&mut self, at: &str, part: &Value, whole: &Value) {
        if !within(part, whole) {
            self.wrong.push(format!("{at}: body\n    want {whole}\n    got  {part}"));
        }
    }
}

fn drop_managed_fields(object: &mut Value) {
    object["metadata"].as_object_mut().map(|m| m.remove("managedFields"));
}

/// Equal but for times, which are placeholders in the recording.
fn same(want: &Value, got: &Value) -> bool {
    match (want, got) {
        (Value::String(want), Value::String(got)) => want == got || want == "<time>" && got.ends_with('Z'),
        (Value::Object(want), Value::Object(got)) => {
            want.len() == got.len() && want.iter().all(|(k, v)| got.get(k).is_some_and(|g| same(v, g)))
        }
        (Value::Array(want), Value::Array(got)) => {
            want.len() == got.len() && want.iter().zip(got).all(|(w, g)| same(w, g))
        }
        _ => want == got,
    }
}

fn within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(_)) => {
            part.iter().all(|(k, v)| whole.get(k).is_some_and(|w| within(v, w)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(p, w)| within(p, w))
        }
        _ => same(whole, part),
    }
}

/// Causes that a schema alone gives: no rules, nothing about metadata.
fn is_of_schema(cause: &Value) -> bool {
    let field = cause["field"].as_str().unwrap_or_default();
    let message = cause["message"].as_str().unwrap_or_default();
    let rules = ["minSize must not", "is immutable"];
    !field.starts_with(['<', '.'])
        && !field.starts_with("metadata")
        && !rules.iter().any(|r| message.contains(r))
}

fn sorted(mut causes: Vec<Value>) -> Vec<Value> {
    causes.sort_by_key(Value::to_string);
    causes
}

fn reset_fields(kind: &KindInfo, subresource: Option<&str>) -> FieldSet {
    match subresource {
        Some(_) => FieldSet::of_fields([["metadata"], ["spec"]]),
        None if kind.has_status => FieldSet::of_fields([["status"]]),
        None => FieldSet::new(),
    }
}

/// The object that a request other than an apply asks for; `None` where the request is not for this test.
fn written(method: &str, content: &str, live: Option<&Value>, body: &Value) -> Option<Value> {
    match (method, content, live) {
        ("POST", ..) => Some(body.clone()),
        ("PUT", _, Some(live)) => {
            let mut new = body.clone();
            for field in ["uid", "creationTimestamp", "generation", "resourceVersion"] {
                if let Some(value) = live["metadata"].get(field) {
                    new["metadata"][field] = value.clone();
                }
            }
            Some(new)
        }
        (_, "application/merge-patch+json", Some(live)) => {
            let mut new = live.clone();
            json_patch::merge(&mut new, body);
            Some(new)
        }
        (_, "application/json-patch+json", Some(live)) => {
            let mut new = live.clone();
            let patch: json_patch::Patch = serde_json::from_value(body.clone()).ok()?;
            json_patch::patch(&mut new, &patch).ok()?;
            Some(new)
        }
        _ => None,
    }
}

/// As the API server decodes an object.
fn decoded(schemas: &Schemas, gvk: &Gvk, mut new: Value) -> Value {
    schemas.prune(gvk, &mut new);
    schemas.fill_defaults(gvk, &mut new);
    schemas.drop_nulls(gvk, &mut new);
    schemas.canonical(gvk, &mut new);
    new
}

/// Managed fields, sorted, of their times only whether there is one.
fn managed(object: &Value) -> Value {
    let mut entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries.sort_by_key(|e| [&e["manager"], &e["operation"], &e["subresource"]].map(Value::to_string));
    Value::Array(entries)
}

/// Without what the server alone writes.
fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    let server = [
        "managedFields",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ];
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| !server.contains(&key.as_str()));
    }
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    object
}

fn replay(folder: &str, least: usize) {
    let (Some(folder), Some(crds)) = (shared(folder), shared("apiserver-traces/crds")) else { return };
    let crds: Vec<Value> = files(&crds).iter().map(|file| read(file)).collect();
    let (schemas, refused) = Schemas::builtin().with_crds(&crds);
    assert!(refused.is_empty(), "{refused:?}");
    let (mut compared, mut wrong) = (0, Vec::new());
    for file in files(&folder) {
        let trace = read(&file);
        let name = trace["scenario"].as_str().unwrap_or("?");
        let mut replay =
            Replay { schemas: schemas.clone(), stored: BTreeMap::new(), compared: 0, wrong: Vec::new() };
        for (index, step) in trace["steps"].as_array().unwrap().iter().enumerate() {
            replay.step(&format!("{name} step {index}"), step);
        }
        compared += replay.compared;
        wrong.extend(replay.wrong);
    }
    println!("{compared} writes compared, {} differences", wrong.len());
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    assert!(compared >= least, "only {compared} writes were compared");
}

#[test]
fn scenarios_come_out_as_recorded() {
    replay("apiserver-traces/scenarios", 80);
}

#[test]
fn walks_come_out_as_recorded() {
    replay("apiserver-traces/walks", 1000);
}
