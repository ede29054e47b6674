//! Recorded suites: what each rule really says of each object, compared row by row.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moin::model::{Gvk, Manifest, ObjectId, Origin, RepoPath, UnitName};
use moin::policy::{Operation, PolicySet, Request, UserInfo, Values, Verdict};
use moin::schema::Schemas;
use moin::yaml;
use serde_json::{Map, Value};

/// Suites whose rows must all be right, with or without the messages: a number that only grows.
const RATCHET: &[(&str, usize, usize)] = &[("policy-tests", 130, 130), ("policy-tests-engine", 46, 46)];

/// Changed and generated objects that are equal to what suites say; it only grows.
const OBJECTS: usize = 72;

/// policy, rule, apiVersion, kind, namespace, name, result, message.
type Row = [String; 8];

struct Suite {
    folder: PathBuf,
    test: Value,
}

/// Results that name an object to compare with: what came out, and what was wrong.
#[derive(Default)]
struct Compared {
    equal: usize,
    different: Vec<String>,
}

#[derive(Default)]
struct Tally {
    suites: usize,
    right: usize,
    right_with_messages: usize,
    rows: usize,
    rows_right: usize,
    messages_right: usize,
}

#[test]
fn recorded_rows_are_met() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let only = std::env::var("SUITE").unwrap_or_default();
    for (set, floor, floor_with_messages) in RATCHET {
        let Ok(text) = fs::read_to_string(shared.join(set).join("expected.jsonl")) else {
            println!("skipped: ../shared/{set} is not here");
            continue;
        };
        let mut kinds: BTreeMap<String, Tally> = BTreeMap::new();
        for line in text.lines().filter(|line| line.contains(&only)) {
            let expected: Value = serde_json::from_str(line).unwrap();
            let name = expected["test"].as_str().unwrap();
            let suite = Suite::load(&shared.join(set).join(name));
            let kind = suite.kind();
            let rows: BTreeSet<Row> = serde_json::from_value(expected["rows"].clone()).unwrap();
            let found = suite.run();
            let tally = kinds.entry(kind.clone()).or_default();
            compare(tally, &rows, &found, &format!("{set}/{name} ({kind})"));
        }
        let (mut right, mut right_with_messages) = (0, 0);
        for (kind, t) in &kinds {
            println!(
                "{set:20} {kind:12} suites {:3} right {:3} with messages {:3} | rows {:4} right {:4} with messages {:4}",
                t.suites, t.right, t.right_with_messages, t.rows, t.rows_right, t.messages_right
            );
            right += t.right;
            right_with_messages += t.right_with_messages;
        }
        println!("{set}: {right} suites right, {right_with_messages} with messages");
        if only.is_empty() {
            assert!(right >= *floor, "{set}: {right} suites are right, {floor} were");
            assert!(
                right_with_messages >= *floor_with_messages,
                "{set}: {right_with_messages} with messages"
            );
        }
    }
}

fn compare(tally: &mut Tally, expected: &BTreeSet<Row>, found: &BTreeSet<Row>, name: &str) {
    let without =
        |rows: &BTreeSet<Row>| -> BTreeSet<Vec<String>> { rows.iter().map(|r| r[..7].to_vec()).collect() };
    let (wanted, got) = (without(expected), without(found));
    tally.suites += 1;
    tally.rows += expected.len();
    tally.rows_right += wanted.intersection(&got).count();
    tally.messages_right += expected.intersection(found).count();
    tally.right += usize::from(wanted == got);
    tally.right_with_messages += usize::from(expected == found);
    if expected != found && std::env::var("SHOW").is_ok() {
        let wanted = std::env::var("SHOW").unwrap_or_default();
        if !name.contains(&wanted) {
            return;
        }
        println!("== {name}");
        for row in expected.difference(found) {
            println!("  - {row:?}");
        }
        for row in found.difference(expected) {
            println!("  + {row:?}");
        }
    }
}

