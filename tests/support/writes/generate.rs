//! Random sequences of requests to one object, from the table of kinds.

use serde_json::{Map, Value, json};

use super::rng::Rng;

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const NOTE: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A kind as the table describes it.
pub struct Kind {
    pub name: String,
    weight: usize,
    /// `apis/apps/v1`.
    api: String,
    /// Other versions that it is served in.
    other_apis: Vec<String>,
    plural: String,
    namespaced: bool,
    custom: bool,
    scale: bool,
    /// What every whole object has.
    base: Value,
    /// Pointers to fields, with values that are fine and that are not.
    fields: Vec<(String, Vec<Value>)>,
    bad: Vec<(String, Vec<Value>)>,
    status: Vec<(String, Vec<Value>)>,
}

fn pools(value: &Value) -> Vec<(String, Vec<Value>)> {
    let map = value.as_object().into_iter().flatten();
    map.map(|(pointer, values)| (pointer.clone(), values.as_array().unwrap().clone())).collect()
}

/// The kinds of the table.
pub fn kinds() -> Vec<Kind> {
    let mut all = Vec::new();
    for text in [include_str!("custom.yaml"), include_str!("workloads.yaml"), include_str!("kinds.yaml")] {
        let table =
            moin::yaml::parse(text, true).unwrap_or_else(|error| panic!("the table of kinds: {error}"));
        for row in table.as_array().unwrap() {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            all.push(Kind {
                name: text("kind"),
                weight: row["weight"].as_u64().unwrap_or(4) as usize,
                api: text("api"),
                other_apis: row["otherApis"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|api| api.as_str().unwrap().to_owned())
                    .collect(),
                plural: text("plural"),
                namespaced: row["cluster"] != true,
                custom: row["custom"] == true,
                scale: row["scale"] == true,
                base: row["base"].clone(),
                fields: pools(&row["fields"]),
                bad: pools(&row["bad"]),
                status: pools(&row["status"]),
            });
        }
    }
    all
}

/// The kind that a seed is about.
pub fn choose<'a>(kinds: &'a [Kind], rng: &mut Rng) -> &'a Kind {
    let weights: Vec<usize> = kinds.iter().map(|kind| kind.weight).collect();
    &kinds[rng.weighted(&weights)]
}

/// A sequence about one object of a kind.
pub fn sequence(kind: &Kind, rng: &mut Rng) -> Vec<Value> {
    let length = 4 + rng.below(12);
    let mut walk = Walk { kind, rng, api: String::new(), steps: Vec::new() };
    for _ in 0..length {
        walk.api = match kind.other_apis.len() {
            n if n > 0 && walk.rng.percent(35) => walk.rng.pick(&kind.other_apis).clone(),
            _ => kind.api.clone(),
        };
        walk.step();
    }
    walk.steps
}

struct Walk<'a> {
    kind: &'a Kind,
    rng: &'a mut Rng,
    api: String,
    steps: Vec<Value>,
}