fn documents(path: &Path) -> Vec<yaml::Document> {
    let Ok(bytes) = fs::read(path) else { return Vec::new() };
    let file: RepoPath = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
    yaml::read(&file, &bytes).into_iter().flatten().collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Suite {
    fn load(folder: &Path) -> Suite {
        let test = documents(&folder.join("kyverno-test.yaml")).into_iter().next();
        Suite { folder: folder.to_owned(), test: test.map_or(Value::Null, |d| d.value) }
    }

    fn files(&self, field: &str) -> Vec<yaml::Document> {
        texts(&self.test[field]).iter().flat_map(|file| documents(&self.folder.join(file))).collect()
    }

    /// What the suite's policies are made of, for the table.
    fn kind(&self) -> String {
        let mut kinds = BTreeSet::new();
        for policy in self.files("policies") {
            let kind = policy.value["kind"].as_str().unwrap_or_default();
            if !matches!(kind, "ClusterPolicy" | "Policy") {
                kinds.insert("other");
            }
            for rule in policy.value["spec"]["rules"].as_array().into_iter().flatten() {
                let parts = ["pattern", "anyPattern", "deny", "foreach", "cel", "podSecurity", "manifests"];
                kinds.extend(parts.iter().filter(|part| rule["validate"].get(**part).is_some()));
                let bodies = ["mutate", "generate", "verifyImages"];
                kinds.extend(bodies.iter().filter(|body| rule.get(**body).is_some()));
            }
        }
        kinds.into_iter().collect::<Vec<_>>().join("+")
    }

    /// Values from a file or from the test itself.
    fn values(&self) -> Value {
        match self.test["variables"].as_str() {
            Some(file) => {
                documents(&self.folder.join(file)).into_iter().next().map_or(Value::Null, |d| d.value)
            }
            None => self.test["values"].clone(),
        }
    }

    fn user(&self) -> Option<UserInfo> {
        let file = self.test["userinfo"].as_str()?;
        let info = documents(&self.folder.join(file)).into_iter().next()?.value;
        Some(UserInfo {
            name: info["userInfo"]["username"].as_str().unwrap_or_default().to_owned(),
            groups: texts(&info["userInfo"]["groups"]),
            roles: texts(&info["roles"]),
            cluster_roles: texts(&info["clusterRoles"]),
        })
    }

    /// Compares what the policies make of the objects with the objects that results name.
    fn compare_objects(&self, name: &str, compared: &mut Compared) {
        let schemas = Schemas::builtin();
        let values = self.values();
        let policies: Vec<_> = self.files("policies").into_iter().filter_map(manifest_of).collect();
        let (objects, sources) = (self.files("resources"), self.sources());
        let of_kyverno = |m: &Arc<Manifest>| matches!(m.id.kind(), "ClusterPolicy" | "Policy");
        for result in self.test["results"].as_array().into_iter().flatten() {
            let files = ["patchedResources", "patchedResource", "generatedResource"];
            let Some((field, file)) = files.iter().find_map(|f| Some((*f, result[*f].as_str()?))) else {
                continue;
            };
            let policy = result["policy"].as_str().unwrap_or_default();
            let at = policies.iter().position(|m| of_kyverno(m) && m.id.name() == policy);
            let Some(at) = at.filter(|at| policies[*at].id.namespace().is_none()) else { continue };
            // A policy sees what the ones before it made of the object.
            let (set, _) = PolicySet::compile(&policies[..=at]);
            let policy = &policies[at];
            let wanted = documents(&self.folder.join(file));
            for target in texts(&result["resources"]) {
                let target = target.rsplit('/').next().unwrap_or_default();
                let Some(object) = objects.iter().find(|o| o.value["metadata"]["name"] == target) else {
                    continue;
                };
                let object = with_namespace(object.value.clone(), &schemas);
                let given = values_for(&values, policy.id.name(), target);
                let request = Request { values: Some(&given), ..Request::create(&object) };
                let made: Vec<Value> = match field {
                    "generatedResource" => {
                        let find = |id: &ObjectId| {
                            sources.iter().find(|s| ObjectId::of(s).as_ref() == Ok(id)).cloned()
                        };
                        set.generate_from(&request, &find).into_iter().flatten().map(|m| m.object).collect()
                    }
                    _ => set.mutate(&request, &schemas).0.into_iter().collect(),
                };
                let made: Vec<Value> = made.iter().map(tidy).collect();
                let wanted = wanted.iter().map(|d| tidy(&with_namespace(d.value.clone(), &schemas)));
                let wanted: Vec<Value> = wanted
                    .filter(|w| field == "generatedResource" || w["metadata"]["name"] == target)
                    .collect();
                if made.is_empty() || wanted.is_empty() {
                    continue;
                }
                match wanted.iter().all(|w| made.contains(w)) {
                    true => compared.equal += 1,
                    false => compared.different.push(format!(
                        "{name} {target}:\n  wanted {}\n  made   {}",
                        serde_json::to_string(&wanted).unwrap(),
                        serde_json::to_string(&made).unwrap()
                    )),
                }
            }
        }
    }

    /// Objects that generate rules copy.
    fn sources(&self) -> Vec<Value> {
        let results = self.test["results"].as_array().into_iter().flatten();
        results
            .filter_map(|result| result["cloneSourceResource"].as_str())
            .flat_map(|file| documents(&self.folder.join(file)))
            .map(|document| document.value)
            .collect()
    }

    fn run(&self) -> BTreeSet<Row> {
        let schemas = Schemas::builtin();
        let (values, user) = (self.values(), self.user());
        let labels = namespace_labels(&values);
        let objects: Vec<Value> =
            self.files("resources").into_iter().map(|d| with_namespace(d.value, &schemas)).collect();
        let sources = self.sources();
        let mut rows = BTreeSet::new();
        for policy in self.files("policies") {
            let Some(manifest) = manifest_of(policy) else { continue };
            // The recording left namespaced policies out.
            if manifest.id.namespace().is_some() {
                continue;
            }
            let policy = manifest.id.name().to_owned();
            let (mut set, _) = PolicySet::compile(&[manifest]);
            let exceptions: Vec<_> = self.files("exceptions").into_iter().filter_map(manifest_of).collect();
            set.add_exceptions(&exceptions);
            let set = set.at(now(), 7);
            for object in &objects {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let given = values_for(&values, &policy, name);
                let operation = given.global.get("request.operation").and_then(Value::as_str);
                let operation = operation.and_then(Operation::parse).unwrap_or_default();
                let scaled = subresource(&values, object);
                let request = Request {
                    operation,
                    subresource: scaled.as_ref().map(|(name, _)| name.as_str()),
                    parent: scaled.as_ref().map(|(_, parent)| parent),
                    // The recording had nothing else to compare a change with.
                    old_object: (operation == Operation::Update).then_some(object),
                    namespace_labels: object["metadata"]["namespace"].as_str().and_then(|n| labels.get(n)),
                    user: user.as_ref(),
                    values: Some(&given),
                    ..Request::create(object)
                };
                rows.extend(judge(&set, &request, &schemas, &sources));
            }
        }
        rows
    }
}

#[test]
fn changed_and_generated_objects_are_as_the_suites_say() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let mut compared = Compared::default();
    for (set, ..) in RATCHET {
        let Ok(text) = fs::read_to_string(shared.join(set).join("expected.jsonl")) else {
            println!("skipped: ../shared/{set} is not here");
            return;
        };
        for line in text.lines() {
            let expected: Value = serde_json::from_str(line).unwrap();
            let name = expected["test"].as_str().unwrap();
            Suite::load(&shared.join(set).join(name)).compare_objects(name, &mut compared);
        }
    }
    println!("{} objects equal, {} different", compared.equal, compared.different.len());
    println!("{}", compared.different.join("\n"));
    assert!(compared.equal >= OBJECTS, "{} objects are equal, {OBJECTS} were", compared.equal);
}