impl Walk<'_> {
    fn step(&mut self) {
        if self.steps.is_empty() {
            let whole = self.object(true);
            if self.rng.percent(60) {
                self.apply(whole)
            } else {
                self.post(whole)
            }
            return;
        }
        match self.rng.weighted(&[40, 5, 11, 14, 9, 9, 7, 4, 5, 5]) {
            0 => {
                let complete = self.rng.percent(70);
                let object = self.object(complete);
                self.apply(object);
            }
            1 => {
                let object = self.object(true);
                self.post(object);
            }
            2 => self.put(),
            3 => self.merge(MERGE),
            4 => self.json_patch(),
            5 => self.merge(STRATEGIC),
            6 if !self.kind.status.is_empty() => self.status(),
            7 if self.kind.scale => self.scale(),
            8 => self.delete(),
            _ => self.push("GET", "", Vec::new(), None, ""),
        }
    }

    fn collection(&self) -> String {
        let namespace = if self.kind.namespaced { "/namespaces/$NS" } else { "" };
        format!("/{}{namespace}/{}", self.api, self.kind.plural)
    }

    /// The name of the object; that of a cluster-wide one must be its sequence's own.
    fn name(&self) -> &'static str {
        if self.kind.namespaced { "w" } else { "$NS-w" }
    }

    fn push(
        &mut self,
        method: &str,
        below: &str,
        query: Vec<String>,
        body: Option<Value>,
        content_type: &str,
    ) {
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let at = if method == "POST" {
            self.collection()
        } else {
            format!("{}/{}{below}", self.collection(), self.name())
        };
        let mut step = json!({"method": method, "path": format!("{at}{query}")});
        if let Some(body) = body {
            step["body"] = body;
            step["contentType"] = content_type.into();
        }
        self.steps.push(step);
    }

    fn options(&mut self, apply: bool) -> Vec<String> {
        let mut query = Vec::new();
        let managers = ["m1", "m1", "m2", "m2", "m3", "kubectl"];
        if apply || self.rng.percent(85) {
            query.push(format!("fieldManager={}", self.rng.pick(&managers)));
        } else if self.rng.percent(10) {
            query.push(format!("fieldManager={}", "m".repeat(129)));
        }
        if apply && self.rng.percent(35) {
            query.push("force=true".to_owned());
        }
        if self.rng.percent(9) {
            query.push("dryRun=All".to_owned());
        }
        if self.rng.percent(12) {
            let modes = ["Strict", "Warn", "Ignore", "Strict"];
            query.push(format!("fieldValidation={}", self.rng.pick(&modes)));
        }
        if self.rng.percent(1) && !query.iter().any(|part| part.starts_with("dryRun")) {
            query.push((*self.rng.pick(&["dryRun=Some", "fieldValidation=Loose", "force=maybe"])).to_owned());
        }
        query
    }

    fn head(&self) -> Value {
        let version = self.api.trim_start_matches("apis/").trim_start_matches("api/");
        let mut object =
            json!({"apiVersion": version, "kind": self.kind.name, "metadata": {"name": self.name()}});
        if self.kind.namespaced {
            object["metadata"]["namespace"] = "$NS".into();
        }
        object
    }

    /// An object with random fields; a complete one has all that it must.
    fn object(&mut self, complete: bool) -> Value {
        let mut object = self.head();
        if complete {
            merge(&mut object, &self.kind.base);
        }
        self.vary(&mut object);
        self.metadata(&mut object);
        object
    }

    fn vary(&mut self, object: &mut Value) -> Vec<String> {
        let mut set_fields = Vec::new();
        let pool = &self.kind.fields;
        let mut count = [0, 1, 1, 2, 2, 3, 4][self.rng.below(7)];
        if self.kind.custom {
            count += 1;
        }
        for _ in 0..count.min(pool.len() * 2) {
            let (pointer, values) = self.rng.pick(pool);
            let value = self.rng.pick(values).clone();
            set(object, pointer, value);
            set_fields.push(pointer.clone());
        }
        if !self.kind.bad.is_empty() && self.rng.percent(14) {
            let (pointer, values) = self.rng.pick(&self.kind.bad);
            let value = self.rng.pick(values).clone();
            set(object, pointer, value);
            set_fields.push(pointer.clone());
        }
        set_fields
    }

    fn metadata(&mut self, object: &mut Value) {
        for (field, keys) in [("labels", ["p", "q", "r"]), ("annotations", ["s", "t", "u"])] {
            if self.rng.percent(22) {
                let mut map = Map::new();
                for key in keys {
                    if self.rng.percent(40) {
                        map.insert(key.to_owned(), (*self.rng.pick(&["1", "2"])).into());
                    }
                }
                object["metadata"][field] = map.into();
            }
        }
        if self.rng.percent(10) {
            let pools = [
                json!(["moin.test/f"]),
                json!(["moin.test/g", "moin.test/f"]),
                json!([]),
                json!(["moin.test/g"]),
            ];
            object["metadata"]["finalizers"] = self.rng.pick(&pools).clone();
        }
        if self.rng.percent(6) {
            let (pointer, value) = self.odd_metadata();
            set(object, pointer, value);
        }
    }

    /// What metadata has rarely, most of it wrong.
    fn odd_metadata(&mut self) -> (&'static str, Value) {
        let owner = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": format!("00000000-0000-0000-0000-00000000000{}", name.len())});
        let mut controller = owner("aaa");
        controller["controller"] = true.into();
        controller["blockOwnerDeletion"] = true.into();
        let mut other = owner("aa");
        other["controller"] = true.into();
        let odd = [
            ("/metadata/labels", json!({"a b": "x"})),
            ("/metadata/labels", json!({"a/b/c": "x", "ok": "-bad-"})),
            ("/metadata/labels", json!({"a": "x".repeat(64)})),
            ("/metadata/labels", json!({"a": 1})),
            ("/metadata/labels", json!(null)),
            ("/metadata/labels", json!({"a": null})),
            ("/metadata/annotations", json!({"a b": "x"})),
            ("/metadata/annotations", json!({"/x": "x"})),
            ("/metadata/annotations", json!({"big": "x".repeat(300)})),
            ("/metadata/annotations", json!(null)),
            ("/metadata/finalizers", json!(["nodomain"])),
            ("/metadata/finalizers", json!(["moin.test/f", "moin.test/f"])),
            ("/metadata/finalizers", json!(["foregroundDeletion", "orphan"])),
            ("/metadata/finalizers", json!(["moin.test/"])),
            ("/metadata/finalizers", json!(null)),
            ("/metadata/ownerReferences", json!([owner("a")])),
            ("/metadata/ownerReferences", json!([owner("a"), controller.clone()])),
            ("/metadata/ownerReferences", json!([controller, other])),
            (
                "/metadata/ownerReferences",
                json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "", "uid": ""}]),
            ),
            ("/metadata/ownerReferences", json!([{"kind": "ConfigMap", "name": "x", "uid": "u"}])),
            ("/metadata/ownerReferences", json!([])),
            ("/metadata/deletionTimestamp", json!("2020-01-01T00:00:00Z")),
            ("/metadata/deletionGracePeriodSeconds", json!(7)),
            ("/metadata/creationTimestamp", json!("2020-01-01T00:00:00Z")),
            ("/metadata/creationTimestamp", json!(null)),
            ("/metadata/generation", json!(77)),
            ("/metadata/selfLink", json!("/here")),
            ("/metadata/uid", json!("00000000-0000-0000-0000-000000000009")),
            ("/metadata/uid", json!("")),
            ("/metadata/resourceVersion", json!("1")),
            ("/metadata/resourceVersion", json!("abc")),
            ("/metadata/resourceVersion", json!("")),
            ("/metadata/name", json!("other")),
            ("/metadata/name", json!("")),
            ("/metadata/namespace", json!("elsewhere")),
            ("/metadata/namespace", json!("")),
            ("/metadata/generateName", json!("gen-")),
            ("/metadata/unknown", json!(1)),
            ("/metadata/managedFields", json!([])),
            ("/metadata/managedFields", json!([{}])),
            ("/metadata/managedFields", json!(null)),
            ("/unknown", json!({"a": 1})),
            ("/kind", json!("Wrong")),
            ("/kind", json!("")),
            ("/apiVersion", json!("wrong/v9")),
            ("/apiVersion", json!("")),
            ("/spec", json!(null)),
            ("/status", json!({})),
        ];
        self.rng.pick(&odd).clone()
    }

    fn apply(&mut self, mut object: Value) {
        if self.rng.percent(3) && !object["metadata"]["annotations"].is_object() {
            object["metadata"]["annotations"] = json!({NOTE: "{}\n"});
        }
        let query = self.options(true);
        self.push("PATCH", "", query, Some(object), APPLY);
    }

    fn post(&mut self, mut object: Value) {
        if self.rng.percent(8) {
            object["metadata"].as_object_mut().unwrap().remove("name");
            if self.rng.percent(80) {
                object["metadata"]["generateName"] = "gen-".into();
            }
        }
        if self.rng.percent(10) {
            // What kubectl's client-side apply leaves.
            let note = format!("{object}\n");
            object["metadata"]["annotations"] = json!({NOTE: note});
        }
        let query = self.options(false);
        self.push("POST", "", query, Some(object), "application/json");
    }

    /// A reference to the resourceVersion that some earlier step answered.
    fn revision(&mut self) -> String {
        let last = self.steps.len() - 1;
        let step = if self.rng.percent(80) { last } else { self.rng.below(last + 1) };
        format!("${{{step}.metadata.resourceVersion}}")
    }

    fn put(&mut self) {
        let mut object = self.object(true);
        if self.rng.percent(60) {
            // A fresh picture first, as clients do.
            self.push("GET", "", Vec::new(), None, "");
            object["metadata"]["resourceVersion"] =
                format!("${{{}.metadata.resourceVersion}}", self.steps.len() - 1).into();
        } else if self.rng.percent(40) {
            object["metadata"]["resourceVersion"] = self.revision().into();
        }
        if self.rng.percent(6) {
            let resets = [json!([]), json!([{}]), json!(null)];
            object["metadata"]["managedFields"] = self.rng.pick(&resets).clone();
        }
        let query = self.options(false);
        self.push("PUT", "", query, Some(object), "application/json");
    }

    /// Some of the fields of a whole object, lists as a whole.
    fn partial(&mut self) -> Value {
        let mut whole = self.head();
        merge(&mut whole, &self.kind.base);
        let pointers = self.vary(&mut whole);
        let mut patch = json!({});
        for pointer in pointers {
            let mut at = String::new();
            for part in pointer.split('/').skip(1) {
                if part.parse::<usize>().is_ok() {
                    break;
                }
                at = format!("{at}/{part}");
            }
            let value = whole.pointer(&at).cloned().unwrap_or_default();
            let value = if self.rng.percent(15) { Value::Null } else { value };
            set(&mut patch, &at, value);
        }
        patch
    }

    fn merge(&mut self, content_type: &str) {
        let mut patch = self.partial();
        self.metadata(&mut patch);
        if self.rng.percent(5) {
            let resets = [json!([]), json!([{}]), json!(null)];
            set(&mut patch, "/metadata/managedFields", self.rng.pick(&resets).clone());
        }
        if self.rng.percent(4) {
            let revision = self.revision();
            set(&mut patch, "/metadata/resourceVersion", revision.into());
        }
        if self.rng.percent(2) {
            patch = self.rng.pick(&[json!([]), json!("{"), json!("null"), json!({"spec": 5})]).clone();
        }
        let query = self.options(false);
        self.push("PATCH", "", query, Some(patch), content_type);
    }

    fn json_patch(&mut self) {
        let mut operations = Vec::new();
        for _ in 0..1 + self.rng.below(3) {
            let (pointer, values) = match self.rng.below(8) {
                0 => ("/metadata/labels/p".to_owned(), vec![json!("1"), json!("2")]),
                1 => ("/metadata/labels".to_owned(), vec![json!({"p": "2"}), json!({})]),
                2 if self.rng.percent(30) => {
                    ("/metadata/managedFields".to_owned(), vec![json!([]), json!([{}])])
                }
                3 if !self.kind.bad.is_empty() && self.rng.percent(25) => {
                    self.rng.pick(&self.kind.bad).clone()
                }
                _ if self.kind.fields.is_empty() => {
                    ("/metadata/annotations".to_owned(), vec![json!({"s": "1"})])
                }
                _ => self.rng.pick(&self.kind.fields).clone(),
            };
            let value = self.rng.pick(&values).clone();
            let op = *self.rng.pick(&["replace", "replace", "add", "add", "remove", "test", "copy", "move"]);
            let mut operation = json!({"op": op, "path": pointer});
            match op {
                "copy" | "move" => {
                    let from = if self.kind.fields.is_empty() {
                        "/metadata/labels".to_owned()
                    } else {
                        self.rng.pick(&self.kind.fields).0.clone()
                    };
                    operation["from"] = from.into();
                }
                "remove" => {}
                _ => operation["value"] = value,
            }
            operations.push(operation);
        }
        let query = self.options(false);
        self.push("PATCH", "", query, Some(operations.into()), JSON_PATCH);
    }

    fn status(&mut self) {
        let mut object = self.head();
        let mut patch = json!({});
        for _ in 0..1 + self.rng.below(3) {
            let (pointer, values) = self.rng.pick(&self.kind.status);
            let value = self.rng.pick(values).clone();
            set(&mut object, pointer, value.clone());
            set(&mut patch, pointer, value);
        }
        if self.rng.percent(15) {
            self.vary(&mut object);
            self.vary(&mut patch);
        }
        if self.rng.percent(15) {
            self.metadata(&mut object);
        }
        let apply = self.rng.percent(45);
        let query = self.options(apply);
        match self.rng.below(3) {
            _ if apply => self.push("PATCH", "/status", query, Some(object), APPLY),
            0 => {
                merge(&mut object, &self.kind.base);
                if self.rng.percent(60) {
                    object["metadata"]["resourceVersion"] = self.revision().into();
                }
                self.push("PUT", "/status", query, Some(object), "application/json");
            }
            1 => self.push("PATCH", "/status", query, Some(patch), MERGE),
            _ => self.push("PATCH", "/status", query, Some(patch), STRATEGIC),
        }
    }

    fn scale(&mut self) {
        let replicas = *self.rng.pick(&[0, 1, 2, 3, 5, -1]);
        let mut scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": self.name(), "namespace": "$NS"}, "spec": {"replicas": replicas}});
        let apply = self.rng.percent(30);
        let query = self.options(apply);
        match self.rng.below(4) {
            _ if apply => self.push("PATCH", "/scale", query, Some(scale), APPLY),
            0 => self.push("GET", "/scale", Vec::new(), None, ""),
            1 => {
                if self.rng.percent(50) {
                    scale["metadata"]["resourceVersion"] = self.revision().into();
                }
                self.push("PUT", "/scale", query, Some(scale), "application/json");
            }
            _ => self.push("PATCH", "/scale", query, Some(json!({"spec": {"replicas": replicas}})), MERGE),
        }
    }

    fn delete(&mut self) {
        let options = match self.rng.below(6) {
            0 => Some(
                json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "00000000-0000-0000-0000-000000000009"}}),
            ),
            1 => {
                let revision = self.revision();
                Some(
                    json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"resourceVersion": revision}}),
                )
            }
            2 => {
                Some(json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}))
            }
            3 => Some(json!({"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]})),
            _ => None,
        };
        self.push("DELETE", "", Vec::new(), options, "application/json");
    }
}

/// Sets what a pointer points at and makes the way there; a list item must be there.
fn set(object: &mut Value, pointer: &str, value: Value) {
    let parts: Vec<String> =
        pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let mut at = object;
    for part in &parts {
        let index = part.parse::<usize>().ok();
        if !(at.is_object() || at.is_array() && index.is_some()) {
            *at = if index.is_some() { json!([]) } else { json!({}) };
        }
        at = match (at, index) {
            (Value::Array(items), Some(index)) => {
                let index = index.min(items.len());
                if index == items.len() {
                    items.push(json!({}));
                }
                &mut items[index]
            }
            (at, _) => &mut at[part.as_str()],
        };
    }
    *at = value;
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (into, from) => *into = from.clone(),
    }
}