/// Without what is empty, and without the labels that generating adds.
fn tidy(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| !key.starts_with("generate.kyverno.io/"));
            let kept = kept.filter(|(key, _)| *key != "app.kubernetes.io/managed-by" && *key != "status");
            let kept =
                kept.map(|(key, value)| (key.clone(), tidy(value))).filter(|(_, value)| !is_empty(value));
            Value::Object(kept.collect())
        }
        Value::Array(list) => list.iter().map(tidy).filter(|value| !is_empty(value)).collect(),
        other => other.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn judge(set: &PolicySet, request: &Request<'_>, schemas: &Schemas, sources: &[Value]) -> Vec<Row> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &request.object["metadata"];
    let row = |policy: String, rule: String, result: &str, message: String| -> Row {
        let (api_version, kind) = (text(&request.object["apiVersion"]), text(&request.object["kind"]));
        let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
        [policy, rule, api_version, kind, namespace, name, result.to_owned(), message]
    };
    let (changed, mut outcomes) = set.mutate(request, schemas);
    outcomes
        .extend(set.evaluate(&Request { object: changed.as_ref().unwrap_or(request.object), ..*request }));
    let mut rows: Vec<Row> = outcomes
        .into_iter()
        .map(|o| row(o.policy.clone(), o.rule.clone(), word(o.reported()), o.message.clone()))
        .collect();
    for made in
        set.generate_from(request, &|id| sources.iter().find(|s| ObjectId::of(s).as_ref() == Ok(id)).cloned())
    {
        match made {
            Ok(made) => rows.push(row(made.rule.policy, made.rule.rule, "pass", String::new())),
            Err(finding) => rows.push(row(String::new(), String::new(), "error", finding.message)),
        }
    }
    rows
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Warn => "warn",
        Verdict::Skip => "skip",
        Verdict::Error => "error",
    }
}

fn now() -> i128 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as i128
}

fn manifest_of(document: yaml::Document) -> Option<Arc<Manifest>> {
    Some(Arc::new(Manifest {
        id: ObjectId::of(&document.value).ok()?,
        gvk: Gvk::of(&document.value).ok()?,
        origin: Origin {
            source: document.source,
            line: document.line,
            layer: None,
            overlays: Vec::new(),
            rule: None,
        },
        body: Arc::new(document.value),
        unit: UnitName::root(),
    }))
}

/// The recording put what has no namespace and is not known to need none into `default`.
fn with_namespace(mut object: Value, schemas: &Schemas) -> Value {
    let Ok(gvk) = Gvk::of(&object) else { return object };
    // The recording knew more old kinds than the table of built-in ones.
    let namespaced = schemas.namespaced(&gvk.group_kind()).unwrap_or(&*gvk.kind != "FlowSchema");
    if !object["metadata"].is_object() {
        object["metadata"] = Map::new().into();
    }
    let metadata = &mut object["metadata"];
    if namespaced && metadata["namespace"].as_str().unwrap_or_default().is_empty() {
        metadata["namespace"] = "default".into();
    }
    object
}

/// The subresource that an object is, and the kind it belongs to, as the values say.
fn subresource(values: &Value, object: &Value) -> Option<(String, Gvk)> {
    let gvk = |kind: &Value| {
        let text = |name: &str| kind[name].as_str().unwrap_or_default();
        Gvk { group: text("group").into(), version: text("version").into(), kind: text("kind").into() }
    };
    let own = Gvk::of(object).ok()?;
    let mut entries = values["subresources"].as_array()?.iter();
    let found = entries.find(|entry| gvk(&entry["subresource"]).group_kind() == own.group_kind())?;
    let name = found["subresource"]["name"].as_str()?.rsplit('/').next()?.to_owned();
    Some((name, gvk(&found["parentResource"])))
}

fn namespace_labels(values: &Value) -> HashMap<String, BTreeMap<String, String>> {
    let list = values["namespaceSelector"].as_array().into_iter().flatten();
    list.filter_map(|item| {
        let labels = item["labels"].as_object()?.iter();
        let labels = labels.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
        Some((item["name"].as_str()?.to_owned(), labels))
    })
    .collect()
}

/// The values for a policy and an object: the global ones, the object's, and those of each rule.
fn values_for(values: &Value, policy: &str, object: &str) -> Values {
    let mut given = Values::default();
    given.global.extend(values["globalValues"].as_object().cloned().unwrap_or_default());
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for entry in list(&values["policies"]).iter().filter(|entry| entry["name"] == policy) {
        for resource in list(&entry["resources"]).iter().filter(|r| r["name"] == object) {
            given.global.extend(resource["values"].as_object().cloned().unwrap_or_default());
        }
        for rule in list(&entry["rules"]) {
            let own = rule["values"].as_object().cloned().unwrap_or_default();
            let key = (policy.to_owned(), rule["name"].as_str().unwrap_or_default().to_owned());
            given.rules.insert(key, own);
        }
    }
    given
}
